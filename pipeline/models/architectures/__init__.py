"""One network builder a file."""
