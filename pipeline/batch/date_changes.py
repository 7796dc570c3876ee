"""Comparing the dates of a run: pairs of scenes, the evidence in their pixels, the table of changes."""

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from pipeline import __version__
from pipeline.batch.executors import Executor, Serial
from pipeline.batch.fingerprint import FINGERPRINT
from pipeline.batch.loaded import give_memory_back, let_models_go
from pipeline.change import ChangeOptions, evidence
from pipeline.change.dates import Compared, Pairs, compare_dates, kept_evidence, level_of, write_comparison
from pipeline.errors import OutputError, TileTableError
from pipeline.files import whole_file
from pipeline.grid import TileGrid
from pipeline.legend import Legend
from pipeline.results.layout import CHANGES, HEAT, ITEM, TABLE, evidence_file, evidence_files, looks_of, scene_folders
from pipeline.results.table import read_columns, read_metadata, read_table
from pipeline.scenes.reading.inspect import inspect_pixels
from pipeline.scenes.scene import UNKNOWN_DATE, Scene

# Part of every key: raise it when the meaning of the evidence changes.
_SCHEMA = 3
# Metres from a scene's bounds that its outer tiles reach at most.
_NEAR = 5_000.0

_log = logging.getLogger(__name__)


def write_changes(
    scenes: Sequence[Scene],
    folder: Path,
    legend: Legend,
    stage: Callable[[str], None],
    options: ChangeOptions = ChangeOptions(),
    executor: Executor | None = None,
) -> Path | None:
    """Writes the table of changes and its heat for all scenes of a run whose date is known.

    None, and no file, where no place was seen twice. The executor's workers read the pixels of pairs of scenes.

    Raises:
        OutputError: a table cannot be written.
    """
    dated = [scene for scene in scenes if scene.dated]
    if 0 < len(scenes) - len(dated) < len(scenes):
        _log.warning(
            "%s: date unknown, not compared with others", ", ".join(scene.id for scene in scenes if not scene.dated)
        )
    try:
        found = _compared(dated, folder, legend, stage, options, executor or Serial())
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
    scenes: Sequence[Scene],
    folder: Path,
    legend: Legend,
    stage: Callable[[str], None],
    options: ChangeOptions,
    executor: Executor,
) -> Compared | None:
    """The changes between dated scenes and periods; None where no place was seen twice."""
    by_id = {scene.id: scene for scene in scenes}
    periods = {place: looks for place in scene_folders(folder) if (looks := looks_of(place)) is not None}
    silent = {look for looks in periods.values() for look in looks}
    speaking = [scene for scene in scenes if scene.id not in silent]
    tables, levels = [], {}
    for place in (*(folder / scene.id for scene in (speaking if periods else _seen_again(speaking))), *periods):
        try:
            tables.append(read_columns(place / TABLE))
            levels[place.name] = level_of(place)
        except TileTableError as error:
            _log.warning("%s: not compared with others: %s", place.name, error)

    def measured(pairs: Pairs) -> Iterator[pd.DataFrame | None]:
        return _evidence([(by_id.get(before), by_id.get(after)) for before, after in pairs], folder, executor)

    return compare_dates(tables, levels, measured, legend, options, stage)


def _seen_again(scenes: Sequence[Scene]) -> list[Scene]:
    """The scenes whose ground another one may show, too; the others have nothing to be compared with."""
    if not scenes:
        return []
    west, south, east, north = np.array([scene.bounds for scene in scenes]).T
    boxes = shapely.box(west - _NEAR, south - _NEAR, east + _NEAR, north + _NEAR)
    zones = np.array([scene.epsg for scene in scenes])
    one, other = shapely.STRtree(boxes).query(boxes)
    met = np.unique(one[(one != other) & (zones[one] == zones[other])])
    return [scenes[at] for at in met.tolist()]


def _evidence(
    pairs: Sequence[tuple[Scene | None, Scene | None]], folder: Path, executor: Executor
) -> Iterator[pd.DataFrame | None]:
    """What the pixels of pairs of scenes say, from an earlier run where neither has changed.

    None where they cannot be compared, or one is no scene of this run.

    Raises:
        OutputError: the evidence cannot be kept.
    """
    scenes = [(before, after) for before, after in pairs if before is not None and after is not None]
    paths = {
        (one.id, other.id): evidence_file(folder, one.id, other.id, _key(one, other, folder)) for one, other in scenes
    }
    kept = {pair: found for pair, path in paths.items() if (found := _stored_evidence(path)) is not None}
    asked = [_Pair(one, other, _grid(folder / one.id)) for one, other in scenes if (one.id, other.id) not in kept]
    if asked:
        let_models_go()
    answers = executor.each(measure, asked)
    for before, after in pairs:
        if before is None or after is None:
            yield None
            continue
        pair = before.id, after.id
        if pair not in kept:
            found = next(answers)
            if isinstance(found, pd.DataFrame):
                _keep(found, paths[pair], pair)
                yield found
                continue
            why = found or "the worker was lost"
            _log.warning("%s and %s: compared by their classes alone, the pixels cannot be read: %s", *pair, why)
        yield kept.get(pair)


class _Pair(NamedTuple):
    """Two scenes whose pixels are to be compared, and their grid."""

    before: Scene
    after: Scene
    grid: TileGrid


def measure(pair: _Pair) -> pd.DataFrame | str:
    """The evidence of two scenes, or why there is none: one pair can never cost the others."""
    try:
        return evidence(inspect_pixels(pair.before), inspect_pixels(pair.after), pair.grid)
    except Exception as error:
        _log.debug("no evidence", exc_info=error)
        return str(error) or type(error).__name__
    finally:
        give_memory_back()


def _grid(place: Path) -> TileGrid:
    return TileGrid(**read_metadata(place / TABLE)["grid"])


def _stored_evidence(path: Path) -> pd.DataFrame | None:
    with suppress(OSError, ValueError):
        return pd.read_parquet(path)
    return None


def _keep(found: pd.DataFrame, path: Path, pair: tuple[str, str]) -> None:
    with whole_file(path, "free space or choose another --tiles folder") as part:
        for stale, known in evidence_files(path.parent.parent).items():
            if known == pair:
                stale.unlink()
        found.to_parquet(part, compression="zstd")


def _key(before: Scene, after: Scene, folder: Path) -> str:
    """What the evidence depends on: both scenes' fingerprints, which hold their bytes and how they are read."""
    items = [json.loads((folder / scene.id / ITEM).read_text(encoding="utf-8")) for scene in (before, after)]
    marks = [item["properties"][FINGERPRINT] for item in items]
    return hashlib.sha256(json.dumps([_SCHEMA, __version__, marks]).encode()).hexdigest()[:16]
