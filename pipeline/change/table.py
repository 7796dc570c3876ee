"""Tile tables of two or more dates -> the table of changes, with what it promises: totals and their expected error."""

import logging
from collections.abc import Mapping, Sequence

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.change.chain import class_change, emissions
from pipeline.change.fusion import fused_probability, pixel_evidence, vector_probability
from pipeline.change.options import DEFAULTS, SEASONAL, ChangeOptions, class_rates, undamped
from pipeline.errors import TileTableError
from pipeline.legend import LandCoverClass, Legend, TileState
from pipeline.results.layout import ChangeState
from pipeline.results.looks import clearest, days
from pipeline.results.table import class_labels, probability_columns, tiles_by_grid

Evidence = Mapping[tuple[str, str], pd.DataFrame]

Floats = npt.NDArray[np.float64]

_YEAR = 365.25 * 86_400.0  # seconds
_ROUNDS, _TINY = 50, 1e-12
# Tiles whose dates are chained at once.
_TILES = 1 << 16

_log = logging.getLogger(__name__)

STATES = tuple(state.value for state in (ChangeState.CHANGED, ChangeState.STABLE, ChangeState.UNDECIDED))


def transitions(
    before: gpd.GeoDataFrame,
    after: gpd.GeoDataFrame,
    evidence: pd.DataFrame | None = None,
    options: ChangeOptions = DEFAULTS,
    legend: Legend | None = None,
) -> gpd.GeoDataFrame:
    """The changes from one tile table to another; `evidence` (by tile_id) is what was measured between their scenes.

    The columns are those of `changes`, and so is `legend`. Swapping the tables mirrors the answer.

    Raises:
        TileTableError: the tables hold different classes, or others than the legend.
    """
    turned = before["acquired"].min() > after["acquired"].min()
    tables = [after, before] if turned else [before, after]
    pair = tuple([str(name) for name in table["scene"].unique()] for table in tables)
    known = {} if evidence is None else {(first, second): evidence for first in pair[0] for second in pair[1]}
    looks, names = _looks(tables, [0, 1])
    found = _compared(looks, _legend_of(names, legend), known, {}, options)
    if turned:
        mirror = {"before": "after", "before_acquired": "after_acquired", "from_label": "to_label"}
        names = list(found.columns)
        found = found.rename(columns=mirror | {value: key for key, value in mirror.items()})[names]
    return found


def changes(
    tables: Sequence[gpd.GeoDataFrame],
    evidence: Evidence | None = None,
    levels: Mapping[str, str] | None = None,
    options: ChangeOptions = DEFAULTS,
    legend: Legend | None = None,
) -> gpd.GeoDataFrame:
    """The changes of every tile between its consecutive usable dates, over any number of scenes.

    A date without data or under cloud is skipped, so a pair may span it. Scenes of one day are one date.

    Args:
        tables: tile tables of one model, in any order.
        evidence: measurements by tile_id for pairs of scene ids (see `scene_pairs`); pairs may be missing.
        levels: processing level by scene id; pairs of different levels are marked.
        options: the assumptions.
        legend: the tables' classes with their roles, which say what season and rotation explain; without roles
            nothing is explained, and a warning says so.

    Returns:
        One row a tile and pair: tile_id, before, after (scene ids), before_acquired, after_acquired, from_label,
        to_label, p_change, state (changed, stable, undecided), change_vector ("the land looks different": what the
        pixels alone say) and change_class ("its class changed": what the classes of all dates say), both 0..1 or
        NaN where not known, season_days (0..183 between the days of the year), cross_level, geometry (in the
        zone's CRS, or longitude and latitude where the tiles lie in several zones).

    Raises:
        TileTableError: the tables hold different classes, or others than the legend.
    """
    looks, names = _looks(tables, _dates(tables))
    return _compared(looks, _legend_of(names, legend), evidence or {}, levels or {}, options)


def scene_pairs(tables: Sequence[gpd.GeoDataFrame]) -> pd.DataFrame:
    """Which pairs of scenes `changes` will compare.

    Before, after (scene ids) and tiles (how many), most tiles first.
    """
    looks, _ = _looks(tables, _dates(tables))
    first, second = _pairs(looks)
    scenes = pd.DataFrame({"before": looks["scene"].to_numpy()[first], "after": looks["scene"].to_numpy()[second]})
    return scenes.value_counts().rename("tiles").reset_index()


def _legend_of(columns: Sequence[str], legend: Legend | None) -> Legend:
    """The legend of tables with these columns of probabilities; one without roles where none was given."""
    labels = class_labels(columns)
    if word := undamped(legend):
        _log.warning("%s", word)
    if legend is None:
        return Legend("unknown", tuple(LandCoverClass(label, label, label, label, "", "") for label in labels))
    if legend.labels != labels:
        raise TileTableError(
            f"the tile tables hold the classes {', '.join(labels)}, the legend {legend.name} has "
            f"{', '.join(legend.labels)}; use the card of the model that made the tables"
        )
    return legend


def _compared(
    looks: pd.DataFrame, legend: Legend, evidence: Evidence, levels: Mapping[str, str], options: ChangeOptions
) -> gpd.GeoDataFrame:
    """The table of changes of all usable looks."""
    first, second = _pairs(looks)
    left, right = looks.iloc[first], looks.iloc[second]
    table = pd.DataFrame(
        {
            "tile_id": left["tile_id"].to_numpy(),
            "before": left["scene"].to_numpy(),
            "after": right["scene"].to_numpy(),
            "before_acquired": left["acquired"].array,
            "after_acquired": right["acquired"].array,
            "from_label": left["label"].to_numpy(),
            "to_label": right["label"].to_numpy(),
        }
    )
    classified = (left["code"].to_numpy() >= 0) & (right["code"].to_numpy() >= 0)
    years = (table["after_acquired"] - table["before_acquired"]).dt.total_seconds().abs().to_numpy() / _YEAR
    expected = options.between(years)
    date = looks["date"].to_numpy(np.int64)
    pair = date[first] * (date.max(initial=0) + 1) + date[second]
    by_class = np.where(classified, _class_change(looks, expected.prior, legend, options), np.nan)
    for rows in _groups(pair):
        by_class[rows] = cautious(by_class[rows], expected.prior[rows], options)
    fields = probability_columns(label for label in legend.labels if label in legend.having(*SEASONAL))
    seasonal = np.where(
        classified, left[fields].sum(axis=1).to_numpy(np.float64) * right[fields].sum(axis=1).to_numpy(np.float64), 0.0
    )
    pixels = pixel_evidence(_measured(table, evidence), seasonal)
    table["p_change"] = fused_probability(pixels, by_class, *expected).astype(np.float32)
    table["change_vector"] = vector_probability(pixels, *expected).astype(np.float32)
    table["change_class"] = by_class.astype(np.float32)
    table["season_days"] = _season_days(table["before_acquired"], table["after_acquired"])
    level = pd.Series(dict(levels), dtype=object)
    table["cross_level"] = (table["before"].map(level) != table["after"].map(level)).to_numpy() & table["before"].isin(
        level.index
    ).to_numpy()
    table["state"] = pd.Categorical(states(table, pair, classified, options), categories=STATES)
    for name in ("before", "after", "from_label", "to_label"):
        table[name] = pd.Categorical(table[name].astype(str))
    return _located(table)


def _dates(tables: Sequence[gpd.GeoDataFrame]) -> list[int]:
    """The number of the date of every table: tables of one pass share theirs, and so do the passes of one day."""
    moments = pd.Series(pd.to_datetime([table["acquired"].min() for table in tables], utc=True))
    known = moments.dropna()  # an empty table has no date, and no row to number
    numbers = np.zeros(len(tables), dtype=np.int64)
    numbers[known.index] = days(known).rank(method="dense").to_numpy(np.int64)
    return [int(number) for number in numbers]


def _looks(tables: Sequence[gpd.GeoDataFrame], dates: Sequence[int]) -> tuple[pd.DataFrame, list[str]]:
    """All usable rows by tile and date, each tile once a date, with the classes' labels."""
    if not tables:
        raise TileTableError("no tile table was given; run the pipeline on a folder of scenes first")
    names = [[name for name in table.columns if name.startswith("p_")] for table in tables]
    if any(one != names[0] for one in names):
        raise TileTableError("the tile tables hold different classes; compare runs of one model")
    columns = ["tile_id", "scene", "acquired", "code", "label", "valid_fraction", "cloud_fraction", *names[0]]
    # Types are changed once for all: what pandas asks per table costs more than the rows of a small one.
    looks = pd.concat([pd.DataFrame(table[columns]) for table in tables], ignore_index=True)
    looks = looks.astype({"scene": object, "label": object}).assign(
        date=np.repeat(np.asarray(dates, np.int64), [len(table) for table in tables])
    )
    looks = looks[~looks["code"].isin([TileState.NO_DATA, TileState.CLOUD])]
    return clearest(looks, ["tile_id", "date"]).reset_index(drop=True), names[0]


def _pairs(looks: pd.DataFrame) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Positions of the earlier and the later look of every pair."""
    tile = looks["tile_id"].to_numpy()
    first = np.flatnonzero(tile[1:] == tile[:-1])
    return first, first + 1


def _class_change(looks: pd.DataFrame, prior: Floats, legend: Legend, options: ChangeOptions) -> Floats:
    """The chain's answers by pair, in the order of `_pairs`; `prior` is each pair's share of changed classes."""
    names = looks["tile_id"].to_numpy()
    starts = np.flatnonzero(np.concatenate([[True], names[1:] != names[:-1]])) if len(names) else np.zeros(0, np.intp)
    ends = np.append(starts[1:], len(names))
    answers = looks[probability_columns(legend.labels)]
    told = looks["code"].to_numpy() >= 0  # an unfamiliar tile's probabilities mean nothing
    rates, found = class_rates(legend, options), []
    for at in range(0, len(starts), _TILES):
        first, last = starts[at : at + _TILES], ends[at : at + _TILES]
        rows, count = slice(first[0], last[-1]), last - first
        tile = np.repeat(np.arange(len(count)), count)
        date = np.arange(len(tile)) - np.repeat(first - first[0], count)
        known = answers.iloc[rows].to_numpy(np.float64)
        known[~told[rows]] = np.nan
        likelihoods = np.ones((len(count), int(count.max()), len(legend.labels)))
        likelihoods[tile, date] = emissions(known)
        paired = date < count[tile] - 1
        here = tile[paired], date[paired]
        # As many pairs as rows lie before them, but for one row of every tile.
        done = first[0] - at
        scale = np.zeros((len(count), int(count.max()) - 1))
        scale[here] = prior[done : done + len(here[0])] / options.prior
        found.append(class_change(likelihoods, count, rates, scale)[here])
    return np.concatenate(found) if found else np.zeros(0)


def cautious(by_class: Floats, prior: Floats, options: ChangeOptions = DEFAULTS) -> Floats:
    """Probabilities (n,) of a change of class between two dates, lowered where all tiles together show less of it.

    The share of changed tiles that all n answers speak for is estimated by expectation and maximisation (Saerens et al.
    2002), `options.prior_tiles` tiles that change as expected beside them. Only a smaller share than expected is
    believed: what makes many tiles look changed may be the season, and claims are to be right. NaN is nobody's answer.
    """
    told = ~np.isnan(by_class)
    if not told.any():
        return by_class
    usual = prior[told].mean()
    odds = by_class[told] / np.maximum(1.0 - by_class[told], _TINY)
    ratio = 1.0
    for _ in range(_ROUNDS):
        found = (odds * ratio / (1.0 + odds * ratio)).sum() + options.prior_tiles * usual
        share = min(found / (told.sum() + options.prior_tiles), usual)
        ratio = share / (1.0 - share) * (1.0 - usual) / usual
    lowered = by_class.copy()
    lowered[told] = odds * ratio / (1.0 + odds * ratio)
    return lowered


def _groups(pair: npt.NDArray[np.int64]) -> list[npt.NDArray[np.intp]]:
    """The rows of every pair of dates."""
    return [np.flatnonzero(pair == one) for one in np.unique(pair)]


def _measured(table: pd.DataFrame, evidence: Evidence) -> pd.DataFrame:
    """The evidence of every row of `table`, NaN where none was measured."""
    parts = []
    for pair, rows in table.groupby(["before", "after"], sort=False, observed=True):
        if pair in evidence:
            parts.append(evidence[pair].reindex(rows["tile_id"]).set_axis(rows.index))
    return pd.concat(parts).reindex(table.index) if parts else pd.DataFrame(index=table.index)


def _season_days(before: pd.Series, after: pd.Series) -> npt.NDArray[np.int16]:
    """Days between two dates' places in the year, 0..183."""
    apart = (after.dt.day_of_year - before.dt.day_of_year).abs().to_numpy()
    return np.asarray(np.minimum(apart, 366 - apart), dtype=np.int16)


def states(
    table: pd.DataFrame, pair: npt.NDArray[np.int64], classified: npt.NDArray[np.bool_], options: ChangeOptions
) -> npt.NDArray[np.object_]:
    """What is claimed of every row."""
    p = table["p_change"].to_numpy(np.float64)
    claimed = np.zeros(len(p), np.bool_)
    claimable = classified & (options.claim_cross_level | ~table["cross_level"].to_numpy())
    for rows in _groups(pair):
        rows = rows[claimable[rows]]
        if options.min_mapping_unit > 1:  # before the bound is taken, and again for those that the bound lets stand
            rows = rows[p[rows] >= options.least_probability]
            rows = rows[_group_sizes(table["tile_id"].to_numpy()[rows]) >= options.min_mapping_unit]
        claimed[_bounded(table["tile_id"].to_numpy(), p, rows, options)] = True
    stable = classified & (p <= options.max_stable)
    changed, settled, open_ = STATES
    return np.where(claimed, changed, np.where(stable, settled, open_))


def _bounded(
    tile_ids: npt.NDArray[np.object_], p: Floats, rows: npt.NDArray[np.intp], options: ChangeOptions
) -> npt.NDArray[np.intp]:
    """The rows that may be claimed together: within the bound and in groups that are large enough, both at once."""
    while len(rows):
        kept = rows[within_bound(p[rows], options)]
        if options.min_mapping_unit > 1:
            kept = kept[_group_sizes(tile_ids[kept]) >= options.min_mapping_unit]
        if len(kept) == len(rows):
            break
        rows = kept
    return rows


def within_bound(p: npt.NDArray[np.float64], options: ChangeOptions = DEFAULTS) -> npt.NDArray[np.bool_]:
    """Which of n probabilities of change may be claimed: the largest set of the likeliest that keeps the bound.

    The mean of 1 - p over the claims is their expected false share (Bayesian control of the false discovery rate).
    """
    order = np.argsort(-p, kind="stable")
    share = np.cumsum(1.0 - p[order]) / np.arange(1, len(p) + 1)
    claimed = np.zeros(len(p), np.bool_)
    claimed[order] = (share <= options.max_false_share) & (p[order] >= options.least_probability)
    return claimed


def _group_sizes(tile_ids: npt.NDArray[np.object_]) -> npt.NDArray[np.int64]:
    """Size of the group of touching tiles (corners count) that each tile belongs to."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    places = {
        (grid, *place): at
        for grid, positions, index in tiles_by_grid(tile_ids)
        for at, place in zip(positions.tolist(), index.tolist(), strict=True)
    }
    links = [
        (at, places[(grid, col + east, row + north)])
        for (grid, col, row), at in places.items()
        for east, north in ((1, 0), (0, 1), (1, 1), (1, -1))
        if (grid, col + east, row + north) in places
    ]
    ends = np.array(links, dtype=np.int64).reshape(-1, 2)
    _, group = connected_components(
        coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(len(tile_ids), len(tile_ids))), directed=False
    )
    return np.asarray(np.bincount(group)[group], dtype=np.int64)


def _located(table: pd.DataFrame) -> gpd.GeoDataFrame:
    """The table with the tiles' squares."""
    geometry = np.empty(len(table), dtype=object)
    grids = list(tiles_by_grid(table["tile_id"].to_numpy()))
    zones = sorted({grid.epsg for grid, _, _ in grids})
    for grid, at, index in grids:
        squares = gpd.GeoSeries(grid.polygons(index), crs=grid.epsg)
        geometry[at] = squares.to_numpy() if len(zones) == 1 else squares.to_crs(4326).to_numpy()
    return gpd.GeoDataFrame(table, geometry=geometry, crs=zones[0] if len(zones) == 1 else 4326)
