"""SpectrumNet (Senecal, Sheppard and Shaw 2019): a SqueezeNet for many bands, its fire modules made spectral.

A spectral module squeezes the channels by 1x1 and expands them side by side by 1x1 and by depthwise separable 3x3
convolutions.
"""

from pipeline.errors import ModelError
from pipeline.models.networks import Network, Plan, Tensor, door, head, normalised

KIND, SIZE = "tile", 64
MEAN, SPREAD = (127.5,) * 3, (127.5,) * 3
# Squeezed channels and channels of each expansion; None is a pooling.
MODULES: tuple[tuple[int, int] | None, ...] = (
    (16, 64), (16, 64), None, (32, 128), (32, 128), None, (48, 192), (48, 192), (64, 256), (64, 256),
)  # fmt: skip


def build(plan: Plan) -> Network:
    """The network; the layer `features` gives 512 pooled features."""
    import keras
    from keras import layers

    def conv(x: Tensor, filters: int, name: str) -> Tensor:
        x = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_conv")(x)
        return normalised(x, plan, name)

    inputs, x = door(plan, MEAN, SPREAD)
    x = layers.Conv2D(96, 3, padding="same", use_bias=False, name="first_conv")(x)
    x = layers.MaxPooling2D(2, name="first_pool")(normalised(x, plan, "first"))
    for number, module in enumerate(MODULES, start=1):
        if module is None:
            x = layers.MaxPooling2D(2, name=f"pool{number}")(x)
            continue
        name, before = f"spectral{number}", x
        squeezed = conv(x, module[0], f"{name}_squeeze")
        wide = layers.SeparableConv2D(module[1], 3, padding="same", use_bias=False, name=f"{name}_wide_conv")(squeezed)
        x = layers.Concatenate(name=f"{name}_both")(
            [conv(squeezed, module[1], f"{name}_point"), normalised(wide, plan, f"{name}_wide")]
        )
        if before.shape[-1] == x.shape[-1]:
            x = layers.Add(name=f"{name}_add")([before, x])
    return keras.Model(inputs, head(x, plan), name="spectrumnet")


def load(model: Network, source: str) -> tuple[str, ...]:  # noqa: ARG001 - every network offers it
    """Nobody publishes weights of this network.

    Raises:
        ModelError: always.
    """
    raise ModelError(
        f"{source}: SpectrumNet is trained from scratch, nobody publishes its weights; give --weights none"
    )
