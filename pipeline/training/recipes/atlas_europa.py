"""EuroSAT as atlasEuropa does it: ResNet50 as feature extractor, then fine-tuned."""

from pipeline.training.recipes import Recipe

RECIPE = Recipe(
    "Frozen ResNet50, then fine-tuned with L2 of 0.0001 on all kernels; the rate falls from 1e-4 to 1e-6 on plateaus.",
    {
        "arch": "resnet50",
        "patch_size": 64,
        "frozen_epochs": 5,
        "frozen_rate": 1e-3,
        "epochs": 30,
        "rate": 1e-4,
        "lowest_rate": 1e-6,
        "pretrained_rate": 1.0,
        "schedule": "plateau",
        "weight_decay": 0.0,
        "l2": 1e-4,
        "label_smoothing": 0.0,
        "batch": 64,
        "ema": 0.0,
        "best": True,
        "mixing": False,
    },
)
