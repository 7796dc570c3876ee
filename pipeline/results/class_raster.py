"""Rasters of classes as files that every GIS reads with colours and names: tags, the sidecar of names, COG layout."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import rasterio
from rasterio.enums import ColorInterp
from rasterio.errors import RasterioError
from rasterio.shutil import copy as copy_raster

from pipeline.errors import TileTableError
from pipeline.files import write_text
from pipeline.legend import (
    COVER,
    COVER_STATE_LABELS,
    STATE_LABELS,
    CoverState,
    Legend,
    TileState,
    make_legend,
)
from pipeline.palette import difference, ink

BLOCK = 512
# What stands where there is no class.
NO_CLASS = int(CoverState.NO_DATA)
# GDAL reads what it cannot keep inside a GeoTIFF from a file of this name beside it.
_SIDECAR = ".aux.xml"
# Bytes of GDAL's cache while a raster is copied: more brings no speed.
_COPY_CACHE = 64 << 20
_TAG = "CLASS_"
# What the unfamiliar look like, and where a class looks like that itself (CIEDE2000 below `_APART`).
_GREY, _PALE_GREY, _APART = "#5a5a5a", "#cdcdd4", 10.0

Colours = Mapping[int, tuple[int, int, int, int]]

# What stands for tiles without a class where the tiles' states share a raster with classes.
TILE_STATES: Mapping[TileState, CoverState] = {
    TileState.CLOUD: CoverState.CLOUD,
    TileState.UNCLASSIFIED: CoverState.UNFAMILIAR,
    TileState.NO_DATA: CoverState.NO_DATA,
}


def colour_table(legend: Legend) -> dict[int, tuple[int, int, int, int]]:
    """Red, green, blue, opacity of every class and of the states that pixels may have instead."""
    named = {code: _opaque(entry.colour) for code, entry in enumerate(legend.classes)}
    dark = min((difference(_GREY, entry.colour) for entry in legend.classes), default=_APART) >= _APART
    return named | {
        int(CoverState.UNFAMILIAR): _opaque(_GREY if dark else _PALE_GREY),
        int(CoverState.CLOUD): (230, 230, 230, 255),
        int(CoverState.NO_DATA): (0, 0, 0, 0),
    }


def _opaque(colour: str) -> tuple[int, int, int, int]:
    red, green, blue = bytes.fromhex(colour[1:])
    return red, green, blue, 255


def pixel_names(legend: Legend) -> dict[int, str]:
    """The label of every class and state of a raster of the cover."""
    return dict(enumerate(legend.labels)) | {int(state): label for state, label in COVER_STATE_LABELS.items()}


def tile_names(legend: Legend) -> dict[int, str]:
    """The same of a raster of tiles."""
    return dict(enumerate(legend.labels)) | {int(value): STATE_LABELS[state] for state, value in TILE_STATES.items()}


def write_colours(raster: Any, legend: Legend, names: Mapping[int, str]) -> None:  # noqa: ANN401 - rasterio's dataset
    """Colours and names of a raster whose first band holds classes."""
    raster.write_colormap(1, colour_table(legend))
    raster.update_tags(1, **class_tags(names))


def read_class_names(path: Path) -> dict[int, str]:
    """The label of every code of a raster of classes, as its tags tell it.

    Raises:
        TileTableError: the raster is damaged.
    """
    return _told(path)[0]


def read_class_legend(path: Path) -> Legend:
    """The classes of a raster of the cover: labels and colours as it tells them, titles and roles where known.

    Raises:
        TileTableError: the raster is damaged or tells no classes.
    """
    names, colours = _told(path)
    labels = tuple(name for code, name in sorted(names.items()) if code not in COVER_STATE_LABELS)
    if not labels:
        raise TileTableError(f"{path}: tells no classes; run the pipeline on its scene again")
    known = {entry.label: entry for entry in COVER.classes}
    if set(labels) <= set(known):
        return Legend(COVER.name, tuple(known[label] for label in labels))
    made = make_legend(COVER.name, labels)
    told = [f"#{bytes(colours[code][:3]).hex()}" if code in colours else None for code in range(len(labels))]
    return Legend(
        COVER.name,
        tuple(
            replace(entry, colour=colour, ink=ink(colour)) if colour else entry
            for entry, colour in zip(made.classes, told, strict=True)
        ),
    )


def _told(path: Path) -> tuple[dict[int, str], Colours]:
    """Names and colours of the values of a raster."""
    try:
        with rasterio.open(path) as raster:
            tags = raster.tags(1)
            paletted = raster.colorinterp[0] == ColorInterp.palette
            colours = raster.colormap(1) if paletted else {}
    except RasterioError as error:
        raise TileTableError(f"{path}: cannot be read ({error}); run the pipeline on its scene again") from error
    return {int(key.removeprefix(_TAG)): label for key, label in tags.items() if key.startswith(_TAG)}, colours


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


def write_cog(source: Path, target: Path, **options: str) -> None:
    """A cloud-optimised copy; overviews take the commonest value, never a mean of classes, unless `options` say so."""
    usual = {"compress": "DEFLATE", "level": "3", "predictor": "NO", "overview_resampling": "MODE"}
    with rasterio.Env(GDAL_PAM_ENABLED="NO", GDAL_NUM_THREADS="2", GDAL_CACHEMAX=_COPY_CACHE):
        copy_raster(source, target, driver="COG", blocksize=BLOCK, overviews="AUTO", **(options or usual))


def raster_fields(legend: Legend, gsd: float) -> dict[str, Any]:
    """How an Item describes a raster of classes and confidences in percent with pixels of `gsd` metres."""
    from pystac.extensions.classification import Classification
    from pystac.extensions.raster import DataType, RasterBand

    classes = [
        Classification.create(code, name=entry.label, description=entry.title, color_hint=entry.colour[1:].upper())
        for code, entry in enumerate(legend.classes)
    ]
    bands = [
        RasterBand.create(nodata=NO_CLASS, data_type=DataType.UINT8, spatial_resolution=gsd, unit=unit)
        for unit in (None, "percent")
    ]
    return {
        "raster:bands": [band.to_dict() for band in bands],
        "classification:classes": [entry.to_dict() for entry in classes],
    }
