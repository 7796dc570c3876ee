"""Intervals of shares that a stratified sample estimates, sound for rare classes and for strata without a mistake.

Each stratum's share gets Wilson's score interval (1927), and weighted sums of strata recover their variance from those
limits (MOVER, Zou and Donner 2008, Construction of confidence limits about effect measures, Statistics in Medicine 27,
1693-1702): the sum's limits lie asymmetrically about the estimate, and twenty right of twenty is not beyond doubt.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

Z95 = 1.959964
_BISECTIONS = 60


class Estimate(NamedTuple):
    """Estimates with their 95 % intervals."""

    value: Array
    """The estimates (n,)."""
    low: Array
    """Lower limits (n,)."""
    high: Array
    """Upper limits (n,)."""


def score_interval(hits: Array, tries: Array) -> Estimate:
    """Wilson's score interval of `hits` among `tries`; all of 0..1, about the middle, where nothing was tried."""
    tried = np.maximum(tries, 1e-12)
    share = np.where(tries > 0, hits / tried, 0.5)
    z2 = Z95**2
    middle = (share * tries + z2 / 2.0) / (tries + z2)
    half = Z95 / (tries + z2) * np.sqrt(share * (1.0 - share) * tries + z2 / 4.0)
    return Estimate(share, np.clip(middle - half, 0.0, share), np.clip(middle + half, share, 1.0))


def weighted_sum(strata: Estimate, weight: Array) -> Estimate:
    """The sum over the first axis of independent shares times `weight` (strata, 1), with limits by MOVER."""
    value = (weight * strata.value).sum(axis=0)
    below = np.sqrt(((weight * (strata.value - strata.low)) ** 2).sum(axis=0))
    above = np.sqrt(((weight * (strata.high - strata.value)) ** 2).sum(axis=0))
    return Estimate(value, np.maximum(value - below, 0.0), value + above)


def share_of(part: Estimate, rest: Estimate) -> Estimate:
    """What share `part` has of itself and an independent `rest`; the limits are where MOVER's of their contrast are 0.

    NaN where both are 0.
    """
    whole = part.value + rest.value
    value = np.divide(part.value, whole, out=np.full(whole.shape, np.nan), where=whole > 0)
    low = _root(part.value, rest.value, -(part.value - part.low), rest.high - rest.value)
    high = _root(part.value, rest.value, part.high - part.value, rest.value - rest.low)
    return Estimate(value, np.where(whole > 0, low, np.nan), np.where(whole > 0, high, np.nan))


def _root(part: Array, rest: Array, spread: Array, other: Array) -> Array:
    """The share r (n,) at which (1 - r) part - r rest, moved by the spread of both (down where negative), is 0."""
    sign = np.where(np.signbit(spread), -1.0, 1.0)
    low, high = np.zeros_like(part), np.ones_like(part)
    for _ in range(_BISECTIONS):
        r = (low + high) / 2.0
        contrast = (1.0 - r) * part - r * rest + sign * np.hypot((1.0 - r) * spread, r * other)
        low, high = np.where(contrast > 0, r, low), np.where(contrast > 0, high, r)
    return np.asarray((low + high) / 2.0)
