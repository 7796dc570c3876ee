"""From a scene to patches: strips of pixels on the tile grid, cut into tiles."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from pipeline.grid import Bounds, TileGrid, TileIndex
from pipeline.scenes.reader import SceneReader
from pipeline.scenes.scene import Scene

# Strips read ahead per file: enough that no decoder waits for the classifier, few enough to bound memory.
_STRIPS_AHEAD = 2


@dataclass(frozen=True, slots=True)
class Block:
    """A strip of whole tiles in memory.

    `origin` is the north-west tile; `pixels` (band, 64 * rows, 64 * columns) hold the file's DN, y runs down;
    `valid` (y, x) is true where every band was measured; `quality` (y, x) is the scene classification or None.
    """

    origin: TileIndex
    pixels: npt.NDArray[Any]
    valid: npt.NDArray[np.bool_]
    quality: npt.NDArray[np.uint8] | None = None


@dataclass(frozen=True, slots=True)
class Patches:
    """Tiles cut from a block: `index` (n, 2), `pixels` (n, 64, 64, bands), `valid_fraction` (n,) float32."""

    index: npt.NDArray[np.int64]
    pixels: npt.NDArray[Any]
    valid_fraction: npt.NDArray[np.float32]


class _Lane(NamedTuple):
    """One file's reader on its own thread, so that files decode side by side and each is read once, in order."""

    thread: ThreadPoolExecutor
    reader: SceneReader
    bands: tuple[str, ...]
    quality: bool

    def read(self, bounds: Bounds) -> tuple[npt.NDArray[Any], npt.NDArray[np.bool_], npt.NDArray[np.uint8] | None]:
        quality = self.reader.read_quality(bounds) if self.quality else None
        if not self.bands:
            return np.empty((0, 0, 0), np.uint8), np.empty((0, 0), np.bool_), quality
        return *self.reader.read(bounds, self.bands), quality


def _lanes(scene: Scene, bands: Sequence[str], stack: ExitStack) -> list[_Lane]:
    """One lane per file, so that a file with several bands is decoded once."""
    files: dict[str, list[str]] = {}
    for band in bands:
        files.setdefault(scene.assets[band].href, []).append(band)
    if scene.quality is not None:
        files.setdefault(scene.quality.href, [])
    lanes = []
    for href, group in files.items():
        reader = stack.enter_context(SceneReader(scene))
        thread = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="decode"))
        lanes.append(_Lane(thread, reader, tuple(group), scene.quality is not None and scene.quality.href == href))
    return lanes


def blocks(scene: Scene, grid: TileGrid, bands: Sequence[str], tile_rows: int = 16) -> Iterator[Block]:
    """Full-width strips of `tile_rows` tiles from north to south that cover the scene.

    Files decode side by side, a bounded number of strips ahead of the consumer.

    Raises:
        PipelineError: a file is damaged or unsafe.
    """
    columns, rows = grid.covering(scene.bounds)
    tops = range(rows.stop - 1, rows.start - 1, -tile_rows)
    strips = [(top, max(top - tile_rows + 1, rows.start)) for top in tops]
    with ExitStack() as stack:
        lanes = _lanes(scene, bands, stack)
        waiting: list[list[Future[Any]]] = []
        stack.callback(lambda: [future.cancel() for strip in waiting for future in strip])

        def submit(strip: tuple[int, int]) -> None:
            top, bottom = strip
            bounds = (columns.start * grid.edge, bottom * grid.edge, columns.stop * grid.edge, (top + 1) * grid.edge)
            waiting.append([lane.thread.submit(lane.read, bounds) for lane in lanes])

        for strip in strips[:_STRIPS_AHEAD]:
            submit(strip)
        for at, (top, _) in enumerate(strips):
            parts = [future.result() for future in waiting.pop(0)]
            if at + _STRIPS_AHEAD < len(strips):
                submit(strips[at + _STRIPS_AHEAD])
            yield _assemble(TileIndex(columns.start, top), lanes, parts, bands)


def _assemble(origin: TileIndex, lanes: Sequence[_Lane], parts: Sequence[Any], bands: Sequence[str]) -> Block:
    planes: dict[str, npt.NDArray[Any]] = {}
    valid: npt.NDArray[np.bool_] | None = None
    quality = None
    for lane, (pixels, lane_valid, lane_quality) in zip(lanes, parts, strict=True):
        planes |= dict(zip(lane.bands, pixels, strict=True))
        if lane.bands:
            valid = lane_valid if valid is None else valid & lane_valid
        if lane.quality:
            quality = lane_quality
    if valid is None:
        raise ValueError("a block needs at least one band")
    return Block(origin, np.stack([planes[band] for band in bands]), valid, quality)


def cut(plane: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    """An (y, x) plane as (n, size, size) tiles, row by row from the north-west; y and x are multiples of `size`."""
    rows, columns = plane.shape[0] // size, plane.shape[1] // size
    return plane.reshape(rows, size, columns, size).swapaxes(1, 2).reshape(-1, size, size)


def tile_fraction(mask: npt.NDArray[np.bool_], size: int) -> npt.NDArray[np.float32]:
    """Share of true pixels (n,) in every tile of an (y, x) mask."""
    rows, columns = mask.shape[0] // size, mask.shape[1] // size
    counted = mask.reshape(rows, size, columns, size).sum(axis=(1, 3), dtype=np.int32)
    return np.asarray(counted.ravel() / (size * size), dtype=np.float32)


def tile_indices(origin: TileIndex, shape: tuple[int, int], size: int) -> npt.NDArray[np.int64]:
    """Grid indices (n, 2) of a block's tiles, in the order of `cut`."""
    rows, columns = shape[0] // size, shape[1] // size
    row, col = np.mgrid[0:rows, 0:columns]
    return np.stack([origin.col + col.ravel(), origin.row - row.ravel()], axis=1).astype(np.int64)


def fill_by_reflection(patch: npt.NDArray[Any], valid: npt.NDArray[np.bool_]) -> npt.NDArray[Any]:
    """A (y, x, band) patch whose invalid pixels mirror the data across the nearest valid pixel.

    Where the mirrored place is itself invalid or outside, the nearest valid pixel stands in: zeros never reach the network.
    """
    y, x = ndimage.distance_transform_edt(~valid, return_distances=False, return_indices=True)
    here_y, here_x = np.indices(valid.shape)
    mirror_y, mirror_x = 2 * y - here_y, 2 * x - here_x
    inside = (mirror_y >= 0) & (mirror_y < valid.shape[0]) & (mirror_x >= 0) & (mirror_x < valid.shape[1])
    usable = inside.copy()
    usable[inside] = valid[mirror_y[inside], mirror_x[inside]]
    return np.asarray(patch[np.where(usable, mirror_y, y), np.where(usable, mirror_x, x)])


def patches(block: Block, size: int = 64) -> Patches:
    """Every tile of a block; invalid pixels of partly valid tiles are filled by reflection."""
    tiles = np.stack([cut(plane, size) for plane in block.pixels], axis=-1)
    valid_fraction = tile_fraction(block.valid, size)
    masks = cut(block.valid, size)
    for at in np.flatnonzero((valid_fraction > 0) & (valid_fraction < 1)):
        tiles[at] = fill_by_reflection(tiles[at], masks[at])
    return Patches(tile_indices(block.origin, block.valid.shape, size), tiles, valid_fraction)
