"""The tile table: one row a tile of one scene, stored as GeoParquet with all that must be known to read it.

Probabilities (`p_<class>`) are always the model's own answer about the tile. With smoothing, `code` and `label` lean
on the neighbours, `confidence` is the model's probability of that label, and `code_raw` and `label_raw` say what the
model alone would call the tile.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.errors import ModelError, OutputError, TileTableError
from pipeline.files import whole_file
from pipeline.grid import TileGrid
from pipeline.legend import LandCoverClass, Legend

# What says where and when a tile was seen, and how clearly.
LOOKS = ("tile_id", "scene", "acquired", "code", "label", "valid_fraction", "cloud_fraction")
COLUMNS = (
    "tile_id",
    "col",
    "row",
    "scene",
    "acquired",
    "code",
    "label",
    "confidence",
    "valid_fraction",
    "cloud_fraction",
    "geometry",
)
Ids = Sequence[str] | npt.NDArray[np.object_]

METADATA_KEY = b"landcover_atlas"
# Where the metadata hold the classes.
LEGEND = "legend"
# Where they tell that these are not the model's own, and by which table they were translated.
CROSSWALK = "crosswalk"
# What the columns of probabilities begin with; the rest is the class's label.
_PROBABILITY = "p_"
# The same of the parts of a tile that the cover's classes fill; and the largest of them.
_SHARE = "cover_"
PURITY = "purity"
# A batch of one differs from a full batch by 7e-7, so finer digits would not be the model's answer.
DECIMALS = 4


@dataclass(frozen=True, slots=True)
class TileAnswers:
    """What is known of n tiles of one scene before they become a table."""

    index: npt.NDArray[np.int64]
    """Columns and rows (n, 2)."""
    codes: npt.NDArray[np.int8]
    """Class index or TileState (n,)."""
    probabilities: npt.NDArray[np.float32]
    """(n, classes), NaN where the tile was not classified."""
    valid_fraction: npt.NDArray[np.float32]
    """Share of measured pixels (n,), 0..1."""
    cloud_fraction: npt.NDArray[np.float32]
    """Share of pixels under cloud or its shadow (n,), 0..1; NaN where nothing tells."""


def rounded(probabilities: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Probabilities with `DECIMALS` digits that still sum to 1 and keep their order (largest-remainder method)."""
    known = ~np.isnan(probabilities).any(axis=1)
    parts = probabilities[known].astype(np.float64)
    units = 10**DECIMALS
    scaled = parts / parts.sum(axis=1, keepdims=True) * units
    whole = np.floor(scaled)
    missing = (units - whole.sum(axis=1)).astype(np.int64)
    rank = np.argsort(np.argsort(-(scaled - whole), axis=1, kind="stable"), axis=1)
    result = np.full(probabilities.shape, np.nan, np.float32)
    result[known] = (whole + (rank < missing[:, None])) / units
    return result


class Certainty(NamedTuple):
    """How sure n answers are."""

    confidence: npt.NDArray[np.float32]
    """The first probability."""
    margin: npt.NDArray[np.float32]
    """Its lead over the second."""
    entropy: npt.NDArray[np.float32]
    """In units of log(classes), 0..1."""


def certainty(probabilities: npt.NDArray[np.float32]) -> Certainty:
    """The certainty of probabilities (n, classes); NaN where they are."""
    top = np.sort(probabilities, axis=1)[:, ::-1]
    logs = np.log(np.where(probabilities > 0, probabilities, 1))
    entropy = np.abs((probabilities * logs).sum(axis=1) / np.log(probabilities.shape[1]))
    return Certainty(
        top[:, 0].astype(np.float32), (top[:, 0] - top[:, 1]).astype(np.float32), entropy.astype(np.float32)
    )


def probability_columns(labels: Iterable[str]) -> list[str]:
    """The columns that hold the probabilities of classes."""
    return [_PROBABILITY + label for label in labels]


def cover_columns(labels: Iterable[str]) -> list[str]:
    """The columns that hold the shares of the cover's classes."""
    return [_SHARE + label for label in labels]


def class_labels(columns: Iterable[str]) -> tuple[str, ...]:
    """The labels of the classes whose probabilities a table has, in code order."""
    return tuple(name.removeprefix(_PROBABILITY) for name in columns if name.startswith(_PROBABILITY))


def tiles_by_grid(tile_ids: Ids) -> Iterator[tuple[TileGrid, npt.NDArray[np.intp], npt.NDArray[np.int64]]]:
    """The grids that tile ids are of, each with the positions of its ids and their columns and rows (n, 2).

    >>> [(grid.epsg, at.tolist(), index.tolist()) for grid, at, index in tiles_by_grid(["32632_625_8280"])]
    [(32632, [0], [[625, 8280]])]

    Raises:
        ValueError: one of them is no tile id.
    """
    if not len(tile_ids):
        return
    ids = np.asarray(tile_ids, dtype=object)
    parts = pc.split_pattern(pa.array(ids, pa.string()), "_", max_splits=3)
    counts = pc.list_value_length(parts).to_numpy()
    if counts.min() < 3:
        TileGrid.parse_id(str(ids[counts.argmin()]))
    zone, col, row = (pc.list_element(parts, at) for at in range(3))
    index = np.stack([pc.cast(one, pa.int64()).to_numpy() for one in (col, row)], axis=1)
    # What names the grid comes before and after the column and the row.
    marks = np.full(len(ids), "~", dtype=object)  # ids without a mark come last
    marks[counts > 3] = pc.list_element(parts.filter(counts > 3), 3).to_pylist()
    names = pa.array(marks, pa.string())
    grids = pc.binary_join_element_wise(zone, names, "_").dictionary_encode()
    known, codes = grids.dictionary.to_pylist(), grids.indices.to_numpy()
    for code in sorted(range(len(known)), key=known.__getitem__):
        at = np.flatnonzero(codes == code)
        grid, _ = TileGrid.parse_id(str(ids[at[0]]))
        yield grid, at, index[at]


def tile_hectares(tile_ids: Ids) -> npt.NDArray[np.float64]:
    """Areas (n,) of tiles on the map plane in hectares.

    Raises:
        ValueError: one of them is no tile id.
    """
    found = np.empty(len(tile_ids))
    for grid, at, _ in tiles_by_grid(tile_ids):
        found[at] = grid.hectares
    return found


def with_columns(table: gpd.GeoDataFrame, more: pd.DataFrame | None) -> gpd.GeoDataFrame:
    """The table with more columns, given by tile_id, in front of its geometry; NaN for tiles that `more` lacks."""
    if more is None:
        return table
    told = more.reindex(table["tile_id"]).set_axis(table.index)
    names = [*table.columns.drop("geometry"), *told.columns, "geometry"]
    return gpd.GeoDataFrame(pd.concat([table, told], axis=1)[names], geometry="geometry", crs=table.crs)


def tile_table(
    answers: TileAnswers, grid: TileGrid, legend: Legend, scene: str, acquired: datetime
) -> gpd.GeoDataFrame:
    """The table of one scene's tiles in the grid's CRS, from north to south and west to east.

    `entropy` is in units of log(classes), 0 sure to 1 clueless; `margin` is the lead of the first class over the
    second.
    """
    order = np.lexsort((answers.index[:, 0], -answers.index[:, 1]))
    index, codes = answers.index[order], answers.codes[order]
    probabilities = rounded(answers.probabilities[order])
    sure = certainty(probabilities)
    columns: dict[str, Any] = {
        "tile_id": grid.tile_ids(index.tolist()),
        "col": index[:, 0].astype(np.int32),
        "row": index[:, 1].astype(np.int32),
        "scene": pd.Categorical([scene] * len(index)),
        "acquired": pd.Series([pd.Timestamp(acquired)] * len(index), dtype="datetime64[us, UTC]"),
        "code": codes,
        "label": pd.Categorical([legend.label(int(code)) for code in codes]),
        "confidence": sure.confidence,
    }
    columns |= {name: probabilities[:, at] for at, name in enumerate(probability_columns(legend.labels))}
    columns |= {
        "entropy": sure.entropy,
        "margin": sure.margin,
        "valid_fraction": answers.valid_fraction[order].astype(np.float32),
        "cloud_fraction": answers.cloud_fraction[order].astype(np.float32),
    }
    return gpd.GeoDataFrame(columns, geometry=grid.polygons(index), crs=grid.crs)


def write_table(table: gpd.GeoDataFrame, path: Path, metadata: Mapping[str, Any]) -> None:
    """Writes GeoParquet 1.1 with `metadata` under the key `landcover_atlas`, reads it back, then names it `path`.

    Raises:
        OutputError: the file cannot be written or does not read back.
    """
    with whole_file(path, "free space or choose another --tiles folder") as part:
        # geopandas offers no file metadata of its own, so the table is rewritten once with ours beside its "geo" key.
        table.to_parquet(part, schema_version="1.1.0", index=False, compression="zstd")
        arrow = pq.read_table(part)
        arrow = arrow.replace_schema_metadata(
            {**(arrow.schema.metadata or {}), METADATA_KEY: json.dumps(metadata, sort_keys=True, default=list).encode()}
        )
        pq.write_table(arrow, part, compression="zstd")
        if pq.read_metadata(part).num_rows != len(table):
            raise OutputError(f"{path}: {len(table)} rows were written, fewer came back; check the disk")


def read_table(path: Path) -> gpd.GeoDataFrame:
    """The table in a `tiles.parquet`.

    Raises:
        TileTableError: the file is missing, damaged or lacks a column.
    """
    try:
        table = gpd.read_parquet(path)
    except (OSError, ValueError) as error:
        raise TileTableError(f"{path}: not a tile table ({error}); run the pipeline on its scene again") from error
    missing = [name for name in COLUMNS if name not in table.columns]
    if missing:
        raise TileTableError(f"{path}: lacks the columns {', '.join(missing)}; run the pipeline on its scene again")
    return table


def read_columns(path: Path, names: Sequence[str] = ()) -> pd.DataFrame:
    """The table in a `tiles.parquet` without its geometry, which repeats col and row; or the columns `names` alone.

    Raises:
        TileTableError: the file is missing, damaged or lacks a column.
    """
    try:
        with pq.ParquetFile(path) as file:
            wanted = list(names) or [name for name in file.schema_arrow.names if name != "geometry"]
            table: pd.DataFrame = file.read(wanted).to_pandas()
    except (OSError, ValueError) as error:
        raise TileTableError(f"{path}: not a tile table ({error}); run the pipeline on its scene again") from error
    if missing := [name for name in names or COLUMNS if name not in table.columns and name != "geometry"]:
        raise TileTableError(f"{path}: lacks the columns {', '.join(missing)}; run the pipeline on its scene again")
    return table


def read_metadata(path: Path) -> dict[str, Any]:
    """The pipeline's own metadata of a table: model with its card's digest, legend, grid, passport, software version.

    Raises:
        TileTableError: the file is damaged or was not written by the pipeline.
    """
    try:
        return metadata_in(pq.read_schema(path), path)
    except (OSError, ValueError) as error:
        raise TileTableError(f"{path}: carries no pipeline metadata; run the pipeline on its scene again") from error


def metadata_in(schema: pa.Schema, path: Path) -> dict[str, Any]:
    """The same of a table at `path` that is open already.

    Raises:
        TileTableError: the table was not written by the pipeline.
    """
    try:
        found: dict[str, Any] = json.loads((schema.metadata or {})[METADATA_KEY])
    except (ValueError, KeyError) as error:
        raise TileTableError(f"{path}: carries no pipeline metadata; run the pipeline on its scene again") from error
    return found


def read_legend(path: Path) -> Legend:
    """The classes that a table's codes mean, as the table itself tells.

    Raises:
        TileTableError: the file is damaged or tells no classes.
    """
    told: Any = read_metadata(path).get(LEGEND)
    known = {each.name for each in fields(LandCoverClass)}

    def entry(told: Mapping[str, Any]) -> LandCoverClass:
        values: dict[str, Any] = {name: value for name, value in told.items() if name in known}
        return LandCoverClass(**values | {name: tuple(value) for name, value in values.items() if type(value) is list})

    try:
        return Legend(told["name"], tuple(entry(each) for each in told["classes"]))
    except (TypeError, KeyError, AttributeError, ValueError, ModelError) as error:
        raise TileTableError(
            f"{path}: does not tell its classes (an older version wrote it); run the pipeline on its scene again"
        ) from error
