"""ResNet50 (He et al. 2015, the variant of keras.applications: the stride sits in a block's first 1x1 convolution).

Convolutions carry no bias (batch normalisation follows each and would cancel it); published weights that have one are
folded on loading.
"""

import zipfile
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.errors import ModelError
from pipeline.models.networks import Network, Plan, Tensor, door, head, normalised

KIND, SIZE = "tile", 64
# Stage name, filters of the 3x3 convolution, blocks, stride of the first block.
STAGES = (("conv2", 64, 3, 1), ("conv3", 128, 4, 2), ("conv4", 256, 6, 2), ("conv5", 512, 3, 2))
# Means of ImageNet's channels in RGB order, which keras.applications subtracts; it does not divide.
MEAN, SPREAD = (123.68, 116.779, 103.939), (1.0, 1.0, 1.0)
EPSILON = 1.001e-5


def build(plan: Plan) -> Network:
    """The network; the layer `features` gives 2,048 pooled features."""
    import keras
    from keras import layers

    def conv(x: Tensor, filters: int, kernel: int, stride: int, name: str, activate: bool = True) -> Tensor:
        padding = "same" if kernel == 3 else "valid"
        x = layers.Conv2D(filters, kernel, stride, padding=padding, use_bias=False, name=f"{name}_conv")(x)
        return normalised(x, plan, name, EPSILON, "relu" if activate else None)

    inputs, x = door(plan, MEAN, SPREAD)
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
    return keras.Model(inputs, head(x, plan), name="resnet50")


def load(model: Network, source: str) -> tuple[str, ...]:
    """Fills the convolutions with ImageNet's weights and returns the layers that were filled.

    `source` is "imagenet" (downloaded by keras.applications) or an npz with `<layer>_conv/raw_OIHW_then_bias` and
    `<layer>_bn/{gamma,beta,mean,var}`; a stage ("conv1" to "conv5") that the npz does not hold whole stays as it is.

    Raises:
        ModelError: the file cannot be read or holds another network.
    """
    published = _from_keras() if source == "imagenet" else _from_npz(Path(source))
    names = [layer.name.removesuffix("_conv") for layer in model.layers if layer.name.endswith("_conv")]
    stages = {stage: [name for name in names if name.startswith(stage)] for stage in ("conv1", *(s[0] for s in STAGES))}
    whole = [name for held in stages.values() if held and all(name in published for name in held) for name in held]
    if not whole:
        raise ModelError(f"{source}: holds no whole stage of ResNet50; give other weights or --weights none")
    for name in whole:
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
    return tuple(f"{name}_{part}" for name in whole for part in ("conv", "bn"))


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
