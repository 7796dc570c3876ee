"""One inference engine a file."""
