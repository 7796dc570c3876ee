"""Labelled pictures to learn from and to measure on: one home for training, evaluation, band study and exploration."""
