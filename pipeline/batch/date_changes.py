"""Comparing the dates of a run: pairs of scenes, the evidence in their pixels, the table of changes."""

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from pipeline import __version__
from pipeline.batch.fingerprint import FINGERPRINT
from pipeline.batch.loaded import give_memory_back, let_models_go
from pipeline.change import ChangeOptions, changes, evidence, scene_pairs
from pipeline.errors import OutputError, TileTableError
from pipeline.files import whole_file
from pipeline.grid import TileGrid
from pipeline.legend import Legend
from pipeline.results.layout import CHANGES, ITEM, TABLE, evidence_file, evidence_files
from pipeline.results.table import read_columns, read_metadata, write_table
from pipeline.scenes.reading.inspect import inspect_pixels
from pipeline.scenes.scene import Scene

# Part of every key: raise it when the meaning of the evidence changes.
_SCHEMA = 2
# Metres from a scene's bounds that its outer tiles reach at most.
_NEAR = 5_000.0

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
    if table is None:
        path.unlink(missing_ok=True)
        return None
    scenes_compared = sorted(scene.id for scene in scenes)
    told = {"software": f"landcover-atlas {__version__}", "scenes": scenes_compared, "prior_per_year": options.prior}
    write_table(table, path, told)
    return path


def _compared(
    scenes: Sequence[Scene], folder: Path, legend: Legend, stage: Callable[[str], None], options: ChangeOptions
) -> gpd.GeoDataFrame | None:
    """The changes between dated scenes; None where no place was seen twice."""
    tables = []
    for scene in _seen_again(scenes):
        try:
            tables.append(read_columns(folder / scene.id / TABLE))
        except TileTableError as error:
            _log.warning("%s: not compared with others: %s", scene.id, error)
    pairs = scene_pairs(tables) if len(tables) > 1 else pd.DataFrame()
    if pairs.empty:
        return None
    by_id = {scene.id: scene for scene in scenes}
    measured = {}
    for number, (before, after) in enumerate(zip(pairs["before"], pairs["after"], strict=True), start=1):
        stage(f"comparing dates, {number} of {len(pairs)}")
        found = _evidence(by_id[before], by_id[after], folder)
        if found is not None:
            measured[before, after] = found
    stage("weighing changes")
    return changes(tables, measured, {scene.id: str(scene.level) for scene in scenes}, options, legend)


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
