"""A network of a few hundred weights with the layers that the pipeline looks for."""

from typing import Any

from pipeline.legend import LandCoverClass, Legend

_DARK = LandCoverClass("Dark", "Dark", "Dark", "DA", "#000000", "#ffffff")
_BRIGHT = LandCoverClass("Bright", "Bright", "Bright", "BR", "#ffffff", "#000000")
PAIR = Legend("pair", (_DARK, _BRIGHT))


def tiny(
    classes: int,
    patch_size: int = 64,
    bands: int = 3,
    dropout: float = 0.0,
    upsample: float = 1.0,
    norm: type[Any] | None = None,
) -> Any:
    import keras
    from keras import layers

    norm = norm or layers.BatchNormalization
    inputs = keras.Input((patch_size, patch_size, bands), name="patches", dtype="float32")
    x = layers.Rescaling(1 / 127.5, -1.0, name="centre", dtype="float32")(inputs)
    x = layers.Conv2D(8, 8, strides=8, use_bias=False, name="conv1_conv")(x)
    x = layers.ReLU(name="conv1_relu")(norm(momentum=0.5, name="conv1_bn")(x))
    x = layers.GlobalAveragePooling2D(name="features", dtype="float32")(x)
    return keras.Model(
        inputs, layers.Dense(classes, name="logits", dtype="float32")(layers.Dropout(dropout)(x)), name="tiny"
    )
