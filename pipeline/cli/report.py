"""The verb that writes a report of an area."""

from pathlib import Path

import click

from pipeline.cli.console import explain_errors, verbosity
from pipeline.cli.tables import MODEL, OTHER_LEGEND, legend_of, model_folder, seen_in


@click.command()
@click.argument("tiles", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--area",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The outline: GeoJSON, KML, GeoPackage or a zipped shapefile. [default: the whole place]",
)
@click.option("--name-field", metavar="FIELD", help="The field of --area that holds names.")
@click.option("--area-name", metavar="NAME", help="Only the area of this name, where --area holds several.")
@click.option("--place", metavar="TEXT", help="The place whose name or scene holds this text, where there are several.")
@click.option("--between", metavar="2018,2024", help="Two years or dates to compare. [default: no comparison]")
@click.option(
    "-o",
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("report.html"),
    show_default=True,
    help="The report, .html or .pdf.",
)
@MODEL
@OTHER_LEGEND
@verbosity
@explain_errors
def report(
    tiles: Path,
    area: Path | None,
    name_field: str | None,
    area_name: str | None,
    place: str | None,
    between: str | None,
    out: Path,
    model: str | None,
    legend: str | None,
) -> None:
    """Write a report of an area in TILES: maps, hectares with intervals, change, chart, method, accuracy, licence."""
    from pipeline.atlas.collect import collect
    from pipeline.atlas.report import ReportRequest, make_report
    from pipeline.outlines import one_outline, read_outlines

    folder = seen_in(model_folder(tiles, model), legend, changes=True)
    outline = None if area is None else one_outline(read_outlines(area, name_field), area.stem, area_name)
    request = ReportRequest(outline, place, tuple(between.split(",")) if between else ())
    click.echo(make_report(collect(folder), legend_of(folder), request, out).resolve())
