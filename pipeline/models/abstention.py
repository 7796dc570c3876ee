"""How unlike the training data a patch is.

Mahalanobis distance of its pooled features to the nearest class (Lee et al. 2018).
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from pipeline.errors import ModelError

FILE = "abstention.npz"
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Abstention:
    """Pooled features (n, f) -> distance to the nearest of the class centres."""

    centre: Floats
    """Mean of all features (f,)."""
    basis: Floats
    """Whitens the k strongest directions within the classes (f, k)."""
    centres: Floats
    """The classes' means there (classes, k)."""

    @classmethod
    def fit(cls, features: Floats, labels: npt.NDArray[np.integer], rank: int = 384) -> Self:
        """The distance that the training features define."""
        features = features.astype(np.float64)
        centre = features.mean(axis=0)
        classes = np.stack([features[labels == code].mean(axis=0) for code in np.unique(labels)])
        within = features - classes[np.searchsorted(np.unique(labels), labels)]
        values, vectors = np.linalg.eigh(within.T @ within / len(within))
        rank = min(rank, features.shape[1])
        values, directions = values[::-1][:rank], vectors[:, ::-1][:, :rank]
        basis = directions / np.sqrt(np.maximum(values, 1e-8))
        return cls(*(array.astype(np.float32) for array in (centre, basis, (classes - centre) @ basis)))

    def score(self, features: Floats) -> Floats:
        """Distances (n,); larger is less familiar."""
        return self.distance(self.place(features))

    def place(self, features: Floats) -> Floats:
        """Where pooled features (n, f) lie, in units of the spread within the classes (n, k)."""
        return np.asarray((features - self.centre) @ self.basis, np.float32)

    def distance(self, place: Floats) -> Floats:
        """Distances (n,) of places (n, k)."""
        square = (
            np.square(place).sum(axis=1, keepdims=True)
            - 2 * place @ self.centres.T
            + np.square(self.centres).sum(axis=1)
        )
        return np.asarray(np.sqrt(np.maximum(square.min(axis=1), 0.0)), np.float32)

    def write(self, path: Path) -> None:
        """Stores the arrays."""
        np.savez(path, centre=self.centre, basis=self.basis, centres=self.centres)

    @classmethod
    def read(cls, path: Path) -> Self:
        """The stored arrays.

        Raises:
            ModelError: the file is missing or damaged.
        """
        try:
            with path.open("rb") as stream, np.load(stream) as stored:
                return cls(stored["centre"], stored["basis"], stored["centres"])
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise ModelError(
                f"{path}: cannot read the abstention score ({error}); copy the model folder again"
            ) from error
