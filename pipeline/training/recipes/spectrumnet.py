"""EuroSAT's thirteen-band files with SpectrumNet on ten bands, in the right order."""

from pipeline.bands import TEN_BANDS
from pipeline.training.recipes import Recipe

RECIPE = Recipe(
    "From scratch on ten bands as reflectance; flips, turns, shifts and radiometry.",
    {
        "arch": "spectrumnet",
        "bands": ",".join(TEN_BANDS),
        "weights": "none",
        "frozen_epochs": 0,
        "epochs": 60,
        "rate": 2e-3,
        "batch": 32,
        "weight_decay": 0.05,
        "dropout": 0.3,
        "label_smoothing": 0.05,
        "mixed_precision": False,
    },
)
