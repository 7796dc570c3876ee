"""Comparing dates: which pairs of looks stand for two dates, the table of changes and its heat as files."""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import geopandas as gpd
import pandas as pd

from pipeline import __version__
from pipeline.change.heat import heat_table
from pipeline.change.options import ChangeOptions
from pipeline.change.table import changes, scene_pairs
from pipeline.files import whole_file
from pipeline.legend import Legend
from pipeline.results.layout import CHANGES, HEAT, TABLE, evidence_files
from pipeline.results.table import read_metadata, write_table

# Pairs of looks that show a smaller part of the tiles that two dates share are not worth reading both scenes.
_ENOUGH = 0.01

Pairs = Sequence[tuple[str, str]]
# What the pixels of pairs of scenes say, one after the other, None where they cannot tell.
Measure = Callable[[Pairs], Iterator[pd.DataFrame | None]]
Measured = dict[tuple[str, str], pd.DataFrame]

_log = logging.getLogger(__name__)


class Compared(NamedTuple):
    """What comparing dates found."""

    table: gpd.GeoDataFrame
    """One row a tile and pair of dates."""
    measured: Measured
    """What the pixels of each pair said, by the names of scenes or periods."""


def compare_dates(
    tables: Sequence[gpd.GeoDataFrame],
    levels: Mapping[str, str],
    measured: Measure,
    legend: Legend,
    options: ChangeOptions,
    stage: Callable[[str], None] = lambda _: None,
) -> Compared | None:
    """The changes between tables of scenes or periods; None where no place was seen twice.

    `levels` are those of the tables' scenes, `measured` tells what the pixels of pairs of scenes say. A period has no
    pixels of its own: at every tile its clearest look speaks, compared with the other date's; pairs of looks that show
    few tiles are judged by their classes alone.
    """
    pairs = scene_pairs(tables) if len(tables) > 1 else pd.DataFrame()
    if pairs.empty:
        return None
    shown = {str(table["scene"].iloc[0]): _shown(table) for table in tables if len(table)}
    looks = [(before, after, _look_pairs(shown[before], shown[after])) for before, after in _named(pairs)]
    answers = measured([pair for _, _, found in looks for pair in found])
    known: Measured = {}
    done, total = 0, sum(len(found) for _, _, found in looks)
    for before, after, found in looks:
        parts = []
        for tiles in found.values():
            done += 1
            stage(f"comparing dates, {done} of {total}")
            if (part := next(answers)) is not None:
                parts.append(part if len(found) == 1 else part[part.index.isin(tiles)])
        if parts:
            known[before, after] = pd.concat(parts)
    stage("weighing changes")
    return Compared(changes(tables, known, levels, options, legend), known)


def kept_evidence(folders: Iterable[Path]) -> Measure:
    """What earlier runs measured between the scenes in models' folders, as far as it can be read."""
    kept = {pair: path for folder in folders for path, pair in evidence_files(folder).items()}

    def read(pair: tuple[str, str]) -> pd.DataFrame | None:
        path = kept.get(pair)
        if path is None:
            return None
        try:
            return pd.read_parquet(path)
        except (OSError, ValueError):
            _log.warning("%s: what was measured between these scenes is damaged; run the pipeline on them again", path)
            return None

    return lambda pairs: map(read, pairs)


def level_of(place: Path) -> str:
    """The processing level of the scene or period in a folder.

    Raises:
        TileTableError: its table is damaged.
    """
    return str(read_metadata(place / TABLE).get("level"))


def write_comparison(found: Compared, folder: Path, scenes: Iterable[str], options: ChangeOptions) -> None:
    """Writes a table of changes between `scenes` and where in its tiles the pixels tell of them.

    Raises:
        OutputError: a table cannot be written.
    """
    told = {
        "software": f"landcover-atlas {__version__}",
        "scenes": sorted(scenes),
        "prior_per_year": options.prior,
        "max_false_share": options.max_false_share,
    }
    write_table(found.table, folder / CHANGES, told)
    with whole_file(folder / HEAT, "free space or choose another folder of results") as part:
        heat_table(found.table, found.measured).to_parquet(part, index=False, compression="zstd")


def options_of(folder: Path) -> ChangeOptions:
    """The options that the table of changes in a folder was made with, as far as it tells them.

    Raises:
        TileTableError: the table is damaged.
    """
    told, usual = read_metadata(folder / CHANGES), ChangeOptions()
    return ChangeOptions(
        prior=float(told.get("prior_per_year", usual.prior)),
        max_false_share=float(told.get("max_false_share", usual.max_false_share)),
    )


def _named(pairs: pd.DataFrame) -> list[tuple[str, str]]:
    return list(zip(pairs["before"].astype(str), pairs["after"].astype(str), strict=True))


def _shown(table: gpd.GeoDataFrame) -> pd.Series:
    """Which scene's pixels stand for each tile, by tile_id."""
    column = "clearest" if "clearest" in table else "scene"
    return pd.Series(table[column].astype(str).to_numpy(), index=table["tile_id"])


def _look_pairs(before: pd.Series, after: pd.Series) -> dict[tuple[str, str], pd.Index]:
    """The pairs of scenes whose pixels show enough of the tiles that two dates share, with these tiles."""
    both = pd.DataFrame({"before": before, "after": after}).dropna()
    groups = {(str(one), str(other)): rows.index for (one, other), rows in both.groupby(["before", "after"])}
    return {pair: tiles for pair, tiles in groups.items() if len(tiles) >= _ENOUGH * len(both)}
