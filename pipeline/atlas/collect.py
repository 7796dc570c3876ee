"""What a model's tile folder holds, read back as compact grids for the page."""

import json
import logging
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.atlas.imagery import Quicklook
from pipeline.errors import OutputError, PipelineError, TileTableError
from pipeline.grid import TileGrid
from pipeline.results.layout import (
    ASSESSMENT,
    CHANGES,
    COVER_ASSESSMENT,
    HEAT,
    ITEM,
    OVERVIEW,
    QUICKLOOK,
    TABLE,
    TRUE_COLOUR,
    ChangeState,
    scene_folders,
)
from pipeline.results.record import SceneRecord, read_records
from pipeline.results.table import class_labels, metadata_in, probability_columns, read_metadata, tiles_by_grid
from pipeline.scenes.scene import Refusal

log = logging.getLogger(__name__)

OUTSIDE = -128
PERCENT_UNKNOWN = 255
CHANGE_STATES = tuple(ChangeState)

Plane = npt.NDArray[np.uint8]
Codes = npt.NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class CoverTiles:
    """What covers the ground inside a scene's tiles."""

    raster: Path
    """The scene's `cover.tif`."""
    classes: tuple[Mapping[str, Any], ...]
    """The raster's values with name, title and colour."""
    shares: Plane
    """Percent of every tile (class, row, column), `PERCENT_UNKNOWN` where it has no cover."""


@dataclass(frozen=True, slots=True)
class SceneTiles:
    """One scene's tiles as planes (row, column) from north to south and west to east; shares are whole percent."""

    id: str
    """The scene."""
    acquired: datetime
    """When it was taken (UTC)."""
    grid: TileGrid
    """The grid that its tiles are of."""
    first_col: int
    """The western column."""
    top_row: int
    """The northern row; rows count northward."""
    codes: Codes
    """Class indices, tile states, and `OUTSIDE` where the table has no row."""
    confidence: Plane
    """Of the first class, `PERCENT_UNKNOWN` where the table says nothing."""
    runner_up: Codes
    """The second class, or -1."""
    runner_up_confidence: Plane
    """Of the second class."""
    valid: Plane
    """Measured pixels."""
    cloud: Plane
    """Pixels under cloud or its shadow."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """What the table's metadata say."""
    properties: Mapping[str, Any] = field(default_factory=dict)
    """What the scene's Item says."""
    quicklook: Quicklook | None = None
    """Its picture, where there is one."""
    overview: Quicklook | None = None
    """A sharper picture, where there is one."""
    truecolour: Path | None = None
    """Its `truecolour.tif`, where there is one."""
    shares: Plane | None = None
    """All classes' probabilities (class, row, column), where they are kept."""
    cover: CoverTiles | None = None
    """What covers the ground inside the tiles, where a run told."""

    @property
    def epsg(self) -> int:
        """The zone of its grid."""
        return self.grid.epsg

    @property
    def day(self) -> date:
        """The UTC day of acquisition."""
        return self.acquired.astimezone(UTC).date()


@dataclass(frozen=True, slots=True)
class TileChanges:
    """Evidence of change of n tiles between two days."""

    epsg: int
    """The zone."""
    before: date
    """The earlier day."""
    after: date
    """The later day."""
    index: npt.NDArray[np.int64]
    """Columns and rows (n, 2)."""
    p_change: Plane
    """Percent (n,)."""
    state: Plane
    """Index into CHANGE_STATES (n,)."""
    vector: Plane | None = None
    """Percent (n,) that the land looks different, where known."""
    label: Plane | None = None
    """Percent (n,) that its class changed, where known."""


@dataclass(frozen=True, slots=True)
class AtlasInput:
    """All that the page shows."""

    labels: tuple[str, ...]
    """The model's class labels."""
    scenes: tuple[SceneTiles, ...]
    """In order of date and id."""
    refusals: tuple[Refusal, ...]
    """Scenes that were not mapped, and why."""
    changes: tuple[TileChanges, ...]
    """Of every pair of days that was compared."""
    model: Mapping[str, Any]
    """The model's summary."""
    assessment: Mapping[str, Any] | None = None
    """What `assess` found on a labelled sample (`ASSESSMENT` of the model's folder), where there is one."""
    heat: Path | None = None
    """The file (`HEAT`) that says where in the tiles the changes are, where there is one."""
    prior: float | None = None
    """Share of tiles that the table of changes expected to change their class in a year, where it says so."""
    cover_assessment: Mapping[str, Any] | None = None
    """What `assess` found on a labelled sample of the cover's pixels, where there is one."""


def collect(model_folder: Path, tolerant: bool = False, only: Collection[str] | None = None) -> AtlasInput:
    """Reads the run report, every scene's table and picture, and the changes of `tiles/<model>/`.

    With `tolerant` a scene whose results cannot be read is a refusal, with its table as the source, and no error.
    With `only` the scenes of other names are left alone.

    Raises:
        OutputError: the folder holds no tile table.
        TileTableError: a table or the run report is damaged.
    """
    records = read_records(model_folder)
    # What the last run listed: a folder may also hold scenes that have since left the user's scenes.
    listed = {record.id for record in records if record.mapped}
    tables = [
        place / TABLE
        for place in scene_folders(model_folder)
        if (place.name in listed or not records) and (only is None or place.name in only)
    ]
    if not tables:
        raise OutputError(f"{model_folder}: holds no {TABLE}; run the pipeline on a folder of scenes first")
    labels: tuple[str, ...] = ()
    scenes = []
    refusals = [_refusal(record) for record in records if record.error or not record.mapped]
    for path in tables:
        try:
            with _opened(path) as file:
                found = class_labels(file.schema_arrow.names)
                if labels and found != labels:
                    raise TileTableError(
                        f"{path}: has other classes than the tables before; keep one model's in a folder"
                    )
                scenes.append(_read_scene(path, file, found))
            labels = found
        except Exception as error:
            if not tolerant:
                raise
            log.warning("%s: left out: %s", path.parent.name, error)
            name = type(error).__name__ if isinstance(error, PipelineError) else TileTableError.__name__
            refusals.append(Refusal(path.parent.name, name, str(error) or name, path))
    scenes.sort(key=lambda scene: (scene.day, scene.id))
    model = next(
        (scene.metadata["model"] for scene in scenes if isinstance(scene.metadata.get("model"), Mapping)),
        {"name": model_folder.name},
    )
    days = {scene.id: scene.day for scene in scenes}
    table, heat = model_folder / CHANGES, model_folder / HEAT
    return AtlasInput(
        labels,
        tuple(scenes),
        tuple(refusals),
        read_changes(table, days),
        model,
        _read_assessment(model_folder / ASSESSMENT),
        heat if heat.is_file() else None,
        read_prior(table),
        _read_assessment(model_folder / COVER_ASSESSMENT),
    )


def _refusal(record: SceneRecord) -> Refusal:
    return Refusal(record.id, record.error or PipelineError.__name__, record.reason or "")


def _read_assessment(path: Path) -> Mapping[str, Any] | None:
    if not path.is_file():
        return None
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if missing := {"accuracy", "accuracy_ci", "classes"} - set(found):
            raise ValueError(f"lacks {', '.join(sorted(missing))}")
    except (OSError, ValueError, TypeError) as error:
        raise TileTableError(f"{path}: not an assessment ({error}); run `assess` again or remove the file") from error
    return found


def _opened(path: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(path)
    except (OSError, pa.ArrowException) as error:
        raise TileTableError(f"{path}: not a tile table ({error}); run the pipeline on its scene again") from error


def _read_scene(path: Path, file: pq.ParquetFile, labels: tuple[str, ...]) -> SceneTiles:
    names = ["tile_id", "col", "row", "scene", "acquired", "code", "valid_fraction", "cloud_fraction"]
    try:
        # The geometry repeats col and row, so it is not read.
        table = file.read(names + probability_columns(labels))
        column = {name: table.column(name) for name in table.column_names}
        if missing := [name for name in names if name not in column]:
            raise TileTableError(f"{path}: lacks the columns {', '.join(missing)}; run the pipeline on its scene again")
        if not table.num_rows:
            raise TileTableError(f"{path}: has no rows; run the pipeline on its scene again")
        grid, _ = TileGrid.parse_id(str(column["tile_id"][0].as_py()))
    except (OSError, pa.ArrowException, ValueError) as error:
        raise TileTableError(f"{path}: not a tile table ({error}); run the pipeline on its scene again") from error
    col, row = (column[name].to_numpy().astype(np.int64) for name in ("col", "row"))
    first_col, top_row = int(col.min()), int(row.max())
    shape = (top_row - int(row.min()) + 1, int(col.max()) - first_col + 1)
    at = (top_row - row, col - first_col)

    def codes_plane(values: npt.NDArray[Any], empty: int) -> Codes:
        out = np.full(shape, empty, np.int8)
        out[at] = values.astype(np.int8)
        return out

    def plane(values: npt.NDArray[np.uint8]) -> Plane:
        out = np.zeros(shape, np.uint8)
        out[at] = values
        return out

    # float32: half of the classes' probabilities differ by less than float16 can tell
    probabilities = np.nan_to_num(
        np.stack([column[name].to_numpy() for name in probability_columns(labels)], axis=1).astype(np.float32)
    )
    codes = column["code"].to_numpy()
    shares = np.zeros((len(labels), *shape), np.uint8)
    shares[:, at[0], at[1]] = percent(probabilities).T
    rows = np.arange(len(codes))
    first = np.where(codes >= 0, codes, probabilities.argmax(axis=1))
    confidence = probabilities[rows, first]
    probabilities[rows, first] = -1.0
    second = probabilities.argmax(axis=1)
    item = _read_item(path.with_name(ITEM))
    truecolour = path.with_name(TRUE_COLOUR)
    acquired = pd.Timestamp(column["acquired"][0].as_py())
    return SceneTiles(
        id=str(column["scene"][0].as_py()),
        acquired=(acquired if acquired.tzinfo else acquired.tz_localize(UTC)).to_pydatetime(),
        grid=grid,
        first_col=first_col,
        top_row=top_row,
        codes=codes_plane(codes, OUTSIDE),
        confidence=plane(percent(confidence)),
        runner_up=codes_plane(second, -1),
        runner_up_confidence=plane(percent(np.maximum(probabilities[rows, second], 0.0))),
        valid=plane(percent(column["valid_fraction"].to_numpy())),
        cloud=plane(percent(column["cloud_fraction"].to_numpy())),
        metadata=metadata_in(file.schema_arrow, path),
        properties=item.get("properties", {}),
        quicklook=_read_picture(path.with_name(QUICKLOOK), item),
        overview=_read_picture(path.with_name(OVERVIEW), item),
        truecolour=truecolour if truecolour.is_file() else None,
        shares=shares,
        cover=_read_cover(path, file, item, at, shape),
    )


def _read_cover(
    path: Path, file: pq.ParquetFile, item: Mapping[str, Any], at: tuple[Any, Any], shape: tuple[int, int]
) -> CoverTiles | None:
    """The cover that the scene's Item tells of; at and shape place the table's rows on the plane."""
    asset = item.get("assets", {}).get("cover")
    names = {name for name in file.schema_arrow.names if name.startswith("cover_")}
    if not asset or not names:
        return None
    raster = path.with_name(Path(str(asset["href"])).name)
    classes = tuple(
        {
            "value": int(one["value"]),
            "name": str(one["name"]),
            "title": str(one.get("description") or one["name"]),
            "colour": "#" + str(one["color_hint"]).lower(),
        }
        for one in asset.get("classification:classes", [])
        if "color_hint" in one and f"cover_{one['name']}" in names
    )
    if not raster.is_file() or not classes:
        return None
    table = file.read([f"cover_{one['name']}" for one in classes])
    shares = np.full((len(classes), *shape), PERCENT_UNKNOWN, np.uint8)
    shares[:, at[0], at[1]] = np.stack([percent(column.to_numpy()) for column in table.columns])
    return CoverTiles(raster, classes, shares)


def percent(share: npt.NDArray[Any]) -> Plane:
    """Shares of 0..1 as whole percent, `PERCENT_UNKNOWN` for NaN."""
    known = ~np.isnan(share)
    return np.where(known, np.rint(np.clip(np.nan_to_num(share), 0.0, 1.0) * 100.0), PERCENT_UNKNOWN).astype(np.uint8)


def _read_item(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise TileTableError(f"{path}: not a STAC Item ({error}); run the pipeline on its scene again") from error


def _read_picture(path: Path, item: Mapping[str, Any]) -> Quicklook | None:
    """A picture of the scene; its place is the field `atlas:bounds` of the Item's asset or properties."""
    asset = item.get("assets", {}).get(path.stem, {})
    bounds = asset.get("atlas:bounds") or item.get("properties", {}).get("atlas:bounds") or item.get("atlas:bounds")
    if not path.is_file() or bounds is None:
        return None
    (south, west), (north, east) = bounds
    return Quicklook(path.read_bytes(), ((float(south), float(west)), (float(north), float(east))))


def read_prior(path: Path) -> float | None:
    """The share of tiles that a table of changes expected to change their class in a year; None where nobody says."""
    if not path.is_file():
        return None
    told = read_metadata(path).get("prior_per_year")
    return float(told) if isinstance(told, int | float) else None


def read_changes(path: Path, days: Mapping[str, date]) -> tuple[TileChanges, ...]:
    """The table of changes by zone and pair of days; `before` and `after` name scenes, `days` tells when they were."""
    if not path.is_file():
        return ()
    try:
        schema = set(pq.read_schema(path).names)
        optional = [name for name in ("change_vector", "change_class") if name in schema]
        table = pq.read_table(path, columns=["tile_id", "before", "after", "p_change", "state", *optional]).to_pandas()
        epsg, index = np.empty(len(table), np.int64), np.empty((len(table), 2), np.int64)
        for grid, at, places in tiles_by_grid(table["tile_id"].to_numpy()):
            epsg[at], index[at] = grid.epsg, places
        table["epsg"] = epsg
        for name in ("before", "after"):
            table[name] = table[name].astype(str).map(days)
        state = table["state"].astype(str).map({name: at for at, name in enumerate(CHANGE_STATES)})
        if state.isna().any():
            raise ValueError(f"a state is none of {', '.join(CHANGE_STATES)}")
    except (OSError, pa.ArrowException, ValueError, KeyError) as error:
        raise TileTableError(f"{path}: not a table of changes ({error}); run the pipeline again") from error
    found = []
    # Scenes that are gone from the folder leave rows without a day; groupby drops them.
    for (zone, before, after), rows in table.groupby(["epsg", "before", "after"], sort=True):
        at = table.index.get_indexer(rows.index)
        kinds = [
            percent(rows[name].to_numpy(np.float64)) if name in rows else None
            for name in ("change_vector", "change_class")
        ]
        shown = [None if kind is None or bool((kind == PERCENT_UNKNOWN).all()) else kind for kind in kinds]
        p_change = percent(rows["p_change"].to_numpy(np.float64))
        found.append(TileChanges(int(zone), before, after, index[at], p_change, state.to_numpy(np.uint8)[at], *shown))
    return tuple(found)
