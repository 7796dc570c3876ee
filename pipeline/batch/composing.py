"""Composites made afterwards, from a finished folder of results, without the scenes and without the model."""

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from pipeline.atlas.collect import collect
from pipeline.atlas.page import AtlasOptions, render_atlas
from pipeline.batch.composites import make_composites
from pipeline.batch.date_changes import write_changes_again
from pipeline.change import ChangeOptions
from pipeline.errors import TileTableError
from pipeline.legend import Legend
from pipeline.results.folder import ResultsFolder
from pipeline.results.layout import PAGE, RUN_REPORT
from pipeline.results.period import Period, apart
from pipeline.results.record import SceneRecord, read_records, write_run
from pipeline.results.staging import only_run, sweep


@dataclass(frozen=True, slots=True)
class Composed:
    """What was made."""

    records: tuple[SceneRecord, ...]
    """A record a composite, and one of a period that none could be made of."""
    page: Path
    """The page, on which they speak for their looks."""


def compose(
    folder: Path, maps: Path, periods: Sequence[Period], legend: Legend, options: ChangeOptions = ChangeOptions()
) -> Composed:
    """Makes the composites of periods in a model's folder, in place of those that it had; then changes and page anew.

    Without any period the scenes speak for themselves again. What pixels say of change is taken from the runs that saw
    the scenes.

    Raises:
        BadPeriod: two periods share days; nothing was written.
        TileTableError: the results are damaged.
        OutputError: they cannot be written, or a run holds them.
    """
    periods = apart(periods)
    with ExitStack() as stack:
        stack.enter_context(only_run(folder))
        stack.enter_context(only_run(maps))
        for place in (folder, maps):
            sweep(place)
        scenes = [record for record in read_records(folder) if record.period is None]
        if not scenes:
            raise TileTableError(f"{folder}: no run tells of its scenes; run the pipeline on a folder of scenes first")
        facts = json.loads((folder / RUN_REPORT).read_text(encoding="utf-8"))
        made = make_composites(periods, scenes, ResultsFolder(folder))
        records = sorted([*scenes, *made], key=lambda record: (record.acquired or "", record.id))
        write_run(folder, {name: value for name, value in facts.items() if name != "scenes"}, records)
        write_changes_again(folder, legend, options)
        page = render_atlas(collect(folder, tolerant=True), legend, maps / PAGE, AtlasOptions())
    return Composed(tuple(made), page)
