"""Comparing the dates of a run: pairs of scenes, the evidence in their pixels, the table of changes."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from pipeline import __version__
from pipeline.batch import outputs
from pipeline.change import changes, scene_pairs
from pipeline.scenes.scene import Scene
from pipeline.tiles import read_table, write_table

CHANGES = "changes.parquet"


def write_changes(scenes: Sequence[Scene], folder: Path, stage: Callable[[str], None]) -> Path | None:
    """Writes `changes.parquet` for all scenes of a run; None, and no file, where no place was seen twice.

    Raises:
        TileTableError: a scene's table is damaged.
        OutputError: the table cannot be written.
    """
    path = folder / CHANGES
    tables = [read_table(folder / scene.id / outputs.TABLE) for scene in scenes]
    pairs = scene_pairs(tables) if len(tables) > 1 else pd.DataFrame()
    if pairs.empty:
        path.unlink(missing_ok=True)
        return None
    stage("comparing dates")
    found = changes(tables, levels={scene.id: str(scene.level) for scene in scenes})
    write_table(found, path, {"software": f"landcover-atlas {__version__}", "scenes": sorted(scene.id for scene in scenes)})
    return path
