"""What a sample of reference labels makes of a map: accuracy, and areas with intervals.

The estimator is that of Olofsson et al. (2014), Good practices for estimating area and assessing accuracy of land
change, Remote Sensing of Environment 148, 42-57; equation numbers below are that paper's. Its intervals are too
narrow for rare classes, so `pipeline.intervals` makes them.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.areas import centres
from pipeline.errors import TileTableError
from pipeline.intervals import Estimate, score_interval, share_of, weighted_sum
from pipeline.legend import TileState
from pipeline.results.table import tile_hectares

Array = npt.NDArray[np.float64]


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
        table: rows with tile_id and the `stratum` column: `places` of one date, or a table of
            changes ("state").
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
