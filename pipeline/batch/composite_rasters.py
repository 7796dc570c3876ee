"""The rasters of a composite: its cover, window by window over its looks, and the pictures of its clearest looks."""

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import rasterio
from rasterio.windows import Window

from pipeline.batch.composite_looks import Gathered, Look
from pipeline.batch.products.landcover import names_file
from pipeline.batch.products.pixel_cover import in_steps, whole_raster
from pipeline.batch.products.protocol import SceneFile
from pipeline.batch.products.truecolour import Pictures
from pipeline.composite.pixel_pool import PixelPool, PooledPixels
from pipeline.composite.tile_pool import Bools, Ground
from pipeline.cover import shares
from pipeline.legend import COVER_STATE_LABELS, CoverState
from pipeline.results.class_raster import read_class_names, write_cog
from pipeline.results.layout import CHIPS, COVER, COVER_LOOKS, ITEM, TRUE_COLOUR

Codes = npt.NDArray[np.uint8]

# Pixels down and across of what is in memory at once: blocks of the rasters, as high as they are.
_WINDOW = (512, 2048)
_UNFINISHED = (".cover-whole.tif", ".cover-looks-whole.tif")
# In JPEG, what was not measured is nearly black, which no land is.
_BLACK = 12


def covered(looks: Sequence[Look]) -> tuple[list[Look], Mapping[str, Any]]:
    """The looks whose cover has the classes of the first that has one, and how their Items describe it."""
    found: list[Look] = []
    described: dict[str, Any] = {}
    for look in looks:
        asset = json.loads((look.folder / ITEM).read_text(encoding="utf-8"))["assets"].get(Path(COVER).stem)
        if asset is None or not (look.folder / COVER).is_file():
            continue
        if not described:
            described = asset
        if asset.get("classification:classes") == described.get("classification:classes"):
            found.append(look)
    return found, described


class CompositeCover:
    """Fills `cover.tif` and `cover-looks.tif` of a composite from the covers of its looks."""

    def __init__(self, gathered: Gathered, spoken: Mapping[str, Bools], folder: Path) -> None:
        self.looks, self._asset = covered(gathered.looks)
        self._ground, self._spoken, self._folder = gathered.ground, spoken, folder
        states = {int(state) for state in COVER_STATE_LABELS}
        names = {int(one["value"]): str(one["name"]) for one in self._asset.get("classification:classes", ())}
        self.labels = tuple(names[code] for code in sorted(names.keys() - states))

    def write(self) -> tuple[pd.DataFrame, tuple[SceneFile, ...]]:
        """Writes both rasters; returns each tile's shares by tile_id, and what the Item lists.

        Raises:
            RasterioError: a look's cover is damaged.
        """
        import pystac

        grid, size = self._ground.grid, self._ground.grid.tile_size
        down, across = self._ground.shape
        parts = np.full((down, across, len(self.labels)), np.nan, np.float32)
        whole = [self._folder / name for name in _UNFINISHED]
        cover, looks = (whole_raster(path, grid, self._ground.columns, self._ground.rows) for path in whole)
        with cover, looks, rasterio.open(self.looks[0].folder / COVER) as first:
            cover.write_colormap(1, first.colormap(1))
            cover.descriptions = first.descriptions
            cover.update_tags(1, **first.tags(1))
            looks.descriptions = ("clear looks", "disagreement in percent")
            for window in self._windows():
                found = self._pooled(window)
                cover.write(np.stack([found.classes, in_steps(found.confidence)]), window=window)
                looks.write(np.stack([found.looks, found.disagreement]), window=window)
                rows, columns = (
                    slice(at // size, (at + length) // size)
                    for at, length in ((window.row_off, window.height), (window.col_off, window.width))
                )
                told = shares(found.classes, len(self.labels), size)
                parts[rows, columns] = told.reshape(rows.stop - rows.start, columns.stop - columns.start, -1)
        for path, name in zip(whole, (COVER, COVER_LOOKS), strict=True):
            write_cog(path, self._folder / name)
            path.unlink()
        columns_of = pd.DataFrame(parts.reshape(-1, len(self.labels)), columns=[f"cover_{one}" for one in self.labels])
        columns_of["purity"] = columns_of.max(axis=1)
        kept = {"href", "type", "title", "roles", "file:checksum"}
        fields = {name: value for name, value in self._asset.items() if name not in kept}
        extensions = tuple(
            address
            for address in json.loads((self.looks[0].folder / ITEM).read_text(encoding="utf-8"))["stac_extensions"]
            if "/classification/" in address or "/raster/" in address
        )
        return columns_of.set_axis(grid.tile_ids(self._ground.index().tolist()), axis=0), (
            SceneFile(COVER, pystac.MediaType.COG, ("data",), fields, extensions),
            names_file(self._folder, COVER, read_class_names(self.looks[0].folder / COVER)),
            SceneFile(COVER_LOOKS, pystac.MediaType.COG, ("data",)),
        )

    def _windows(self) -> Iterator[Window]:
        """Windows of whole tiles over the ground."""
        size = self._ground.grid.tile_size
        height, width = (length * size for length in self._ground.shape)
        steps = [max(1, length // size) * size for length in _WINDOW]
        for top in range(0, height, steps[0]):
            for left in range(0, width, steps[1]):
                yield Window(left, top, min(steps[1], width - left), min(steps[0], height - top))

    def _pooled(self, window: Window) -> PooledPixels:
        pool = PixelPool((window.height, window.width), len(self.labels))
        for look in self.looks:
            planes = self._read(look, window)
            if planes is not None:
                pool.add(*planes)
        return pool.answer()

    def _read(self, look: Look, window: Window) -> tuple[Codes, Codes] | None:
        """A look's classes and confidence in a window, no data where it does not reach or speak."""
        ground, size = self._ground, self._ground.grid.tile_size
        left = (look.ground.columns.start - ground.columns.start) * size
        top = (ground.rows.stop - look.ground.rows.stop) * size
        height, width = (length * size for length in look.ground.shape)
        across = max(window.col_off, left), min(window.col_off + window.width, left + width)
        down = max(window.row_off, top), min(window.row_off + window.height, top + height)
        if across[0] >= across[1] or down[0] >= down[1]:
            return None
        planes = np.full((2, window.height, window.width), CoverState.NO_DATA, np.uint8)
        here = (
            slice(down[0] - window.row_off, down[1] - window.row_off),
            slice(across[0] - window.col_off, across[1] - window.col_off),
        )
        with rasterio.open(look.folder / COVER) as raster:
            source = Window(across[0] - left, down[0] - top, across[1] - across[0], down[1] - down[0])
            planes[:, here[0], here[1]] = raster.read((1, 2), window=source)
        if look.id in self._spoken:
            tiles = self._spoken[look.id].reshape(ground.shape)[
                window.row_off // size : (window.row_off + window.height) // size,
                window.col_off // size : (window.col_off + window.width) // size,
            ]
            planes[:, ~tiles.repeat(size, axis=0).repeat(size, axis=1)] = CoverState.NO_DATA
        return planes[0], planes[1]


def clearest_pictures(gathered: Gathered, table: gpd.GeoDataFrame, folder: Path, sensor: str) -> tuple[SceneFile, ...]:
    """Both pictures, every tile as its clearest look shows it, and its chip where that look has one."""
    ground, size = gathered.ground, gathered.ground.grid.tile_size
    folders = {look.id: look for look in gathered.looks}
    pictures = Pictures(folder, ground.grid, ground.columns, ground.rows)
    try:
        by_row = dict(list(table.groupby("row")))
        for row in reversed(ground.rows):
            rgb = np.zeros((3, size, ground.shape[1] * size), np.uint8)
            valid = np.zeros(rgb.shape[1:], np.bool_)
            for name, tiles in by_row.get(row, table.iloc[:0]).groupby("clearest", observed=True):
                _paste(folders[str(name)], row, tiles, ground, rgb, valid)
            rgb[:, ~valid] = 0
            pictures.add(row, rgb, valid)
        found = pictures.finish(sensor)
    finally:
        pictures.close()
    for name, tiles in table.groupby("clearest", observed=True):
        _copy_chips(folders[str(name)].folder / CHIPS, tiles["tile_id"], folder / CHIPS)
    return found


def _paste(
    look: Look, row: int, tiles: gpd.GeoDataFrame, ground: Ground, rgb: npt.NDArray[np.uint8], valid: Bools
) -> None:
    """Puts one look's picture of some tiles of a row into the row's picture."""
    size = ground.grid.tile_size
    with rasterio.open(look.folder / TRUE_COLOUR) as raster:
        top = (look.ground.rows.stop - 1 - row) * size
        line = raster.read(window=Window(0, top, look.ground.shape[1] * size, size))
    for col, share in zip(tiles["col"], tiles["valid_fraction"], strict=True):
        source = (int(col) - look.ground.columns.start) * size
        target = slice((int(col) - ground.columns.start) * size, (int(col) - ground.columns.start + 1) * size)
        chip = line[:, :, source : source + size]
        rgb[:, :, target] = chip
        valid[:, target] = True if share == 1.0 else chip.max(axis=0) > _BLACK


def _copy_chips(source: Path, tile_ids: pd.Series, target: Path) -> None:
    if not source.is_dir():
        return
    target.mkdir(exist_ok=True)
    for tile_id in tile_ids:
        chip = source / f"{tile_id}.tif"
        if chip.is_file():
            shutil.copyfile(chip, target / chip.name)
