"""ResNet50 (He et al. 2015, the variant of keras.applications: the stride sits in a block's first 1x1 convolution).

Convolutions carry no bias (batch normalisation follows each and would cancel it); published weights that have one are
folded on loading.
"""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.errors import ModelError
from pipeline.models.architectures import Network, Tensor

# Stage name, filters of the 3x3 convolution, blocks, stride of the first block.
STAGES = (("conv2", 64, 3, 1), ("conv3", 128, 4, 2), ("conv4", 256, 6, 2), ("conv5", 512, 3, 2))
PRETRAINED = ("conv1", "conv2", "conv3", "conv4", "conv5")
# Means of ImageNet's channels in RGB order, which keras.applications subtracts.
IMAGENET_MEAN = (123.68, 116.779, 103.939)
EPSILON = 1.001e-5


def build(
    classes: int,
    patch_size: int = 64,
    bands: int = 3,
    dropout: float = 0.3,
    upsample: float = 1.0,
    norm: type[Any] | None = None,
) -> Network:
    """The network: codes 0..255 (n, patch_size, patch_size, bands) in, logits (n, classes) out.

    The layer `features` gives the pooled features (n, 2048). `upsample` enlarges patches inside the graph; `norm`
    replaces keras' batch normalisation by a layer with the same weights.
    """
    import keras
    from keras import layers

    norm = norm or layers.BatchNormalization

    def conv(x: Tensor, filters: int, kernel: int, stride: int, name: str, activate: bool = True) -> Tensor:
        x = layers.Conv2D(
            filters,
            kernel,
            strides=stride,
            padding="same" if kernel == 3 else "valid",
            use_bias=False,
            name=f"{name}_conv",
        )(x)
        x = norm(momentum=0.9, epsilon=EPSILON, name=f"{name}_bn")(x)  # 0.99 lags for epochs
        return layers.ReLU(name=f"{name}_relu")(x) if activate else x

    inputs = keras.Input((patch_size, patch_size, bands), name="patches", dtype="float32")
    # What keras.applications subtracts, inside the graph so that it cannot be forgotten.
    mean = IMAGENET_MEAN if bands == 3 else (118.0,) * bands
    x = layers.Rescaling(1.0, [-value for value in mean], name="centre", dtype="float32")(inputs)
    if upsample > 1:
        x = layers.Resizing(
            round(patch_size * upsample), round(patch_size * upsample), interpolation="bilinear", name="upsample"
        )(x)
    x = layers.ZeroPadding2D(3, name="conv1_pad")(x)
    x = conv(x, 64, 7, 2, "conv1")
    x = layers.ZeroPadding2D(1, name="pool1_pad")(x)
    x = layers.MaxPooling2D(3, strides=2, name="pool1")(x)
    for stage, filters, blocks, first_stride in STAGES:
        for block in range(1, blocks + 1):
            name, stride = f"{stage}_block{block}", first_stride if block == 1 else 1
            shortcut = conv(x, 4 * filters, 1, stride, f"{name}_0", activate=False) if block == 1 else x
            x = conv(x, filters, 1, stride, f"{name}_1")
            x = conv(x, filters, 3, 1, f"{name}_2")
            x = conv(x, 4 * filters, 1, 1, f"{name}_3", activate=False)
            x = layers.ReLU(name=f"{name}_out")(layers.Add(name=f"{name}_add")([shortcut, x]))
    # Pooled and classified in float32 whatever the precision of the convolutions.
    x = layers.GlobalAveragePooling2D(name="features", dtype="float32")(x)
    x = layers.Dropout(dropout, name="dropout", dtype="float32")(x)
    x = layers.Dense(classes, name="logits", dtype="float32")(x)
    return keras.Model(inputs, x, name="resnet50")


def load_imagenet(model: Network, source: str | Path) -> tuple[str, ...]:
    """Fills the convolutions with ImageNet's weights and returns the stages ("conv1" ...) that were filled.

    `source` is "imagenet" (downloaded by keras.applications) or an npz with `<layer>_conv/raw_OIHW_then_bias` and
    `<layer>_bn/{gamma,beta,mean,var}`; a stage that the npz does not hold whole stays as it is.

    Raises:
        ModelError: the file cannot be read or holds another network.
    """
    published = _from_keras() if str(source) == "imagenet" else _from_npz(Path(source))
    names = [layer.name.removesuffix("_conv") for layer in model.layers if layer.name.endswith("_conv")]
    held = {stage: [name in published for name in names if name.startswith(stage)] for stage in PRETRAINED}
    stages = tuple(stage for stage, found in held.items() if found and all(found))
    if not stages:
        raise ModelError(f"{source}: holds no whole stage of ResNet50; give other weights or --weights none")
    for name in names:
        if not name.startswith(stages):
            continue
        kernel, bias, (gamma, beta, mean, variance) = published[name]
        if name == "conv1":
            kernel = kernel[:, :, ::-1]  # published for BGR, the patches are RGB
        layer = model.get_layer(f"{name}_conv")
        if kernel.shape != tuple(layer.kernel.shape):
            raise ModelError(
                f"{source}: {name} is {kernel.shape}, the network wants {tuple(layer.kernel.shape)}; give --weights "
                f"none for other bands"
            )
        layer.set_weights([kernel])
        model.get_layer(f"{name}_bn").set_weights([gamma, beta, mean - bias, variance])
    return stages


_Published = dict[str, tuple[npt.NDArray[np.float32], npt.NDArray[np.float32], tuple[npt.NDArray[np.float32], ...]]]


def _from_keras() -> _Published:
    import keras

    try:
        network = keras.applications.ResNet50(weights="imagenet", include_top=False, input_shape=(64, 64, 3))
    except Exception as error:  # keras raises a plain Exception when a download fails
        raise ModelError(
            f"imagenet: the weights cannot be downloaded ({error}); give an npz of them, or --weights none"
        ) from error
    found = {}
    for layer in network.layers:
        if layer.name.endswith("_conv"):
            name = layer.name.removesuffix("_conv")
            kernel, bias = layer.get_weights()
            found[name] = (kernel, bias, tuple(network.get_layer(f"{name}_bn").get_weights()))
    return found


def _from_npz(path: Path) -> _Published:
    found = {}
    suffix = "_conv/raw_OIHW_then_bias"
    try:
        with path.open("rb") as stream, np.load(stream) as stored:
            for key in stored.files:
                if not key.endswith(suffix):
                    continue
                name = key.removesuffix(suffix)
                normal = tuple(
                    stored[f"{name}_bn/{part}"].astype(np.float32) for part in ("gamma", "beta", "mean", "var")
                )
                flat, out = stored[key].astype(np.float32), normal[0].size
                size = 7 if name == "conv1" else 3 if name.endswith("_2") else 1
                kernel = flat[:-out].reshape(out, -1, size, size).transpose(2, 3, 1, 0)
                found[name] = (kernel, flat[-out:], normal)
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise ModelError(
            f"{path}: cannot read ResNet50 weights ({error}); give another file or --weights none"
        ) from error
    return found
