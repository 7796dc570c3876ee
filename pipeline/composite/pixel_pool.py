"""The looks at a strip of pixels, taken one after the other: votes weighted by their confidence.

A look's cover tells one class and how sure it is; the rest of the probability is taken as spread evenly over the other
classes. In the mean of `pipeline.composite.pool` such a look is a vote for its class with the weight
p - (1 - p) / (classes - 1): nothing for a look that does not know, more the surer it is.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pipeline.composite.pool import COVER_DEPENDENCE, pooled
from pipeline.legend import CoverState

Codes = npt.NDArray[np.uint8]

# Confidences are stored in steps of 5 percent, so nothing is known beyond half a step from certainty.
_SUREST = 0.975


class PooledPixels(NamedTuple):
    """What all looks say of some pixels."""

    classes: Codes
    """Class codes or states (y, x)."""
    confidence: Codes
    """Probability of the class in percent (y, x), 255 without one."""
    looks: Codes
    """Clear looks (y, x), at most 254; 255 without one."""
    disagreement: Codes
    """Percent of them that say another class (y, x), 255 without one."""


class PixelPool:
    """Adds up what the looks at each pixel say. `count` is the number of classes."""

    def __init__(self, shape: tuple[int, int], count: int, dependence: float = COVER_DEPENDENCE) -> None:
        self._shape, self._count, self._dependence = shape, count, dependence
        pixels = shape[0] * shape[1]
        # One column more than classes, where looks without one go.
        self._base = np.arange(pixels, dtype=np.int64) * (count + 1)
        self._lead = np.zeros(pixels * (count + 1), np.float32)
        self._rest = np.zeros(pixels, np.float32)
        self._votes = np.zeros(pixels * (count + 1), np.uint16)
        self._state = np.full(pixels, CoverState.NO_DATA, np.uint8)
        sure = np.clip(np.arange(256, dtype=np.float32) / 100.0, 1.0 / count, _SUREST)
        self._others = (1.0 - sure) / (count - 1)
        self._weight = sure - self._others

    def add(self, classes: Codes, confidence: Codes) -> None:
        """One look: classes or states, and percent (y, x)."""
        flat = classes.ravel()
        at = self._base + np.minimum(flat, self._count)
        self._lead[at] += self._weight[confidence.ravel()]
        self._rest += np.where(flat < self._count, self._others[confidence.ravel()], 0.0)
        self._votes[at] += 1
        state = flat.copy()
        state[flat < self._count] = CoverState.NO_DATA
        np.minimum(self._state, state, out=self._state)

    def answer(self) -> PooledPixels:
        """Every pixel's class, or what stands in its place: unfamiliar before cloud before no data."""
        votes = self._votes.reshape(-1, self._count + 1)[:, : self._count]
        looks = votes.sum(axis=1, dtype=np.int64)
        clear = np.flatnonzero(looks)
        classes = self._state.copy()
        confidence, disagreement, counted = (np.full(len(looks), CoverState.NO_DATA, np.uint8) for _ in range(3))
        if len(clear):
            total = self._lead.reshape(-1, self._count + 1)[clear, : self._count] + self._rest[clear, None]
            likely = pooled(total, looks[clear], self._dependence)
            best = likely.argmax(axis=1)
            classes[clear] = best
            confidence[clear] = np.rint(likely[np.arange(len(best)), best] * 100.0)
            disagreement[clear] = np.rint(100.0 * (1.0 - votes[clear, best] / looks[clear]))
            counted[clear] = np.minimum(looks[clear], 254)
        return PooledPixels(*(plane.reshape(self._shape) for plane in (classes, confidence, counted, disagreement)))
