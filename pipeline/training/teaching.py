"""Learning from teachers: a small network is told what larger ones say of the very views that it sees.

Knowledge distillation (Hinton et al. 2015) with the same crop for both and patience (Beyer et al. 2022). The views are
few and fixed, so that the teachers answer once and a run of any length, or one that goes on after a kill, reads their
answers from its folder.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.datasets.labelled import LabelledPatches
from pipeline.errors import ModelError
from pipeline.models import store
from pipeline.models.card import ModelCard
from pipeline.models.classifier import TileClassifier
from pipeline.training import checkpoint
from pipeline.training.augment import Augmentation, varied
from pipeline.training.batches import Floats, Lesson, one_hot
from pipeline.training.export import data_digest
from pipeline.training.options import TrainOptions

# Patches that are varied and asked at once.
BLOCK = 512


class Teaching:
    """The views of a run and what its teachers say of them.

    Raises:
        ModelError: a teacher is missing, or takes other patches or tells other classes than the data.
    """

    def __init__(self, options: TrainOptions, data: LabelledPatches, progress: Callable[[str], None]) -> None:
        self._options, self._data, self._progress = options, data, progress
        self._teachers: Sequence[TileClassifier] = ()
        for name in options.teachers:
            _check(name, store.card(name), data)
        self._facts = {
            "teachers": digests(options),
            "seed": options.seed,
            "augmentation": asdict(options.augmentation),
            "training": data_digest(data.patches, data.labels),
        }

    def lesson(self, epoch: int, plan: Augmentation) -> Lesson:
        """What an epoch learns from: its view, with targets between the labels and the teachers' mean answer."""
        number = epoch % self._options.views
        patches = view(self._data, self._options.augmentation, self._options.seed, number)
        share = np.float32(self._options.teaching)
        targets = share * self._answers(number, patches) + (1 - share) * one_hot(self._data)
        return Lesson(patches, np.asarray(targets, np.float32), self._data.bands, turns_and_mixing(plan))

    def _answers(self, number: int, patches: npt.NDArray[Any]) -> Floats:
        path = answers_path(self._options.folder, number)
        if path.is_file():
            state, groups = checkpoint.load(path)
            if state == self._facts:
                return np.asarray(groups["answers"][0], np.float32)
        if not self._teachers:
            self._teachers = [store.load(name) for name in self._options.teachers]
        answered = np.zeros((len(patches), len(self._data.classes)), np.float32)
        for start in range(0, len(patches), BLOCK):
            piece = patches[start : start + BLOCK]
            for teacher in self._teachers:
                answered[start : start + BLOCK] += teacher.judge(piece).probabilities / np.float32(len(self._teachers))
        checkpoint.store(path, self._facts, answers=[answered])
        agreed = float((answered.argmax(axis=1) == self._data.labels).mean())
        self._progress(f"teachers answered view {number + 1} of {self._options.views}, {agreed:.1%} as labelled")
        return answered


def digests(options: TrainOptions) -> dict[str, str]:
    """The teachers by name with the digests of their cards, which tell their weights."""
    return {name: store.card_digest(name) for name in options.teachers}


def answers_path(folder: Path, number: int) -> Path:
    """Where a run keeps its teachers' answers on a view."""
    return folder / f"answers-{number}.npz"


def view(data: LabelledPatches, plan: Augmentation, seed: int, number: int) -> npt.NDArray[Any]:
    """The patches varied in a fixed way, in the type that stored models take; the same for the same seed and number."""
    found = np.empty_like(data.patches)
    for start in range(0, len(found), BLOCK):
        rng = np.random.default_rng([seed, number, start])
        found[start : start + BLOCK] = varied(data.patches[start : start + BLOCK], rng, data.bands, plan)
    return found


def turns_and_mixing(plan: Augmentation) -> Augmentation:
    """What still varies a view: turns and flips, which no answer depends on, and mixing, which mixes answers too."""
    return replace(plan, shift=0, zoom=0.0, jitter=0.0, surface=0.0)


def _check(name: str, card: ModelCard, data: LabelledPatches) -> None:
    shape, dtype = data.patches.shape[1:], data.patches.dtype
    if card.legend.labels != data.classes:
        raise ModelError(
            f"{name}: tells {', '.join(card.legend.labels)}, the data hold {', '.join(data.classes)}; choose a teacher "
            f"of the same classes"
        )
    if card.input.shape != shape or card.input.dtype != dtype:
        raise ModelError(
            f"{name}: takes patches {card.input.shape} {card.input.dtype}, the data give {shape} {dtype}; choose "
            f"another teacher, or train one with --upsample"
        )
