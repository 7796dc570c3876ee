"""Finding scenes and understanding what they are, from names and metadata."""
