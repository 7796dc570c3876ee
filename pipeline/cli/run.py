"""The main job: scenes in, atlas out."""

import logging
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.console import (
    CHIPS,
    MAX_FALSE,
    PRIOR,
    TileProgress,
    explain_errors,
    periods_option,
    reading_options,
    verbosity,
)
from pipeline.cli.executing import executor, scheduler_option, workers_option

if TYPE_CHECKING:
    from pipeline.batch.main_job import RunReport
    from pipeline.batch.task import ModelChoice
    from pipeline.models.card import ModelCard
    from pipeline.outlines import Outline
    from pipeline.results.period import Period
    from pipeline.results.record import SceneRecord
    from pipeline.scenes.safety.address import Remote
    from pipeline.scenes.scene import ReadOptions, Refusal, Scene

log = logging.getLogger(__name__)

DEMO_SCENES = Path("demo-scenes")
REMOTE_SCENES = Path("remote-scenes")
REMOTE_TILES = Path("remote-tiles")


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("scenes", required=False)
@click.option(
    "--demo",
    is_flag=True,
    help=f"Simulate three dates of a made landscape in {DEMO_SCENES}/ and map them, the later two as one period.",
)
@click.option(
    "--model", default="eurosat-resnet50", show_default=True, help="Name of the trained model under saved_models/."
)
@click.option(
    "--cover",
    default="cover-10m",
    show_default=True,
    help="Network that names every 10 m pixel, several with commas between them, or none.",
)
@click.option(
    "--engine",
    default="auto",
    show_default=True,
    help="auto, openvino, openvino-int8, openvino-bf16, openvino-f32 or keras.",
)
@click.option(
    "--tiles",
    default="tiles",
    show_default=True,
    help=f"Folder for tables and rasters, or an address (s3://...; copied to {REMOTE_TILES}/).",
)
@click.option(
    "--maps", type=click.Path(path_type=Path), default=Path("maps"), show_default=True, help="Folder for atlas.html."
)
@workers_option("Scenes worked on side by side, each in a process.")
@scheduler_option("Run the scenes on an existing Dask cluster instead.")
@reading_options
@click.option(
    "--min-valid",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    help="Share of valid pixels that a tile needs.",
)
@PRIOR
@MAX_FALSE
@CHIPS
@periods_option("--composite")
@click.option(
    "--area",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Map only what this outline touches: GeoJSON, KML, GeoPackage or a zipped shapefile.",
)
@click.option("--name-field", metavar="FIELD", help="The field of --area that holds names.")
@click.option("--area-name", metavar="NAME", help="Only the area of this name, where --area holds several.")
@click.option("--smooth", is_flag=True, help="Let each tile lean on its neighbours.")
@click.option("--keep-chips", is_flag=True, help="Also write every patch as a georeferenced TIFF.")
@click.option(
    "--allow-remote",
    is_flag=True,
    help="Also read what STAC Items name by address; SCENES may be the address of an Item or GeoTIFF.",
)
@click.option("--force", is_flag=True, help="Classify finished scenes again.")
@verbosity
@explain_errors
def run(scenes: str | None, demo: bool, **options: Any) -> None:  # noqa: ANN401 - the options of the command above
    """Map the Sentinel-2 SCENES in a folder: tables and rasters into tiles/, one interactive page into maps/."""
    if demo == (scenes is not None):
        raise click.UsageError("give a folder of SCENES, or --demo")
    folder, remote = (
        (DEMO_SCENES, {}) if scenes is None else _reached(scenes, options["allow_remote"], options["model"])
    )
    from pipeline.atlas.part import AtlasOptions
    from pipeline.batch.main_job import RunOptions, tiles_in
    from pipeline.batch.main_job import Watcher as SilentWatcher
    from pipeline.batch.main_job import run as run_batch
    from pipeline.batch.task import ModelChoice
    from pipeline.change import ChangeOptions
    from pipeline.classify import ClassifyOptions
    from pipeline.models import store
    from pipeline.scenes.finding.find import find_scenes

    periods = options["composite"]
    if demo:
        season = _simulate(folder)
        periods = periods or (season,)
    card = store.card(options["model"])

    class Watcher(SilentWatcher):
        def __init__(self) -> None:
            self.progress = TileProgress()

        def begin(self, scenes: "Sequence[Scene]") -> None:
            self.progress.begin(scenes, [tiles_in(scene, card) for scene in scenes])

        def tiles(self, scene: str, count: int) -> None:
            self.progress.advance(scene, count)

        def scene(self, record: "SceneRecord") -> None:
            self.progress.end(record.id, _scene_line(record), logging.WARNING if not record.mapped else logging.INFO)
            for warning in record.warnings:
                logging.getLogger("pipeline").warning("%s: %s", record.id, warning)

        def stage(self, name: str) -> None:
            self.progress.stage(name)

    outline = _outline(options["area"], options["name_field"], options["area_name"])
    watcher = Watcher()
    try:
        report = run_batch(
            _within(find_scenes(folder, _read_options(options, remote)), outline, card),
            RunOptions(
                tiles=_copy_of(options["tiles"]),
                results=options["tiles"] if "://" in options["tiles"] else None,
                maps=options["maps"],
                model=ModelChoice(options["model"], engine=options["engine"], threads=_threads(options["workers"])),
                cover=_cover(options["cover"], _threads(options["workers"])),
                classify=ClassifyOptions(min_valid=options["min_valid"]),
                page=AtlasOptions(chips=options["chips"]),
                keep_chips=options["keep_chips"],
                smooth=options["smooth"],
                change=ChangeOptions(prior=options["prior"], max_false_share=options["max_false"]),
                force=options["force"],
                inputs=folder,
                periods=periods,
            ),
            executor(options["workers"], options["scheduler"]),
            watcher,
        )
    finally:
        watcher.progress.close()
    if logging.getLogger("pipeline").isEnabledFor(logging.INFO):
        click.echo(summary(report))
        if demo:
            from pipeline.evaluation.made_land import on_made_land, told

            click.echo("\n".join(told(on_made_land(report.records, report.folder, folder))))
    elif report.exit_code:
        click.echo(_refusals(report), err=True)
    sys.exit(report.exit_code)


def _outline(area: Path | None, name_field: str | None, name: str | None) -> "Outline | None":
    """The outline of --area; none where all is mapped."""
    if area is None:
        if name_field or name:
            raise click.UsageError("--name-field and --area-name say which part of --area is meant; give --area too")
        return None
    from pipeline.outlines import one_outline, read_outlines

    return one_outline(read_outlines(area, name_field), area.stem, name)


def _within(
    found: "Iterable[Scene | Refusal]", outline: "Outline | None", card: "ModelCard"
) -> "Iterator[Scene | Refusal]":
    """The scenes cut to the tiles that an outline touches; those that it does not touch are left out, with a line."""
    if outline is None:
        yield from found
        return
    from dataclasses import replace

    from pipeline.outlines import cropped
    from pipeline.scenes.scene import Refusal
    from pipeline.tiling import grid_for

    for scene in found:
        if isinstance(scene, Refusal):
            yield scene
        elif bounds := cropped(scene.bounds, outline.shape, grid_for(card, scene.epsg)):
            yield replace(scene, bounds=bounds)
        else:
            log.warning("%s: lies outside %s and is left out", scene.id, outline.name)


def _read_options(options: dict[str, Any], remote: "Mapping[Path, Remote]") -> "ReadOptions":
    from pipeline.models import store

    told = {name: options[name] for name in ("bands", "offset", "tci_max", "assume_crs")}
    return store.card(options["model"]).input.reading(remote=remote, **told)


def _simulate(folder: Path) -> "Period":
    """Makes the demo's scenes; answers with the season of the later two."""
    from pipeline.results.period import Period
    from pipeline.simulate import DEMO_PERIOD, simulate

    logging.getLogger("pipeline").info("simulating three dates in %s", folder)
    simulate(folder)
    return Period.parse(DEMO_PERIOD)


def _reached(scenes: str, allow_remote: bool, model: str) -> "tuple[Path, Mapping[Path, Remote]]":
    """The folder or file that SCENES means, and what of it is read at its address.

    The network is touched only when the user says so.
    """
    from pipeline.scenes.safety.address import redacted

    far = "://" in scenes
    if far and not allow_remote:
        raise click.UsageError(f"{redacted(scenes)}: nothing is fetched from the network unless you say --allow-remote")
    if not far and not Path(scenes).exists():
        raise click.UsageError(f"{scenes}: there is no such folder")
    if not allow_remote:
        return Path(scenes), {}
    from pipeline.catalogue import reach_address, reach_missing
    from pipeline.cli.search import counted
    from pipeline.models import store

    bands = store.card(model).input.bands
    with counted(redacted(scenes)) as progress:
        return (
            reach_address(scenes, REMOTE_SCENES, bands, progress)
            if far
            else (Path(scenes), reach_missing(Path(scenes), bands, progress))
        )


def _copy_of(tiles: str) -> Path:
    """The folder of --tiles, or the one where results at an address are copied for the page."""
    from pipeline.results.address import mirror

    return mirror(tiles, REMOTE_TILES) if "://" in tiles else Path(tiles)


def _cover(name: str, threads: int | None) -> "ModelChoice | None":
    """The network of the cover; none where it was declined."""
    from pipeline.batch.task import ModelChoice

    return None if name == "none" else ModelChoice(name, threads=threads)


def _threads(workers: int) -> int | None:
    from pipeline.batch.executors import cores

    return None if workers == 1 else max(1, cores() // workers)


def _scene_line(record: "SceneRecord") -> str:
    from pipeline.results.layout import SceneStatus

    if not record.mapped:
        return f"{record.id}: refused, {record.error}: {record.reason}"
    tiles = sum(record.counts.values())
    if record.period:
        tiles_of = f"{record.id}: {len(record.looks)} looks, {tiles:,} tiles"
    else:
        tiles_of = f"{record.id}: {tiles:,} tiles"
    how = "finished before" if record.status is SceneStatus.CACHED else f"{record.seconds:.1f} s"
    note = f"; {record.error}: {record.reason}" if record.error else ""
    return f"{tiles_of}, {record.classified:,} with a class, {how}{note}"


def _refusals(report: "RunReport") -> str:
    lines = [f"  {record.id}: {record.error}: {record.reason}" for record in report.records if not record.mapped]
    return "\n".join(["refused:", *lines]) if lines else ""


def _day(acquired: str | None) -> str:
    from pipeline.scenes.scene import day

    return day(datetime.fromisoformat(acquired) if acquired else None)


def summary(report: "RunReport") -> str:
    """What a person wants to know at the end: scenes, dates, hectares by class, what was refused, where the map is."""
    from pipeline.legend import STATE_LABELS

    done = [record for record in report.records if record.mapped]
    scenes = [record for record in report.records if record.period is None]
    composites = [record for record in done if record.period]
    mapped = sum(record.mapped for record in scenes)
    also = f", {len(composites)} composite{'s' * (len(composites) > 1)} made of them," if composites else ""
    lines = [f"\n{mapped} of {len(scenes)} scenes mapped{also} in {report.seconds:.1f} s"]
    states = set(STATE_LABELS.values())
    silent = {look for record in composites for look in record.looks}
    for record in done:
        if record.id in silent:
            continue
        total = sum(record.counts.values())
        when = f"{len(record.looks)} looks" if record.period else _day(record.acquired)
        lines.append(f"\n{record.id}  {when}  {record.level}  {total:,} tiles")
        ordered = sorted(record.counts.items(), key=lambda entry: (entry[0] in states, -entry[1]))
        lines += [
            f"  {label:<22}{count * record.tile_hectares:>12,.0f} ha {count / total:>7.1%}" for label, count in ordered
        ]
    if refusals := _refusals(report):
        lines.append(f"\n{refusals}")
    if report.page is not None:
        lines.append(f"\nmap     {report.page.resolve()}\ntables  {report.results or report.folder.resolve()}")
    elif not done:
        lines.append(
            "\nnothing could be mapped: no scene was usable"
            if report.records
            else "\nnothing could be mapped: the folder holds no scene"
        )
    return "\n".join(lines)
