"""Inference with TensorFlow: networks of others as SavedModel, added by `models add`."""

import importlib.util
import os
from pathlib import Path
from threading import Lock

import numpy as np

from pipeline.errors import ModelError
from pipeline.models.card import ModelCard
from pipeline.models.foreign import SAVED_MODEL, Floats, ForeignRunner, Function

PRECISIONS: tuple[str, ...] = ()


def available(precision: str) -> bool:  # noqa: ARG001 - it has one
    """Whether TensorFlow is installed."""
    return importlib.util.find_spec("tensorflow") is not None


def load(
    path: Path,
    card: ModelCard,
    precision: str,  # noqa: ARG001 - it has one
    threads: int | None,
    batch: int | None = None,
) -> ForeignRunner:
    """The network in a SavedModel.

    Raises:
        ModelError: TensorFlow is missing, or the folder is no SavedModel.
    """
    return ForeignRunner(card, SAVED_MODEL, function(path, threads), batch)


def function(path: Path, threads: int | None) -> Function:  # noqa: ARG001 - TensorFlow's are set once a process
    """The network as a function of arrays, asked by one thread after the other.

    Raises:
        ModelError: TensorFlow is missing, or the folder is no SavedModel.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        import tensorflow as tf
    except ImportError as error:
        raise ModelError(f"{path}: TensorFlow is not installed ({error}); install requirements.txt") from error
    try:
        loaded = tf.saved_model.load(str(path))
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"{path}: no SavedModel ({str(error).splitlines()[0]}); copy the model folder again"
        ) from error
    turn = Lock()
    signature = loaded if callable(loaded) else loaded.signatures.get("serving_default")
    if signature is None:
        raise ModelError(f"{path}: has nothing to call; save it with a signature `serving_default`")

    def answers(pixels: Floats) -> Floats:
        with turn:
            found = signature(tf.constant(pixels))
        return np.asarray(next(iter(found.values())) if isinstance(found, dict) else found, np.float32)

    return answers
