"""A cascade of plain 3x3 convolutions (the kind of VGG, Simonyan and Zisserman 2014), trained from scratch."""

from pipeline.errors import ModelError
from pipeline.models.networks import Network, Plan, door, head, normalised

KIND, SIZE = "tile", 64
MEAN, SPREAD = (127.5,) * 3, (127.5,) * 3
FILTERS = (32, 64, 128, 256)
HIDDEN = 256


def build(plan: Plan) -> Network:
    """Four stages of two convolutions and a pooling; the layer `features` gives 256 pooled features."""
    import keras
    from keras import layers

    inputs, x = door(plan, MEAN, SPREAD)
    for stage, filters in enumerate(FILTERS, start=1):
        for part in (1, 2):
            name = f"stage{stage}_{part}"
            x = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=f"{name}_conv")(x)
            x = normalised(x, plan, name)
        x = layers.MaxPooling2D(2, name=f"stage{stage}_pool")(x)
    return keras.Model(inputs, head(x, plan, HIDDEN), name="cascade")


def load(model: Network, source: str) -> tuple[str, ...]:  # noqa: ARG001 - every network offers it
    """Nobody publishes weights of this network.

    Raises:
        ModelError: always.
    """
    raise ModelError(
        f"{source}: the cascade is trained from scratch, nobody publishes its weights; give --weights none"
    )
