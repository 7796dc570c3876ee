"""Mixed ground with known shares: patches that several labelled patches make up, as the tiles of a grid do."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt


class Mosaics(NamedTuple):
    """Patches made of several, and what they hold."""

    patches: npt.NDArray[Any]
    """(n, y, x, band), of the type of those they were made from."""
    shares: npt.NDArray[np.float32]
    """(n, classes): each class's share of the pixels; rows sum to 1."""

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """(n,): the class with the largest share, which is what a tile's label is to say."""
        return np.asarray(self.shares.argmax(axis=1), np.int64)

    @property
    def purity(self) -> npt.NDArray[np.float32]:
        """(n,): the largest class's share."""
        return np.asarray(self.shares.max(axis=1), np.float32)


def mosaics(
    patches: npt.NDArray[Any],
    labels: npt.NDArray[np.integer],
    classes: int,
    parts: int,
    rng: np.random.Generator,
) -> Mosaics:
    """One mosaic for each of patches (n, y, x, band): itself and `parts` - 1 others, each where its point is nearest.

    The points are drawn, so that borders are straight, of any direction, and shares of any size; parts may be of the
    same class.
    """
    count, rows, columns = patches.shape[:3]
    members = np.stack([np.arange(count), *(rng.permutation(count) for _ in range(parts - 1))], axis=1)
    points = rng.uniform(0, 1, (count, parts, 2)) * (rows, columns)
    y, x = np.mgrid[:rows, :columns] + 0.5
    mixed = np.empty_like(patches)
    shares = np.zeros((count, classes), np.float32)
    for position in range(count):
        away = np.square(y - points[position, :, 0, None, None]) + np.square(x - points[position, :, 1, None, None])
        nearest = away.argmin(axis=0)
        for part, member in enumerate(members[position]):
            there = nearest == part
            mixed[position][there] = patches[member][there]
            shares[position, labels[member]] += there.mean(dtype=np.float32)
    return Mosaics(mixed, shares)
