"""Trained models: what they are, where they are stored, what runs them."""
