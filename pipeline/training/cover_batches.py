"""What a cover network learns from, as endless varied crops: scenes with truth, soft patches, pictures of one class."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from pipeline.datasets.masks import IGNORED, Truth
from pipeline.datasets.weak import ClassCovers
from pipeline.scenes.radiometry import Harmonisation
from pipeline.training.cover_infrared import Infrared

Floats = npt.NDArray[np.float32]
UNMEASURED = -1.0
# Haze adds most in the blue: relative to B02 for B02, B03, B04, B08.
HAZE = (1.0, 0.7, 0.5, 0.25)
LEAST_LIGHT = 5e-4


@dataclass(frozen=True, slots=True)
class SoftPatches:
    """Small pieces of ground with a probability of every cover for every pixel."""

    pixels: Floats
    """Reflectance (n, y, x, bands)."""
    targets: Floats
    """Probabilities (n, y, x, covers)."""
    labels: npt.NDArray[np.int64]
    """What each is drawn by, so that rare kinds are seen as often as others (n,)."""


@dataclass(frozen=True, slots=True)
class WeakPatches:
    """Pictures of which only the class is known."""

    pixels: Floats | npt.NDArray[np.float16]
    """Reflectance (n, y, x, bands), negative where a band was not measured."""
    labels: npt.NDArray[np.int64]
    """Picture classes (n,)."""
    covers: ClassCovers
    """What those say of the pixels."""
    infrared: Infrared | None = None
    """Draws the last band where it was not measured."""


@dataclass(frozen=True, slots=True)
class Variation:
    """How strongly light is varied, so that other months, hazes and both levels are familiar."""

    gain: float = 0.12
    """Spread of a common factor."""
    band_gain: float = 0.05
    """Spread of a factor for each band."""
    haze: float = 0.02
    """Spread of light added in the blue; less is added in other bands."""
    surface: float = 0.3
    """Part of the crops moved towards surface reflectance."""
    lacking: float = 0.15
    """Part of the crops that lose their last band."""
    lacking_weak: float = 0.4
    """Part of the pictures' crops that lose it, whose last band may be a guess."""
    infrared: float = 0.15
    """Spread of a factor for the last band, which tells more of a place's season than of its cover."""


@dataclass(frozen=True, slots=True)
class Mixture:
    """What a batch is made of."""

    size: int = 64
    """Pixels along a crop's side."""
    scenes: int = 6
    """Crops of scenes in a batch."""
    soft: int = 4
    """Crops of soft patches."""
    weak: int = 6
    """Crops of pictures of one class."""
    sharpen: float = 1.5
    """Exponent on the probabilities of scenes, whose labels hedge."""
    balance: float = 0.5
    """Exponent on how rare a cover is."""
    variation: Variation = field(default_factory=Variation)
    """How strongly light is varied."""


class Crop(NamedTuple):
    """One training example."""

    pixels: Floats
    """What the network sees (y, x, band)."""
    target: Floats
    """Probabilities of classes (y, x, class)."""
    fit: Floats
    """Weight of each target (y, x, class)."""
    weak: Floats
    """Weight of each pixel in the shares (y, x, 1)."""
    shares: Floats
    """What is expected of the whole (1, 1, class)."""


class CropMaker:
    """Draws varied crops; `draw(seed)` gives the same batch for the same seed."""

    def __init__(
        self,
        covers: Sequence[str],
        mixture: Mixture,
        scenes: Sequence[Truth] = (),
        soft: SoftPatches | None = None,
        weak: WeakPatches | None = None,
        surface: Harmonisation | None = None,
    ) -> None:
        """`surface` is the line from surface reflectance to the level that is learnt from."""
        self.covers, self.mixture, self.soft, self.weak, self.surface = tuple(covers), mixture, soft, weak, surface
        self.scenes = [truth for truth in scenes if min(truth.codes.shape) >= mixture.size]
        area = np.array([truth.known for truth in self.scenes], np.float64) ** 0.5
        self._odds = area / area.sum() if area.size else area
        self.weights = self._cover_weights()

    @property
    def mark(self) -> dict[str, int]:
        """What the crops are drawn from, in short: a run goes on with the same only."""
        parts = {"soft patches": self.soft, "weak patches": self.weak}
        scenes = {truth.scene: truth.known for truth in self.scenes}
        return scenes | {name: len(part.labels) for name, part in parts.items() if part is not None}

    def draw(self, seed: Sequence[int]) -> tuple[Floats, Floats, Floats]:
        """Pixels (n, y, x, bands), what is known (n, y, x, 2 covers + 1), and shares (n, 1, 1, covers).

        Known are the weighted target of each pixel, how well each cover fits it, and whether only that is known.
        """
        rng = np.random.default_rng(seed)
        plan = self.mixture
        crops = [self._of_scene(rng) for _ in range(plan.scenes if self.scenes else 0)]
        crops += [self._of_patches(rng, weak=False) for _ in range(plan.soft if self.soft is not None else 0)]
        crops += [self._of_patches(rng, weak=True) for _ in range(plan.weak if self.weak is not None else 0)]
        pixels, target, fit, weak, shares = (np.stack(parts) for parts in zip(*crops, strict=True))
        for crop, weakly in zip(pixels, weak, strict=True):
            if rng.random() < (plan.variation.lacking_weak if weakly.any() else plan.variation.lacking):
                crop[..., -1] = UNMEASURED
        return pixels, np.concatenate([target * self.weights, fit, weak], axis=-1), shares

    def _of_scene(self, rng: np.random.Generator) -> Crop:
        size, count = self.mixture.size, len(self.covers)
        for _ in range(4):
            truth = self.scenes[int(rng.choice(len(self.scenes), p=self._odds))]
            y, x = (int(rng.integers(0, side - size + 1)) for side in truth.codes.shape)
            here = slice(y, y + size), slice(x, x + size)
            codes = truth.codes[here]
            known = codes[codes != IGNORED]
            # What nearly everything is teaches little; most such crops are drawn again.
            common = known.size and np.bincount(known).max() / known.size
            if known.size and (common < 0.6 or rng.random() < 0.25):
                break
        target = soft_targets(codes, truth.sure[here], truth.second[here], count, self.mixture.sharpen)
        pixels, target = _turned(rng, truth.pixels[here], target)
        every = np.ones((size, size, count), np.float32)
        none = np.zeros((size, size, 1), np.float32)
        return Crop(self._lit(rng, pixels), target, every, none, np.zeros((1, 1, count), np.float32))

    def _of_patches(self, rng: np.random.Generator, *, weak: bool) -> Crop:
        """A patch, or two that meet along a crooked border."""
        pixels, target, fit, shares = self._patch(rng, weak=weak)
        if rng.random() < 0.5:
            pixels_2, target_2, fit_2, shares_2 = self._patch(rng, weak=weak)
            beyond = _crooked(rng, pixels.shape[0])
            pixels = np.where(beyond, pixels_2, pixels)
            target, fit = np.where(beyond, target_2, target), np.where(beyond, fit_2, fit)
            part = np.float32(beyond.mean())
            shares = shares * (1 - part) + shares_2 * part
        known = np.full((*pixels.shape[:2], 1), float(weak), np.float32)
        # Of soft patches the pixels are known, so that the shares say little more.
        return Crop(self._lit(rng, pixels), target, fit, known, (shares if weak else 0.2 * shares)[None, None])

    def _patch(self, rng: np.random.Generator, *, weak: bool) -> tuple[Floats, Floats, Floats, Floats]:
        source = self.weak if weak else self.soft
        if source is None:
            raise AssertionError("no patches to draw from")
        kind = rng.choice(np.unique(source.labels))
        at = int(rng.choice(np.flatnonzero(source.labels == kind)))
        pixels = np.array(source.pixels[at], np.float32)
        count, plane = len(self.covers), pixels.shape[:2]
        if isinstance(source, WeakPatches):
            if source.infrared is not None and pixels[0, 0, -1] < 0:
                pixels[..., -1] = source.infrared.drawn(pixels[..., :-1], int(kind), rng)
            fit = np.broadcast_to(source.covers.fit[kind], (*plane, count))
            pixels, fit = _turned(rng, pixels, fit)
            return pixels, np.zeros((*plane, count), np.float32), fit, source.covers.shares[kind]
        pixels, target = _turned(rng, pixels, source.targets[at].astype(np.float32))
        return pixels, target, np.ones((*plane, count), np.float32), target.mean(axis=(0, 1))

    def _lit(self, rng: np.random.Generator, pixels: Floats) -> Floats:
        """The pixels in another light; what was not measured stays so."""
        plan, bands = self.mixture.variation, pixels.shape[-1]
        blue = np.interp(np.arange(bands), np.arange(len(HAZE)), HAZE)
        light = pixels.astype(np.float64)
        if self.surface is not None and rng.random() < plan.surface:
            share = rng.uniform(0.6, 1.2)
            light = (light - share * np.array(self.surface.offset)) / np.array(self.surface.scale)
        light *= np.exp(rng.normal(0, plan.gain)) * np.exp(rng.normal(0, plan.band_gain, bands))
        light[..., -1] *= np.exp(rng.normal(0, plan.infrared))
        light += rng.normal(0, plan.haze) * blue + rng.normal(0, plan.haze * 0.2, bands)
        if rng.random() < 0.5:
            uneven = ndimage.zoom(rng.normal(0, 1, (3, 3)), pixels.shape[0] / 3, order=1)
            light += uneven[: pixels.shape[0], : pixels.shape[1], None] * plan.haze * 0.5 * blue
        light = np.maximum(light, LEAST_LIGHT)
        light[pixels < 0] = UNMEASURED
        return light.astype(np.float32)

    def _cover_weights(self) -> Floats:
        """A weight for each cover: more for those that are rare in what is drawn, within bounds."""
        plan, count = self.mixture, len(self.covers)
        mass = np.zeros(count)
        for truth, odds in zip(self.scenes, self._odds, strict=True):
            seen = np.bincount(truth.codes[truth.codes < count], minlength=count)
            mass += plan.scenes * odds * seen / max(seen.sum(), 1)
        if self.soft is not None:
            mass += plan.soft * self.soft.targets.mean(axis=(0, 1, 2), dtype=np.float64)
        if self.weak is not None:
            mass += plan.weak * self.weak.covers.shares.mean(axis=0)
        part = np.maximum(mass / mass.sum() * count, 1e-6)
        return np.asarray(np.clip(part**-plan.balance, 0.3, 4.0), np.float32)


def soft_targets(
    codes: npt.NDArray[np.uint8],
    sure: npt.NDArray[np.uint8],
    second: npt.NDArray[np.uint8],
    count: int,
    sharpen: float = 1.0,
) -> Floats:
    """Probabilities (y, x, count) of labels that say how sure they are; zero where nothing is known.

    Of what is left beside the first class the second gets two thirds, all classes share the rest.
    """
    known = codes < count
    certain = np.clip(sure.astype(np.float32) / 100.0, 0.1, 1.0)
    rest = np.where(known, 1.0 - certain, 0.0)
    target = np.repeat((rest * (0.35 / count))[..., None], count, axis=-1)
    rows, columns = np.indices(codes.shape)
    first = np.where(known, codes, 0)
    follower = np.where(second < count, second, first)
    np.add.at(target, (rows, columns, follower), rest * 0.65)
    np.add.at(target, (rows, columns, first), np.where(known, certain, 0.0))
    target **= sharpen
    total = target.sum(axis=-1, keepdims=True)
    return np.asarray(np.where(known[..., None], target / np.maximum(total, 1e-9), 0.0), np.float32)


def _turned(rng: np.random.Generator, *planes: Floats) -> tuple[Floats, ...]:
    """The same quarter turn and flip of several planes."""
    turns, flip = int(rng.integers(4)), rng.random() < 0.5
    turned = (np.rot90(plane, turns) for plane in planes)
    return tuple(plane[:, ::-1] if flip else plane for plane in turned)


def _crooked(rng: np.random.Generator, size: int) -> npt.NDArray[np.bool_]:
    """A random part (size, size, 1) with a smooth border."""
    knots = int(rng.integers(2, 6))
    surface = ndimage.zoom(rng.normal(0, 1, (knots, knots)), size / knots, order=1)
    return np.asarray((surface[:size, :size] > rng.normal(0, 0.3))[..., None])
