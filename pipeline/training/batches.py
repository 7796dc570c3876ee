"""What an epoch of tiles learns from, and its shuffled, varied batches."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.datasets.labelled import LabelledPatches
from pipeline.training.augment import Augmentation, augment, mix
from pipeline.training.options import TrainOptions

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Lesson:
    """Patches, what is to be said of them, and how they are varied."""

    patches: npt.NDArray[Any]
    """(n, y, x, band)."""
    targets: Floats
    """(n, classes): the classes' probabilities; rows sum to 1."""
    bands: tuple[str, ...]
    """The patches' bands."""
    plan: Augmentation
    """What varies them anew in each epoch."""


def labels_alone(data: LabelledPatches, plan: Augmentation) -> Lesson:
    """The pictures as they are, each with its label for sure."""
    return Lesson(data.patches, one_hot(data), data.bands, plan)


def one_hot(data: LabelledPatches) -> Floats:
    """Targets (n, classes) that are 1 for the label."""
    return np.eye(len(data.classes), dtype=np.float32)[data.labels]


def class_weights(data: LabelledPatches, options: TrainOptions) -> Floats:
    """How much a patch of each class weighs: rare ones more, as far as the options balance classes."""
    frequency = data.counts / data.counts.mean()
    return np.asarray(np.maximum(frequency, 1e-9) ** -options.class_balance, np.float32)


def batches() -> type[Any]:
    """The class of an epoch's batches; keras is imported here."""
    import keras

    class Batches(keras.utils.PyDataset):  # type: ignore[misc]
        """Shuffled, augmented batches of one epoch, made in a background thread; all of the same size."""

        def __init__(self, lesson: Lesson, weights: Floats, batch: int, seed: int) -> None:
            super().__init__(workers=1, use_multiprocessing=False, max_queue_size=4)
            self.lesson, self.weights, self.seed = lesson, weights, seed
            count = len(lesson.patches)
            self.size = min(batch, count)
            order = np.random.default_rng(seed).permutation(count)
            self.order = np.resize(order, math.ceil(count / self.size) * self.size)

        def __len__(self) -> int:
            return len(self.order) // self.size

        def __getitem__(self, index: int) -> tuple[Any, Any, Any]:
            rng = np.random.default_rng([self.seed, index])
            chosen = self.order[index * self.size : (index + 1) * self.size]
            lesson = self.lesson
            varied = augment(lesson.patches[chosen], lesson.plan, rng, lesson.bands)
            patches, targets = mix(varied, lesson.targets[chosen], lesson.plan, rng)
            return patches, targets, targets @ self.weights

    return Batches
