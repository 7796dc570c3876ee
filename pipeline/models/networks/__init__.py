"""The networks by name, one file each: `wide-resnet50-2` lies in `wide_resnet50_2.py`.

A network's file is an `Architecture`; a new one is a new file here, and nothing else has to know of it.
"""

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt

from pipeline.errors import ModelError

Network = Any  # a keras.Model; keras ships no types and is imported inside functions only
Tensor = Any
# Standard deviation of ImageNet's pictures, in 0..255.
PICTURES_SPREAD = 58.0
Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a network is built for."""

    classes: int
    """Answers."""
    size: int
    """Pixels along a side of a patch."""
    bands: int = 3
    """Channels of a patch."""
    dropout: float = 0.3
    """Share of the pooled features that training leaves out."""
    upsample: float = 1.0
    """Factor by which patches are enlarged (or made smaller) inside the graph."""
    mean: tuple[float, ...] | None = None
    """By band, what the door subtracts; None for what the published weights expect of 8-bit RGB."""
    spread: tuple[float, ...] | None = None
    """By band, the standard deviation of the numbers; None likewise."""
    norm: type[Any] | None = None
    """A batch normalisation with the same weights as keras', where a network takes one."""


class Architecture(Protocol):
    """What a network's file offers."""

    KIND: str
    """`tile` or `cover`, as on the card."""
    SIZE: int
    """The patch size that the network was published with here."""

    def build(self, plan: Plan) -> Network:
        """The network: numbers as the card's units say (n, size, size, bands) in, logits (n, classes) out.

        The layer `features` gives the pooled features (n, f).
        """
        ...

    def load(self, model: Network, source: str) -> tuple[str, ...]:
        """Fills a built network with published weights and returns the names of the layers that they filled.

        `source` is "imagenet" (downloaded by keras.applications, where it has the network) or a file.

        Raises:
            ModelError: the weights cannot be had or belong to another network.
        """
        ...


def names(kind: str = "tile") -> tuple[str, ...]:
    """The networks that answer by tile or by pixel, sorted."""
    found = (entry.name.replace("_", "-") for entry in iter_modules(__path__))
    return tuple(sorted(name for name in found if kind == _module(name).KIND))


def find(name: str) -> Architecture:
    """The network of a name.

    Raises:
        ModelError: there is none.
    """
    if name not in {entry.name.replace("_", "-") for entry in iter_modules(__path__)}:
        raise ModelError(f"{name}: no such architecture; choose one of {', '.join(names())}")
    return _module(name)


def _module(name: str) -> Architecture:
    return cast(Architecture, import_module(f"{__name__}.{name.replace('-', '_')}"))


def door(plan: Plan, mean: Sequence[float], spread: Sequence[float]) -> tuple[Tensor, Tensor]:
    """A network's input and what comes out of its door: centred, scaled, enlarged; `mean`, `spread` by default.

    It stands inside the graph, so that it cannot be forgotten. Other than three bands need a plan that has both.
    """
    import keras

    inputs = keras.Input((plan.size, plan.size, plan.bands), name="patches", dtype="float32")
    if plan.mean and plan.spread:
        # Spread as the published weights know it from pictures.
        usual = PICTURES_SPREAD * len(spread) / sum(spread)
        scale = [usual / value for value in plan.spread]
        mean = plan.mean
    else:
        scale = [1.0 / value for value in spread]
    if len(scale) != plan.bands:
        raise ModelError(f"{plan.bands} bands: the network knows the spread of {len(scale)}; give those of the data")
    shift = [-value * factor for value, factor in zip(mean, scale, strict=True)]
    x = keras.layers.Rescaling(scale, shift, name="centre", dtype="float32")(inputs)
    if plan.upsample != 1:
        side = round(plan.size * plan.upsample)
        # Not keras.layers.Resizing: called without word of training it puts all later layers into training.
        x = keras.ops.image.resize(x, (side, side), interpolation="bilinear")
    return inputs, x


def head(x: Tensor, plan: Plan, hidden: int = 0) -> Tensor:
    """Logits of feature maps: pooled, dropout, where asked a dense layer, classes.

    In float32 whatever the precision of the convolutions.
    """
    from keras import layers

    x = layers.GlobalAveragePooling2D(name="features", dtype="float32")(x)
    x = layers.Dropout(plan.dropout, name="dropout", dtype="float32")(x)
    if hidden:
        x = layers.Dense(hidden, activation="relu", name="hidden", dtype="float32")(x)
    return layers.Dense(plan.classes, name="logits", dtype="float32")(x)


def normalised(x: Tensor, plan: Plan, name: str, epsilon: float = 1e-3, activation: str | None = "relu") -> Tensor:
    """Batch normalisation and activation; momentum 0.9, since 0.99 lags for the first epochs."""
    from keras import layers

    norm = plan.norm or layers.BatchNormalization
    x = norm(momentum=0.9, epsilon=epsilon, name=f"{name}_bn")(x)
    if activation is None:
        return x
    return layers.ReLU(6.0 if activation == "relu6" else None, name=f"{name}_relu")(x)


def stored_arrays(source: str) -> Arrays:
    """The arrays of a weight file: an npz, or a `.pth` state of PyTorch's (only tensors are unpickled).

    Raises:
        ModelError: it cannot be read, or PyTorch is needed and missing.
    """
    path = Path(source)
    wanted = "give another file or --weights none"
    if path.suffix in (".pth", ".pt"):
        try:
            import torch
        except ImportError as error:
            raise ModelError(f"{path}: PyTorch's files need torch; pip install torch, or convert to npz") from error
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
            return {name: value.numpy() for name, value in state.items()}
        except Exception as error:  # torch raises pickle's, zipfile's and its own errors
            raise ModelError(f"{path}: cannot read the weights ({error}); {wanted}") from error
    try:
        with path.open("rb") as stream, np.load(stream) as stored:
            return {name: stored[name] for name in stored.files}
    except (OSError, ValueError, KeyError, AttributeError, zipfile.BadZipFile) as error:
        raise ModelError(f"{path}: cannot read the weights ({error}); {wanted}") from error


def load_torch(model: Network, stored: Arrays, layers: Mapping[str, str], source: str) -> tuple[str, ...]:
    """Copies PyTorch's convolutions and normalisations into layers of other names: layer -> name in the file.

    Returns the layers. Batch statistics follow gamma, beta, mean, variance; kernels turn from OIHW to HWIO.

    Raises:
        ModelError: the file holds another network.
    """
    for layer_name, name in layers.items():
        layer = model.get_layer(layer_name)
        parts = (
            ("weight",) if f"{name}.running_mean" not in stored else ("weight", "bias", "running_mean", "running_var")
        )
        missing = [f"{name}.{part}" for part in parts if f"{name}.{part}" not in stored]
        if missing:
            raise ModelError(f"{source}: holds no {missing[0]}, so it is another network; give other weights")
        arrays = [np.asarray(stored[f"{name}.{part}"], np.float32) for part in parts]
        if arrays[0].ndim == 4:
            depthwise = "depthwise" in type(layer).__name__.lower()
            arrays[0] = arrays[0].transpose((2, 3, 0, 1) if depthwise else (2, 3, 1, 0))
        shapes = [tuple(weight.shape) for weight in layer.weights]
        if [array.shape for array in arrays] != shapes:
            raise ModelError(
                f"{source}: {name} is {arrays[0].shape}, the network wants {shapes[0]}; give --weights none for "
                f"other bands"
            )
        layer.set_weights(arrays)
    return tuple(layers)
