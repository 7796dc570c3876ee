"""Scenes: finding them, understanding their metadata, and reading their pixels safely."""
