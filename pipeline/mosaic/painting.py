"""The scenes' pixels brought to the map, a strip at a time; nothing larger than a strip is ever held."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import rasterio
from affine import Affine
from pyproj import CRS, Transformer
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.warp import reproject
from rasterio.windows import Window

from pipeline.errors import TileTableError
from pipeline.grid import Bounds, TileGrid, TileIndex
from pipeline.mosaic.ground import Ground
from pipeline.results.table import tiles_by_grid

Pixels = npt.NDArray[np.uint8]
# Pixels (band, y, x) of whole columns and rows of tiles, north up.
Reader = Callable[[range, range], Pixels]

STRIP = 512
# A picture's compression leaves so much brightness in pixels that were never measured.
_DARK = 6


@dataclass(frozen=True, slots=True)
class Layer:
    """Tiles of one grid that one source speaks for."""

    grid: TileGrid
    """Their grid."""
    index: npt.NDArray[np.int64]
    """Columns and rows of the tiles (n, 2)."""
    finer: int
    """Pixels of the source along a tile's side."""
    read: Reader
    """Pixels (band, y, x) of whole columns and rows of tiles, north up."""
    nothing: int
    """The value that stands for no data."""

    @property
    def bounds(self) -> Bounds:
        """The rectangle around the tiles, in metres of their zone."""
        (left, low), (right, high) = self.index.min(axis=0), self.index.max(axis=0)
        edge = self.grid.edge
        return left * edge, low * edge, (right + 1) * edge, (high + 1) * edge

    def within(self, bounds: Bounds) -> tuple[Pixels, Affine] | None:
        """The tiles' pixels (band, y, x) in a rectangle of their zone, and where they lie; None where it has none."""
        cols, rows = self.grid.covering(bounds)
        low, high = self.index.min(axis=0), self.index.max(axis=0)
        cols = range(max(cols.start, int(low[0])), min(cols.stop, int(high[0]) + 1))
        rows = range(max(rows.start, int(low[1])), min(rows.stop, int(high[1]) + 1))
        owned = np.zeros((len(rows), len(cols)), np.bool_)
        if not owned.size:
            return None
        x, y = self.index[:, 0] - cols.start, rows.stop - 1 - self.index[:, 1]
        here = (x >= 0) & (x < len(cols)) & (y >= 0) & (y < len(rows))
        owned[y[here], x[here]] = True
        if not owned.any():
            return None
        pixels = self.read(cols, rows)
        pixels[:, ~owned.repeat(self.finer, axis=0).repeat(self.finer, axis=1)] = self.nothing
        size = self.grid.edge / self.finer
        return pixels, Affine(size, 0, cols.start * self.grid.edge, 0, -size, rows.stop * self.grid.edge)


def strips(ground: Ground) -> Iterator[range]:
    """The map's rows from north to south, a block's height at a time."""
    for top in range(0, ground.height, STRIP):
        yield range(top, min(top + STRIP, ground.height))


def painted(ground: Ground, rows: range, layers: Sequence[Layer], how: Resampling) -> Pixels:
    """Pixels (band, y, x) of some rows of the map: later layers lie above earlier ones."""
    found: Pixels | None = None
    for layer in layers:
        near = _near(ground.bounds(rows), ground.crs, layer)
        told = None if near is None else layer.within(near)
        if told is None:
            continue
        pixels, transform = told
        if found is None:
            found = np.full((len(pixels), len(rows), ground.width), layer.nothing, np.uint8)
        laid = _laid(pixels, transform, layer, ground, rows, how)
        seen = (laid != layer.nothing).any(axis=0)
        np.copyto(found, laid, where=seen[None])
    if found is None:
        count = 1 if not layers else _bands(layers[0])
        return np.full((count, len(rows), ground.width), layers[0].nothing if layers else 0, np.uint8)
    return found


def _bands(layer: Layer) -> int:
    col, row = (int(value) for value in layer.index[0])
    return len(layer.read(range(col, col + 1), range(row, row + 1)))


def _near(bounds: Bounds, crs: CRS, layer: Layer) -> Bounds | None:
    """The part of a layer's zone that a rectangle of the map may show."""
    if crs.to_epsg() == layer.grid.epsg:
        near = bounds
    else:
        near = Transformer.from_crs(crs, layer.grid.epsg, always_xy=True).transform_bounds(*bounds, densify_pts=24)
        if not np.isfinite(near).all():
            near = layer.bounds
    margin = layer.grid.edge
    own = layer.bounds
    left, bottom = max(near[0] - margin, own[0]), max(near[1] - margin, own[1])
    right, top = min(near[2] + margin, own[2]), min(near[3] + margin, own[3])
    return (left, bottom, right, top) if left < right and bottom < top else None


def _laid(pixels: Pixels, transform: Affine, layer: Layer, ground: Ground, rows: range, how: Resampling) -> Pixels:
    """A layer's pixels on the map's."""
    out = np.full((len(pixels), len(rows), ground.width), layer.nothing, np.uint8)
    place = ~ground.part(rows) * transform
    if ground.crs.to_epsg() == layer.grid.epsg and abs(place.a - 1) < 1e-9 and abs(place.e - 1) < 1e-9:
        left, top = round(place.c), round(place.f)
        height, width = pixels.shape[1:]
        y, x = slice(max(top, 0), min(top + height, len(rows))), slice(max(left, 0), min(left + width, ground.width))
        if y.start < y.stop and x.start < x.stop:
            out[:, y, x] = pixels[:, y.start - top : y.stop - top, x.start - left : x.stop - left]
        return out
    reproject(
        pixels,
        out,
        src_transform=transform,
        src_crs=layer.grid.epsg,
        dst_transform=ground.part(rows),
        dst_crs=ground.crs.to_wkt(),
        src_nodata=layer.nothing,
        dst_nodata=layer.nothing,
        resampling=how,
        num_threads=2,
    )
    return out


def table_layers(looks: pd.DataFrame, values: npt.NDArray[np.uint8], nothing: int) -> list[Layer]:
    """Layers of values (tiles,) that belong to whole tiles."""
    return [_plane(grid, index, values[at], nothing) for at, grid, index in _parts(looks)]


def _plane(grid: TileGrid, index: npt.NDArray[np.int64], values: npt.NDArray[np.uint8], nothing: int) -> Layer:
    (left, low), (right, high) = index.min(axis=0), index.max(axis=0)
    plane = np.full((int(high - low) + 1, int(right - left) + 1), nothing, np.uint8)
    plane[high - index[:, 1], index[:, 0] - left] = values

    def read(cols: range, rows: range) -> Pixels:
        y, x = slice(int(high) + 1 - rows.stop, int(high) + 1 - rows.start), slice(cols.start - left, cols.stop - left)
        return plane[None, y, x].copy()

    return Layer(grid, index, 1, read, nothing)


def raster_layers(looks: pd.DataFrame, folder: Path, name: str, bands: Sequence[int], nothing: int) -> list[Layer]:
    """Layers of some bands of every scene's raster of this name."""
    return [
        Layer(grid, index, grid.tile_size, _reader(folder / scene / name, grid, tuple(bands)), nothing)
        for scene, _, grid, index in _by_scene(looks)
    ]


def picture_layers(looks: pd.DataFrame, folder: Path, name: str) -> list[Layer]:
    """Layers of every scene's picture of this name: red, green and blue, 0 where nothing was measured."""
    whole = looks["whole"].to_numpy()
    found = []
    for scene, at, grid, index in _by_scene(looks):
        read = _reader(folder / scene / name, grid, (1, 2, 3))
        for tiles, mend in ((whole[at], _lit), (~whole[at], _lit_where_measured)):
            if tiles.any():
                found.append(Layer(grid, index[tiles], grid.tile_size, _mended(read, mend), 0))
    return found


def _mended(read: Reader, mend: Callable[[Pixels], Pixels]) -> Reader:
    return lambda cols, rows: mend(read(cols, rows))


def _lit(pixels: Pixels) -> Pixels:
    """Pixels that were measured, however dark: 0 is kept for those that were not."""
    return np.maximum(pixels, 1)


def _lit_where_measured(pixels: Pixels) -> Pixels:
    """The same at the edge of the data, where what is all but black was not measured."""
    lit = _lit(pixels)
    lit[:, pixels.max(axis=0) <= _DARK] = 0
    return lit


def _by_scene(
    looks: pd.DataFrame,
) -> Iterator[tuple[str, npt.NDArray[np.intp], TileGrid, npt.NDArray[np.int64]]]:
    """Scenes with positions, grid and places of their tiles; those that only fill gaps come first."""
    scenes = looks["scene"].astype(str).to_numpy()
    for at, grid, index in _parts(looks):
        for scene in sorted(set(scenes[at])):
            here = scenes[at] == scene
            yield scene, at[here], grid, index[here]


def _parts(looks: pd.DataFrame) -> Iterator[tuple[npt.NDArray[np.intp], TileGrid, npt.NDArray[np.int64]]]:
    """Positions of tiles by layer and grid, those that only fill gaps first."""
    under = looks["under"].to_numpy()
    for wanted in (True, False):
        here = np.flatnonzero(under == wanted)
        for grid, at, index in tiles_by_grid(looks["tile_id"].to_numpy()[here]):
            yield here[at], grid, index


def _reader(path: Path, grid: TileGrid, bands: tuple[int, ...]) -> Reader:
    """Reads whole tiles of a raster on the tile grid."""

    def read(cols: range, rows: range) -> Pixels:
        size = grid.tile_size
        try:
            with rasterio.open(path, driver="GTiff") as raster:
                corner = grid.transform(TileIndex(cols.start, rows.stop - 1)).column_vectors[2]
                left, top = (round(value) for value in ~raster.transform * corner)
                window = Window(left, top, len(cols) * size, len(rows) * size)
                fits = raster.crs.to_epsg() == grid.epsg and raster.res == (grid.gsd, grid.gsd)
                if not fits or min(left, top) < 0:
                    raise TileTableError(
                        f"{path}: is not on the grid of its tiles; run the pipeline on its scene again"
                    )
                pixels: Pixels = raster.read(list(bands), window=window)
        except RasterioError as error:
            raise TileTableError(f"{path}: cannot be read ({error}); run the pipeline on its scene again") from error
        if pixels.shape[1:] != (window.height, window.width):
            raise TileTableError(f"{path}: is smaller than its tiles; run the pipeline on its scene again")
        return pixels

    return read


def tile_extents(layers: Sequence[Layer]) -> list[tuple[int, Bounds]]:
    """The rectangle of every layer: zone and bounds in metres."""
    return [(layer.grid.epsg, layer.bounds) for layer in layers]
