"""`landcover.tif`: class and confidence on the tile grid."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
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
    known = table["code"].to_numpy() >= 0
    colours = {code: (*bytes.fromhex(entry.colour[1:]), 255) for code, entry in enumerate(legend.classes)}
    write_tile_raster(
        table[known],
        tile_window(table),
        grid,
        {"class": table["code"][known], "confidence in percent": np.round(table["confidence"][known] * 100)},
        path,
        ({**colours, NO_CLASS: (0, 0, 0, 0)}, {f"CLASS_{code}": label for code, label in enumerate(legend.labels)}),
    )


def tile_window(table: gpd.GeoDataFrame) -> tuple[range, range]:
    """Columns and rows of the tiles of a table."""
    columns, rows = table["col"], table["row"]
    return range(int(columns.min()), int(columns.max()) + 1), range(int(rows.min()), int(rows.max()) + 1)


def write_tile_raster(
    table: gpd.GeoDataFrame,
    window: tuple[range, range],
    grid: TileGrid,
    bands: Mapping[str, pd.Series],
    path: Path,
    legend: tuple[Mapping[int, Any], Mapping[str, str]] | None = None,
) -> None:
    """A COG with a pixel a tile: values (uint8, 255 without one) of the table's tiles by the band's description.

    `window` are columns and rows of the raster's tiles, `legend` the first band's colours and tags.

    Raises:
        OutputError: the raster does not read back as written.
    """
    columns, rows = window
    north_west = TileIndex(columns.start, rows.stop - 1)
    planes = np.full((len(bands), len(rows), len(columns)), NO_CLASS, np.uint8)
    at = (north_west.row - table["row"].to_numpy(), table["col"].to_numpy() - north_west.col)
    for plane, values in zip(planes, bands.values(), strict=True):
        plane[at] = values.to_numpy()
    left, _, _, top = grid.bounds(north_west)
    profile = {
        "driver": "GTiff",
        "dtype": "uint8",
        "count": len(planes),
        "height": planes.shape[1],
        "width": planes.shape[2],
        "crs": grid.crs.to_wkt(),
        "transform": Affine(grid.edge, 0, left, 0, -grid.edge, top),
        "nodata": NO_CLASS,
        "photometric": "minisblack",
    }
    with MemoryFile() as memory, rasterio.Env(GDAL_PAM_ENABLED="NO"):
        with memory.open(**profile) as target:
            target.write(planes)
            target.descriptions = tuple(bands)
            if legend is not None:
                target.write_colormap(1, dict(legend[0]))
                target.update_tags(1, **legend[1])
        with memory.open() as source:
            copy_raster(source, path, driver="COG", compress="DEFLATE", overview_resampling="MODE", overviews="AUTO")
    with rasterio.open(path, driver="GTiff") as written:
        if not np.array_equal(written.read(), planes):
            raise OutputError(f"{path}: reads back other than it was written; check the disk")
