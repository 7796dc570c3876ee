"""`landcover.tif`: class and confidence on the tile grid."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import rasterio
from affine import Affine
from rasterio.io import MemoryFile
from rasterio.shutil import copy as copy_raster

from pipeline.batch.products.protocol import Outcome, Product, SceneFile, SceneJob
from pipeline.batch.task import SceneTask
from pipeline.errors import OutputError
from pipeline.grid import TileGrid, TileIndex
from pipeline.legend import Legend
from pipeline.models.card import ModelCard
from pipeline.results.class_raster import NO_CLASS, raster_fields, sidecar, write_category_names
from pipeline.results.layout import LANDCOVER, LANDCOVER_NAMES


def planned(task: SceneTask, card: ModelCard) -> Product:  # noqa: ARG001 - every plan is asked alike
    """Every scene has its class raster."""
    return Landcover()


class Landcover(Product):
    """Writes the class raster."""

    @property
    def identity(self) -> Any:  # noqa: ANN401 - anything that JSON holds
        """Its files: results without the names are made anew."""
        return [LANDCOVER, LANDCOVER_NAMES]

    def begin(self, job: SceneJob) -> None:
        """Keeps grid and legend."""
        self._job = job

    def finish(self, outcome: Outcome) -> tuple[SceneFile, ...]:
        """Writes the raster and reads it back."""
        import pystac
        from pystac.extensions.classification import ClassificationExtension
        from pystac.extensions.raster import RasterExtension

        job = self._job
        write_landcover(outcome.table, job.grid, job.card.legend, job.folder / LANDCOVER)
        extensions = (ClassificationExtension.get_schema_uri(), RasterExtension.get_schema_uri())
        fields = raster_fields(job.card.legend, job.grid.edge)
        names = names_file(job.folder, LANDCOVER, dict(enumerate(job.card.legend.labels)))
        return (SceneFile(LANDCOVER, pystac.MediaType.COG, ("data",), fields, extensions), names)


def names_file(folder: Path, raster: str, names: Mapping[int, str]) -> SceneFile:
    """Writes the names of a raster's values beside it, and tells of the file.

    Raises:
        OutputError: it cannot be written.
    """
    import pystac

    write_category_names(folder / raster, names)
    asset = f"{raster.removesuffix('.tif')}_names"
    return SceneFile(sidecar(folder / raster).name, pystac.MediaType.XML, ("metadata",), asset=asset)


def write_landcover(table: gpd.GeoDataFrame, grid: TileGrid, legend: Legend, path: Path) -> None:
    """A COG on the tile grid: class (uint8, colour table, 255 = no class) and confidence in percent.

    Raises:
        OutputError: the raster does not read back as written.
    """
    columns, rows = table["col"].to_numpy(), table["row"].to_numpy()
    north_west = TileIndex(int(columns.min()), int(rows.max()))
    shape = (int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1)
    planes = np.full((2, *shape), NO_CLASS, np.uint8)
    known = table["code"].to_numpy() >= 0
    at = (north_west.row - rows[known], columns[known] - north_west.col)
    planes[0][at] = table["code"].to_numpy()[known]
    planes[1][at] = np.round(table["confidence"].to_numpy()[known] * 100)
    left, _, _, top = grid.bounds(north_west)
    profile = {
        "driver": "GTiff",
        "dtype": "uint8",
        "count": 2,
        "height": shape[0],
        "width": shape[1],
        "crs": grid.crs.to_wkt(),
        "transform": Affine(grid.edge, 0, left, 0, -grid.edge, top),
        "nodata": NO_CLASS,
        "photometric": "minisblack",
    }
    colours = {code: (*bytes.fromhex(entry.colour[1:]), 255) for code, entry in enumerate(legend.classes)}
    with MemoryFile() as memory, rasterio.Env(GDAL_PAM_ENABLED="NO"):
        with memory.open(**profile) as target:
            target.write(planes)
            target.write_colormap(1, {**colours, NO_CLASS: (0, 0, 0, 0)})
            target.descriptions = ("class", "confidence in percent")
            target.update_tags(1, **{f"CLASS_{code}": label for code, label in enumerate(legend.labels)})
        with memory.open() as source:
            copy_raster(source, path, driver="COG", compress="DEFLATE", overview_resampling="MODE", overviews="AUTO")
    with rasterio.open(path, driver="GTiff") as written:
        if not np.array_equal(written.read(), planes):
            raise OutputError(f"{path}: reads back other than it was written; check the disk")
