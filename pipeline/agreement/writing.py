"""The files of a comparison: figures, matrix, tiles and a map of where both maps agree."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.agreement.comparing import ALL, Agreement, Overlay, tiles_of
from pipeline.agreement.disagreement import disagreement
from pipeline.errors import OutputError
from pipeline.files import whole_file, write_text
from pipeline.grid import TileGrid
from pipeline.legend import LandCoverClass, Legend
from pipeline.mosaic.ground import best_crs, map_ground
from pipeline.mosaic.making import write_map
from pipeline.mosaic.painting import Layer, table_layers, tile_extents
from pipeline.mosaic.product import CLASSES, Painting
from pipeline.palette import DARK, WHITE
from pipeline.results.class_raster import NO_CLASS
from pipeline.results.layout import AGREEMENT, AGREEMENT_MAP, AGREEMENT_MATRIX, AGREEMENT_REGIONS, AGREEMENT_TILES

NO_TRUTH = (
    "agreement is no truth: both maps err, and where they learnt from alike sources they may err alike; other dates, "
    "definitions and pixel sizes make maps differ that are both right. For accuracy, label a sample: "
    "python -m pipeline sample"
)
# Blue and red differ for every kind of colour vision.
_LEGEND = Legend(
    "agreement",
    (
        LandCoverClass("differs", "Other class in the reference", "Differs", "DI", "#d7301f", WHITE),
        LandCoverClass("agrees", "Same class in the reference", "Agrees", "AG", "#74add1", DARK),
    ),
)
_NAMES = {0: "differs", 1: "agrees", NO_CLASS: "not compared"}


def write_agreement(found: Agreement, out: Path, layers: tuple[Layer, ...]) -> dict[str, Path]:
    """Writes all files into `out`; what each holds, by its name there.

    Raises:
        OutputError: the folder cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out}: cannot be made ({error.strerror}); choose another folder with -o") from error
    told = {
        "unit": found.unit,
        "warning": NO_TRUTH,
        "not_compared_ha": dict(found.left_out),
        "labels": list(found.matrices[ALL].index),
        "regions": {
            name: disagreement(matrix).as_json() | {"matrix_ha": matrix.to_numpy().round(4).tolist()}
            for name, matrix in found.matrices.items()
        },
    }
    write_text(out / AGREEMENT, json.dumps(told, indent=1, ensure_ascii=False) + "\n")
    with whole_file(out / AGREEMENT_MATRIX) as part:
        found.matrices[ALL].rename_axis(index="map", columns="reference").to_csv(part)
    if len(found.matrices) > 1:
        with whole_file(out / AGREEMENT_REGIONS) as part:
            _by_region(found).to_csv(part, index=False)
    else:
        (out / AGREEMENT_REGIONS).unlink(missing_ok=True)
    with whole_file(out / AGREEMENT_TILES) as part:
        found.tiles.to_file(part, driver="GPKG", layer="agreement")
    _write_map(out / AGREEMENT_MAP, layers, found.unit)
    names = (AGREEMENT, AGREEMENT_MATRIX, AGREEMENT_TILES, AGREEMENT_MAP)
    return {name: out / name for name in (*names, *([AGREEMENT_REGIONS] if len(found.matrices) > 1 else []))}


def _by_region(found: Agreement) -> pd.DataFrame:
    """Hectares by region, map label and reference label, without empty cells."""
    parts = []
    for name, matrix in found.matrices.items():
        if name != ALL:
            cells = matrix.rename_axis("map").reset_index().melt("map", var_name="reference", value_name="hectares")
            parts.append(cells[cells["hectares"] > 0].assign(region=name))
    return pd.concat(parts)[["region", "map", "reference", "hectares"]]


def tile_agreement_layers(found: Agreement) -> tuple[Layer, ...]:
    """The map's layers of compared tiles."""
    looks = pd.DataFrame({"tile_id": found.tiles["tile_id"], "under": False})
    values: npt.NDArray[np.uint8] = found.tiles["agreement"].to_numpy().astype(np.uint8)
    return tuple(table_layers(looks, values, NO_CLASS))


def cover_agreement_layers(overlay: Overlay) -> tuple[Layer, ...]:
    """The map's layers of compared pixels, read again when they are painted."""

    def read(scene: str, grid: TileGrid, cols: range, rows: range) -> npt.NDArray[np.uint8]:
        return overlay.agreeing(scene, grid, cols, rows)[None]

    return tuple(
        Layer(grid, index, grid.tile_size, partial(read, scene, grid), NO_CLASS)
        for scene, grid, index in tiles_of(overlay.cover)
    )


def _write_map(path: Path, layers: tuple[Layer, ...], unit: str) -> None:
    metres = layers[0].grid.edge if unit == "tiles" else layers[0].grid.gsd
    painting = Painting(layers, metres, ("agreement",), NO_CLASS, CLASSES, legend=_LEGEND, names=_NAMES)
    ground = map_ground(best_crs([layer.grid for layer in layers], None), metres, tile_extents(layers), None)
    write_map(path, ground, painting)
