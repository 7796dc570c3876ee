"""Verbs about finished tables: rebuild the page, export."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.console import CHIPS, explain_errors, verbosity
from pipeline.cli.executing import executor, scheduler_option, workers_option

if TYPE_CHECKING:
    from pipeline.legend import Legend

_FORMATS = {"gpkg": "GPKG", "geojson": "GeoJSON", "csv": None}


TILES, COVER = "tiles", "cover"
PRODUCT = click.option(
    "--product",
    type=click.Choice([TILES, COVER]),
    default=TILES,
    show_default=True,
    help="Tiles by their class, or the cover's pixels of 10 m.",
)
MODEL = click.option("--model", help="Name of the model whose results to use, where TILES holds several.")
OTHER_LEGEND = click.option(
    "--legend",
    metavar="NAME|FILE.csv",
    help="Other classes: corine1, ipcc, lccs, worldcover, or a table of your own (docs/legends.md).",
)


def model_folder(tiles: Path, model: str | None) -> Path:
    """The results of one model: TILES itself or its only (or chosen) sub-folder with a run.json."""
    from pipeline.results.layout import model_folders

    chosen = [path for path in model_folders(tiles) if model is None or path.name == model]
    if not chosen:
        raise click.UsageError(
            f"{tiles}: holds no results{f' of {model}' if model else ''}; run the pipeline on a folder of scenes first"
        )
    if len(chosen) > 1:
        raise click.UsageError(
            f"{tiles} holds results of {', '.join(path.name for path in chosen)}; choose one with --model"
        )
    return chosen[0]


def seen_in(folder: Path, legend: str | None, scenes: Sequence[Path] | None = None, **wanted: bool) -> Path:
    """A model's results (or some of its `scenes`) in another legend while the command lasts, the folder without one.

    `wanted` are fields of `pipeline.crosswalk.view.Wanted`.
    """
    if legend is None:
        return folder
    from pipeline.crosswalk.correspondence import find_crosswalk
    from pipeline.crosswalk.view import Wanted, in_other_legend

    return click.get_current_context().with_resource(
        in_other_legend(folder, find_crosswalk(legend), Wanted(**wanted), scenes)
    )


def seen_product(folder: Path, legend: str | None, product: str, scenes: Sequence[Path] | None = None) -> Path:
    """The same, of the tiles or of the cover alone."""
    cover = product == COVER
    return seen_in(folder, legend, scenes, tiles=not cover, cover=cover, rasters=cover)


def legend_of(folder: Path) -> "Legend":
    """The legend of the results of one model, as their tables tell it."""
    from pipeline.results.layout import TABLE, scene_folders
    from pipeline.results.table import read_legend

    scenes = scene_folders(folder)
    if not scenes:
        raise click.UsageError(f"{folder}: holds no finished scene; run the pipeline on a folder of scenes first")
    return read_legend(scenes[0] / TABLE)


@click.command()
@click.argument("tiles", type=click.Path(exists=True, file_okay=False, path_type=Path))
@MODEL
@click.option(
    "--maps", type=click.Path(path_type=Path), default=Path("maps"), show_default=True, help="Folder for atlas.html."
)
@CHIPS
@OTHER_LEGEND
@click.option(
    "--regions",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Make a page for each of these outlines in MAPS/NAME/, and one that lists them: GeoJSON, KML, GeoPackage or a "
    "zipped shapefile.",
)
@click.option("--name-field", metavar="FIELD", help="The field of --regions that holds names.")
@workers_option("Pages of regions made side by side, each in a process.")
@scheduler_option("Make the pages of regions on an existing Dask cluster instead.")
@click.option("--index", is_flag=True, help="Instead, list all atlases below TILES on one page, index.html in it.")
@verbosity
@explain_errors
def atlas(
    tiles: Path,
    model: str | None,
    maps: Path,
    chips: str,
    legend: str | None,
    regions: Path | None,
    name_field: str | None,
    workers: int,
    scheduler: str | None,
    index: bool,
) -> None:
    """Build the page anew from TILES, without the scenes and without the model."""
    if regions is None and (name_field or scheduler or workers > 1):
        raise click.UsageError("--name-field, --workers and --scheduler are about the pages of regions; give --regions")
    if legend and scheduler:
        raise click.UsageError(
            "other classes live in a folder of this machine for a while, where no cluster finds them"
        )
    if index:
        from pipeline.atlas.index_page import write_index

        page, count = write_index(tiles)
        click.echo(f"{count} atlases in {page.resolve()}")
        return
    from pipeline.atlas.collect import collect
    from pipeline.atlas.page import AtlasOptions, render_atlas
    from pipeline.results.layout import PAGE

    folder = seen_in(model_folder(tiles, model), legend, rasters=True, changes=True)
    maps.mkdir(parents=True, exist_ok=True)
    if regions is not None:
        from pipeline.batch.executors import Serial
        from pipeline.batch.region_pages import write_region_pages
        from pipeline.outlines import read_outlines
        from pipeline.scenes.safety.guard import printable

        outlines = read_outlines(regions, name_field)
        by = executor(workers, scheduler) or Serial()
        made = write_region_pages(folder, outlines, maps, by, AtlasOptions(chips=chips))
        if made.empty:
            click.echo(
                f"no tile in {len(made.empty)} of the regions: {printable(', '.join(made.empty[:10]))}", err=True
            )
        click.echo(f"{len(made.pages)} pages, listed in {made.listing.resolve()}")
        return
    click.echo(render_atlas(collect(folder), legend_of(folder), maps / PAGE, AtlasOptions(chips=chips)).resolve())


@click.command()
@click.argument("tiles", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@MODEL
@click.option("--scene", help="Only this scene.")
@OTHER_LEGEND
@verbosity
@explain_errors
def export(tiles: Path, out: Path, model: str | None, scene: str | None, legend: str | None) -> None:
    """Write the tiles of all scenes in TILES into one file OUT: .gpkg, .geojson or .csv, in longitude and latitude."""
    kind = out.suffix.lower().removeprefix(".")
    if kind not in _FORMATS:
        raise click.UsageError(f"{out}: the format is told by the ending: .gpkg, .geojson or .csv")
    from pipeline.batch.table_export import export_tables

    folder = seen_in(model_folder(tiles, model), legend)
    click.echo(f"{export_tables(folder, out, _FORMATS[kind], scene):,} tiles in {out}")
