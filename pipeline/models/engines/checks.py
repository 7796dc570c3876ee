"""What every engine asks of its input."""

from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.errors import ModelError
from pipeline.models.card import ModelCard


def check_patches(card: ModelCard, patches: npt.NDArray[Any]) -> None:
    """Refuses patches of another shape or type than the card's.

    Raises:
        ModelError: shape or dtype differ.
    """
    shape = (card.patch_size, card.patch_size, len(card.bands))
    dtype = np.uint8 if card.units == "code" else np.float32
    if patches.ndim != 4 or patches.shape[1:] != shape or patches.dtype != dtype:
        takes = f"(n, {', '.join(map(str, shape))}) {np.dtype(dtype).name}"
        raise ModelError(f"{card.name}: patches are {patches.shape} {patches.dtype}, the model takes {takes}; cut them with pipeline.tiling")
