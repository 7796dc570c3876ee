"""What a map may show, one function each, found by the name of the choice."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from rasterio.enums import Resampling

from pipeline.errors import TileTableError
from pipeline.legend import Legend
from pipeline.mosaic.painting import Layer, picture_layers, raster_layers, table_layers
from pipeline.results.class_raster import NO_CLASS, TILE_STATES, pixel_names, read_class_legend, tile_names
from pipeline.results.layout import COVER, TABLE, TRUE_COLOUR
from pipeline.results.table import read_legend

CLASSES = {"compress": "DEFLATE", "level": "6", "predictor": "NO", "overview_resampling": "MODE"}
_NUMBERS = {"compress": "DEFLATE", "level": "6", "predictor": "NO", "overview_resampling": "NEAREST"}
_PICTURE = {"compress": "JPEG", "quality": "85", "overview_resampling": "AVERAGE"}


@dataclass(frozen=True, slots=True)
class Painting:
    """A product's layers, and what the file must tell of their values."""

    layers: tuple[Layer, ...]
    """From the lowest to the topmost."""
    metres: float
    """The size of a pixel."""
    bands: tuple[str, ...]
    """What each band holds."""
    nothing: int
    """The value that stands for no data."""
    layout: Mapping[str, str]
    """How GDAL's COG driver shall store it."""
    resampling: Resampling = Resampling.nearest
    """How pixels are moved to another grid."""
    legend: Legend | None = None
    """The classes that the values mean."""
    names: Mapping[int, str] = field(default_factory=dict)
    """What the values are called, those without a class among them."""


Paint = Callable[[Path, pd.DataFrame], Painting]


def _landcover(folder: Path, looks: pd.DataFrame) -> Painting:
    """The class of every tile."""
    legend = read_legend(folder / str(looks["scene"].iloc[0]) / TABLE)
    codes = looks["code"].to_numpy().astype(np.int64)
    values = codes.astype(np.uint8)
    for state, value in TILE_STATES.items():
        values[codes == state] = value
    layers = tuple(table_layers(looks, values, NO_CLASS))
    return Painting(layers, layers[0].grid.edge, ("class",), NO_CLASS, CLASSES, legend=legend, names=tile_names(legend))


def _confidence(folder: Path, looks: pd.DataFrame) -> Painting:  # noqa: ARG001 - every product is asked alike
    """How sure the class of every tile is, in percent."""
    known = looks["code"].to_numpy() >= 0
    percent = np.rint(np.nan_to_num(looks["confidence"].to_numpy(np.float64)) * 100)
    layers = tuple(table_layers(looks, np.where(known, percent, NO_CLASS).astype(np.uint8), NO_CLASS))
    return Painting(layers, layers[0].grid.edge, ("confidence in percent",), NO_CLASS, _NUMBERS)


def _cover(folder: Path, looks: pd.DataFrame) -> Painting:
    """The class of every pixel of 10 m."""
    legends = {str(scene): read_class_legend(folder / str(scene) / COVER) for scene in looks["scene"].unique()}
    first = next(iter(legends.values()))
    if other := next((scene for scene, legend in legends.items() if legend.labels != first.labels), None):
        raise TileTableError(
            f"{folder / other / COVER}: has other classes than {next(iter(legends))}; map all scenes with one network, "
            f"or choose a --date"
        )
    layers = tuple(raster_layers(looks, folder, COVER, (1,), NO_CLASS))
    return Painting(layers, layers[0].grid.gsd, ("class",), NO_CLASS, CLASSES, legend=first, names=pixel_names(first))


def _cover_confidence(folder: Path, looks: pd.DataFrame) -> Painting:
    """How sure the class of every pixel of 10 m is, in percent."""
    layers = tuple(raster_layers(looks, folder, COVER, (2,), NO_CLASS))
    return Painting(layers, layers[0].grid.gsd, ("confidence in percent",), NO_CLASS, _NUMBERS)


def _true_colour(folder: Path, looks: pd.DataFrame) -> Painting:
    """The pictures in true colour."""
    layers = tuple(picture_layers(looks, folder, TRUE_COLOUR))
    bands = ("red", "green", "blue")
    return Painting(layers, layers[0].grid.gsd, bands, 0, _PICTURE, Resampling.bilinear)


# What a scene must hold, and how it is painted.
PRODUCTS: Mapping[str, tuple[str, Paint]] = {
    "landcover": (TABLE, _landcover),
    "cover": (COVER, _cover),
    "truecolour": (TRUE_COLOUR, _true_colour),
    "confidence": (TABLE, _confidence),
    "cover-confidence": (COVER, _cover_confidence),
}
