"""Probabilities of change from class probabilities at two or more dates: a hidden Markov model over a tile's dates.

With two dates the forward-backward pass is the joint posterior
P(c0, c1 | x0, x1) ~ P(c0, c1) p0(c0) p1(c1), because the classifier was trained on equally frequent classes.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

# Tables store four decimals, so a stored 0 means anything below half of the last one.
_SMALLEST = 5e-5


class PairPosteriors(NamedTuple):
    """For n tiles and the pairs of their consecutive dates, (n, dates - 1) each, NaN where a tile has no such pair.

    `land` is the probability that the land changed, with or without its class; `label` that its class changed.
    """

    land: Array
    label: Array


def emissions(probabilities: Array, label_error: float) -> Array:
    """Likelihoods (..., classes) of what was seen given the class; unknown probabilities (NaN) say nothing."""
    classes = probabilities.shape[-1]
    seen = np.clip(np.asarray(probabilities, dtype=np.float64), _SMALLEST, None)
    seen = (1.0 - label_error) * seen / seen.sum(axis=-1, keepdims=True) + label_error / classes
    return np.asarray(np.where(np.isnan(probabilities).any(axis=-1, keepdims=True), 1.0 / classes, seen))


def pair_posteriors(likelihoods: Array, count: npt.NDArray[np.int64], rates: Array, quiet_prior: float, ratio: Array) -> PairPosteriors:
    """Forward-backward over n tiles at once.

    Args:
        likelihoods: (n, dates, classes), each tile's dates first, the rest ignored.
        count: (n,) number of dates of each tile.
        rates: (classes, classes) rates of class change between two dates, diagonal 0.
        quiet_prior: probability that the land changes and the class stays.
        ratio: (n, dates - 1) likelihood ratio of the pixels' evidence, changed land against unchanged; 1 where unknown.
    """
    tiles, dates, classes = likelihoods.shape
    unchanged = np.diag(1.0 - quiet_prior - rates.sum(axis=1))
    changed = rates + quiet_prior * np.eye(classes)
    forward = np.empty_like(likelihoods, dtype=np.float64)
    forward[:, 0] = likelihoods[:, 0] / likelihoods[:, 0].sum(axis=1, keepdims=True)
    for at in range(1, dates):
        before = forward[:, at - 1]
        step = (before @ unchanged + ratio[:, at - 1, None] * (before @ changed)) * likelihoods[:, at]
        forward[:, at] = step / step.sum(axis=1, keepdims=True)
    backward = np.ones((tiles, classes))
    land, label = np.full((tiles, max(dates - 1, 0)), np.nan), np.full((tiles, max(dates - 1, 0)), np.nan)
    for at in range(dates - 1, 0, -1):
        there = (count > at)[:, None]
        ahead = likelihoods[:, at] * backward
        weight = ratio[:, at - 1]
        quiet = np.einsum("ni,ij,nj->n", forward[:, at - 1], unchanged, ahead)
        moved = weight * np.einsum("ni,ij,nj->n", forward[:, at - 1], rates, ahead)
        same = weight * quiet_prior * np.einsum("ni,ni->n", forward[:, at - 1], ahead)
        total = quiet + moved + same
        land[:, at - 1] = np.where(there[:, 0], (moved + same) / total, np.nan)
        label[:, at - 1] = np.where(there[:, 0], moved / total, np.nan)
        step = ahead @ unchanged.T + weight[:, None] * (ahead @ changed.T)
        backward = np.where(there, step / step.sum(axis=1, keepdims=True), 1.0)
    return PairPosteriors(land, label)
