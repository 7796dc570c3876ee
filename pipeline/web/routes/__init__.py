"""The calls, one group a file."""
