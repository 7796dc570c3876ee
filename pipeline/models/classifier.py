"""The plug points of the pipeline: what turns patches, or every pixel, into class probabilities."""

from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from pipeline.models.card import ModelCard


class Prediction(NamedTuple):
    """Answers for n patches."""

    probabilities: npt.NDArray[np.float32]
    """(n, classes), calibrated, rows sum to 1."""
    unfamiliar: npt.NDArray[np.bool_]
    """(n,): the patch is unlike the training data and must not carry a class."""


class TileClassifier(Protocol):
    """A trained model behind its card; the same patch gets the same answer in any batch and from any thread."""

    @property
    def card(self) -> ModelCard:
        """What the model is and what input it takes."""
        ...

    def judge(self, patches: npt.NDArray[Any]) -> Prediction:
        """Calibrated probabilities of patches (n, size, size, bands), and which are unlike the training data."""
        ...


class PixelClassifier(Protocol):
    """A trained model behind its card that answers for every pixel of a picture of any size."""

    @property
    def card(self) -> ModelCard:
        """What the model is and what input it takes."""
        ...

    @property
    def halo(self) -> int:
        """How many pixels beside a pixel its answer depends on: so many at a picture's edge are less sure."""
        ...

    def predict(self, pixels: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Calibrated probabilities (y, x, classes) of pixels (y, x, bands); they sum to 1."""
        ...
