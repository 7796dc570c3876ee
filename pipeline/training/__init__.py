"""From labelled pictures to a trained model."""
