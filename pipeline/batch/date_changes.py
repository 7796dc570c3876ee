"""Comparing the dates of a run: pairs of scenes, the evidence in their pixels, the table of changes."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import geopandas as gpd
import pandas as pd

from pipeline import __version__
from pipeline.batch.fingerprint import FINGERPRINT
from pipeline.batch.loaded import give_memory_back, let_models_go
from pipeline.change import ChangeOptions, evidence
from pipeline.change.dates import Compared, compare_dates, kept_evidence, level_of, write_comparison
from pipeline.errors import OutputError, TileTableError
from pipeline.files import whole_file
from pipeline.grid import TileGrid
from pipeline.legend import Legend
from pipeline.results.layout import CHANGES, HEAT, ITEM, TABLE, evidence_file, evidence_files, looks_of, scene_folders
from pipeline.results.table import read_metadata, read_table
from pipeline.scenes.reading.inspect import inspect_pixels
from pipeline.scenes.scene import UNKNOWN_DATE, Scene

# Part of every key: raise it when the meaning of the evidence changes.
_SCHEMA = 3

_log = logging.getLogger(__name__)


def write_changes(
    scenes: Sequence[Scene],
    folder: Path,
    legend: Legend,
    stage: Callable[[str], None],
    options: ChangeOptions = ChangeOptions(),
) -> Path | None:
    """Writes the table of changes and its heat for all scenes of a run whose date is known.

    None, and no file, where no place was seen twice.

    Raises:
        OutputError: a table cannot be written.
    """
    dated = [scene for scene in scenes if scene.dated]
    if 0 < len(scenes) - len(dated) < len(scenes):
        _log.warning(
            "%s: date unknown, not compared with others", ", ".join(scene.id for scene in scenes if not scene.dated)
        )
    try:
        found = _compared(dated, folder, legend, stage, options)
    except OutputError:
        raise
    except Exception as error:  # the scenes are mapped, whatever happens to their comparison
        _log.warning("the dates could not be compared: %s: %s", type(error).__name__, error)
        _log.debug("no changes", exc_info=error)
        found = None
    return _stored(found, folder, [scene.id for scene in scenes], options)


def write_changes_again(folder: Path, legend: Legend, options: ChangeOptions) -> Path | None:
    """Writes the table of changes and its heat of what speaks in a model's folder now, from what earlier runs measured.

    Raises:
        TileTableError: a table is damaged.
        OutputError: a table cannot be written.
    """
    places = scene_folders(folder)
    tables = [table for place in places if len(table := read_table(place / TABLE)) and _dated(table)]
    levels = {place.name: level_of(place) for place in places}
    found = compare_dates(tables, levels, kept_evidence([folder]), legend, options)
    return _stored(found, folder, levels, options)


def _dated(table: gpd.GeoDataFrame) -> bool:
    return bool(table["acquired"].iloc[0] != UNKNOWN_DATE)


def _stored(found: Compared | None, folder: Path, scenes: Iterable[str], options: ChangeOptions) -> Path | None:
    if found is None:
        for stale in (folder / CHANGES, folder / HEAT):
            stale.unlink(missing_ok=True)
        return None
    write_comparison(found, folder, scenes, options)
    return folder / CHANGES


def _compared(
    scenes: Sequence[Scene], folder: Path, legend: Legend, stage: Callable[[str], None], options: ChangeOptions
) -> Compared | None:
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
