"""Comparing the dates of a run: pairs of scenes, the evidence in their pixels, the table of changes."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import geopandas as gpd
import pandas as pd

from pipeline import __version__
from pipeline.batch.fingerprint import FINGERPRINT
from pipeline.batch.loaded import give_memory_back, let_models_go
from pipeline.change import ChangeOptions, changes, evidence, scene_pairs
from pipeline.errors import OutputError, TileTableError
from pipeline.files import whole_file
from pipeline.grid import TileGrid
from pipeline.legend import Legend
from pipeline.results.layout import (
    CHANGES,
    ITEM,
    TABLE,
    evidence_file,
    evidence_files,
    looks_of,
    scene_folders,
)
from pipeline.results.table import read_metadata, read_table, write_table
from pipeline.scenes.reading.inspect import inspect_pixels
from pipeline.scenes.scene import UNKNOWN_DATE, Scene

# Part of every key: raise it when the meaning of the evidence changes.
_SCHEMA = 2

# Pairs of looks that show a smaller part of the tiles that two dates share are not worth reading both scenes.
_ENOUGH = 0.01

Measure = Callable[[str, str], pd.DataFrame | None]

_log = logging.getLogger(__name__)


def write_changes(
    scenes: Sequence[Scene],
    folder: Path,
    legend: Legend,
    stage: Callable[[str], None],
    options: ChangeOptions = ChangeOptions(),
) -> Path | None:
    """Writes `changes.parquet` for all scenes of a run whose date is known.

    None, and no file, where no place was seen twice.

    Raises:
        OutputError: the table cannot be written.
    """
    path = folder / CHANGES
    dated = [scene for scene in scenes if scene.dated]
    if 0 < len(scenes) - len(dated) < len(scenes):
        _log.warning(
            "%s: date unknown, not compared with others", ", ".join(scene.id for scene in scenes if not scene.dated)
        )
    try:
        table = _compared(dated, folder, legend, stage, options)
    except OutputError:
        raise
    except Exception as error:  # the scenes are mapped, whatever happens to their comparison
        _log.warning("the dates could not be compared: %s: %s", type(error).__name__, error)
        _log.debug("no changes", exc_info=error)
        table = None
    return _stored(table, path, sorted(scene.id for scene in scenes), options)


def write_changes_again(folder: Path, legend: Legend, options: ChangeOptions) -> Path | None:
    """Writes `changes.parquet` of what speaks in a model's folder now, from what earlier runs measured.

    Raises:
        TileTableError: a table is damaged.
        OutputError: the table cannot be written.
    """
    places = scene_folders(folder)
    tables = [table for place in places if len(table := read_table(place / TABLE)) and _dated(table)]
    levels = {place.name: level_of(place) for place in places}
    found = compare_dates(tables, levels, kept_evidence([folder]), legend, options)
    return _stored(found, folder / CHANGES, sorted(levels), options)


def _dated(table: gpd.GeoDataFrame) -> bool:
    return bool(table["acquired"].iloc[0] != UNKNOWN_DATE)


def _stored(table: gpd.GeoDataFrame | None, path: Path, scenes: Sequence[str], options: ChangeOptions) -> Path | None:
    if table is None:
        path.unlink(missing_ok=True)
        return None
    told = {"software": f"landcover-atlas {__version__}", "scenes": scenes, "prior_per_year": options.prior}
    write_table(table, path, told)
    return path


def _compared(
    scenes: Sequence[Scene], folder: Path, legend: Legend, stage: Callable[[str], None], options: ChangeOptions
) -> gpd.GeoDataFrame | None:
    """The changes between dated scenes and periods; None where no place was seen twice."""
    by_id = {scene.id: scene for scene in scenes}

    def measured(before: str, after: str) -> pd.DataFrame | None:
        return _evidence(by_id[before], by_id[after], folder) if {before, after} <= by_id.keys() else None

    periods = {place: looks for place in scene_folders(folder) if (looks := looks_of(place)) is not None}
    silent = {look for looks in periods.values() for look in looks}
    tables, levels = [], {}
    for place in (*(folder / scene.id for scene in scenes if scene.id not in silent), *periods):
        try:
            tables.append(read_table(place / TABLE))
            levels[place.name] = level_of(place)
        except TileTableError as error:
            _log.warning("%s: not compared with others: %s", place.name, error)
    return compare_dates(tables, levels, measured, legend, options, stage)


def compare_dates(
    tables: Sequence[gpd.GeoDataFrame],
    levels: Mapping[str, str],
    measured: Measure,
    legend: Legend,
    options: ChangeOptions,
    stage: Callable[[str], None] = lambda _: None,
) -> gpd.GeoDataFrame | None:
    """The changes between tables of scenes or periods; None where no place was seen twice.

    `levels` are those of the tables' scenes, `measured` tells what the pixels of two scenes say. A period has no pixels
    of its own: at every tile its clearest look speaks, compared with the other date's; pairs of looks that show few
    tiles are judged by their classes alone.
    """
    pairs = scene_pairs(tables) if len(tables) > 1 else pd.DataFrame()
    if pairs.empty:
        return None
    shown = {str(table["scene"].iloc[0]): _shown(table) for table in tables if len(table)}
    looks = [(before, after, _look_pairs(shown[before], shown[after])) for before, after in _named(pairs)]
    known = {}
    done, total = 0, sum(len(found) for _, _, found in looks)
    for before, after, found in looks:
        parts = []
        for (one, other), tiles in found.items():
            done += 1
            stage(f"comparing dates, {done} of {total}")
            if (part := measured(one, other)) is not None:
                parts.append(part if len(found) == 1 else part[part.index.isin(tiles)])
        if parts:
            known[before, after] = pd.concat(parts)
    stage("weighing changes")
    return changes(tables, known, levels, options, legend)


def kept_evidence(folders: Iterable[Path]) -> Measure:
    """What earlier runs measured between the scenes in models' folders, as far as it can be read."""
    kept = {pair: path for folder in folders for path, pair in evidence_files(folder).items()}

    def measured(before: str, after: str) -> pd.DataFrame | None:
        path = kept.get((before, after))
        if path is None:
            return None
        try:
            return pd.read_parquet(path)
        except (OSError, ValueError):
            _log.warning("%s: what was measured between these scenes is damaged; run the pipeline on them again", path)
            return None

    return measured


def level_of(place: Path) -> str:
    """The processing level of the scene or period in a folder.

    Raises:
        TileTableError: its table is damaged.
    """
    return str(read_metadata(place / TABLE).get("level"))


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


def _evidence(before: Scene, after: Scene, folder: Path) -> pd.DataFrame | None:
    """What the pixels of two scenes say, from an earlier run where neither has changed.

    None where they cannot be compared.

    Raises:
        OutputError: the evidence cannot be kept.
    """
    path = evidence_file(folder, before.id, after.id, _key(before, after, folder))
    with suppress(OSError, ValueError):
        return pd.read_parquet(path)
    let_models_go()
    try:
        grid = TileGrid(**read_metadata(folder / before.id / TABLE)["grid"])
        found = evidence(inspect_pixels(before), inspect_pixels(after), grid)
    except Exception as error:  # one pair can never cost the others
        _log.warning(
            "%s and %s: compared by their classes alone, the pixels cannot be read: %s", before.id, after.id, error
        )
        _log.debug("no evidence", exc_info=error)
        return None
    give_memory_back()
    with whole_file(path, "free space or choose another --tiles folder") as part:
        for stale, pair in evidence_files(folder).items():
            if pair == (before.id, after.id):
                stale.unlink()
        found.to_parquet(part, compression="zstd")
    return found


def _key(before: Scene, after: Scene, folder: Path) -> str:
    """What the evidence depends on: both scenes' fingerprints, which hold their bytes and how they are read."""
    items = [json.loads((folder / scene.id / ITEM).read_text(encoding="utf-8")) for scene in (before, after)]
    marks = [item["properties"][FINGERPRINT] for item in items]
    return hashlib.sha256(json.dumps([_SCHEMA, __version__, marks]).encode()).hexdigest()[:16]
