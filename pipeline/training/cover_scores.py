"""Stored cover networks on scenes with truth."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.datasets.masks import IGNORED, Truth, read_truth
from pipeline.evaluation.cover import CoverScore, reliability
from pipeline.models.classifier import PixelClassifier
from pipeline.models.networks import cover_unet
from pipeline.models.pixels import load_pixels
from pipeline.scenes.finding.find import find_scenes
from pipeline.scenes.scene import ReadOptions, Scene

Floats = npt.NDArray[np.float32]
Curve = list[tuple[float, float, int]]


def scored(cover: str, folders: Sequence[Path], truth: Path, field: str = "class") -> dict[str, CoverScore]:
    """The scores by place of a stored network, or of several with commas between them.

    Raises:
        ModelError: there is no such network, or no truth lies on the scenes.
        NotAScene: a folder holds no scene.
    """
    network = load_pixels(cover)
    bands = network.card.input.bands
    found = [scene for folder in folders for scene in find_scenes(folder, ReadOptions(required=bands))]
    scenes = [scene for scene in found if isinstance(scene, Scene)]
    return measured(network, read_truth(scenes, truth, bands, field, lines=network.card.input.harmonisation))[0]


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
