"""UC Merced with EfficientNet-Lite: what `ucmerced-efficientnet-lite` was trained with."""

from pipeline.training.recipes import Recipe

RECIPE = Recipe(
    "The head alone, on pooled features of the eight positions that are computed once; minutes on a CPU.",
    {
        "arch": "efficientnet-lite",
        "patch_size": 256,
        "sensor": "aerial",
        "gsd": 0.3,
        "cached": True,
        "frozen_epochs": 60,
        "frozen_rate": 3e-3,
        "epochs": 0,
        "batch": 64,
        "mixed_precision": False,
    },
)
