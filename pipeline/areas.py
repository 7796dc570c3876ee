"""Hectares of the map by class, date and region, each place once."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
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
