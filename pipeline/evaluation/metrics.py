"""The figures of a classifier on labelled patches."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.datasets.labelled import LabelledPatches
from pipeline.models.calibration import brier, calibration_error
from pipeline.models.classifier import TileClassifier


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """One class; what is undefined is None."""

    label: str
    """The class."""
    precision: float | None
    """Share (0..1) of right answers among those of this class; undefined without any."""
    recall: float | None
    """Share (0..1) of its patches that are found; undefined without any."""
    f1: float | None
    """Harmonic mean of the two; undefined without either."""
    support: int
    """Its true patches."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What a classifier reaches on labelled patches."""

    accuracy: float
    """Share (0..1) of right labels."""
    macro_f1: float
    """Mean F1 of the classes where it is defined."""
    ece: float
    """Expected calibration error (0..1)."""
    n: int
    """Patches."""
    per_class: tuple[ClassFigures, ...]
    """A record a class in the legend's order."""
    confusion: tuple[tuple[int, ...], ...]
    """Counts, a row a true class, a column a predicted one."""
    brier: float
    """Mean squared distance of the probabilities from the truth (0..2)."""
    refused: float | None = None
    """Share (0..1) that the gate of unfamiliar ground refuses; None where it was not asked."""

    def as_json(self) -> dict[str, Any]:
        """Plain values with the keys that `evaluate --json` promises.

        Accuracy, macro_f1, ece, n, per_class, confusion.
        """
        found = {name: value for name, value in asdict(self).items() if name not in ("brier", "refused")}
        found["per_class"] = {entry.pop("label"): entry for entry in found["per_class"]}
        found["confusion"] = [list(row) for row in self.confusion]
        return found


def figures(
    probabilities: npt.NDArray[np.floating],
    labels: npt.NDArray[np.integer],
    classes: tuple[str, ...],
    refused: float | None = None,
) -> Figures:
    """The figures of probabilities (n, classes) against labels (n,); macro F1 averages over the classes that occur."""
    count = len(classes)
    confusion = np.bincount(labels * count + probabilities.argmax(axis=1), minlength=count * count).reshape(
        count, count
    )
    hits, true, named = np.diag(confusion), confusion.sum(axis=1), confusion.sum(axis=0)
    f1 = 2 * hits / np.maximum(true + named, 1)
    per_class = tuple(
        ClassFigures(
            label,
            _share(hits[i], named[i]),
            _share(hits[i], true[i]),
            _share(2 * hits[i], true[i] + named[i]),
            int(true[i]),
        )
        for i, label in enumerate(classes)
    )
    return Figures(
        accuracy=float(hits.sum() / max(len(labels), 1)),
        macro_f1=float(f1[true > 0].mean()),
        ece=calibration_error(probabilities, labels),
        n=len(labels),
        per_class=per_class,
        confusion=tuple(tuple(int(value) for value in row) for row in confusion),
        brier=brier(probabilities, labels),
        refused=refused,
    )


def _share(part: int, whole: int) -> float | None:
    return float(part / whole) if whole else None


def evaluate(classifier: TileClassifier, data: LabelledPatches) -> Figures:
    """The figures of a classifier on labelled patches; `refused` is the share that it calls unfamiliar."""
    answer = classifier.judge(data.patches)
    return figures(answer.probabilities, data.labels, data.classes, float(answer.unfamiliar.mean()))


def risk_coverage(
    probabilities: npt.NDArray[np.floating], labels: npt.NDArray[np.integer]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Share of patches kept, most confident first, and the error rate among them."""
    order = np.argsort(-probabilities.max(axis=1), kind="stable")
    wrong = (probabilities.argmax(axis=1) != labels)[order]
    kept = np.arange(1, len(labels) + 1)
    return kept / len(labels), np.cumsum(wrong) / kept


def separation(familiar: npt.NDArray[np.floating], unfamiliar: npt.NDArray[np.floating]) -> float:
    """Area under the ROC curve: how often an unfamiliar patch scores above a familiar one."""
    both = np.concatenate([familiar, unfamiliar])
    _, place, size = np.unique(both, return_inverse=True, return_counts=True)
    rank = (np.cumsum(size) - (size - 1) / 2)[place]  # ties share their mean rank
    n, m = len(familiar), len(unfamiliar)
    return float((rank[n:].sum() - m * (m + 1) / 2) / (n * m))
