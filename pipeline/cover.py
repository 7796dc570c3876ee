"""The heart of the cover: a scene's pixels, strip by strip, through a network that answers for every pixel.

The network always looks through windows of one size that are anchored like the tile grid itself, each with a margin as
wide as what bears on a pixel. So the same pixels get the same answers however a scene is cut into strips, and strips
need only wait for the rows below them that the margin reaches.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from pipeline.legend import CoverState
from pipeline.tiling import fill_by_reflection, tile_fraction

Pixels = npt.NDArray[np.float32]
Codes = npt.NDArray[np.uint8]
Light = npt.NDArray[np.uint16]

# What a band that was not measured holds in a network's input.
UNMEASURED = -1.0
# Tiles of 64 pixels along a window, north to south and west to east: larger ones waste less on margins and hold more
# memory; these need 50 MB for each 16 layers at full resolution.
WINDOW_TILES = (8, 16)
_DN = 10_000.0


class PixelNetwork(Protocol):
    """What answers per pixel; `halo` pixels around a pixel bear on its answer."""

    @property
    def halo(self) -> int:
        """Margin in pixels, a multiple of what the network halves its pixels by."""
        ...

    def predict(self, pixels: Pixels) -> npt.NDArray[np.float32]:
        """Calibrated probabilities (y, x, classes) of pixels (y, x, bands)."""
        ...


@runtime_checkable
class NamingNetwork(PixelNetwork, Protocol):
    """One that chooses the class itself: no probabilities are handed over."""

    def best(self, pixels: Pixels) -> tuple[Codes, Codes]:
        """What the function `best` says of its probabilities."""
        ...


class CoverStrip(NamedTuple):
    """The cover of whole lines."""

    top: int
    """Pixel rows from the north edge of what the stream covers."""
    classes: Codes
    """The network's class codes or states (y, x)."""
    confidence: Codes
    """Their probabilities in percent (y, x), 255 where there is no class."""


@dataclass(frozen=True, slots=True)
class _Lines:
    """Some lines of what was fed in."""

    top: int
    """Pixel rows from the north edge."""
    light: Light
    """What `light_codes` says (y, x, bands)."""
    states: Codes
    """(y, x)."""
    measured: npt.NDArray[np.bool_]
    """Whether any band was (y, x)."""

    @property
    def end(self) -> int:
        """The first row below."""
        return self.top + len(self.states)


class CoverStream:
    """Takes strips of reflectance from north to south and gives cover as soon as its surroundings are known."""

    def __init__(self, network: PixelNetwork, columns: range, rows: range, tile: int = 64) -> None:
        """`columns` and `rows` are the tile grid's columns and rows that the strips cover, `tile` pixels each."""
        self._network, self._tile = network, tile
        self._columns, self._rows = columns, rows
        self._held: list[_Lines] = []
        self._seen = 0
        self._height, self._width = len(rows) * tile, len(columns) * tile
        self._bands = list(_spans(rows, WINDOW_TILES[0], tile, from_the_end=True))
        self._cells = list(_spans(columns, WINDOW_TILES[1], tile))

    def add(self, light: Light, states: Codes) -> Iterator[CoverStrip]:
        """The next strip: reflectance (bands, y, x) in the codes of `light_codes`, and the states of pixels (y, x).

        A state is 0 where the network's answer counts; NO_DATA was not measured, other states are measured pixels that
        must not carry a class.
        """
        here = states != CoverState.NO_DATA
        measured, kept = np.zeros(states.shape, np.bool_), np.empty((*states.shape, len(light)), np.uint16)
        for band, plane in enumerate(light):
            np.multiply(plane, here, out=kept[..., band])
            measured |= plane > 0
        measured &= here
        self._held.append(_Lines(self._seen, kept, states, measured))
        self._seen += len(states)
        yield from self._ready(self._seen)

    def finish(self) -> Iterator[CoverStrip]:
        """What waited for rows that do not come."""
        yield from self._ready(self._height + self._network.halo + WINDOW_TILES[0] * self._tile)

    def _ready(self, seen: int) -> Iterator[CoverStrip]:
        while self._bands and self._bands[0].stop + self._network.halo <= seen:
            band = self._bands.pop(0)
            yield self._strip(band)
            kept = band.stop - self._network.halo
            self._held = [lines for lines in self._held if lines.end > kept]

    def _strip(self, band: slice) -> CoverStrip:
        """The cover of one row of windows, cut to the lines that the stream covers."""
        first, last = max(band.start, 0), min(band.stop, self._height)
        classes = self._states(first, last)
        confidence = np.full_like(classes, CoverState.NO_DATA)
        halo = self._network.halo
        inside = slice(halo + first - band.start, halo + last - band.start)
        for cell in self._cells:
            left, right = max(cell.start, 0), min(cell.stop, self._width)
            here = classes[:, left:right] == 0
            if not here.any():
                continue
            pixels = self._window(band, cell)
            answer, sure = named(self._network, pixels)
            across = slice(halo + left - cell.start, halo + right - cell.start)
            np.copyto(classes[:, left:right], answer[inside, across], where=here)
            np.copyto(confidence[:, left:right], sure[inside, across], where=here)
        return CoverStrip(first, classes, confidence)

    def _states(self, first: int, last: int) -> Codes:
        """The states of some lines; what was never added was not measured."""
        states = np.full((last - first, self._width), CoverState.NO_DATA, np.uint8)
        for lines in self._held:
            north, south = max(first, lines.top), min(last, lines.end)
            if north < south:
                states[north - first : south - first] = lines.states[north - lines.top : south - lines.top]
        return states

    def _window(self, band: slice, cell: slice) -> Pixels:
        """The network's input for one window with its margin."""
        halo = self._network.halo
        top, left = band.start - halo, cell.start - halo
        shape = band.stop - band.start + 2 * halo, cell.stop - cell.start + 2 * halo
        light = np.zeros((*shape, self._held[0].light.shape[-1]), np.uint16)
        measured = np.zeros(shape, np.bool_)
        west, east = max(left, 0), min(left + shape[1], self._width)
        for lines in self._held:
            north, south = max(top, lines.top), min(top + shape[0], lines.end)
            if north < south:
                rows, target = slice(north - lines.top, south - lines.top), slice(north - top, south - top)
                light[target, west - left : east - left] = lines.light[rows, west:east]
                measured[target, west - left : east - left] = lines.measured[rows, west:east]
        # A table is several times faster than the arithmetic, for it is one pass.
        pixels: Pixels = np.take(_REFLECTANCE, light)
        # What lies beside the data is no dark water: the network sees the data mirrored, as a patch at the edge does.
        return pixels if measured.all() or not measured.any() else fill_by_reflection(pixels, measured)


def light_codes(pixels: Pixels) -> Light:
    """Reflectance as the stream holds it, in a quarter of the memory: 0 where not measured, else 1 + 10,000 times it.

    Negative reflectance was not measured.
    """
    scaled = pixels * np.float32(_DN)
    np.rint(scaled, out=scaled)
    scaled += 1.0
    np.clip(scaled, 1.0, 65_535.0, out=scaled)
    codes = scaled.astype(np.uint16)
    return np.multiply(codes, pixels >= 0, out=codes)


def _reflectances() -> Pixels:
    """The reflectance of every light code."""
    pixels = (np.arange(65_536).astype(np.float32) - np.float32(1.0)) / np.float32(_DN)
    pixels[0] = UNMEASURED
    return pixels


_REFLECTANCE = _reflectances()


def named(network: PixelNetwork, pixels: Pixels) -> tuple[Codes, Codes]:
    """What `best` says of a network's answer about pixels (y, x, bands), by the network itself where it can."""
    return network.best(pixels) if isinstance(network, NamingNetwork) else best(network.predict(pixels))


def best(probabilities: npt.NDArray[np.float32]) -> tuple[Codes, Codes]:
    """The likeliest class (y, x) of probabilities (y, x, classes), and how likely it is in percent."""
    classes = np.zeros(probabilities.shape[:-1], np.uint8)
    most = probabilities[..., 0].copy()
    # A plane at a time: numpy's argmax along a short last axis is several times slower.
    for code in range(1, probabilities.shape[-1]):
        plane = probabilities[..., code]
        better = plane > most
        classes[better] = code
        np.maximum(most, plane, out=most)
    return classes, np.rint(most * 100.0).astype(np.uint8)


def shares(classes: Codes, count: int, tile: int = 64) -> npt.NDArray[np.float32]:
    """Part of each tile's pixels with each class (n, count), of those that carry one; NaN where none does.

    `classes` (y, x) are whole tiles; the order is row by row from the north-west.
    """
    counted = np.stack([tile_fraction(classes == code, tile) for code in range(count)], axis=1)
    total = counted.sum(axis=1, keepdims=True)
    found = np.full(counted.shape, np.nan, np.float32)
    np.divide(counted, total, out=found, where=total > 0)
    return found


def _spans(tiles: range, step: int, tile: int, *, from_the_end: bool = False) -> Iterator[slice]:
    """Windows along one axis as pixel slices, counted from the range's first pixel: the west, or the north, its end.

    They are anchored at multiples of `step` tiles of the grid, so the first may begin before 0 and the last end late.
    """
    first, last = tiles.start // step, -(-tiles.stop // step)
    for at in reversed(range(first, last)) if from_the_end else range(first, last):
        start = (tiles.stop - (at + 1) * step) * tile if from_the_end else (at * step - tiles.start) * tile
        yield slice(start, start + step * tile)
