"""The pixels' evidence and the classes' evidence as one probability that the land changed."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FusionWeights:
    """A logistic model of three numbers, fitted by `benchmarks/change_oscd.py` on four cities with hand-drawn changes.

    The log of the likelihood ratio (evidence where at least 5 % of a tile changed, against where it did not) is
    `intercept + slope * log(magnitude + 0.05)` within +-`limit`. The classes' log likelihood ratio counts by
    `class_weight`: 1 would be right were the errors of a network and of pixels independent, the fit on so few
    changed classes says nothing above 0.3, so it is set between.
    """

    intercept: float = -1.95
    slope: float = 4.0
    limit: float = 5.0
    class_weight: float = 0.5


WEIGHTS = FusionWeights()
_LEAST = 0.05


def pixel_ratio(measured: pd.DataFrame, weights: FusionWeights = WEIGHTS) -> Array:
    """The log likelihood ratio (n,) of the pixels' evidence; NaN where none was measured.

    Evidence from part of a tile counts by the part that was compared.
    """
    if "magnitude" not in measured:
        return np.full(len(measured), np.nan)
    seen = weights.intercept + weights.slope * np.log(measured["magnitude"].to_numpy(np.float64) + _LEAST)
    return np.asarray(np.clip(seen, -weights.limit, weights.limit) * measured["compared"].to_numpy(np.float64))


def vector_probability(pixels: Array, land_prior: float) -> Array:
    """Probability (n,) that the land changed by the pixels' evidence and the prior alone."""
    return _logistic(_logit(land_prior) + pixels)


def fused_probability(pixels: Array, by_class: Array, prior: float, land_prior: float, weights: FusionWeights = WEIGHTS) -> Array:
    """Probability (n,) that the land changed, with or without its class.

    `by_class` is the probability of a class change under the `prior` of one; NaN says nothing. A tile whose class
    changed has changed; one whose class stayed may have changed within it.
    """
    share = prior / land_prior
    odds = np.clip(by_class, 1e-9, 1.0 - 1e-9)
    ratio = np.log(1.0 - share + share * odds / (1.0 - odds) * (1.0 - prior) / prior)
    return _logistic(_logit(land_prior) + pixels + weights.class_weight * np.where(np.isnan(ratio), 0.0, ratio))


def _logit(probability: float) -> float:
    return float(np.log(probability / (1.0 - probability)))


def _logistic(value: Array) -> Array:
    return np.asarray(1.0 / (1.0 + np.exp(-value)))
