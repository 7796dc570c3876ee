"""The plug point of the pipeline: anything that turns patches into class probabilities."""

from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from pipeline.models.card import ModelCard


class Prediction(NamedTuple):
    """Answers for n patches.

    `probabilities` is (n, classes) float32, calibrated, rows sum to 1. `unfamiliar` is (n,) bool: the patch is
    unlike the training data and must not carry a class.
    """

    probabilities: npt.NDArray[np.float32]
    unfamiliar: npt.NDArray[np.bool_]


class Classifier(Protocol):
    """A trained model behind its card; the same patch gets the same answer in any batch."""

    @property
    def card(self) -> ModelCard:
        """What the model is and what input it takes."""
        ...

    def predict(self, patches: npt.NDArray[np.uint8] | npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Calibrated probabilities (n, classes) of patches (n, 64, 64, bands); rows sum to 1."""
        ...

    def judge(self, patches: npt.NDArray[np.uint8] | npt.NDArray[np.float32]) -> Prediction:
        """Probabilities together with which patches are unlike anything that the model was trained on."""
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
