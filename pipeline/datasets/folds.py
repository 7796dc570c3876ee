"""Folds that hold alike pictures together: a validation that a random draw, with neighbours on both sides, flatters.

Where a data set tells no places, what lies close on the ground looks alike: the same fields, sun and haze. So each
class is cut into clusters of like radiometry and texture, and a cluster is never divided between two folds.
"""

import re
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from pipeline.errors import ModelError

Floats = npt.NDArray[np.float32]
# Clusters of a class that a fold takes: one leaves out a whole look of it, several are milder.
CLUSTERS = 1
# Pictures are described, standardised, in blocks of so many, for the memory's sake.
BLOCK = 512


@dataclass(frozen=True, slots=True)
class Look:
    """Which fold of how many validates; the others train."""

    folds: int
    """How many."""
    validates: int
    """Which, from 1."""

    @classmethod
    def parse(cls, text: str) -> Self:
        """The fold of `look:K/J`: J of K.

        >>> Look.parse("look:5/2")
        Look(folds=5, validates=2)

        Raises:
            ModelError: it says something else.
        """
        found = re.fullmatch(r"look:(\d{1,2})/(\d{1,2})", text)
        if found is None or not 1 <= int(found[2]) <= int(found[1]) or int(found[1]) < 2:
            raise ModelError(f"{text}: names no fold; give look:K/J, for example look:5/2 for the second of five")
        return cls(int(found[1]), int(found[2]))


@dataclass(frozen=True, slots=True)
class Fold:
    """How far the pictures of a fold lie from the others."""

    pictures: int
    """Its size."""
    classes: int
    """Classes that it holds."""
    distance: float
    """Median distance of its pictures to the nearest of their class in other folds, over that within the fold: below 1
    where a fold is drawn at random, more where it is a look of its own."""


def description(patches: npt.NDArray[Any]) -> Floats:
    """Radiometry and texture (n, d) of patches (n, y, x, band), each number of mean 0 and deviation 1.

    By band the mean, the spread and three quantiles; of the grey picture the mean step between pixels 1, 2, 4 and 8
    apart, down and across.
    """
    found = np.concatenate([_described(patches[i : i + BLOCK]) for i in range(0, len(patches), BLOCK)])
    spread = found.std(axis=0)
    return np.asarray((found - found.mean(axis=0)) / np.where(spread > 0, spread, 1), np.float32)


def _described(patches: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    values = patches.astype(np.float32)
    grey = values.mean(axis=3)
    colour = [values.mean(axis=(1, 2)), values.std(axis=(1, 2)), *np.quantile(values, (0.1, 0.5, 0.9), axis=(1, 2))]
    steps = [
        np.abs(grey[:, far:] - grey[:, :-far]).mean(axis=(1, 2))
        + np.abs(grey[..., far:] - grey[..., :-far]).mean((1, 2))
        for far in (1, 2, 4, 8)
        if far < min(grey.shape[1:])
    ]
    # Ratios tell looks apart, whatever the light.
    return np.log1p(np.concatenate([*colour, np.stack(steps, axis=1)], axis=1).astype(np.float64))


def chains(described: Floats, neighbours: int = 2) -> npt.NDArray[np.int64]:
    """A chain's number for each picture (n,): those that are among each other's nearest `neighbours` share it."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from sklearn.neighbors import NearestNeighbors

    count = len(described)
    near = min(neighbours, count - 1)
    if near < 1:
        return np.arange(count)
    listed = NearestNeighbors(n_neighbors=near).fit(described).kneighbors(return_distance=False)
    one = np.repeat(np.arange(count), near)
    links = coo_array((np.ones(len(one)), (one, listed.ravel())), shape=(count, count)).tocsr()
    _, group = connected_components(links.multiply(links.T), directed=False)
    return np.asarray(group, np.int64)


def look_folds(
    described: Floats, labels: npt.NDArray[np.integer], count: int, seed: int, clusters: int = CLUSTERS
) -> npt.NDArray[np.int64]:
    """A fold, 0 to `count` - 1, for each picture (n,) by its description (n, d) and class.

    Each class's chains of near neighbours are gathered (k-means) into `clusters` clusters a fold, and these are dealt
    out, the largest first, to the fold that has the fewest pictures.
    """
    from sklearn.cluster import KMeans

    folds = np.zeros(len(labels), np.int64)
    filled = np.zeros(count)
    for code in np.unique(labels):
        members = np.flatnonzero(labels == code)
        chain = chains(described[members])
        size = np.bincount(chain)
        middle = np.stack([np.bincount(chain, column) for column in described[members].T], axis=1) / size[:, None]
        wanted = min(count * clusters, len(size))
        cluster = KMeans(wanted, n_init=4, random_state=seed).fit_predict(middle, sample_weight=size)[chain]
        dealt = np.zeros(count)
        for number in np.argsort(-np.bincount(cluster), kind="stable"):
            # First even within the class, then over all.
            taker = np.lexsort((filled, dealt))[0]
            there = members[cluster == number]
            folds[there] = taker
            dealt[taker] += len(there)
            filled[taker] += len(there)
    return folds


def fold_facts(described: Floats, labels: npt.NDArray[np.integer], folds: npt.NDArray[np.integer]) -> list[Fold]:
    """How far each fold's pictures lie from those of their class in the others."""
    from sklearn.neighbors import NearestNeighbors

    told = []
    for number in range(int(folds.max()) + 1):
        ratios = []
        for code in np.unique(labels[folds == number]):
            inside, outside = (described[(labels == code) & there] for there in (folds == number, folds != number))
            if len(inside) > 1 and len(outside):
                own = NearestNeighbors(n_neighbors=1).fit(inside).kneighbors()[0][:, 0]
                away = NearestNeighbors(n_neighbors=1).fit(outside).kneighbors(inside)[0][:, 0]
                ratios.append(away / np.maximum(own, 1e-9))
        median = float(np.median(np.concatenate(ratios))) if ratios else float("nan")
        there = folds == number
        told.append(Fold(int(there.sum()), len(np.unique(labels[there])), median))
    return told
