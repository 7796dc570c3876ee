"""`cover.tif`: a class and how sure it is for every 10 m pixel; and each tile's shares."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import rasterio
from rasterio.windows import Window

from pipeline.bands import SENTINEL_2
from pipeline.batch.loaded import pixel_classifier, verified_card
from pipeline.batch.products.landcover import names_file
from pipeline.batch.products.protocol import Outcome, Product, SceneFile, SceneJob
from pipeline.batch.task import ModelChoice, SceneTask
from pipeline.classify import ClassifiedBlock
from pipeline.cover import WINDOW_TILES, CoverStream, CoverStrip, light_codes, shares
from pipeline.grid import TileGrid, TileIndex
from pipeline.legend import CoverState
from pipeline.models.card import ModelCard
from pipeline.models.input import ModelInput, network_input
from pipeline.results.class_raster import BLOCK, pixel_names, raster_fields, write_cog, write_colours
from pipeline.results.layout import COVER, COVER_NAMES
from pipeline.scenes.scene import Scene
from pipeline.tiling import grid_for

# Confidence is stored in steps of 5 percent: finer ones would be noise, and five times as large.
_STEP = 5
_STEPS = np.array([(code + _STEP // 2) // _STEP * _STEP if code <= 100 else code for code in range(256)], np.uint8)
# What is kept of the raster until it is whole.
_WHOLE = ".cover-whole.tif"

log = logging.getLogger(__name__)


def planned(task: SceneTask, card: ModelCard) -> Product | None:
    """The cover, where it was asked for and the scene has its bands."""
    if task.cover is None:
        return None
    wanted = verified_card(task.cover)
    if lacking := [band for band in wanted.input.bands if band not in task.scene.assets]:
        log.warning("%s: no cover, %s needs %s", task.scene.id, wanted.name, ", ".join(lacking))
        return None
    grid = grid_for(card, task.scene.epsg)
    if grid.gsd != wanted.input.gsd or grid.tile_size % 8:
        log.warning("%s: no cover, its pixels of %g m are not those of %s", task.scene.id, grid.gsd, wanted.name)
        return None
    return PixelCover(task.cover, wanted)


class PixelCover(Product):
    """Names every pixel while blocks pass."""

    def __init__(self, choice: ModelChoice, card: ModelCard) -> None:
        self._choice, self._card = choice, card
        self.bands = card.input.bands

    @property
    def identity(self) -> Any:  # noqa: ANN401 - anything that JSON holds
        """The network, what runs it, how its windows lie, and that the names lie beside the raster."""
        card = self._card
        told = [card.name, dict(card.sha256), card.temperature, self._choice.engine]
        return [*told, WINDOW_TILES, COVER_NAMES]

    def begin(self, job: SceneJob) -> None:
        """Opens the raster and loads the network."""
        grid = job.grid
        self._job, self._network = job, pixel_classifier(self._choice)
        self._columns, self._rows = grid.covering(job.scene.bounds)
        self._stream = CoverStream(self._network, self._columns, self._rows, grid.tile_size)
        self._picked = [job.wanted.index(band) for band in self.bands]
        self._shares: list[npt.NDArray[np.float32]] = []
        self._raster = whole_raster(job.folder / _WHOLE, grid, self._columns, self._rows)
        # Before any pixel: a large file's header can no longer be changed after them.
        write_colours(self._raster, self._card.legend, pixel_names(self._card.legend))
        self._raster.descriptions = ("class", "confidence in percent")

    def add(self, seen: ClassifiedBlock) -> None:
        """Takes one block; writes what is ready."""
        stored = seen.stored
        if stored is None:
            raise AssertionError("the cover asked for bands")
        light = scene_light([stored.pixels[at] for at in self._picked], self._job.scene, self._card.input)
        for strip in self._stream.add(light, pixel_states(stored.valid, stored.quality)):
            self._keep(strip)

    def columns(self) -> pd.DataFrame | None:
        """Each tile's shares of its pixels that carry a class, and the largest of them."""
        for strip in self._stream.finish():
            self._keep(strip)
        labels = self._card.legend.labels
        index = [(col, row) for row in reversed(self._rows) for col in self._columns]
        parts = np.concatenate(self._shares)
        told = pd.DataFrame({f"cover_{label}": parts[:, code] for code, label in enumerate(labels)})
        told["purity"] = parts.max(axis=1)
        return told.set_axis(self._job.grid.tile_ids(index), axis=0)

    def facts(self) -> dict[str, Any]:
        """Which network, and where its limits are told."""
        return {"name": self._card.name, "classes": list(self._card.legend.labels), "metrics": dict(self._card.metrics)}

    def finish(self, outcome: Outcome) -> tuple[SceneFile, ...]:  # noqa: ARG002 - the tiles' classes play no part
        """Writes the raster with its overviews."""
        import pystac
        from pystac.extensions.classification import ClassificationExtension
        from pystac.extensions.raster import RasterExtension

        legend, whole = self._card.legend, self._job.folder / _WHOLE
        self._raster.close()
        write_cog(whole, self._job.folder / COVER)
        whole.unlink()
        extensions = (ClassificationExtension.get_schema_uri(), RasterExtension.get_schema_uri())
        fields = raster_fields(legend, self._job.grid.gsd)
        fields["classification:classes"] += [
            {"value": int(state), "name": state.name.lower(), "description": state.name.replace("_", " ").lower()}
            for state in CoverState
        ]
        names = names_file(self._job.folder, COVER, pixel_names(legend))
        return (SceneFile(COVER, pystac.MediaType.COG, ("data",), fields, extensions), names)

    def close(self) -> None:
        """Closes the raster."""
        if hasattr(self, "_raster"):
            self._raster.close()

    def _keep(self, strip: CoverStrip) -> None:
        height, width = strip.classes.shape
        window = Window(0, strip.top, width, height)
        self._raster.write(strip.classes, 1, window=window)
        self._raster.write(in_steps(strip.confidence), 2, window=window)
        self._shares.append(shares(strip.classes, len(self._card.legend.classes), self._job.grid.tile_size))


def whole_raster(path: Path, grid: TileGrid, columns: range, rows: range) -> rasterio.io.DatasetWriter:
    """A raster of two bands of bytes over whole tiles, to be filled in any order and then copied by `write_cog`."""
    # A killed run may have left a broken one.
    path.unlink(missing_ok=True)
    return rasterio.open(
        path,
        "w",
        driver="GTiff",
        dtype="uint8",
        count=2,
        width=len(columns) * grid.tile_size,
        height=len(rows) * grid.tile_size,
        crs=grid.crs.to_wkt(),
        transform=grid.transform(TileIndex(columns.start, rows.stop - 1)),
        nodata=CoverState.NO_DATA,
        photometric="minisblack",
        tiled=True,
        blockxsize=BLOCK,
        blockysize=BLOCK,
        interleave="band",
        compress="zstd",
        zstd_level=1,
    )


def in_steps(confidence: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Percent in the steps that are stored; 255 stays."""
    return np.take(_STEPS, confidence)


def scene_light(planes: Sequence[npt.NDArray[Any]], scene: Scene, taken: ModelInput) -> npt.NDArray[np.uint16]:
    """A network's input in the codes of `light_codes` (band, y, x), of the stored numbers of its bands.

    Whole numbers of two bytes at most go through a table of all of them, several times faster than the arithmetic.
    """
    dtype = np.result_type(*planes)
    if dtype.kind not in "iu" or dtype.itemsize > 2:
        return light_codes(network_input(np.stack(planes), scene, taken))
    unsigned = np.dtype(f"u{dtype.itemsize}")
    every = np.arange(1 << 8 * unsigned.itemsize, dtype=unsigned).view(dtype)
    tables = light_codes(network_input(np.broadcast_to(every[:, None], (len(planes), len(every), 1)), scene, taken))
    codes = np.empty((len(planes), *planes[0].shape), np.uint16)
    for table, plane, out in zip(tables[..., 0], planes, codes, strict=True):
        np.take(table, plane.view(unsigned), out=out, mode="clip")
    return codes


def pixel_states(valid: npt.NDArray[np.bool_], quality: npt.NDArray[np.uint8] | None) -> npt.NDArray[np.uint8]:
    """States (y, x) of pixels: 0 may carry a class, else what stands in its place.

    Snow is no class of a network that never saw any, so what the product calls snow is unfamiliar.
    """
    states = np.zeros(valid.shape, np.uint8)
    if quality is not None:
        table = np.zeros(256, np.uint8)
        table[list(SENTINEL_2.cloud)] = CoverState.CLOUD
        table[list(SENTINEL_2.snow)] = CoverState.UNFAMILIAR
        np.take(table, quality, out=states)
    states[~valid] = CoverState.NO_DATA
    return states
