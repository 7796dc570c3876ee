"""One network builder a file."""

from typing import Any

Network = Any  # a keras.Model; keras ships no types and is imported inside functions only
Tensor = Any
