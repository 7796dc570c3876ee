"""How well a cover agrees with truth drawn or rasterised: accuracy, IoU and F1 per class, confusion, by place."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CoverScore:
    """Pixels counted by truth and answer.

    >>> CoverScore(("water", "trees"), np.array([[8, 2], [1, 9]])).accuracy
    0.85
    """

    classes: tuple[str, ...]
    """Names of the rows and columns."""
    confusion: Counts
    """Pixels (truth, answer)."""

    @classmethod
    def of(cls, classes: Sequence[str], truth: npt.NDArray[np.integer], answer: npt.NDArray[np.integer]) -> Self:
        """Counts the pixels where both carry a class."""
        count = len(classes)
        both = (truth < count) & (answer < count)
        pairs = truth[both].astype(np.int64) * count + answer[both]
        return cls(tuple(classes), np.bincount(pairs, minlength=count * count).reshape(count, count))

    def __add__(self, other: "CoverScore") -> "CoverScore":
        return type(self)(self.classes, self.confusion + other.confusion)

    @property
    def pixels(self) -> int:
        """Pixels counted."""
        return int(self.confusion.sum())

    @property
    def accuracy(self) -> float:
        """Part of the pixels whose answer is the truth; NaN without pixels."""
        return float(np.trace(self.confusion) / self.pixels) if self.pixels else float("nan")

    @property
    def recall(self) -> Floats:
        """Part of each class's pixels that were found; NaN where the truth has none."""
        return _divided(np.diag(self.confusion), self.confusion.sum(axis=1))

    @property
    def precision(self) -> Floats:
        """Part of each class's answers that are right; NaN where it was never answered."""
        return _divided(np.diag(self.confusion), self.confusion.sum(axis=0))

    @property
    def iou(self) -> Floats:
        """Intersection over union of each class; NaN where neither truth nor answer has it."""
        hit = np.diag(self.confusion)
        return _divided(hit, self.confusion.sum(axis=0) + self.confusion.sum(axis=1) - hit)

    @property
    def f1(self) -> Floats:
        """Harmonic mean of precision and recall of each class; NaN where neither truth nor answer has it."""
        return _divided(2 * np.diag(self.confusion), self.confusion.sum(axis=0) + self.confusion.sum(axis=1))

    def mean_iou(self) -> float:
        """Mean IoU of the classes that the truth has; NaN without pixels."""
        there = self.confusion.sum(axis=1) > 0
        return float(self.iou[there].mean()) if there.any() else float("nan")

    def as_json(self) -> dict[str, Any]:
        """Everything, for a report or a file."""
        rows = {
            name: {
                "pixels": int(self.confusion[at].sum()),
                "recall": _plain(self.recall[at]),
                "precision": _plain(self.precision[at]),
                "iou": _plain(self.iou[at]),
                "f1": _plain(self.f1[at]),
            }
            for at, name in enumerate(self.classes)
        }
        return {
            "pixels": self.pixels,
            "accuracy": _plain(self.accuracy),
            "mean_iou": _plain(self.mean_iou()),
            "classes": rows,
            "confusion": self.confusion.tolist(),
        }


def total(scores: Iterable[CoverScore]) -> CoverScore:
    """All places together; there must be one at least."""
    first, *others = scores
    for score in others:
        first = first + score
    return first


def reliability(confidence: Floats, right: npt.NDArray[np.bool_], bins: int = 10) -> list[tuple[float, float, int]]:
    """Mean confidence, part right and count of answers in equal steps of confidence (0..1), without empty steps."""
    step = np.minimum((confidence * bins).astype(np.int64), bins - 1)
    found = []
    for at in range(bins):
        here = step == at
        if here.any():
            found.append((float(confidence[here].mean()), float(right[here].mean()), int(here.sum())))
    return found


def calibration_error(curve: Sequence[tuple[float, float, int]]) -> float:
    """Expected calibration error of a reliability curve."""
    count = sum(number for *_, number in curve)
    return sum(abs(sure - right) * number for sure, right, number in curve) / count if count else float("nan")


def _divided(part: Counts, whole: Counts) -> Floats:
    found = np.full(part.shape, np.nan)
    np.divide(part, whole, out=found, where=whole > 0)
    return found


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 4)
