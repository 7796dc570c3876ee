"""EuroSAT with wide ResNet50-2: ten epochs, the best kept."""

from pipeline.training.recipes import Recipe

RECIPE = Recipe(
    "Head of 256 units on frozen layers, then all of them; ten epochs, the one with the lowest validation loss stays.",
    {
        "arch": "wide-resnet50-2",
        "patch_size": 64,
        "frozen_epochs": 2,
        "frozen_rate": 1e-3,
        "epochs": 8,
        "rate": 1e-4,
        "pretrained_rate": 1.0,
        "schedule": "cosine",
        "batch": 64,
        "weight_decay": 0.01,
        "label_smoothing": 0.0,
        "dropout": 0.4,
        "ema": 0.0,
        "best": True,
        "mixing": False,
    },
)
