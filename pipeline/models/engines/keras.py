"""Inference with Keras: the reference, and the way to a GPU."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.errors import ModelError
from pipeline.models.abstention import Abstention
from pipeline.models.architectures import Network
from pipeline.models.card import ModelCard
from pipeline.models.classifier import Prediction
from pipeline.models.engines.checks import check_patches, prediction

BATCH = 64


class KerasClassifier:
    """The stored Keras model in float32, in batches of one fixed size."""

    def __init__(self, card: ModelCard, folder: Path) -> None:
        path = folder / "model.keras"
        model = load_model(path)
        size, bands, classes = card.input.size, len(card.input.bands), len(card.legend.classes)
        if model.input_shape != (None, size, size, bands) or model.output_shape != (None, classes):
            said = f"{size}x{size}x{bands} to {classes}"
            raise ModelError(
                f"{path}: maps {model.input_shape} to {model.output_shape}, the card says {said}; copy the model "
                f"folder again"
            )
        import keras

        self._card, self.engine = card, "keras"
        self._model: Any = keras.Model(model.input, [model.outputs[0], model.get_layer("features").output])
        self._abstention = Abstention.read(folder / card.unfamiliar["file"]) if card.unfamiliar else None

    @property
    def card(self) -> ModelCard:
        """What the model is and what input it takes."""
        return self._card

    def predict(self, patches: npt.NDArray[np.uint8] | npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Calibrated probabilities (n, classes)."""
        return self.outputs(patches)[0]

    def judge(self, patches: npt.NDArray[np.uint8] | npt.NDArray[np.float32]) -> Prediction:
        """Probabilities and which patches are unlike the training data, in one pass."""
        return prediction(*self.outputs(patches), self._abstention, self._card)

    def outputs(
        self, patches: npt.NDArray[np.uint8] | npt.NDArray[np.float32]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Probabilities (n, classes) and pooled features (n, f)."""
        check_patches(self.card, patches)
        parts: list[tuple[Any, Any]] = []
        for start in range(0, len(patches), BATCH):
            piece = patches[start : start + BATCH].astype(np.float32)
            padded = np.concatenate([piece, np.repeat(piece[-1:], BATCH - len(piece), axis=0)])
            probabilities, features = self._model.predict_on_batch(padded)
            parts.append((np.asarray(probabilities)[: len(piece)], np.asarray(features)[: len(piece)]))
        if not parts:
            return np.empty((0, len(self.card.legend.classes)), np.float32), np.empty(
                (0, self._model.output_shape[1][1]), np.float32
            )
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def load_model(path: Path) -> Network:
    """A stored Keras model in safe mode; its digest must have been checked before.

    Raises:
        ModelError: keras is missing or the file is no Keras model.
    """
    try:
        import keras
    except ImportError as error:
        raise ModelError(
            f"{path}: Keras or its backend is not installed ({error}); install requirements.txt or use --engine "
            f"openvino"
        ) from error
    try:
        return keras.models.load_model(path, compile=False, safe_mode=True)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(
            f"{path}: Keras cannot load the model ({str(error).splitlines()[0]}); copy the model folder again"
        ) from error
