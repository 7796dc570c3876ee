"""`chips/`: every patch as the network saw it, georeferenced; for people and other programs, never read back."""

from typing import Any

import numpy as np
import rasterio

from pipeline.batch.products.protocol import Product, SceneJob
from pipeline.batch.task import SceneTask
from pipeline.classify import ClassifiedBlock
from pipeline.grid import TileIndex
from pipeline.models.card import ModelCard
from pipeline.results.layout import CHIPS
from pipeline.tiling import cut


def planned(task: SceneTask, card: ModelCard) -> Product | None:  # noqa: ARG001 - every plan is asked alike
    """Chips are written on request."""
    return PatchChips() if task.keep_chips else None


class PatchChips(Product):
    """Writes a TIFF a tile while blocks pass."""

    def begin(self, job: SceneJob) -> None:
        """Makes the folder."""
        self._job, self._folder = job, job.folder / CHIPS
        self._folder.mkdir(exist_ok=True)

    def add(self, seen: ClassifiedBlock) -> None:
        """Writes the block's tiles that hold any measurement."""
        job = self._job
        tiles = np.stack([cut(plane, job.grid.tile_size) for plane in seen.block.pixels], axis=1)
        for index, chip, share in zip(seen.answers.index, tiles, seen.answers.valid_fraction, strict=True):
            if share == 0:
                continue
            tile = TileIndex(int(index[0]), int(index[1]))
            profile: dict[str, Any] = {
                "driver": "GTiff",
                "dtype": chip.dtype,
                "count": len(chip),
                "width": job.grid.tile_size,
                "height": job.grid.tile_size,
                "compress": "deflate",
                "crs": job.grid.crs.to_wkt(),
                "transform": job.grid.transform(tile),
            }
            with rasterio.open(self._folder / f"{job.grid.tile_id(tile)}.tif", "w", **profile) as target:
                target.write(chip)
                target.descriptions = job.card.input.bands
