"""What a table of changes adds up to: totals with the errors to expect, and the from-to matrix."""

import geopandas as gpd
import numpy as np
import pandas as pd

from pipeline.grid import TileGrid
from pipeline.results.layout import ChangeState

# Tiles of all zones are equal.
_HECTARES = TileGrid(32601).hectares


def totals(changes: gpd.GeoDataFrame) -> pd.DataFrame:
    """One row a pair of days, in time: what was claimed, and how much of it is expected to be wrong.

    Columns: before, after (dates); tiles; changed, stable, undecided (tiles); changed_ha; expected_false (how many
    of the changed tiles are expected not to have changed), expected_missed (how many of the others are expected to
    have changed); labels_differ (tiles whose labels differ, a figure about the classifier more than the land);
    without_class (tiles without a class at one of the dates); unseen (tiles whose pixels were not compared);
    cross_level (tiles); season_days (the largest distance in the year).
    """
    table = pd.DataFrame(changes.drop(columns="geometry"))
    p = table["p_change"].astype(np.float64)
    changed = table["state"] == ChangeState.CHANGED
    table = table.assign(
        before=table["before_acquired"].dt.date,
        after=table["after_acquired"].dt.date,
        tiles=1,
        changed=changed,
        stable=table["state"] == ChangeState.STABLE,
        undecided=table["state"] == ChangeState.UNDECIDED,
        changed_ha=np.where(changed, _HECTARES, 0.0),
        expected_false=np.where(changed, 1.0 - p, 0.0),
        expected_missed=np.where(changed, 0.0, p),
        labels_differ=table["from_label"].astype(str) != table["to_label"].astype(str),
        without_class=table["change_class"].isna(),
        unseen=table["change_vector"].isna(),
    )
    figures = [
        "changed_ha",
        "expected_false",
        "expected_missed",
        "labels_differ",
        "without_class",
        "unseen",
        "cross_level",
    ]
    summed = ["tiles", "changed", "stable", "undecided", *figures]
    groups = table.groupby(["before", "after"], sort=True)
    return pd.concat([groups[summed].sum(), groups["season_days"].max()], axis=1).reset_index()


def from_to(changes: gpd.GeoDataFrame, states: tuple[str, ...] = ("changed",)) -> pd.DataFrame:
    """Hectares from each label (rows) to each label (columns) over the tiles in `states`.

    The diagonal holds tiles whose land changed within their class.
    """
    table = changes[changes["state"].isin(states)]
    labels = sorted(set(changes["from_label"].astype(str)) | set(changes["to_label"].astype(str)))
    hectares = pd.Series(_HECTARES, index=table.index, dtype=float)
    matrix = pd.crosstab(table["from_label"].astype(str), table["to_label"].astype(str), hectares, aggfunc="sum")
    return matrix.reindex(index=labels, columns=labels).fillna(0.0).rename_axis(index="from", columns="to")
