"""A near infrared for pictures that have none: drawn from what patches with all bands say of their colours and class.

A network that saw every picture without B08 and every scene with it learns two worlds: it would use what the pictures
taught it only where B08 lacks.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Floats = npt.NDArray[np.float32]
# Below this reflectance the logarithm says more of noise than of ground.
_LEAST = 0.003
# Ridge on standardised features, in pixels' worth, and how many parts of the patches measure the spreads in turn.
_RIDGE, _FOLDS = 2000.0, 4


@dataclass(frozen=True, slots=True)
class Infrared:
    """B08 given B02, B03, B04 and the class of the picture: log reflectance is linear in what `_features` tells."""

    classes: int
    """Classes of pictures."""
    slopes: Floats
    """Of the features (feature,)."""
    whole: float
    """Spread of whole patches about that, in log reflectance."""
    single: float
    """Spread of the pixels of a patch about that."""

    @classmethod
    def fitted(cls, patches: Floats, labels: npt.NDArray[np.int64], classes: int) -> Self:
        """Learns from patches (n, y, x, B02 B03 B04 B08); the spreads are measured on patches left out in turn."""
        known = np.stack(
            [_features(patch[..., :3], kind, classes) for patch, kind in zip(patches, labels, strict=True)]
        )
        wanted, fold = _log(patches[..., 3]), np.arange(len(patches)) % _FOLDS
        missed = np.empty_like(wanted)
        for at in range(_FOLDS):
            missed[fold == at] = wanted[fold == at] - known[fold == at] @ _slopes(known[fold != at], wanted[fold != at])
        whole = missed.mean(axis=(1, 2))
        single = missed - whole[:, None, None]
        return cls(classes, _slopes(known, wanted), float(whole.std()), float(single.std()))

    def drawn(self, picture: Floats, label: int, rng: np.random.Generator) -> Floats:
        """A likely B08 (y, x) of a picture (y, x, B02 B03 B04): as far from the mean as real ones are."""
        mean = _features(picture, label, self.classes) @ self.slopes + rng.normal(0, self.whole)
        # Neighbours err together: half of the pixels' variance is smooth. Smoothing by 2 pixels leaves a 7th of unit
        # noise.
        rough = rng.normal(0, 1, mean.shape)
        smooth = ndimage.gaussian_filter(rng.normal(0, 1, mean.shape), 2) * (4 * np.pi**0.5)
        return np.asarray(np.exp(mean + self.single * np.sqrt(0.5) * (rough + smooth)), np.float32)


def _features(picture: Floats, label: int, classes: int) -> Floats:
    """What tells of a pixel's infrared (y, x, feature): colours here, nearby, of the whole; texture; all by class."""
    light = _log(picture)
    near = ndimage.uniform_filter(light, (5, 5, 0))
    whole = np.broadcast_to(light.mean(axis=(0, 1)), light.shape)
    rough = ndimage.uniform_filter(np.abs(light[..., 1:2] - near[..., 1:2]), (9, 9, 0))
    kind = np.zeros((*light.shape[:2], 2 * classes), np.float32)
    kind[..., label] = 1.0
    kind[..., classes + label] = light[..., 1] - light[..., 2]
    return np.concatenate([light, near, whole, rough, kind], axis=-1)


def _slopes(known: Floats, wanted: Floats) -> Floats:
    told = known.reshape(-1, known.shape[-1]).astype(np.float64)
    spread = np.diag(np.maximum(told.std(axis=0), 1e-3) ** 2 * _RIDGE)
    return np.linalg.solve(told.T @ told + spread, told.T @ wanted.ravel()).astype(np.float32)


def _log(light: Floats) -> Floats:
    return np.log(np.maximum(light, _LEAST)).astype(np.float32)
