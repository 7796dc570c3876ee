"""Tests of the scenes room."""
