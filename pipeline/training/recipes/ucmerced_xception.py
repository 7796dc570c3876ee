"""UC Merced with Xception: aerial pictures of 21 classes."""

from pipeline.training.recipes import Recipe

RECIPE = Recipe(
    "The new layers on frozen Xception (150x150, dense 1024), then everything at a very low rate; flips and turns.",
    {
        "arch": "xception",
        "patch_size": 150,
        "sensor": "aerial",
        "gsd": 0.512,  # 256 pixels of 0.3 m on 150
        "frozen_epochs": 20,
        "frozen_rate": 1e-3,
        "epochs": 10,
        "rate": 1e-5,
        "pretrained_rate": 1.0,
        "schedule": "none",
        "batch": 32,
        "weight_decay": 0.0,
        "label_smoothing": 0.0,
        "dropout": 0.2,
        "ema": 0.0,
        "mixing": False,
    },
)
