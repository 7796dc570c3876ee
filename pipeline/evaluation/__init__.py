"""How good a model is: figures, curves and pictures."""
