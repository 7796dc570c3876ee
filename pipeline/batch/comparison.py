"""Two finished runs or scenes against each other: the table of changes, the matrix in hectares, the page."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from pipeline.atlas.collect import AtlasInput, collect, read_changes, read_prior
from pipeline.atlas.page import AtlasOptions, render_atlas
from pipeline.change import ChangeOptions, from_to, totals
from pipeline.change.dates import compare_dates, kept_evidence, level_of, write_comparison
from pipeline.errors import OutputError, TileTableError
from pipeline.files import write_text
from pipeline.legend import Legend
from pipeline.results.layout import CHANGES, HEAT, MATRIX, PAGE, RUN_REPORT, TABLE, scene_folders
from pipeline.results.table import read_columns


@dataclass(frozen=True, slots=True)
class Comparison:
    """Where a comparison was written, and its totals."""

    table: Path
    """The table of changes (GeoParquet), one row a tile and pair of days."""
    matrix: Path
    """The from-to matrix in hectares (CSV)."""
    page: Path
    """The atlas that opens on Change."""
    totals: pd.DataFrame
    """One row a pair of days, see `pipeline.change.totals`."""


def results_of(name: str, tiles: Path) -> list[Path]:
    """The scene folders that a name means.

    The folder of a scene, a run or tiles of one model, or a scene or model below `tiles`.

    Raises:
        TileTableError: there is no such result.
    """
    folder = Path(name)
    models = sorted(path.parent for path in folder.glob(f"*/{RUN_REPORT}"))
    places = [folder, *(models if len(models) == 1 else [])]
    if name and folder.name == name:
        places += [tiles / name, *(path / name for path in sorted(tiles.glob("*")))]
    for place in places:
        if (place / TABLE).is_file():
            return [place]
        if (place / RUN_REPORT).is_file() and (found := scene_folders(place)):
            return found
    known = ", ".join(sorted(path.parent.name for path in tiles.glob(f"*/*/{TABLE}")))
    raise TileTableError(
        f"{name}: neither a run nor a scene with results; name a folder of results or one of {tiles} "
        f"({known or 'none is there'})"
    )


def compare(
    before: Sequence[Path], after: Sequence[Path], out: Path, legend: Legend, options: ChangeOptions = ChangeOptions()
) -> Comparison:
    """Writes `changes.parquet` with its heat, `from-to.csv` and a page that opens on Change into `out`.

    What the pixels say is taken from the run that saw both scenes; without such a run the classes alone decide.

    Raises:
        TileTableError: a table is damaged, or no place lies in both.
        OutputError: `out` cannot be written.
    """
    if list(before) == list(after) and len(before) == 1:
        raise TileTableError(f"{before[0].name}: is both sides of the comparison; name two scenes of one place")
    folders = [*before, *(folder for folder in after if folder not in before)]
    tables = [read_columns(folder / TABLE) for folder in folders]
    levels = {folder.name: level_of(folder) for folder in folders}
    measured = kept_evidence(dict.fromkeys(folder.parent for folder in folders))
    compared = compare_dates(tables, levels, measured, legend, options)
    if compared is None:
        raise _nothing_shared(before, after)
    found = compared.table
    one, other = ({folder.name for folder in side} for side in (before, after))
    first, second = found["before"].astype(str), found["after"].astype(str)
    found = found[(first.isin(one) & second.isin(other)) | (first.isin(other) & second.isin(one))]
    if found.empty:
        raise _nothing_shared(before, after)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{out}: cannot be made ({error.strerror}); choose another --out folder") from error
    write_comparison(compared._replace(table=found.reset_index(drop=True)), out, levels, options)
    write_text(out / MATRIX, from_to(found).to_csv())
    page = render_atlas(_seen(folders, out), legend, out / PAGE, AtlasOptions(mode="change"))
    return Comparison(out / CHANGES, out / MATRIX, page, totals(found))


def _nothing_shared(before: Sequence[Path], after: Sequence[Path]) -> TileTableError:
    return TileTableError(
        f"{before[0].name} and {after[0].name}: no tile carries an answer in both; compare scenes of one place"
    )


def _seen(folders: Sequence[Path], out: Path) -> AtlasInput:
    """What the page shows of these scenes and their comparison in `out`, whichever runs they come from."""
    runs = [collect(parent) for parent in dict.fromkeys(folder.parent for folder in folders)]
    names = {folder.name for folder in folders}
    scenes = {scene.id: scene for run in runs for scene in run.scenes if scene.id in names}
    ordered = tuple(sorted(scenes.values(), key=lambda scene: (scene.day, scene.id)))
    changed = read_changes(out / CHANGES, {scene.id: scene.day for scene in ordered})
    prior = read_prior(out / CHANGES)
    return replace(runs[0], scenes=ordered, refusals=(), changes=changed, heat=out / HEAT, prior=prior)
