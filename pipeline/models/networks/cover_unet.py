"""A small encoder-decoder with skip connections that names the cover of every 10 m pixel.

U-Net (Ronneberger et al. 2015) made light: one convolution at full resolution on the way down and one on the way up,
two on each coarser level, and skips that are added, not stacked.
"""

from collections.abc import Sequence

from pipeline.errors import ModelError
from pipeline.models.networks import Network, Plan, Tensor

KIND = "cover"
SIZE = 64

# Filters at 10, 20, 40 and 80 m.
WIDTHS = (16, 48, 96, 112)
# What an unmeasured band of a pixel holds instead of a reflectance.
UNMEASURED = -1.0
# ln(1 + 50 reflectance) of land is 1.9 +- 0.9 in most bands.
LOG_GAIN, LOG_MEAN, LOG_SPREAD = 50.0, 1.9, 0.9


def build(plan: Plan) -> Network:
    """The network of a plan for windows of any size; what a plan says of doors and patches is not for it."""
    return unet(plan.classes, plan.bands)


def load(model: Network, source: str) -> tuple[str, ...]:  # noqa: ARG001 - every network is asked alike
    """There are no published weights.

    Raises:
        ModelError: always.
    """
    raise ModelError(f"{source}: nobody published weights of cover-unet; give --weights none")


def unet(classes: int, bands: int = 4, widths: Sequence[int] = WIDTHS) -> Network:
    """The network: reflectances (n, y, x, bands) in, logits (n, y, x, classes) out; y and x are multiples of `step`.

    A negative reflectance stands for a band that was not measured there; the last band may lack everywhere.
    """
    import keras
    from keras import layers, ops

    def conv(x: Tensor, filters: int, name: str) -> Tensor:
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=f"{name}_conv")(x)
        x = layers.BatchNormalization(momentum=0.9, epsilon=1e-3, name=f"{name}_bn")(x)
        return layers.ReLU(name=f"{name}_relu")(x)

    inputs = keras.Input((None, None, bands), name="pixels", dtype="float32")
    measured = ops.cast(inputs >= 0.0, "float32")
    light = (ops.log1p(LOG_GAIN * ops.relu(inputs)) - LOG_MEAN) / LOG_SPREAD * measured
    x = layers.Concatenate(name="light")([light, measured[..., -1:]])
    skips = []
    for level, filters in enumerate(widths):
        if level:
            x = layers.MaxPooling2D(2, name=f"down{level}")(x)
            x = conv(x, filters, f"down{level}a")
        x = conv(x, filters, f"down{level}b")
        skips.append(x)
    for level in reversed(range(len(widths) - 1)):
        x = layers.Conv2D(widths[level], 1, name=f"up{level}_narrow")(x)
        x = layers.UpSampling2D(2, name=f"up{level}_repeat")(x)
        x = layers.Add(name=f"up{level}_skip")([x, skips[level]])
        x = conv(x, widths[level], f"up{level}")
    logits = layers.Conv2D(classes, 1, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name="cover_unet")


def step(widths: Sequence[int] = WIDTHS) -> int:
    """What a window's height and width are multiples of."""
    return int(2 ** (len(widths) - 1))


def halo(widths: Sequence[int] = WIDTHS) -> int:
    """Pixels around a pixel that bear on its answer, rounded up to a whole `step`, so that windows stay aligned."""
    stride = step(widths)
    reach = 0
    for place in range(stride):
        first, last = _seen(place, place, 0, len(widths) - 1)
        reach = max(reach, place - first, last - place)
    return -(-reach // stride) * stride


def _seen(first: int, last: int, level: int, deepest: int) -> tuple[int, int]:
    """The first and last pixel that enter a level's convolutions and bear on its answers `first` to `last`."""
    if level < deepest:
        first, last = first - 1, last + 1
        low, high = _seen(first // 2, last // 2, level + 1, deepest)
        first, last = min(first, 2 * low), max(last, 2 * high + 1)
    convolutions = 2 if level else 1
    return first - convolutions, last + convolutions
