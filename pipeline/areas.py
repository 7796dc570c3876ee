"""Hectares with intervals.

What the map says by class, date and region, and what a sample of reference labels makes of it.

The estimator is that of Olofsson et al. (2014), Good practices for estimating area and assessing accuracy of land
change, Remote Sensing of Environment 148, 42-57; equation numbers below are that paper's. Its intervals are too
narrow for rare classes, so `pipeline.intervals` makes them.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely
from pyproj import Transformer

from pipeline.errors import TileTableError
from pipeline.grid import utm_epsgs
from pipeline.intervals import Estimate, score_interval, share_of, weighted_sum
from pipeline.legend import TileState
from pipeline.outlines import on_grid, read_outlines, shares_of
from pipeline.results.layout import ChangeState
from pipeline.results.looks import clearest, days
from pipeline.results.table import LOOKS, tile_hectares, tiles_by_grid

Array = npt.NDArray[np.float64]

ELSEWHERE = "elsewhere"
# Natural Earth 1:110m, public domain, made by benchmarks/make_countries.py; the accuracy is measured there.
COUNTRIES = Path(__file__).with_name("countries.geojson")
# Parts of a tile that rounding leaves over.
_SLIVER = 1e-4


# --- Hectares of the map -------------------------------------------------------------------------------------------


def read_regions(path: Path = COUNTRIES, name_field: str | None = None) -> gpd.GeoDataFrame:
    """Regions with the columns name and geometry, in degrees; the countries of the world by default.

    The countries are strongly generalised: borders and coasts are good to about 25 km, small islands and states are
    missing.

    Raises:
        TileTableError: the file cannot be read, lacks `name_field`, holds no polygon, or lies nowhere on Earth.
    """
    outlines = read_outlines(path, name_field)
    return gpd.GeoDataFrame(
        {"name": [one.name for one in outlines]}, geometry=[one.shape for one in outlines], crs=4326
    )


def places(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Every tile once a date: tile_id, date, scene, label, code, longitude and latitude of its centre.

    The tables need the columns `LOOKS`. Where scenes of one day overlap, the clearest look counts. Where the grids of
    two zones overlap, the tile of the zone that the ground belongs to counts.

    Raises:
        TileTableError: no table was given.
    """
    if not tables:
        raise TileTableError("no tile table was given; run the pipeline on a folder of scenes first")
    rows = pd.concat(
        [pd.DataFrame(table[list(LOOKS)]).astype({"scene": object, "label": object}) for table in tables],
        ignore_index=True,
    )
    rows = rows[rows["code"] != TileState.NO_DATA]
    rows = clearest(rows.assign(date=days(rows["acquired"])), ["tile_id", "date"])
    rows["longitude"], rows["latitude"] = centres(rows["tile_id"])
    rows = rows[~counted_next_door(rows)]
    return rows[["tile_id", "date", "scene", "label", "code", "longitude", "latitude"]].reset_index(drop=True)


def mapped_areas(tables: Sequence[pd.DataFrame], regions: gpd.GeoDataFrame | None = None) -> pd.DataFrame:
    """Hectares of every label: date, region, label, tiles, hectares, share (of the region at the date).

    Labels of tiles without a class (cloud, unclassified) are listed too, so the shares sum to 1. A tile counts in
    every region by its part inside, and in `ELSEWHERE` by the part that no region holds, so `tiles` need not be whole
    numbers; without `regions` all is one region "all".

    Raises:
        TileTableError: no table was given.
    """
    tiles = places(tables)
    if regions is None:
        held = tiles.assign(region="all", tiles=1.0)
    else:
        parts = region_parts(tiles["tile_id"], regions)
        held = pd.concat([tiles.iloc[at].assign(region=name, tiles=part) for name, at, part in parts])
    # On the map plane, which differs from the ground by less than 0.3 %.
    held["hectares"] = held["tiles"] * tile_hectares(held["tile_id"].to_numpy())
    counted = held.groupby(["date", "region", "label"], sort=True)[["tiles", "hectares"]].sum().reset_index()
    counted["share"] = counted["tiles"] / counted.groupby(["date", "region"])["tiles"].transform("sum")
    return counted


def changed_areas(changes: pd.DataFrame, regions: gpd.GeoDataFrame) -> pd.DataFrame:
    """Hectares of change of every region: region, state, from_label, to_label, hectares, expected_false_ha.

    Only changed tiles are told by move; the labels of the others are empty. `changes` is a table of changes; tiles on
    a border count by their part inside.
    """
    table = pd.DataFrame(changes[["tile_id", "state", "from_label", "to_label", "p_change"]]).astype(
        {"state": str, "from_label": str, "to_label": str, "p_change": float}
    )
    table.loc[table["state"] != ChangeState.CHANGED, ["from_label", "to_label"]] = ""
    table["hectares"] = tile_hectares(table["tile_id"].to_numpy())
    parts = []
    for name, at, part in region_parts(table["tile_id"], regions):
        held = table.iloc[at].assign(region=name)
        held["hectares"] *= part
        claimed = np.where(held["state"] == ChangeState.CHANGED, 1.0 - held["p_change"], 0.0)
        parts.append(held.assign(expected_false_ha=claimed * held["hectares"]))
    keys = ["region", "state", "from_label", "to_label"]
    return pd.concat(parts).groupby(keys, sort=True)[["hectares", "expected_false_ha"]].sum().reset_index()


def region_parts(
    tile_ids: pd.Series, regions: gpd.GeoDataFrame
) -> Iterator[tuple[str, npt.NDArray[np.intp], npt.NDArray[np.float64]]]:
    """Names of regions with the positions of tiles that they touch and the part of each inside; last the rest."""
    rest = np.ones(len(tile_ids))
    for region in placed_regions(tile_ids, regions):
        rest[region.rows] -= region.part
        yield region.name, region.rows, region.part
    beyond = np.flatnonzero(rest > _SLIVER)
    yield ELSEWHERE, beyond, rest[beyond]


class PlacedRegion(NamedTuple):
    """A region on the plane of one grid, with the tiles that it touches."""

    name: str
    """What the regions' file calls it."""
    shape: shapely.Geometry
    """In metres of the grid's zone."""
    rows: npt.NDArray[np.intp]
    """Positions of the tiles among the ids."""
    part: Array
    """The part of each inside (0..1]; a hair below 1 may be all of it."""


def placed_regions(tile_ids: pd.Series, regions: gpd.GeoDataFrame) -> Iterator[PlacedRegion]:
    """Every region on every grid where it touches tiles."""
    ids = tile_ids.to_numpy()
    longitudes, latitudes = centres(tile_ids)
    for grid, at, index in tiles_by_grid(ids):
        longitude, latitude = longitudes[at], latitudes[at]
        longitude = longitude - 360.0 * np.round((longitude - (grid.epsg % 100 * 6 - 183)) / 360.0)
        margin = 0.2  # degrees; more than a tile
        reach = (longitude.min() - margin, latitude.min() - margin, longitude.max() + margin, latitude.max() + margin)
        for name, shape in zip(regions["name"], regions.geometry, strict=True):
            placed = on_grid(shape, grid.epsg, reach)
            if placed.is_empty:
                continue
            part = shares_of(placed, index, grid.edge)
            yield PlacedRegion(str(name), placed, at[part > 0], part[part > 0])


def centres(tile_ids: pd.Series) -> tuple[Array, Array]:
    """Longitudes and latitudes (n,) of tiles' centres."""
    longitude, latitude = np.empty(len(tile_ids)), np.empty(len(tile_ids))
    for grid, at, index in tiles_by_grid(tile_ids.to_numpy()):
        x, y = ((index + 0.5) * grid.edge).T
        longitude[at], latitude[at] = Transformer.from_crs(grid.epsg, 4326, always_xy=True).transform(x, y)
    return longitude, latitude


def counted_next_door(rows: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Which tiles lie beyond their zone where the proper zone's grid has a tile of the same date on the same ground."""
    longitude, latitude, date = (rows[name].to_numpy() for name in ("longitude", "latitude", "date"))
    known: set[tuple[str, Any]] | None = None  # most maps lie in one zone
    beyond = np.zeros(len(rows), np.bool_)
    for grid, at, _ in tiles_by_grid(rows["tile_id"].to_numpy()):
        proper = np.full(len(at), grid.epsg)
        zoned = (latitude[at] >= -80.0) & (latitude[at] <= 84.0)
        proper[zoned] = utm_epsgs(longitude[at][zoned], latitude[at][zoned])
        for zone in np.unique(proper[proper != grid.epsg]).tolist():
            if known is None:
                known = set(zip(rows["tile_id"], date, strict=True))
            there, next_door = at[proper == zone], replace(grid, epsg=zone)
            x, y = Transformer.from_crs(4326, zone, always_xy=True).transform(longitude[there], latitude[there])
            index = zip((x // grid.edge).astype(int).tolist(), (y // grid.edge).astype(int).tolist(), strict=True)
            beyond[there] = [pair in known for pair in zip(next_door.tile_ids(index), date[there], strict=True)]
    return beyond


# --- Areas from a sample ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Assessment:
    """What a stratified sample says about a map; intervals are of 95 % (see `pipeline.intervals`)."""

    counts: pd.DataFrame
    """Sampled tiles by map label (rows) and reference label (columns)."""
    mapped: pd.Series
    """Hectares by label."""
    classes: pd.DataFrame
    """One row a label: mapped_ha, adjusted_ha, adjusted_ci, adjusted_low, adjusted_high, users_accuracy, users_ci,
    producers_accuracy, producers_ci, sampled (tiles of that map label); `ci` are the wider halves.
    """
    accuracy: float
    """The overall one (0..1)."""
    accuracy_ci: float
    """The wider half of its interval."""

    def to_json(self) -> str:
        """The assessment as JSON, for files and the page."""
        return json.dumps(
            {
                "accuracy": self.accuracy,
                "accuracy_ci": self.accuracy_ci,
                "labels": list(self.counts.columns),
                "counts": self.counts.to_numpy().tolist(),
                "classes": json.loads(self.classes.rename_axis("label").reset_index().to_json(orient="records")),
            },
            indent=1,
        )


def error_adjusted(counts: pd.DataFrame, mapped: pd.Series) -> Assessment:
    """Accuracy and error-adjusted areas of a map from a stratified random sample.

    Args:
        counts: sampled units by map label (rows) and reference label (columns).
        mapped: mapped area by map label, in hectares.

    Raises:
        TileTableError: a mapped label has fewer than two sampled units, so its error cannot be estimated.
    """
    labels = sorted(set(counts.index) | set(counts.columns) | set(mapped.index), key=str)
    table = counts.reindex(index=labels, columns=labels).fillna(0).astype(int)
    hectares = mapped.reindex(labels).fillna(0.0).astype(float)
    n = table.to_numpy(np.float64)
    area = hectares.to_numpy(np.float64)
    sampled = n.sum(axis=1)
    if short := [
        str(label) for label, units, size in zip(labels, sampled, area, strict=True) if size > 0 and units < 2
    ]:
        raise TileTableError(
            f"labels: fewer than two labelled tiles of the map's {', '.join(short)}; label more of them, at least "
            f"two each"
        )
    total = area.sum()
    weight = (area / total if total > 0 else area)[:, None]
    cells = score_interval(n, np.broadcast_to(sampled[:, None], n.shape))
    cells = Estimate(*(np.where(weight > 0, limit, 0.0) for limit in cells))
    adjusted = weighted_sum(cells, weight)  # the value is eq. 9
    users = score_interval(np.diag(n), sampled)
    own = Estimate(*(np.diag(limit) * weight[:, 0] for limit in cells))
    apart = np.where(np.eye(len(labels), dtype=bool), 0.0, weight)
    producers = share_of(own, weighted_sum(cells, apart))  # the value is eq. 3
    accuracy = weighted_sum(Estimate(*(np.diag(limit)[:, None] for limit in cells)), weight)
    seen = sampled > 0
    columns = {
        "adjusted_ha": adjusted.value * total,
        "adjusted_ci": _half_width(adjusted) * total,
        "adjusted_low": adjusted.low * total,
        "adjusted_high": np.minimum(adjusted.high, 1.0) * total,
        "users_accuracy": np.where(seen, users.value, np.nan),
        "users_ci": np.where(seen, _half_width(users), np.nan),
        "producers_accuracy": producers.value,
        "producers_ci": _half_width(producers),
        "sampled": sampled.astype(int),
    }
    classes = pd.DataFrame({"mapped_ha": area} | columns, index=pd.Index(labels, name="label"))
    return Assessment(table, hectares, classes, float(accuracy.value[0]), float(_half_width(accuracy)[0]))


def _half_width(estimate: Estimate) -> Array:
    """The wider side of an interval, so that value +- it holds all of it."""
    return np.asarray(np.maximum(estimate.value - estimate.low, estimate.high - estimate.value))


def sample(table: pd.DataFrame, size: int, seed: int = 0, stratum: str = "label", least: int = 20) -> pd.DataFrame:
    """A stratified random sample of tiles for a person to label.

    Each stratum gets `least` tiles (all it has where it has fewer), the rest is shared out by the strata's sizes
    (Olofsson et al. 2014, section 5.1.2). The answer is in random order and does not tell the map's label, so that
    it cannot lead the eye; `assess` looks it up again.

    Args:
        table: rows with tile_id and the `stratum` column: `places` of one date, or a table of changes ("state").
        size: number of tiles to draw; more where the strata's `least` add up to more, all where there are fewer.
        seed: the same seed draws the same tiles.
        stratum: the column whose values are the strata.
        least: tiles of every stratum.

    Returns:
        tile_id, date (where the table has one), longitude, latitude, map (which map it was drawn from, see `identity`),
        label (empty).

    Raises:
        TileTableError: there is nothing to draw from, or a tile is in the table twice.
    """
    table = table[~table["code"].isin([int(state) for state in TileState])] if "code" in table else table
    if table.empty:
        raise TileTableError("no classified tile to sample; run the pipeline on a scene with fewer clouds")
    _refuse_repeated(table)
    held = table[stratum].astype(str).value_counts().sort_index()
    sizes = held.to_numpy(np.int64)
    quota = shared_out(sizes, size, least)
    generator = np.random.default_rng(seed)
    ordered = table.sort_values("tile_id", kind="stable")
    drawn = [
        ordered[(ordered[stratum].astype(str) == name).to_numpy()].iloc[generator.permutation(int(count))[: int(part)]]
        for (name, count), part in zip(held.items(), quota, strict=True)
    ]
    chosen = pd.concat(drawn)
    chosen = chosen.iloc[generator.permutation(len(chosen))]
    dates = chosen["date"].to_numpy() if "date" in chosen else None
    return to_label(chosen["tile_id"].to_numpy(), dates, identity(table, stratum))


def to_label(tile_ids: npt.NDArray[Any], dates: npt.NDArray[Any] | None, mark: str) -> pd.DataFrame:
    """What a person fills in for drawn units: the table that `sample` describes, of the map called `mark`."""
    longitude, latitude = centres(pd.Series(tile_ids))
    return pd.DataFrame(
        {
            "tile_id": tile_ids,
            **({} if dates is None else {"date": dates}),
            "longitude": longitude.round(6),
            "latitude": latitude.round(6),
            "map": mark,
            "label": "",
        }
    )


def shared_out(sizes: npt.NDArray[np.int64], size: int, least: int) -> npt.NDArray[np.int64]:
    """How many of `size` units to draw from strata of these sizes: `least` of each where it has them, then by share."""
    quota = np.minimum(sizes, least)
    shared = np.zeros_like(quota)
    # One at a time to the stratum that lacks most of its share (Webster's method).
    while quota.sum() < min(size, sizes.sum()):
        poorest = np.where(quota < sizes, (shared + 0.5) / sizes, np.inf).argmin()
        quota[poorest] += 1
        shared[poorest] += 1
    return quota


def identity(table: pd.DataFrame, stratum: str = "label") -> str:
    """Twelve digits that tell one map from another: which tile has which value of `stratum`, in any order."""
    told = sorted(zip(table["tile_id"].astype(str), table[stratum].astype(str), strict=True))
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:12]


def _refuse_repeated(table: pd.DataFrame) -> None:
    """A place that counts twice would be drawn twice, and make every interval too narrow."""
    if table["tile_id"].duplicated().any():
        twice = table.loc[table["tile_id"].duplicated(), "tile_id"].iloc[0]
        raise TileTableError(f"tile {twice} is in the table twice; take one date, or one pair of dates")


def read_labels(path: Path, known: Sequence[str] = ()) -> pd.DataFrame:
    """A labelled sample from a CSV, with commas or semicolons.

    Labels that differ from a `known` one by case or spaces alone become it.

    Raises:
        TileTableError: the file is no CSV.
    """
    try:
        with path.open(encoding="utf-8-sig") as file:
            separator = ";" if ";" in file.readline() else ","
        labelled = pd.read_csv(path, dtype=str, sep=separator, encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        raise TileTableError(
            f"{path}: no readable CSV ({' '.join(str(error).split())}); take the file that `sample` or the page "
            f"wrote, in UTF-8"
        ) from error
    if "label" in labelled:
        plain = {label.casefold(): label for label in known}
        labelled["label"] = labelled["label"].map(
            lambda label: plain.get("".join(label.split()).casefold(), label.strip()), na_action="ignore"
        )
    return labelled


class WholeMap(NamedTuple):
    """The map that a table holds a part of."""

    mark: str
    """What tells it from others."""
    hectares: pd.Series
    """By label."""


def assess(
    labelled: pd.DataFrame, table: pd.DataFrame, stratum: str = "label", whole: WholeMap | None = None
) -> Assessment:
    """What a person's labels (tile_id, label) say about the map in `table` (tile_id and the `stratum` column).

    `whole` describes the map where `table` holds the sampled units alone.

    Rows without a label and labels of tiles outside the table do not count. The tiles must be a stratified random
    sample such as `sample` draws: labels of places that caught the eye prove nothing.

    Raises:
        TileTableError: a column is missing, a tile has two different labels or is in the table twice, or too few
            tiles are labelled.
    """
    if missing := {"tile_id", "label"} - set(labelled.columns):
        raise TileTableError(
            f"labels: lack the column {', '.join(sorted(missing))}; take the file that the page or `sample` wrote"
        )
    table = table[~table["code"].isin([int(state) for state in TileState])] if "code" in table else table
    given = pd.DataFrame(
        {"tile_id": labelled["tile_id"].astype(str), "label": labelled["label"].fillna("").astype(str).str.strip()}
    )
    given = given[given["label"] != ""].drop_duplicates()
    if given.empty:
        raise TileTableError("labels: no tile is labelled yet; fill in the column label, by hand or in the page")
    if twice := sorted(given.loc[given["tile_id"].duplicated(), "tile_id"].unique()):
        raise TileTableError(f"labels: tile {twice[0]} carries two different labels; keep one line a tile")
    _refuse_repeated(table)
    mark = whole.mark if whole else identity(table, stratum)
    told = set(labelled["map"].dropna()) - {""} if "map" in labelled else set()
    if strange := told - {mark}:
        raise TileTableError(
            f"labels: the sample was drawn from map {sorted(strange)[0]}, this one is {mark} (another run, model or "
            f"date); assess the map that was sampled, or draw a new sample"
        )
    mapped = table.set_index("tile_id")[stratum].astype(str)
    given = given[given["tile_id"].isin(mapped.index)]
    if given.empty:
        raise TileTableError("labels: none of the labelled tiles is in this map; take the labels of this run and date")
    counts = pd.crosstab(mapped.reindex(given["tile_id"]).to_numpy(), given["label"].to_numpy())
    if whole:
        return error_adjusted(counts, whole.hectares)
    hectares = pd.Series(tile_hectares(mapped.index.to_numpy()), index=mapped.to_numpy())
    return error_adjusted(counts, hectares.groupby(level=0).sum())


def to_features(sampled: pd.DataFrame) -> dict[str, Any]:
    """A sample as a GeoJSON FeatureCollection of points."""
    points = gpd.GeoDataFrame(sampled, geometry=gpd.points_from_xy(sampled["longitude"], sampled["latitude"]), crs=4326)
    features: dict[str, Any] = json.loads(points.to_json(drop_id=True))
    return features
