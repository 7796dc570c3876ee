"""Inference with Keras in float32: the reference, and the way to a GPU."""

import importlib.util
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from pipeline.errors import ModelError
from pipeline.models.card import ModelCard
from pipeline.models.engines import Outputs, Patches, padded
from pipeline.models.networks import Network

PRECISIONS: tuple[str, ...] = ()
BATCH = 64


def available(precision: str) -> bool:  # noqa: ARG001 - it has one
    """Whether Keras is installed."""
    return importlib.util.find_spec("keras") is not None


def load(
    path: Path,
    card: ModelCard,
    precision: str = "",  # noqa: ARG001 - it has one
    threads: int | None = None,  # noqa: ARG001 - its backend's choice
    batch: int | None = None,
) -> "KerasRunner":
    """The stored Keras model; `threads` is left to its backend.

    Raises:
        ModelError: Keras is missing, the file does not load, or is another network than the card says.
    """
    model = load_model(path)
    shape, classes = card.input.shape, len(card.legend.classes)
    if model.input_shape != (None, *shape) or model.output_shape != (None, classes):
        said = f"{'x'.join(map(str, shape))} to {classes}"
        raise ModelError(
            f"{path}: maps {model.input_shape} to {model.output_shape}, the card says {said}; copy the model folder "
            f"again"
        )
    return KerasRunner(model, batch or BATCH)


class KerasRunner:
    """A Keras model with its pooled features, asked by one thread after the other: a call uses every core."""

    def __init__(self, model: Network, batch: int = BATCH) -> None:
        import keras

        self._batch = batch
        self._model: Any = keras.Model(model.input, [model.outputs[0], model.get_layer("features").output])
        self._turn = Lock()

    def __call__(self, patches: Patches) -> Outputs:
        """Probabilities and pooled features of patches (n, size, size, bands), in batches of one fixed size."""
        n = len(patches)
        widths = [shape[1] for shape in self._model.output_shape]
        probabilities, features = (np.empty((n, width), np.float32) for width in widths)
        for start in range(0, n, self._batch):
            piece = patches[start : start + self._batch]
            with self._turn:
                found = self._model.predict_on_batch(padded(piece, self._batch).astype(np.float32))
            for rows, answers in zip((probabilities, features), found, strict=True):
                rows[start : start + self._batch] = np.asarray(answers)[: len(piece)]
        return Outputs(probabilities, features)


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
