"""Rasters of classes as files that every GIS reads with colours and names: tags, the sidecar of names, COG layout."""

from collections.abc import Mapping
from pathlib import Path
from xml.sax.saxutils import escape

import rasterio
from rasterio.errors import RasterioError
from rasterio.shutil import copy as copy_raster

from pipeline.errors import TileTableError
from pipeline.files import write_text

BLOCK = 512
# GDAL reads what it cannot keep inside a GeoTIFF from a file of this name beside it.
_SIDECAR = ".aux.xml"
_TAG = "CLASS_"


def read_class_names(path: Path) -> dict[int, str]:
    """The label of every code of a raster of classes, as its tags tell it.

    Raises:
        TileTableError: the raster is damaged.
    """
    try:
        with rasterio.open(path) as raster:
            tags = raster.tags(1)
    except RasterioError as error:
        raise TileTableError(f"{path}: cannot be read ({error}); run the pipeline on its scene again") from error
    return {int(key.removeprefix(_TAG)): label for key, label in tags.items() if key.startswith(_TAG)}


def class_tags(names: Mapping[int, str]) -> dict[str, str]:
    """The tags of band 1 that tell the label of every code."""
    return {f"{_TAG}{code}": name for code, name in names.items()}


def sidecar(path: Path) -> Path:
    """Where the category names of a raster lie."""
    return path.with_name(path.name + _SIDECAR)


def write_category_names(path: Path, names: Mapping[int, str]) -> None:
    """Writes the names of a raster's values where GDAL and QGIS look for them: GeoTIFF itself has no place for them.

    Raises:
        OutputError: the sidecar cannot be written.
    """
    listed = "".join(
        f"<Category>{escape(names.get(code, ''))}</Category>" for code in range(max(names, default=-1) + 1)
    )
    write_text(
        sidecar(path),
        f'<PAMDataset>\n<PAMRasterBand band="1">\n<CategoryNames>{listed}</CategoryNames>\n</PAMRasterBand>\n'
        f"</PAMDataset>\n",
    )


def write_class_cog(source: Path, target: Path) -> None:
    """A cloud-optimised copy; overviews take the commonest class, never a mean of classes."""
    with rasterio.Env(GDAL_PAM_ENABLED="NO", GDAL_NUM_THREADS="2"):
        copy_raster(
            source,
            target,
            driver="COG",
            compress="DEFLATE",
            level="6",
            predictor="NO",
            blocksize=BLOCK,
            overview_resampling="MODE",
            overviews="AUTO",
        )
