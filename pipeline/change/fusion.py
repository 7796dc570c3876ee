"""The pixels' evidence and the classes' evidence as one probability that the land changed."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

Array = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class FusionWeights:
    """How the evidence becomes log likelihood ratios (seen where the land changed, against where it did not).

    The damped magnitude and the surprise speak of changes of a part of a tile: `intercept + slope * (log(magnitude +
    0.05) + log(surprise + 0.05))` within +-`limit`, fitted by `benchmarks/change_oscd.py` on eight cities with
    hand-drawn changes, beside the classes' evidence and the prior in use; both count alike, which cities left out of a
    fit of two slopes bore out. Positive evidence counts `seasonal` times where both dates' classes are fields or
    meadows, which look different every month: the cities hold too few to tell, so the simulated landscape set it.

    The plain difference speaks of changes of class, which change most of a tile: `class_slope * log(difference /
    class_difference)` within +-`class_limit`. The cities hold too few changed classes for a fit: the numbers were set
    between labels that differ where nothing was marked or made (19 tiles, nine tenths of them below 0.91) and the
    changed tiles of the simulated landscape (median 2.4).
    """

    intercept: float = -4.2
    """Of a change of a part."""
    slope: float = 2.78
    """Of a change of a part, on each logarithm."""
    limit: float = 5.0
    """The most that this evidence may say."""
    seasonal: float = 0.25
    """Share of it that counts between fields or meadows."""
    class_slope: float = 3.0
    """Of a change of class."""
    class_difference: float = 1.2
    """The plain difference that says nothing of it."""
    class_limit: float = 4.0
    """The most that this evidence may say."""


WEIGHTS = FusionWeights()
_LEAST = 0.05
# No changed tile of the cities surprised more: beyond what the weights were fitted on, more says no more.
_MOST_SURPRISING = 4.5


def part_evidence(magnitude: Array, surprise: Array, weights: FusionWeights = WEIGHTS) -> Array:
    """Log likelihood ratios (any shape) of a change of a part of a tile, from damped magnitude and surprise."""
    told = weights.intercept + weights.slope * (
        np.log(magnitude + _LEAST) + np.log(np.minimum(surprise, _MOST_SURPRISING) + _LEAST)
    )
    return np.asarray(np.clip(told, -weights.limit, weights.limit))


def whole_evidence(difference: Array, weights: FusionWeights = WEIGHTS) -> Array:
    """Log likelihood ratios (any shape) of a change of the tile's class, from the plain difference."""
    told = weights.class_slope * np.log((difference + _LEAST) / weights.class_difference)
    return np.asarray(np.clip(told, -weights.class_limit, weights.class_limit))


class PixelEvidence(NamedTuple):
    """Log likelihood ratios (n,), NaN where none is known."""

    part: Array
    """For a change of part of a tile."""
    whole: Array
    """For a change of its class."""


def pixel_evidence(measured: pd.DataFrame, seasonal: Array, weights: FusionWeights = WEIGHTS) -> PixelEvidence:
    """What the measured pixels say; evidence from part of a tile counts by the part that was compared.

    `seasonal` (n,) is the probability that both dates show fields or meadows.
    """
    if "surprise" not in measured:
        return PixelEvidence(np.full(len(measured), np.nan), np.full(len(measured), np.nan))
    magnitude, surprise, difference, compared = (
        measured[name].to_numpy(np.float64) for name in ("magnitude", "surprise", "difference", "compared")
    )
    part = part_evidence(magnitude, surprise, weights)
    part = np.where(part > 0, part * (1.0 - (1.0 - weights.seasonal) * seasonal), part)
    return PixelEvidence(part * compared, whole_evidence(difference, weights) * compared)


def vector_probability(pixels: PixelEvidence, prior: Array, land_prior: Array) -> Array:
    """Probability (n,) that the land looks different, in part or as a whole, whatever its classes."""
    odds = ((land_prior - prior) * np.exp(pixels.part) + prior * np.exp(pixels.whole)) / (1.0 - land_prior)
    return np.asarray(odds / (1.0 + odds))


def fused_probability(pixels: PixelEvidence, by_class: Array, prior: Array, land_prior: Array) -> Array:
    """Probability (n,) that the land changed: a part of the tile, or its class.

    `by_class` is the probability of a change of class under the `prior` of one, from the classes alone; priors (n,) are
    those of each tile's two dates. Three stories
    compete: nothing changed, a part changed and the class stayed, the class changed; each has its prior and its
    evidence. Where the classes are unknown (NaN) the third is not told, for season and haze change whole tiles too.
    Pixels that nobody compared (NaN) say nothing, so a part may have changed as often as the priors expect.
    """
    known = ~np.isnan(by_class)
    part = np.exp(np.nan_to_num(pixels.part)) * np.where(known, land_prior - prior, land_prior)
    told = np.clip(np.where(known, by_class, 0.0), 0.0, 1.0 - 1e-9)
    whole = np.exp(np.nan_to_num(pixels.whole)) * (1.0 - prior) * told / (1.0 - told)
    return np.asarray((part + whole) / (1.0 - land_prior + part + whole))
