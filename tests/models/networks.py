"""A network of a few hundred weights with the layers that the pipeline looks for."""

from typing import Any

from pipeline.legend import LandCoverClass, Legend
from pipeline.models.networks import Plan, door, head

_DARK = LandCoverClass("Dark", "Dark", "Dark", "DA", "#000000", "#ffffff")
_BRIGHT = LandCoverClass("Bright", "Bright", "Bright", "BR", "#ffffff", "#000000")
PAIR = Legend("pair", (_DARK, _BRIGHT))


KIND, SIZE = "tile", 64


def build(plan: Plan) -> Any:
    import keras
    from keras import layers

    norm = plan.norm or layers.BatchNormalization
    inputs, x = door(plan, (127.5,) * 3, (127.5,) * 3)
    x = layers.Conv2D(8, 8, strides=8, use_bias=False, name="conv1_conv")(x)
    x = layers.ReLU(name="conv1_relu")(norm(momentum=0.5, name="conv1_bn")(x))
    return keras.Model(inputs, head(x, plan), name="tiny")


def load(model: Any, source: str) -> tuple[str, ...]:
    """As if the convolution were published."""
    return ("conv1_conv", "conv1_bn")


def tiny(classes: int, size: int = 64, bands: int = 3) -> Any:
    return build(Plan(classes, size, bands, dropout=0.0))
