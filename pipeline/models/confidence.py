"""How sure to be of a tile that may hold several covers, or look unlike the training's.

A network that learned from pure patches is too sure of mixed ground: of tiles that it gives .91, 63 % are right where
two patches meet. Where its features lie between the classes tells such tiles; a small network on them says how often
the best class is right (fitted on pure and on mixed patches of known shares), and each tile's probabilities are
softened, all by one temperature of its own, until the best one says just that.
"""

import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from pipeline.errors import ModelError

FILE = "confidence.npz"
Floats = npt.NDArray[np.float32]
# Units of the small network, and its prior for each patch; the shipped model's report has what was tried.
UNITS, PRIOR = 64, 0.006
# Range of a tile's temperature, as logarithms, and halvings until it is found.
LOWEST, HIGHEST, HALVINGS = -3.0, 5.0, 30


@dataclass(frozen=True, slots=True)
class Confidence:
    """Where a patch's features lie and what is said of it -> how sure to be."""

    inner: Floats
    """Of each sign for each unit (k, units)."""
    inner_bias: Floats
    """Of each unit (units,); what a unit sums to is cut off below 0."""
    weights: Floats
    """Of each unit (units,)."""
    bias: float
    """Log odds of the best class being right where all units are silent."""

    @classmethod
    def fit(cls, signs: Floats, right: npt.NDArray[np.bool_], weight: Floats | None = None) -> Self:
        """From whether the best class was right (n,) on signs (n, k); `weight` (n,) of each, 1 by default."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.neural_network import MLPClassifier

        middle, spread = signs.mean(axis=0, dtype=np.float64), signs.std(axis=0, dtype=np.float64)
        spread = np.where(spread > 0, spread, 1)
        mass = np.ones(len(right)) if weight is None else weight / weight.mean()
        fitted = MLPClassifier((UNITS,), alpha=PRIOR * len(right), solver="lbfgs", max_iter=120, random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # a fit stopped early is as good
            fitted.fit((signs - middle) / spread, right, mass)
        inner = fitted.coefs_[0] / spread[:, None]
        inner_bias = fitted.intercepts_[0] - middle @ inner
        weights, bias = fitted.coefs_[1][:, 0], float(fitted.intercepts_[1][0])
        return cls(inner.astype(np.float32), inner_bias.astype(np.float32), weights.astype(np.float32), bias)

    def says(self, signs: Floats) -> npt.NDArray[np.float64]:
        """Probability (n,) that the best class is right."""
        odds = np.maximum(signs @ self.inner + self.inner_bias, 0) @ self.weights + self.bias
        return np.asarray(1 / (1 + np.exp(-odds.astype(np.float64))), np.float64)

    def soften(self, probabilities: Floats, signs: Floats) -> Floats:
        """Probabilities (n, classes) whose best one is what the signs (n, k) say; the order of classes stays."""
        logs = np.log(np.maximum(probabilities, 1e-12)).astype(np.float64)
        logs -= logs.max(axis=1, keepdims=True)
        wanted = self.says(signs)
        low, high = np.full(len(logs), LOWEST), np.full(len(logs), HIGHEST)
        for _ in range(HALVINGS):
            middle = (low + high) / 2
            best = 1 / np.exp(logs / np.exp(middle)[:, None]).sum(axis=1)
            sure = best > wanted
            low, high = np.where(sure, middle, low), np.where(sure, high, middle)
        softened = np.exp(logs / np.exp(high)[:, None])
        return np.asarray(softened / softened.sum(axis=1, keepdims=True), np.float32)

    def write(self, path: Path) -> None:
        """Stores the numbers."""
        np.savez(path, inner=self.inner, inner_bias=self.inner_bias, weights=self.weights, bias=self.bias)

    @classmethod
    def read(cls, path: Path) -> Self:
        """The stored numbers.

        Raises:
            ModelError: the file is missing or damaged.
        """
        try:
            with path.open("rb") as stream, np.load(stream) as stored:
                return cls(stored["inner"], stored["inner_bias"], stored["weights"], float(stored["bias"]))
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            raise ModelError(f"{path}: cannot read how sure to be ({error}); copy the model folder again") from error


def signs(probabilities: Floats, place: Floats, distance: Floats) -> Floats:
    """What tells mixed and strange tiles (n, k), of a network's probabilities (n, classes) before they are softened.

    The features' place (n, r) and their distance (n,) as the abstention score has them, and the logarithms of the
    probabilities, sorted.
    """
    logs = np.sort(np.log(np.maximum(probabilities, 1e-12)), axis=1)
    return np.concatenate([place, distance[:, None], logs], axis=1, dtype=np.float32)
