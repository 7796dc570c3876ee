"""How unexpected every pixel's colour at one date is, given its colour at the other.

Season, haze, sun and harvest move pixels of a kind alike, so a pair of dates tells by itself what to expect: each
date's bands are regressed on the other's, robustly, so that what really changed has no say (iteratively reweighted
least squares, as IR-MAD weighs its pixels, Nielsen 2007). How far pixels of each colour usually stray is regressed too:
a field strays far every month, a roof does not. Nothing is learnt from drawn changes, so nothing is tied to the places
that they were drawn in.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.change.around import mean_around

Floats = npt.NDArray[np.float32]

# The bands that every product has at 10 m.
BANDS = ("B02", "B03", "B04", "B08")
_DARKEST = 0.005  # reflectance below which the atmosphere decides
_CLEAREST = 4.0  # colours count up to so many deviations from the median
_ROUNDS = 3
_FEW = 200  # pixels with which no regression is trusted
# How far a colour may stray from the median's stray, in units of log; what a pixel may surprise at most.
_STRAY, _LIMIT = 1.5, 8.0
_RIDGE = 1e-3
# Pixels whose terms are in memory together.
_TOGETHER = 8192


@dataclass(frozen=True, slots=True)
class Expectation:
    """What each date's colours let expect of the other's; of two directions the first tells the later date."""

    bands: tuple[str, ...]
    """The bands that are compared, in the order of the last axis."""
    centre: Floats
    """(date, band): median of the logarithm of reflectance."""
    spread: Floats
    """(date, band): its robust deviation."""
    colour: Floats
    """(direction, term, band): the regression of the other date's colour."""
    residual: Floats
    """(direction, band): the robust deviation of what the regression leaves."""
    stray: Floats
    """(direction, term, band): the regression of the logarithm of what it leaves, less its median."""


def comparable(bands: Sequence[str]) -> tuple[str, ...]:
    """The bands of `BANDS` among those given, or all that were given where there is none."""
    return tuple(band for band in BANDS if band in bands) or tuple(bands)


def expect(before: Floats, after: Floats, bands: Sequence[str]) -> Expectation | None:
    """The expectation fitted on pixels (band, n) of both dates; None with too few to fit it."""
    names = comparable(bands)
    if before.shape[1] < _FEW:
        return None
    rows = [list(bands).index(band) for band in names]
    logs = [_log(date[rows]) for date in (before, after)]
    centre = np.stack([np.median(date, axis=1) for date in logs])
    spread = np.stack(
        [
            1.4826 * np.median(np.abs(date - middle[:, None]), axis=1) + 0.01
            for date, middle in zip(logs, centre, strict=True)
        ]
    )
    colours = [_scaled(date, centre[at], spread[at]) for at, date in enumerate(logs)]
    fitted = [_regress(colours[at], colours[1 - at]) for at in (0, 1)]
    colour, residual, stray = (np.stack(parts).astype(np.float32) for parts in zip(*fitted, strict=True))
    return Expectation(names, centre.astype(np.float32), spread.astype(np.float32), colour, residual, stray)


def surprise(before: Floats, after: Floats, bands: Sequence[str], expected: Expectation) -> Floats:
    """How surprising pixels (band, ...) of both dates are to each other: about 0.8 where nothing changed, 8 at most."""
    rows = [list(bands).index(band) for band in expected.bands]
    dates = before.reshape(len(before), -1), after.reshape(len(after), -1)
    found = np.empty(dates[0].shape[1], np.float32)
    for start in range(0, len(found), _TOGETHER):
        part = slice(start, start + _TOGETHER)
        found[part] = _surprise([date[rows, part] for date in dates], expected)
    return found.reshape(before.shape[1:])


def _surprise(dates: Sequence[Floats], expected: Expectation) -> Floats:
    """The surprise (n,) of a few pixels (band, n), whose products fit into a processor's cache."""
    colours = [_scaled(_log(date), expected.centre[at], expected.spread[at]) for at, date in enumerate(dates)]
    total = np.zeros(dates[0].shape[1], np.float32)
    for at in (0, 1):
        terms = _terms(colours[at])
        usual = expected.stray[at].T @ terms
        np.clip(usual, -_STRAY, _STRAY, out=usual)
        np.exp(usual, out=usual)
        usual *= expected.residual[at][:, None]
        left = expected.colour[at].T @ terms
        left -= colours[1 - at]
        np.abs(left, out=left)
        left /= usual
        np.minimum(left, _LIMIT, out=left)
        total += left.mean(axis=0)
    return np.asarray(total / 2, dtype=np.float32)


def surroundings(plane: Floats) -> Floats:
    """The mean (y, x) over every pixel and its eight neighbours: a changed object is larger than a pixel."""
    return np.asarray(mean_around(plane, 3), dtype=np.float32)


def _log(reflectance: Floats) -> Floats:
    return np.asarray(np.log(np.maximum(reflectance, _DARKEST)), dtype=np.float32)


def _scaled(logs: Floats, centre: Floats, spread: Floats) -> Floats:
    return np.asarray(np.clip((logs - centre[:, None]) / spread[:, None], -_CLEAREST, _CLEAREST), dtype=np.float32)


def _terms(colours: Floats) -> Floats:
    """One, the bands, and their products (terms, n) of colours (band, n)."""
    first, second = np.triu_indices(len(colours))
    terms = np.empty((1 + len(colours) + len(first), colours.shape[1]), np.float32)
    terms[0] = 1.0
    terms[1 : 1 + len(colours)] = colours
    for at, (one, two) in enumerate(zip(first, second, strict=True), start=1 + len(colours)):
        np.multiply(colours[one], colours[two], out=terms[at])
    return terms


def _regress(known: Floats, told: Floats) -> tuple[Floats, Floats, Floats]:
    """`colour`, `residual` and `stray` of an expectation, from colours (band, n) of two dates."""
    terms = _terms(known)
    weight = np.ones(terms.shape[1], np.float32)
    for _ in range(_ROUNDS):
        colour = _solved(terms, told, weight)
        left = told - colour.T @ terms
        residual = 1.4826 * np.median(np.abs(left), axis=1) + 1e-3
        weight = 1.0 / (1.0 + ((left / residual[:, None]) ** 2).mean(axis=0) / 2.0)
    stray = _solved(terms, np.log(np.abs(left) / residual[:, None] + 0.1), np.ones_like(weight))
    stray[0] -= np.median(stray.T @ terms, axis=1)
    return colour, np.asarray(residual, dtype=np.float32), stray


def _solved(terms: Floats, told: Floats, weight: Floats) -> Floats:
    weighted = terms * weight
    ridge = _RIDGE * weight.sum() * np.eye(len(terms), dtype=np.float32)
    return np.asarray(np.linalg.solve(weighted @ terms.T + ridge, weighted @ told.T), dtype=np.float32)
