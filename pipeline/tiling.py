"""From a scene to patches: strips of pixels on the tile grid, cut into tiles."""

from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from math import ceil, floor
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from pipeline.errors import IncompleteScene, UnfitScene
from pipeline.grid import Bounds, TileGrid, TileIndex
from pipeline.models.card import ModelCard
from pipeline.models.input import lacking
from pipeline.scenes.reading.header import check_gsd, native_gsd
from pipeline.scenes.reading.reader import SceneReader
from pipeline.scenes.scene import Scene

# Height of a strip in pixels, where tiles are not taller.
_STRIP_PIXELS = 256
# Strips read ahead per file: enough to bridge the decoding of a granule's 1024-pixel rows, few enough to bound memory:
# four of a granule's strips in three bands, fewer of larger ones.
_STRIPS_AHEAD = 4
_BYTES_AHEAD = 80 << 20
# A hundredth of a pixel at a strip's edge is rounding in the bounds.
_ROUNDING = 0.01


def grid_for(card: ModelCard, epsg: int) -> TileGrid:
    """The grid whose tiles are this model's patches, in a UTM zone: the one place that decides it."""
    return TileGrid(epsg, card.input.gsd, card.input.size)


def refuse_unfit(card: ModelCard, scene: Scene) -> None:
    """Refuses a scene that a model cannot be fed, before any of its pixels is read.

    Raises:
        UnfitScene: another sensor took it.
        IncompleteScene: it lacks a band.
        ResolutionError: its pixels are too coarse or too fine.
    """
    taken = card.input
    if scene.sensor != taken.sensor:
        raise UnfitScene(
            f"{scene.id}: was taken by {scene.sensor}, {card.name} was trained on {taken.sensor}; choose another "
            f"--model"
        )
    if missing := [band for band in taken.bands if band not in scene.assets]:
        raise IncompleteScene(lacking(scene, missing))
    for band in taken.bands:
        check_gsd(scene.assets[band].gsd, native_gsd(band, taken.gsd), f"{scene.id} ({band})", taken.gsd)


@dataclass(frozen=True, slots=True)
class Block:
    """A strip of whole tiles in memory.

    `y` runs down; both axes are whole tiles of the grid that the block was cut on.
    """

    origin: TileIndex
    """The north-west tile."""
    pixels: npt.NDArray[Any]
    """(band, y, x): the file's stored numbers, or what a network takes."""
    valid: npt.NDArray[np.bool_]
    """(y, x): true where every band was measured."""
    quality: npt.NDArray[np.uint8] | None = None
    """(y, x): the scene classification, or None without one."""


@dataclass(frozen=True, slots=True)
class Patches:
    """Tiles cut from a block."""

    index: npt.NDArray[np.int64]
    """(n, 2): columns and rows on the grid."""
    pixels: npt.NDArray[Any]
    """(n, size, size, bands)."""
    valid_fraction: npt.NDArray[np.float32]
    """(n,): share of measured pixels."""


class _Part(NamedTuple):
    """What one file gives to a block."""

    bands: tuple[str, ...]
    pixels: npt.NDArray[Any] | None
    valid: npt.NDArray[np.bool_] | None
    quality: npt.NDArray[np.uint8] | None


class _Lane(NamedTuple):
    """One file's reader on its own thread, so that files decode side by side and each is read once, in order."""

    thread: ThreadPoolExecutor
    reader: SceneReader
    bands: tuple[str, ...]
    quality: bool

    def read(self, bounds: Bounds) -> _Part:
        quality = self.reader.read_quality(bounds) if self.quality else None
        pixels, valid = self.reader.read(bounds, self.bands) if self.bands else (None, None)
        return _Part(self.bands, pixels, valid, quality)


def _lanes(scene: Scene, gsd: float, bands: Sequence[str], stack: ExitStack) -> list[_Lane]:
    """One lane per file, so that a file with several bands is decoded once."""
    files: dict[str, list[str]] = {}
    for band in bands:
        files.setdefault(scene.assets[band].href, []).append(band)
    if scene.quality is not None:
        files.setdefault(scene.quality.href, [])
    lanes = []
    for href, group in files.items():
        reader = stack.enter_context(SceneReader(scene, gsd))
        thread = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="decode"))
        lanes.append(_Lane(thread, reader, tuple(group), scene.quality is not None and scene.quality.href == href))
    return lanes


def blocks(
    scene: Scene, grid: TileGrid, bands: Sequence[str], tile_rows: int | None = None
) -> Generator[Block, None, None]:
    """Full-width strips of `tile_rows` tiles from north to south that cover the scene; without it, about 256 pixels.

    Files decode side by side, a bounded number of strips ahead of the consumer.

    Raises:
        PipelineError: a file is damaged or unsafe.
    """
    columns, rows = grid.covering(scene.bounds)
    tile_rows = tile_rows or max(_STRIP_PIXELS // grid.tile_size, 1)
    ahead = _strips_ahead(grid, len(columns), tile_rows, len(bands))
    with ExitStack() as stack:
        lanes = _lanes(scene, grid.gsd, bands, stack)
        waiting: deque[tuple[_Strip, list[Future[_Part]]]] = deque()
        stack.callback(lambda: [future.cancel() for _, futures in waiting for future in futures])
        for top in range(rows.stop - 1, rows.start - 1, -tile_rows):
            strip = _Strip.across(columns, range(max(top - tile_rows + 1, rows.start), top + 1), grid, scene.bounds)
            waiting.append((strip, [lane.thread.submit(lane.read, strip.bounds) for lane in lanes]))
            if len(waiting) > ahead:
                yield _assembled(*waiting.popleft(), bands)
        while waiting:
            yield _assembled(*waiting.popleft(), bands)


def _strips_ahead(grid: TileGrid, columns: int, tile_rows: int, bands: int) -> int:
    # Two bytes a number, as most scenes store; the files are not open yet.
    size = 2 * bands * grid.tile_size**2 * columns * tile_rows
    return min(max(_BYTES_AHEAD // max(size, 1), 1), _STRIPS_AHEAD)


class _Strip(NamedTuple):
    """A strip of whole tiles, `shape` pixels (y, x), and the part of it that the scene can fill."""

    origin: TileIndex
    shape: tuple[int, int]
    bounds: Bounds
    inside: tuple[slice, slice]

    @classmethod
    def across(cls, columns: range, rows: range, grid: TileGrid, scene: Bounds) -> Self:
        west, north = columns.start * grid.edge, rows.stop * grid.edge
        shape = len(rows) * grid.tile_size, len(columns) * grid.tile_size
        left, top = (max(floor(way / grid.gsd + _ROUNDING), 0) for way in (scene[0] - west, north - scene[3]))
        right, bottom = (
            min(ceil(way / grid.gsd - _ROUNDING), most)
            for way, most in ((scene[2] - west, shape[1]), (north - scene[1], shape[0]))
        )
        bounds = west + left * grid.gsd, north - bottom * grid.gsd, west + right * grid.gsd, north - top * grid.gsd
        return cls(TileIndex(columns.start, rows.stop - 1), shape, bounds, (slice(top, bottom), slice(left, right)))


def _assembled(strip: _Strip, futures: Sequence[Future[_Part]], bands: Sequence[str]) -> Block:
    parts = [future.result() for future in futures]
    pixels = np.zeros(
        (len(bands), *strip.shape), np.result_type(*(part.pixels for part in parts if part.pixels is not None))
    )
    valid, quality = np.zeros(strip.shape, np.bool_), None
    valid[strip.inside] = True
    for part in parts:
        if part.pixels is not None and part.valid is not None:
            for band, plane in zip(part.bands, part.pixels, strict=True):
                pixels[bands.index(band)][strip.inside] = plane
            valid[strip.inside] &= part.valid
        if part.quality is not None:
            quality = np.zeros(strip.shape, np.uint8)
            quality[strip.inside] = part.quality
    return Block(strip.origin, pixels, valid, quality)


def cut(plane: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    """An (y, x) plane as (n, size, size) tiles, row by row from the north-west; y and x are multiples of `size`."""
    rows, columns = plane.shape[0] // size, plane.shape[1] // size
    return plane.reshape(rows, size, columns, size).swapaxes(1, 2).reshape(-1, size, size)


def tile_fraction(mask: npt.NDArray[np.bool_], size: int) -> npt.NDArray[np.float32]:
    """Share of true pixels (n,) in every tile of an (y, x) mask."""
    rows, columns = mask.shape[0] // size, mask.shape[1] // size
    # Down the rows first: whole lines are added at once, several times faster than both axes in one call.
    down = mask.reshape(rows, size, columns * size).sum(axis=1, dtype=np.uint16)
    counted = down.reshape(rows, columns, size).sum(axis=2, dtype=np.int32)
    return np.asarray(counted.ravel() / (size * size), dtype=np.float32)


def tile_indices(origin: TileIndex, shape: tuple[int, int], size: int) -> npt.NDArray[np.int64]:
    """Grid indices (n, 2) of a block's tiles, in the order of `cut`."""
    rows, columns = shape[0] // size, shape[1] // size
    row, col = np.mgrid[0:rows, 0:columns]
    return np.stack([origin.col + col.ravel(), origin.row - row.ravel()], axis=1).astype(np.int64)


def fill_by_reflection(patch: npt.NDArray[Any], valid: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
    """A (y, x, band) patch whose invalid pixels mirror the data across the nearest valid pixel.

    Where the mirrored place is itself invalid or outside, the nearest valid pixel stands in: zeros never reach the
    network.
    """
    if valid.all():
        return patch.copy()
    from scipy import ndimage  # a third of a second that only the edges of the data need

    y, x = np.nonzero(~valid)
    # Between a pixel and the nearest valid one all are invalid: what lies beyond their box and its rim plays no part.
    top, left = (max(int(at.min()) - 1, 0) for at in (y, x))
    box = slice(top, int(y.max()) + 2), slice(left, int(x.max()) + 2)
    near = ndimage.distance_transform_edt(~valid[box], return_distances=False, return_indices=True)
    near_y, near_x = (near[axis, y - top, x - left] + start for axis, start in enumerate((top, left)))
    mirror_y, mirror_x = 2 * near_y - y, 2 * near_x - x
    usable = (mirror_y >= 0) & (mirror_y < valid.shape[0]) & (mirror_x >= 0) & (mirror_x < valid.shape[1])
    usable[usable] = valid[mirror_y[usable], mirror_x[usable]]
    filled = patch.copy()
    filled[y, x] = patch[np.where(usable, mirror_y, near_y), np.where(usable, mirror_x, near_x)]
    return filled


def patches(block: Block, size: int) -> Patches:
    """Every tile of a block, `size` pixels wide; invalid pixels of partly valid tiles are filled by reflection."""
    count, height, width = block.pixels.shape
    rows, columns = height // size, width // size
    grouped = np.empty((rows, columns, size, size, count), block.pixels.dtype)
    for band, plane in enumerate(block.pixels):
        grouped[..., band] = plane.reshape(rows, size, columns, size).swapaxes(1, 2)
    tiles = grouped.reshape(-1, size, size, count)
    valid_fraction = tile_fraction(block.valid, size)
    masks = block.valid.reshape(rows, size, columns, size)
    for at in np.flatnonzero((valid_fraction > 0) & (valid_fraction < 1)).tolist():
        row, column = divmod(at, columns)
        tiles[at] = fill_by_reflection(tiles[at], masks[row, :, column])
    return Patches(tile_indices(block.origin, block.valid.shape, size), tiles, valid_fraction)
