"""Augmentation of patches, as 8-bit numbers or as reflectance.

Geometry, radiometry and mixing, in numpy so that every backend sees the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from pipeline.bands import RGB
from pipeline.scenes.radiometry import SURFACE_TO_TOP

# Surface reflectance (L2A) against top of atmosphere for B04, B03, B02: L1C = L2A * scale + offset, measured on paired
# pixels (April, Belgium) by least squares. Its inverse makes surface-like patches of EuroSAT's codes.
L2A_SCALE = np.array([0.97, 0.93, 0.88])
L2A_OFFSET = np.array([0.018, 0.033, 0.065])
CODES_PER_REFLECTANCE = 254.0 / 0.275
Floats = npt.NDArray[np.float32]
Patches = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Augmentation:
    """How strongly patches are varied; shares are probabilities, gains and offsets are half widths."""

    shift: int = 8
    """Pixels by which a patch moves, its border mirrored."""
    zoom: float = 0.4
    """Share of patches cut at another size."""
    jitter: float = 0.8
    """Share of patches whose radiometry changes."""
    gain: float = 0.12
    """Relative change of all bands."""
    band_gain: float = 0.04
    """Relative change of each band."""
    haze: float = 0.008
    """Reflectance added to each band."""
    gamma: float = 0.12
    """Change of the exponent, of 8-bit patches only."""
    surface: float = 0.3
    """Share of patches turned towards surface reflectance (L2A)."""
    mixup: float = 0.2
    """Share of batches blended with themselves."""
    cutmix: float = 0.2
    """Share of batches with rectangles of each other."""

    def without_mixing(self) -> "Augmentation":
        """The same without mixup and cutmix, for the last epochs."""
        return replace(self, mixup=0.0, cutmix=0.0)

    def stronger(self, factor: float) -> "Augmentation":
        """The same with every radiometric change so many times as large, and of all patches."""
        return replace(
            self,
            jitter=1.0,
            gain=self.gain * factor,
            band_gain=self.band_gain * factor,
            haze=self.haze * factor,
            gamma=self.gamma * factor,
        )


NONE = Augmentation(0, 0, 0, 0, 0, 0, 0, 0, 0, 0)


def augment(patches: Patches, plan: Augmentation, rng: np.random.Generator, bands: Sequence[str] = RGB) -> Floats:
    """Varied copies (n, y, x, band) float32 of patches: 8-bit ones stay in 1..255, reflectance at 0 and up."""
    moved = geometry(patches, plan, rng)
    return radiometry(moved, plan, rng) if patches.dtype == np.uint8 else spectra(moved, plan, rng, bands)


def varied(
    patches: Patches, rng: np.random.Generator, bands: Sequence[str] = RGB, plan: Augmentation | None = None
) -> Patches:
    """Varied copies of the same type as the patches: what a stored model takes."""
    found = augment(patches, plan or Augmentation().without_mixing(), rng, bands)
    return found.clip(1, 255).astype(np.uint8) if patches.dtype == np.uint8 else found


def side_by_side(
    patches: Patches, labels: npt.NDArray[np.int64], rng: np.random.Generator
) -> tuple[Patches, npt.NDArray[np.int64]]:
    """Mixed ground as a grid meets it and chosen chips do not: pairs of patches meet along a straight border.

    The larger part labels.
    """
    count, size = len(patches), patches.shape[1]
    other = rng.permutation(count)
    y, x = np.mgrid[0:size, 0:size] - (size - 1) / 2
    turn, away = rng.uniform(0, 2 * np.pi, (count, 1, 1)), rng.uniform(-size / 3, size / 3, (count, 1, 1))
    beyond = np.cos(turn) * x + np.sin(turn) * y > away
    mixed = np.where(beyond[..., None], patches[other], patches)
    return mixed, np.where(beyond.mean(axis=(1, 2)) > 0.5, labels[other], labels)


def geometry(patches: Patches, plan: Augmentation, rng: np.random.Generator) -> Patches:
    """Flips, quarter turns, shifts (reflected at the border) and small zooms."""
    if plan == NONE:
        return patches
    size, out = patches.shape[1], np.empty_like(patches)
    padded = np.pad(patches, ((0, 0), (plan.shift,) * 2, (plan.shift,) * 2, (0, 0)), mode="reflect")
    for position, patch in enumerate(padded):
        side = size if rng.random() >= plan.zoom else int(rng.integers(size * 7 // 8, size * 9 // 8 + 1))
        side = min(side, padded.shape[1])
        y, x = rng.integers(0, padded.shape[1] - side + 1, 2)
        piece = patch[y : y + side, x : x + side]
        if side != size:
            piece = _resized(piece, size)
        turns, flip = int(rng.integers(0, 4)), rng.random() < 0.5
        piece = np.rot90(piece, turns)
        out[position] = piece[:, ::-1] if flip else piece
    return out


def _resized(piece: Patches, size: int) -> Patches:
    if piece.dtype == np.uint8 and piece.shape[-1] == 3:
        return np.asarray(Image.fromarray(np.ascontiguousarray(piece)).resize((size, size), Image.Resampling.BICUBIC))
    planes = (Image.fromarray(np.ascontiguousarray(piece[..., band])) for band in range(piece.shape[-1]))
    return np.stack([np.asarray(plane.resize((size, size), Image.Resampling.BICUBIC)) for plane in planes], axis=-1)


def spectra(patches: Floats, plan: Augmentation, rng: np.random.Generator, bands: Sequence[str]) -> Floats:
    """Gain, haze and a turn towards surface reflectance of reflectances (n, y, x, band).

    Bands whose line between the levels nobody measured do not turn.
    """
    n, count = len(patches), patches.shape[-1]
    scale, offset = np.transpose([SURFACE_TO_TOP.get(band, (1.0, 0.0)) for band in bands])
    share = np.where(rng.random(n) < plan.surface, rng.uniform(0.2, 1.1, n), 0.0)[:, None]
    gain, haze = 1 + share * (1 / scale - 1), -share * offset / scale
    on = (rng.random(n) < plan.jitter)[:, None]
    change = 1 + on * (
        rng.uniform(-plan.gain, plan.gain, (n, 1)) + rng.uniform(-plan.band_gain, plan.band_gain, (n, count))
    )
    gain, haze = gain * change, haze * change + on * rng.uniform(-plan.haze, plan.haze, (n, count))
    moved = patches * gain[:, None, None].astype(np.float32) + haze[:, None, None].astype(np.float32)
    return np.asarray(np.clip(moved, 0, None), np.float32)


def radiometry(patches: npt.NDArray[np.uint8], plan: Augmentation, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Gain, haze, gamma and a turn towards surface reflectance, in the units of the codes."""
    n, bands = len(patches), patches.shape[-1]
    codes = patches.astype(np.float32)
    gain, offset, gamma = np.ones((n, bands)), np.zeros((n, bands)), np.ones((n, 1))
    if plan.surface and bands == 3:
        # A random part of the way, sometimes beyond it; the codes' floor of 1 is kept out of the line.
        share = np.where(rng.random(n) < plan.surface, rng.uniform(0.2, 1.1, n), 0.0)[:, None]
        gain = 1 + share * (1 / L2A_SCALE - 1)
        offset = -share * (L2A_OFFSET / L2A_SCALE) * CODES_PER_REFLECTANCE
    if plan.jitter:
        on = (rng.random(n) < plan.jitter)[:, None]
        change = 1 + on * (
            rng.uniform(-plan.gain, plan.gain, (n, 1)) + rng.uniform(-plan.band_gain, plan.band_gain, (n, bands))
        )
        gain, offset = (
            gain * change,
            offset * change + on * rng.uniform(-plan.haze, plan.haze, (n, bands)) * CODES_PER_REFLECTANCE,
        )
        gamma = 1 + on * rng.uniform(-plan.gamma, plan.gamma, (n, 1))
    codes -= 1
    codes *= gain[:, None, None].astype(np.float32)
    codes += offset[:, None, None].astype(np.float32)
    np.clip(codes, 0, 254, out=codes)
    bent = np.flatnonzero(np.abs(gamma[:, 0] - 1) > 0.02)
    if bent.size:
        # A table of 255 entries stands for the power; the codes are 8 bit anyway.
        levels = np.arange(255, dtype=np.float32) / 254
        for position in bent:
            codes[position] = (levels ** gamma[position, 0] * 254)[(codes[position] + 0.5).astype(np.uint8)]
    codes += 1
    return codes


def mix(patches: Floats, targets: Floats, plan: Augmentation, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Mixup (Zhang et al. 2018) or cutmix (Yun et al. 2019) of a batch with itself, by the plan's shares."""
    draw = rng.random()
    if draw >= plan.mixup + plan.cutmix:
        return patches, targets
    other = rng.permutation(len(patches))
    share = float(rng.beta(0.4, 0.4)) if draw < plan.mixup else float(rng.beta(1.0, 1.0))
    if draw < plan.mixup:
        return patches * np.float32(share) + patches[other] * np.float32(1 - share), targets * np.float32(
            share
        ) + targets[other] * np.float32(1 - share)
    size = patches.shape[1]
    side = round(size * (1 - share) ** 0.5)
    y, x = rng.integers(0, size - side + 1, 2)
    mixed = patches.copy()
    mixed[:, y : y + side, x : x + side] = patches[other, y : y + side, x : x + side]
    kept = np.float32(1 - side * side / (size * size))
    return mixed, targets * kept + targets[other] * (1 - kept)
