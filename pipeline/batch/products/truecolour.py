"""`truecolour.tif` and `quicklook.webp`: what the network saw, as pictures for people and the page."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from affine import Affine
from rasterio.windows import Window

from pipeline.atlas.imagery import quicklook, shown_by
from pipeline.bands import SENSORS
from pipeline.batch.products.protocol import Outcome, Product, SceneFile, SceneJob
from pipeline.batch.task import SceneTask
from pipeline.classify import ClassifiedBlock
from pipeline.grid import TileGrid, TileIndex
from pipeline.models.card import ModelCard
from pipeline.models.input import true_colour
from pipeline.results.layout import QUICKLOOK, TRUE_COLOUR

# Pixels of the quicklook a side of a tile: 80 m a pixel of the usual grid.
_QUICKLOOK_PIXELS = 8


def planned(task: SceneTask, card: ModelCard) -> Product:  # noqa: ARG001 - every plan is asked alike
    """Every scene has its pictures."""
    return TrueColour()


class TrueColour(Product):
    """Fills both pictures while blocks pass."""

    def begin(self, job: SceneJob) -> None:
        """Opens the raster."""
        self._card = job.card
        self._pictures = Pictures(job.folder, job.grid, *job.grid.covering(job.scene.bounds))

    def add(self, seen: ClassifiedBlock) -> None:
        """Takes one block into both pictures."""
        block = seen.block
        rgb = true_colour(block.pixels, self._card.input)
        rgb[:, ~block.valid] = 0
        self._pictures.add(block.origin.row, rgb, block.valid)

    def finish(self, outcome: Outcome) -> tuple[SceneFile, ...]:  # noqa: ARG002 - pictures show no class
        """Stores both pictures."""
        return self._pictures.finish(self._card.input.sensor)

    def close(self) -> None:
        """Closes the raster."""
        self._pictures.close()


class Pictures:
    """Both pictures of a rectangle of tiles, filled from north to south.

    `truecolour.tif` stores one JPEG block per tile, so that one chip is one read; its north-west corner is that of
    the tile rectangle. It is a picture for people, nothing is classified from it.
    """

    def __init__(self, folder: Path, grid: TileGrid, columns: range, rows: range) -> None:
        size = grid.tile_size
        self._folder, self._grid, self._top_row = folder, grid, rows.stop - 1
        left, _, _, top = grid.bounds(TileIndex(columns.start, self._top_row))
        self._small = np.zeros((3, len(rows) * _QUICKLOOK_PIXELS, len(columns) * _QUICKLOOK_PIXELS), np.uint8)
        self._seen = np.zeros(self._small.shape[1:], np.bool_)
        self._transform = Affine(grid.edge / _QUICKLOOK_PIXELS, 0, left, 0, -grid.edge / _QUICKLOOK_PIXELS, top)
        self._raster = rasterio.open(
            folder / TRUE_COLOUR,
            "w",
            driver="GTiff",
            dtype="uint8",
            count=3,
            width=len(columns) * size,
            height=len(rows) * size,
            crs=grid.crs.to_wkt(),
            transform=Affine(grid.gsd, 0, left, 0, -grid.gsd, top),
            tiled=True,
            blockxsize=size,
            blockysize=size,
            compress="JPEG",
            photometric="YCBCR",
            jpeg_quality=85,
            jpegtablesmode=3,  # shared Huffman tables: a third less work than tables of each tile's own, and smaller
        )

    def add(self, row: int, rgb: npt.NDArray[np.uint8], valid: npt.NDArray[np.bool_]) -> None:
        """Colours (3, y, x) of whole rows of tiles, the northern one with this number; 0 where not valid (y, x)."""
        size = self._grid.tile_size
        top = (self._top_row - row) * size
        height, width = valid.shape
        self._raster.write(rgb, window=Window(0, top, width, height))
        factor = size // _QUICKLOOK_PIXELS
        at = slice(top // factor, (top + height) // factor)
        weights = _box_sums(valid, factor)
        for band, plane in enumerate(rgb):
            self._small[band, at] = _box_sums(plane, factor) // np.maximum(weights, 1)
        self._seen[at] = weights > 0

    def finish(self, sensor: str) -> tuple[SceneFile, ...]:
        """Stores both; what they show was seen by `sensor`."""
        import pystac

        self._raster.close()
        picture = quicklook(self._small, self._seen, self._transform, self._grid.epsg, shown_by(SENSORS[sensor]))
        (self._folder / QUICKLOOK).write_bytes(picture.webp)
        place = {"atlas:bounds": picture.bounds, "proj:code": "EPSG:3857"}
        return (
            SceneFile(QUICKLOOK, "image/webp", ("overview",), place),
            SceneFile(TRUE_COLOUR, pystac.MediaType.GEOTIFF, ("visual",)),
        )

    def close(self) -> None:
        """Closes the raster."""
        self._raster.close()


def _box_sums(plane: npt.NDArray[Any], size: int) -> npt.NDArray[np.uint32]:
    """Sums (y, x) over squares of `size` pixels."""
    rows, columns = plane.shape[0] // size, plane.shape[1] // size
    down = plane.reshape(rows, size, columns * size).sum(axis=1, dtype=np.uint16)
    return np.asarray(down.reshape(rows, columns, size).sum(axis=2, dtype=np.uint32))
