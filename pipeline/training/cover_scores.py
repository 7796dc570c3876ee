"""Stored cover networks on scenes with truth."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.datasets.labelled import LabelledPatches
from pipeline.datasets.masks import IGNORED, Truth, read_truth
from pipeline.datasets.weak import ClassCovers
from pipeline.errors import ModelError
from pipeline.evaluation.cover import CoverScore, reliability
from pipeline.models.calibration import fit_temperature
from pipeline.models.classifier import PixelClassifier
from pipeline.models.networks import Network, cover_unet
from pipeline.models.pixel_ensemble import PixelEnsemble
from pipeline.scenes.finding.find import find_scenes
from pipeline.scenes.scene import ReadOptions, Scene
from pipeline.training.cover import probabilities

log = logging.getLogger(__name__)

Floats = npt.NDArray[np.float32]
Curve = list[tuple[float, float, int]]
# Pixels that a temperature is fitted to: more change it in the third digit.
FITTED = 200_000
# Of a network under way: pixels along a crop's side, crops of a place, pictures of a set.
_CROP, _CROPS, _PICTURES = 64, 12, 200


def truth_for(network: PixelClassifier, folders: Sequence[Path], truth: Path, field: str = "class") -> list[Truth]:
    """The truth that lies on scenes, with pixels as a network takes them.

    Raises:
        ModelError: no truth lies on the scenes, or none of it is of the network's classes.
        NotAScene: a folder holds no scene.
    """
    taken, labels = network.card.input, network.card.legend.labels
    found = [scene for folder in folders for scene in find_scenes(folder, ReadOptions(required=taken.bands))]
    scenes = [scene for scene in found if isinstance(scene, Scene)]
    told = read_truth(scenes, truth, taken.bands, field, lines=taken.harmonisation)
    there = {one.classes[code] for one in told for code in np.unique(one.codes) if code != IGNORED}
    strange = sorted(there - set(labels))
    if not there & set(labels):
        raise ModelError(
            f"{truth}: its classes ({', '.join(strange)}) are none of {network.card.name} ({', '.join(labels)}); "
            f"rename them, or name their field with --field"
        )
    if strange:
        log.warning("%s: %s are no class of %s, left out", truth, ", ".join(strange), network.card.name)
    return told


def ensemble_temperature(ensemble: PixelEnsemble, truths: Sequence[Truth]) -> float:
    """The temperature that makes the truth likeliest of an ensemble's mean."""
    plain, labels = replace(ensemble, card=replace(ensemble.card, temperature=1.0)), ensemble.card.legend.labels
    rng, likely, codes = np.random.default_rng(0), [], []
    for truth in truths:
        known = recoded(truth, labels).ravel()
        drawn = np.flatnonzero(known < len(labels))
        drawn = rng.choice(drawn, min(len(drawn), FITTED // len(truths)), replace=False)
        answer = window_by_window(plain.predict, truth.pixels).reshape(-1, len(labels))
        likely.append(np.log(np.maximum(answer[drawn], 1e-9)))
        codes.append(known[drawn].astype(np.int64))
    return fit_temperature(np.concatenate(likely), np.concatenate(codes))


def measured(network: PixelClassifier, truths: Sequence[Truth]) -> tuple[dict[str, CoverScore], Curve]:
    """The scores of a network by place, and its reliability curve over all."""
    labels = network.card.legend.labels
    scores: dict[str, CoverScore] = {}
    sure, right = [], []
    for truth in truths:
        answer = window_by_window(network.predict, truth.pixels)
        codes = recoded(truth, labels)
        score = CoverScore.of(labels, codes, answer.argmax(axis=-1))
        scores[truth.place] = scores[truth.place] + score if truth.place in scores else score
        known = codes < len(labels)
        sure.append(answer.max(axis=-1)[known])
        right.append((answer.argmax(axis=-1) == codes)[known])
    if not sure:
        return {}, []
    return scores, reliability(np.concatenate(sure).astype(np.float64), np.concatenate(right))


@dataclass(frozen=True, slots=True)
class Watched:
    """How well a network under way does on a few crops of places held out, and on pictures left out."""

    covers: tuple[str, ...]
    """The network's classes."""
    truths: Sequence[Truth]
    """Places that nothing is learnt from, in the codes of these classes."""
    pictures: Sequence[LabelledPatches] = ()
    """Pictures that nothing is learnt from."""

    def __call__(self, network: Network) -> dict[str, float]:
        """Part of the pixels right of places, and mean over classes of the part that fits of pictures."""
        count, found = len(self.covers), {}
        crops = [crop for truth in self.truths for crop in _crops(truth, count)]
        if crops:
            pixels, codes = (np.stack(part) for part in zip(*crops, strict=True))
            answers = probabilities(network, pixels).argmax(axis=-1)
            found["places"] = float((answers == codes)[codes < count].mean())
        for at, data in enumerate(self.pictures):
            few = data.take(np.arange(0, len(data), -(-len(data) // _PICTURES)))
            parts = fitting(few, probabilities(network, few.patches).argmax(axis=-1), self.covers)
            found[f"pictures_{at + 1}"] = float(np.mean([part for part, _ in parts.values()]))
        return found


def fitting(
    pictures: LabelledPatches, answers: npt.NDArray[np.integer], covers: Sequence[str]
) -> dict[str, tuple[float, int]]:
    """By picture class: the part of the answers (n, y, x) that it is named for, and how many pictures there are.

    Classes that are named for what runs through them, such as roads, tell nothing and are left out.
    """
    said = ClassCovers.of(pictures.classes, covers)
    right = said.main()[pictures.labels[:, None, None], answers].mean(axis=(1, 2))
    members = {name: pictures.labels == code for code, name in enumerate(pictures.classes) if not said.mixed[code]}
    return {name: (float(right[own].mean()), int(own.sum())) for name, own in members.items() if own.any()}


def _crops(truth: Truth, covers: int) -> list[tuple[Floats, npt.NDArray[np.uint8]]]:
    """A few crops of a place's known pixels, always the same."""
    rng = np.random.default_rng(0)
    height, width = truth.codes.shape
    if min(height, width) < _CROP:
        return []
    found = []
    for _ in range(_CROPS):
        y, x = int(rng.integers(height - _CROP + 1)), int(rng.integers(width - _CROP + 1))
        here = slice(y, y + _CROP), slice(x, x + _CROP)
        if (truth.codes[here] < covers).any():
            found.append((truth.pixels[here], truth.codes[here]))
    return found


def window_by_window(predict: Callable[[Floats], Floats], pixels: Floats) -> Floats:
    """Probabilities of a whole picture whose sides need not be multiples of anything."""
    step, (height, width) = cover_unet.step(), pixels.shape[:2]
    room = ((0, -height % step), (0, -width % step), (0, 0))
    padded = np.pad(pixels, room, constant_values=cover_unet.UNMEASURED)
    return np.asarray(predict(padded)[:height, :width])


def recoded(truth: Truth, labels: Sequence[str]) -> npt.NDArray[np.uint8]:
    """A truth's codes as those of other labels; 255 where they have no such class."""
    table = np.full(256, IGNORED, np.uint8)
    for code, name in enumerate(truth.classes):
        if name in labels:
            table[code] = labels.index(name)
    return table[truth.codes]
