"""`truecolour.tif`, `quicklook.webp` and `overview.webp`: what the network saw, as pictures for people and the page."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import rasterio
from affine import Affine
from rasterio.windows import Window

from pipeline.atlas.imagery import affordable_gsd, quicklook, shown_by
from pipeline.atlas.part import AtlasOptions
from pipeline.bands import SENSORS
from pipeline.batch.products.protocol import Outcome, Product, SceneFile, SceneJob
from pipeline.batch.task import SceneTask
from pipeline.classify import ClassifiedBlock
from pipeline.grid import TileGrid, TileIndex
from pipeline.models.card import ModelCard
from pipeline.models.input import true_colour
from pipeline.results.layout import OVERVIEW, QUICKLOOK, TRUE_COLOUR

# Pixels of the quicklook a side of a tile: 80 m a pixel of the usual grid.
_QUICKLOOK_PIXELS = 8


def planned(task: SceneTask, card: ModelCard) -> Product:  # noqa: ARG001 - every plan is asked alike
    """Every scene has its pictures."""
    return TrueColour()


@dataclass(frozen=True, slots=True)
class _Look:
    """A picture under way whose pixels are means of `factor` x `factor` measured ones."""

    factor: int
    pixels: npt.NDArray[np.uint8]
    seen: npt.NDArray[np.bool_]
    transform: Affine

    @classmethod
    def empty(cls, shape: tuple[int, int], factor: int, place: Affine) -> Self:
        height, width = (edge // factor for edge in shape)
        pixels = np.zeros((3, height, width), np.uint8)
        return cls(factor, pixels, np.zeros((height, width), np.bool_), place * Affine.scale(factor))

    def fill(self, top: int, sums: npt.NDArray[Any], measured: npt.NDArray[Any]) -> None:
        """Lines from `top` on: sums (band, y, x) over squares, and how many of their pixels were measured (y, x)."""
        lines = slice(top, top + len(measured))
        self.pixels[:, lines] = sums // np.maximum(measured, 1)
        self.seen[lines] = measured > 0


class TrueColour(Product):
    """Fills all pictures while blocks pass."""

    @property
    def identity(self) -> Any:  # noqa: ANN401 - anything that JSON holds
        """Which pictures there are."""
        return [QUICKLOOK, OVERVIEW, TRUE_COLOUR]

    def begin(self, job: SceneJob) -> None:
        """Opens the raster."""
        self._card = job.card
        self._pictures = Pictures(job.folder, job.grid, *job.grid.covering(job.scene.bounds))

    def add(self, seen: ClassifiedBlock) -> None:
        """Takes one block into every picture."""
        block = seen.block
        rgb = true_colour(block.pixels, self._card.input)
        rgb[:, ~block.valid] = 0
        self._pictures.add(block.origin.row, rgb, block.valid)

    def finish(self, outcome: Outcome) -> tuple[SceneFile, ...]:  # noqa: ARG002 - pictures show no class
        """Stores all pictures."""
        return self._pictures.finish(self._card.input.sensor)

    def close(self) -> None:
        """Closes the raster."""
        self._pictures.close()


class Pictures:
    """All pictures of a rectangle of tiles, filled from north to south: the raster, and two of means of its pixels.

    The overview is as sharp as the page of this scene alone can hold; there is none where the quicklook is that sharp.

    `truecolour.tif` stores one JPEG block per tile, so that one chip is one read; its north-west corner is that of
    the tile rectangle. It is a picture for people, nothing is classified from it.
    """

    def __init__(self, folder: Path, grid: TileGrid, columns: range, rows: range) -> None:
        size = grid.tile_size
        self._folder, self._grid, self._top_row = folder, grid, rows.stop - 1
        shape = len(rows) * size, len(columns) * size
        coarse = size // _QUICKLOOK_PIXELS
        ground = len(columns) * len(rows) * grid.edge**2
        gsd = affordable_gsd([ground], AtlasOptions().quicklook_budget, grid.gsd)
        fine = coarse if gsd is None else round(gsd / grid.gsd)
        place = grid.transform(TileIndex(columns.start, self._top_row))
        self._looks = {OVERVIEW: _Look.empty(shape, fine, place)} if fine < coarse and not coarse % fine else {}
        self._looks[QUICKLOOK] = _Look.empty(shape, coarse, place)
        self._raster = rasterio.open(
            folder / TRUE_COLOUR,
            "w",
            driver="GTiff",
            dtype="uint8",
            count=3,
            width=shape[1],
            height=shape[0],
            crs=grid.crs.to_wkt(),
            transform=place,
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
        top = (self._top_row - row) * self._grid.tile_size
        height, width = valid.shape
        self._raster.write(rgb, window=Window(0, top, width, height))
        sums, measured, factor = rgb, valid, 1
        for look in self._looks.values():
            more, factor = look.factor // factor, look.factor
            sums, measured = _box_sums(sums, more), _box_sums(measured[None], more)[0]
            look.fill(top // factor, sums, measured)

    def finish(self, sensor: str) -> tuple[SceneFile, ...]:
        """Stores all; what they show was seen by `sensor`."""
        import pystac

        self._raster.close()
        files = [SceneFile(TRUE_COLOUR, pystac.MediaType.GEOTIFF, ("visual",))]
        for name, look in self._looks.items():
            picture = quicklook(look.pixels, look.seen, look.transform, self._grid.epsg, shown_by(SENSORS[sensor]))
            (self._folder / name).write_bytes(picture.webp)
            place = {"atlas:bounds": picture.bounds, "proj:code": "EPSG:3857"}
            files.append(SceneFile(name, "image/webp", ("overview",), place))
        return tuple(reversed(files))

    def close(self) -> None:
        """Closes the raster."""
        self._raster.close()


def _box_sums(planes: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    """Sums (band, y, x) over squares of `size` pixels, as those of a tile fit into 32 bits."""
    if size == 1:
        return planes
    count, height, width = planes.shape
    kind = np.uint16 if planes.dtype.itemsize == 1 else np.uint32
    down = planes.reshape(count, height // size, size, width).sum(axis=2, dtype=kind)
    # Lines of every `size`-th number: several times faster than sums along a short last axis.
    total: npt.NDArray[Any] = down[..., ::size].astype(np.uint32)
    for at in range(1, size):
        total += down[..., at::size]
    return total
