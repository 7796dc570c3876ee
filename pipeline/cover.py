"""The heart of the cover: a scene's pixels, strip by strip, through a network that answers for every pixel.

The network always looks through windows of one size that are anchored like the tile grid itself, each with a margin as
wide as what bears on a pixel. So the same pixels get the same answers however a scene is cut into strips, and strips
need only wait for the rows below them that the margin reaches.
"""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

# Codes of pixels that carry no class; classes count from 0.
NO_DATA, CLOUD, UNFAMILIAR = 255, 254, 253
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


class CoverStrip(NamedTuple):
    """The cover of whole lines: `top` counts pixel rows from the north edge of what the stream covers.

    `classes` (y, x) are the network's class codes, `confidence` (y, x) their probabilities in percent; both are 255
    where nothing was measured.
    """

    top: int
    classes: npt.NDArray[np.uint8]
    confidence: npt.NDArray[np.uint8]


class CoverStream:
    """Takes strips of reflectance from north to south and gives cover as soon as its surroundings are known."""

    def __init__(self, network: PixelNetwork, columns: range, rows: range, tile: int = 64) -> None:
        """`columns` and `rows` are the tile grid's columns and rows that the strips cover, `tile` pixels each."""
        self._network, self._tile = network, tile
        self._columns, self._rows = columns, rows
        self._held: list[tuple[int, npt.NDArray[np.uint16]]] = []
        self._seen = 0
        self._height, self._width = len(rows) * tile, len(columns) * tile
        self._bands = list(_spans(rows, WINDOW_TILES[0], tile, from_the_end=True))
        self._cells = list(_spans(columns, WINDOW_TILES[1], tile))

    def add(self, pixels: Pixels, valid: Mask) -> Iterator[CoverStrip]:
        """The next strip: reflectance (y, x, band) and which pixels (y, x) were measured in every band."""
        codes = np.clip(np.rint(pixels * _DN) + 1, 1, 65_535).astype(np.uint16)
        codes[pixels < 0] = 0
        codes[~valid] = 0
        self._held.append((self._seen, codes))
        self._seen += len(codes)
        yield from self._ready(self._seen)

    def finish(self) -> Iterator[CoverStrip]:
        """What waited for rows that do not come."""
        yield from self._ready(self._height + self._network.halo + WINDOW_TILES[0] * self._tile)

    def _ready(self, seen: int) -> Iterator[CoverStrip]:
        while self._bands and self._bands[0].stop + self._network.halo <= seen:
            band = self._bands.pop(0)
            yield self._strip(band)
            kept = band.stop - self._network.halo
            self._held = [(top, codes) for top, codes in self._held if top + len(codes) > kept]

    def _strip(self, band: slice) -> CoverStrip:
        """The cover of one row of windows, cut to the lines that the stream covers."""
        first, last = max(band.start, 0), min(band.stop, self._height)
        classes = np.full((last - first, self._width), NO_DATA, np.uint8)
        confidence = np.full_like(classes, NO_DATA)
        inside = slice(first - band.start, last - band.start)
        for cell in self._cells:
            window, measured = self._window(band, cell)
            if not measured.any():
                continue
            halo = self._network.halo
            probabilities = self._network.predict(window)[halo:-halo or None, halo:-halo or None]
            left, right = max(cell.start, 0), min(cell.stop, self._width)
            across = slice(left - cell.start, right - cell.start)
            answer, sure = best(probabilities[inside, across])
            here = measured[inside, across]
            classes[:, left:right][here] = answer[here]
            confidence[:, left:right][here] = sure[here]
        return CoverStrip(first, classes, confidence)

    def _window(self, band: slice, cell: slice) -> tuple[Pixels, Mask]:
        """The network's input for one window with its margin, and which pixels of the window itself were measured."""
        halo = self._network.halo
        top, left = band.start - halo, cell.start - halo
        shape = band.stop - band.start + 2 * halo, cell.stop - cell.start + 2 * halo
        depth = self._held[0][1].shape[-1]
        codes = np.zeros((*shape, depth), np.uint16)
        west, east = max(left, 0), min(left + shape[1], self._width)
        for start, held in self._held:
            north, south = max(top, start), min(top + shape[0], start + len(held))
            if north < south:
                codes[north - top : south - top, west - left : east - left] = held[
                    north - start : south - start, west:east
                ]
        pixels = codes.astype(np.float32)
        pixels -= 1.0
        pixels /= _DN
        pixels[codes == 0] = UNMEASURED
        return pixels, codes.any(axis=-1)[halo : shape[0] - halo, halo : shape[1] - halo]


def best(probabilities: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
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


def shares(classes: npt.NDArray[np.uint8], count: int, tile: int = 64) -> npt.NDArray[np.float32]:
    """Part of each tile's pixels with each class (n, count), of those that carry one; NaN where none does.

    `classes` (y, x) are whole tiles; the order is row by row from the north-west.
    """
    rows, columns = classes.shape[0] // tile, classes.shape[1] // tile
    grouped = classes.reshape(rows, tile, columns, tile)
    counted = np.stack([(grouped == code).sum(axis=(1, 3)).ravel() for code in range(count)], axis=1)
    total = counted.sum(axis=1, keepdims=True)
    found = np.full(counted.shape, np.nan, np.float32)
    np.divide(counted, total, out=found, where=total > 0)
    return found


def _spans(tiles: range, step: int, tile: int, *, from_the_end: bool = False) -> Iterator[slice]:
    """Windows along one axis as pixel slices, counted from the range's first pixel, or its last tile's edge in the north.

    They are anchored at multiples of `step` tiles of the grid, so the first may begin before 0 and the last end late.
    """
    first, last = tiles.start // step, -(-tiles.stop // step)
    for at in reversed(range(first, last)) if from_the_end else range(first, last):
        start = (tiles.stop - (at + 1) * step) * tile if from_the_end else (at * step - tiles.start) * tile
        yield slice(start, start + step * tile)
