"""From labelled data and single pictures to the patches that a model's card asks for."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.datasets import pictures, spectral
from pipeline.datasets.labelled import Asked
from pipeline.errors import ModelError
from pipeline.models.card import ModelCard
from pipeline.models.input import REFLECTANCE

AERIAL = "aerial"


def asked_by(card: ModelCard, only: Sequence[str] | None = None) -> Asked:
    """What a model's card asks of labelled pictures; `only` names those to read."""
    bands = card.input.bands if card.input.units == REFLECTANCE else None
    return Asked(card.legend.labels, only, card.input.size, bands)


def patches_of(data: bytes, where: str, card: ModelCard) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any]]:
    """Positions (n, 2) as (x, y) in pixels and patches (n, size, size, band) of one picture's bytes.

    Larger pictures are cut. Smaller ones are refused, since a patch is a fixed piece of ground; aerial ones, whose
    metres per pixel nobody knows, are resampled whole. `where` names the picture in a refusal.

    Raises:
        ModelError: it is no readable picture, too small, or lacks a band.
    """
    size = card.input.size
    if card.input.units == REFLECTANCE:
        if not where.lower().endswith(spectral.SUFFIXES):
            raise ModelError(
                f"{where}: {card.name} takes the bands {' '.join(card.input.bands)}; give a GeoTIFF or npz that holds "
                f"them, or choose a model of RGB pictures"
            )
        return pictures.cut(spectral.reflectance(spectral.planes(data, where), card.input.bands, where), size, where)
    picture = pictures.decode(data, where)
    if card.input.sensor == AERIAL and min(picture.shape[:2]) < size:
        return np.zeros((1, 2), np.int64), pictures.fitted(picture, size)[None]
    return pictures.cut(picture, size, where)
