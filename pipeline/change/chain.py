"""Probabilities of a change of class from class probabilities at two or more dates.

A hidden Markov model over a tile's dates.

With two dates the forward-backward pass is the joint posterior P(c0, c1 | x0, x1) ~ P(c0, c1) p0(c0) p1(c1), because
the classifier was trained on equally frequent classes (Rabiner 1989 for the recursions).
"""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

# Tables store four decimals. What a calibrated classifier rounds to 0 is 2e-5 on average in
# benchmarks/change_simulation.py.
_SMALLEST = 2e-5


def emissions(probabilities: Array) -> Array:
    """Likelihoods (..., classes) of what was seen given the class; unknown probabilities (NaN) say nothing."""
    seen = np.clip(np.asarray(probabilities, dtype=np.float64), _SMALLEST, None)
    seen /= seen.sum(axis=-1, keepdims=True)
    return np.asarray(
        np.where(np.isnan(probabilities).any(axis=-1, keepdims=True), 1.0 / probabilities.shape[-1], seen)
    )


def class_change(likelihoods: Array, count: npt.NDArray[np.int64], rates: Array, scale: Array) -> Array:
    """Probability (n, dates - 1) that the class of each of n tiles changed between consecutive dates, given all dates.

    `likelihoods` (n, dates, classes) hold each tile's dates first, `count` (n,) says how many it has; pairs beyond
    are NaN. `rates` (classes, classes) are the shares of class change in a year, the diagonal 0; `scale` (n, dates - 1)
    says how many times as many change between two dates.
    """
    tiles, dates, classes = likelihoods.shape
    leaving = rates.sum(axis=1)
    forward = np.empty((dates, tiles, classes))
    forward[0] = likelihoods[:, 0] / likelihoods[:, 0].sum(axis=1, keepdims=True)
    for at in range(1, dates):
        held = forward[at - 1]
        step = (held + scale[:, at - 1, None] * (held @ rates - held * leaving)) * likelihoods[:, at]
        forward[at] = step / step.sum(axis=1, keepdims=True)
    backward = np.ones((tiles, classes))
    found = np.full((tiles, max(dates - 1, 0)), np.nan)
    for at in range(dates - 1, 0, -1):
        there = count > at
        ahead = likelihoods[:, at] * backward
        held, times = forward[at - 1], scale[:, at - 1]
        moved = times * np.einsum("ni,ni->n", held @ rates, ahead)
        stayed = np.einsum("ni,ni->n", held * (1.0 - times[:, None] * leaving), ahead)
        found[there, at - 1] = (moved / (moved + stayed))[there]
        step = ahead + times[:, None] * (ahead @ rates.T - ahead * leaving)
        backward = np.where(there[:, None], step / step.sum(axis=1, keepdims=True), 1.0)
    return found
