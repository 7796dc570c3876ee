"""Which look speaks for which tile of the map."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from pipeline.areas import centres, counted_next_door
from pipeline.errors import BadPeriod, TileTableError
from pipeline.legend import TileState
from pipeline.outlines import Outline, on_grid, shares_of
from pipeline.results.layout import TABLE, scene_folders
from pipeline.results.looks import days
from pipeline.results.period import Period
from pipeline.results.table import read_metadata, read_table, tiles_by_grid

_COLUMNS = ["tile_id", "scene", "acquired", "code", "confidence", "valid_fraction", "cloud_fraction"]
# Signs of a year.
_YEAR = 4
_KEPT = ["tile_id", "scene", "date", "span", "code", "confidence", "whole", "under", "longitude", "latitude"]


def period_between(told: Sequence[str]) -> Period:
    """The period between two years or days, both included.

    Raises:
        BadPeriod: they are no such two, or the second lies before the first.
    """
    try:
        start, end = (text.strip() for text in told)
    except ValueError:
        raise BadPeriod(f"{','.join(told)}: no period; give two years or days such as 2018,2024") from None
    return Period.parse(f"{_first(start)}/{_last(end)}")


def _first(told: str) -> str:
    return f"{told}-01-01" if len(told) == _YEAR else told


def _last(told: str) -> str:
    return f"{told}-12-31" if len(told) == _YEAR else told


def chosen_looks(folder: Path, holding: str, period: Period | None = None) -> pd.DataFrame:
    """One row a tile: what it shows, from which scene, and where.

    The columns are tile_id, scene, date, span (the date, or a composite's period), code, confidence, whole (all of it
    was measured), under, longitude and latitude of its centre.

    Only scenes whose folder holds the file `holding` are looked at. Of a period the clearest look counts, without one
    the latest; clouds count where there is nothing else. `under` are tiles beyond their zone on ground that the proper
    zone's grid also shows: they fill its gaps and nothing more.

    Raises:
        TileTableError: no scene holds the file, none lies in the period, or a table is damaged.
    """
    scenes = [scene for scene in scene_folders(folder) if (scene / holding).is_file()]
    if not scenes:
        raise TileTableError(f"{folder}: no scene has a {holding}; run the pipeline on scenes that give one")
    tables = [
        pd.DataFrame(read_table(scene / TABLE)[_COLUMNS]).astype({"scene": object}).assign(span=_span(scene))
        for scene in scenes
    ]
    rows = pd.concat(tables, ignore_index=True)
    rows = rows[rows["valid_fraction"] > 0]
    if rows.empty:
        raise TileTableError(f"{folder}: no tile of any scene holds data; run the pipeline on other scenes")
    rows = rows.assign(date=days(rows["acquired"]), hidden=rows["code"] == TileState.CLOUD)
    if period is not None:
        known = sorted({str(day) for day in rows["date"]})
        rows = rows[(rows["date"] >= period.start) & (rows["date"] <= period.end)]
        if rows.empty:
            raise TileTableError(
                f"{folder}: has no look from {period.start} to {period.end}; its dates are {', '.join(known)}"
            )
    clear = {"valid_fraction": False, "cloud_fraction": True}
    order = {"tile_id": True, "hidden": True, **({"date": False} if period is None else {}), **clear, "date": False}
    keys = {**order, "scene": True}
    rows = rows.sort_values(list(keys), ascending=list(keys.values()), kind="stable").drop_duplicates("tile_id")
    rows["longitude"], rows["latitude"] = centres(rows["tile_id"])
    rows["under"] = counted_next_door(rows.assign(date=0))
    rows["span"] = rows["span"].where(rows["span"] != "", rows["date"].astype(str))
    rows["whole"] = np.asarray(rows["valid_fraction"] >= 1)
    return rows[_KEPT].reset_index(drop=True)


def _span(scene: Path) -> str:
    """The period that a composite stands for; empty for a scene."""
    return str(read_metadata(scene / TABLE).get("period") or "")


def touched_looks(looks: pd.DataFrame, outline: Outline) -> pd.DataFrame:
    """The rows whose tiles an outline touches.

    Raises:
        TileTableError: it touches none.
    """
    touched = np.zeros(len(looks), np.bool_)
    for grid, at, index in tiles_by_grid(looks["tile_id"].to_numpy()):
        touched[at] = shares_of(on_grid(outline.shape, grid.epsg), index, grid.edge) > 0
    if not touched.any():
        (west, east), (south, north) = ((looks[axis].min(), looks[axis].max()) for axis in ("longitude", "latitude"))
        raise TileTableError(
            f"{outline.name}: lies outside the mapped tiles, which span {west:.3f} to {east:.3f} degrees east and "
            f"{south:.3f} to {north:.3f} north; map scenes of this area first"
        )
    return looks[touched].reset_index(drop=True)


def shares_of_dates(looks: pd.DataFrame) -> Mapping[str, float]:
    """The part of the tiles that each date or period speaks for, in order of time."""
    counted = looks["span"].value_counts(normalize=True).sort_index()
    return {str(day): float(share) for day, share in counted.items()}
