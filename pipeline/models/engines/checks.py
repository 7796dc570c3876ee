"""What every engine asks of its input and makes of its answers."""

from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.errors import ModelError
from pipeline.models.abstention import Abstention
from pipeline.models.card import ModelCard
from pipeline.models.classifier import Prediction


def check_patches(card: ModelCard, patches: npt.NDArray[Any]) -> None:
    """Refuses patches of another shape or type than the card's.

    Raises:
        ModelError: shape or dtype differ.
    """
    shape, dtype = card.input.shape, card.input.dtype
    if patches.ndim != 4 or patches.shape[1:] != shape or patches.dtype != dtype:
        takes = f"(n, {', '.join(map(str, shape))}) {dtype.name}"
        raise ModelError(
            f"{card.name}: patches are {patches.shape} {patches.dtype}, the model takes {takes}; cut them with "
            f"pipeline.tiling"
        )


def prediction(
    probabilities: npt.NDArray[np.float32],
    features: npt.NDArray[np.float32],
    abstention: Abstention | None,
    card: ModelCard,
) -> Prediction:
    """Probabilities (n, classes) with the verdict on which patches are unfamiliar, by their pooled features (n, f)."""
    if abstention is None:
        return Prediction(probabilities, np.zeros(len(probabilities), np.bool_))
    return Prediction(probabilities, abstention.score(features) > card.unfamiliar["threshold"])
