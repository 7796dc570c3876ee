"""How different the land looks in every pixel of two dates: a matched, damped difference on a 20 m grid.

Change-vector analysis in the manner of Malila (1980) with what the eye does on top: the later date is matched to the
earlier band by band; differences count in units of the pair's own noise; what differs over hundreds of metres (haze,
sun, the moisture of fields) is taken away; water, vegetation and dark places, where season and sun change pixels
without changing the land, are damped; single pixels and thin lines are filtered. What each part is worth on cities
with hand-drawn changes stands in benchmarks/README.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.change.around import mean_around

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

VISIBLE = ("B02", "B03", "B04")
COMPARED = (*VISIBLE, "B11", "B12")
NIR = "B08"
# Pixels of 20 m: the surroundings that a difference is held against (220 m).
SURROUNDINGS = 11
# Pixels that a score depends on in each direction.
REACH = 6
_LIMIT = 8.0
_BRIGHT = 0.1
_MIN_NOISE = 0.002


@dataclass(frozen=True, slots=True)
class Match:
    """What makes two dates comparable, one entry a compared band, estimated over dry land.

    Reflectance of the later date becomes `(value - centre[1]) / spread[1] * spread[0] + centre[0]`.
    """

    bands: tuple[str, ...]
    """The compared ones."""
    centre: Floats
    """Middle of the earlier and the later date (2, band)."""
    spread: Floats
    """Robust deviation of the earlier and the later date (2, band)."""
    noise: Floats
    """Robust deviation of what then still differs."""


def water(reflectance: Floats, bands: Sequence[str]) -> Mask:
    """Open water (y, x) by Xu's index (2006) with the shortwave infrared, by McFeeters' (1996) with the near one."""
    infrared = "B11" if "B11" in bands else NIR
    if "B03" not in bands or infrared not in bands:
        return np.zeros(reflectance.shape[1:], np.bool_)
    green, dark = reflectance[list(bands).index("B03")], reflectance[list(bands).index(infrared)]
    return np.asarray((green - dark > 0.1 * (green + dark)) & (dark < 0.1))


def greenness(reflectance: Floats, bands: Sequence[str]) -> Floats:
    """NDVI (y, x); 0 where it cannot be known."""
    if "B04" not in bands or NIR not in bands:
        return np.zeros(reflectance.shape[1:], np.float32)
    red, near = reflectance[list(bands).index("B04")], reflectance[list(bands).index(NIR)]
    return np.asarray((near - red) / (near + red + 1e-3), dtype=np.float32)


def dry_land(before: Floats, after: Floats, valid: Mask, bands: Sequence[str]) -> Mask:
    """Pixels (y, x) measured at both dates that are not water at both."""
    return valid & ~(water(before, bands) & water(after, bands))


def match(before: Floats, after: Floats, bands: Sequence[str]) -> Match:
    """The match of dry-land pixels (band, n) of two dates; with few of them it is as good as it can be."""
    names = tuple(band for band in COMPARED if band in bands) or tuple(bands)
    rows = [list(bands).index(band) for band in names]
    quartiles = [
        np.percentile(date[rows], [25, 50, 75], axis=1) if date.shape[1] else np.tile([[0.0], [0.1], [0.2]], len(rows))
        for date in (before, after)
    ]
    centre = np.stack([quartile[1] for quartile in quartiles]).astype(np.float32)
    spread = np.stack([(quartile[2] - quartile[0]) / 1.349 for quartile in quartiles]).astype(np.float32)
    spread = np.maximum(spread, _MIN_NOISE)
    left = (
        (after[rows] - centre[1, :, None]) / spread[1, :, None] * spread[0, :, None] + centre[0, :, None] - before[rows]
    )
    noise = 1.4826 * np.median(np.abs(left), axis=1) if left.shape[1] else spread[0]
    return Match(names, centre, spread, np.maximum(noise, _MIN_NOISE).astype(np.float32))


class Differences(NamedTuple):
    """Two views (y, x) of the same difference, 0 where there is none and NaN where a date was not measured."""

    score: Floats
    """Damped where season, sun and small shifts change pixels, so what is left is built, dug or cleared."""
    plain: Floats
    """In units of the pair's noise after matching, about 0.7 where nothing changed."""


def differences(before: Floats, after: Floats, valid: Mask, bands: Sequence[str], matched: Match) -> Differences:
    """The differences of two dates' reflectance (band, y, x) on a 20 m grid, in the order of `bands`."""
    land = dry_land(before, after, valid, bands)
    share = np.maximum(mean_around(land.astype(np.float32), SURROUNDINGS), 0.05)
    plain, local = np.zeros(land.shape, np.float32), np.zeros(land.shape, np.float32)
    for at, band in enumerate(matched.bands):
        row = list(bands).index(band)
        earlier = (before[row] - matched.centre[0, at]) / matched.noise[at]
        later = (after[row] - matched.centre[1, at]) * (
            matched.spread[0, at] / matched.spread[1, at] / matched.noise[at]
        )
        change = np.where(land, np.clip(later - earlier, -_LIMIT, _LIMIT), 0.0)
        plain += np.abs(change)
        local += np.abs(change - mean_around(change, SURROUNDINGS) / share)
    count = len(matched.bands)
    seen = [row for row, band in enumerate(bands) if band in VISIBLE] or list(range(len(bands)))
    bright = np.maximum(before[seen].mean(axis=0), after[seen].mean(axis=0)) / _BRIGHT
    green = np.maximum(greenness(before, bands), greenness(after, bands))
    damped = local / count * bright * np.clip(1.2 - green, 0.2, 1.0) ** 2
    score = np.where(valid, median_of_nine(np.where(land, damped, 0.0)), np.nan)
    return Differences(score.astype(np.float32), np.where(valid, plain / count, np.nan).astype(np.float32))


def median_of_nine(plane: Floats) -> Floats:
    """The median (y, x) of every pixel and its eight neighbours, edges repeated.

    Ten times as fast as a general rank filter.

    Exact: sort the columns of three, then take the median of the largest low, the middle middle and the smallest high.
    """
    padded = np.pad(plane, 1, mode="edge")
    low, middle, high = _sorted(padded[:-2], padded[1:-1], padded[2:])
    lows = np.maximum(np.maximum(low[:, :-2], low[:, 1:-1]), low[:, 2:])
    middles = _sorted(middle[:, :-2], middle[:, 1:-1], middle[:, 2:])[1]
    highs = np.minimum(np.minimum(high[:, :-2], high[:, 1:-1]), high[:, 2:])
    return _sorted(lows, middles, highs)[1]


def _sorted(one: Floats, two: Floats, three: Floats) -> tuple[Floats, Floats, Floats]:
    """Three planes with every place's values in rising order."""
    one, two = np.minimum(one, two), np.maximum(one, two)
    two, three = np.minimum(two, three), np.maximum(two, three)
    one, two = np.minimum(one, two), np.maximum(one, two)
    return one, two, three
