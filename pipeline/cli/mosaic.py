"""The verb that makes one map of many scenes."""

from pathlib import Path

import click

from pipeline.cli.console import explain_errors, verbosity
from pipeline.cli.tables import MODEL, OTHER_LEGEND, model_folder, seen_in

_PRODUCTS = ("landcover", "cover", "truecolour", "confidence", "cover-confidence")


@click.command()
@click.argument("tiles", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--area",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Cut to this outline: GeoJSON, KML, GeoPackage or a zipped shapefile. [default: all that is mapped]",
)
@click.option("--name-field", metavar="FIELD", help="The field of --area that holds names.")
@click.option("--area-name", metavar="NAME", help="Only the area of this name, where --area holds several.")
@click.option("--crs", metavar="EPSG", help="Coordinate reference system of the map. [default: the area's UTM zone]")
@click.option(
    "--product",
    type=click.Choice(_PRODUCTS),
    default="landcover",
    show_default=True,
    help="Tiles by class, pixels of 10 m by class, the pictures, or how sure the classes of tiles or pixels are.",
)
@click.option("--date", metavar="YYYY-MM-DD", help="Only looks of this day. [default: each place's latest]")
@click.option("--between", metavar="2018,2024", help="The clearest look between two years or days.")
@OTHER_LEGEND
@MODEL
@verbosity
@explain_errors
def mosaic(
    tiles: Path,
    out: Path,
    area: Path | None,
    name_field: str | None,
    area_name: str | None,
    crs: str | None,
    product: str,
    date: str | None,
    between: str | None,
    legend: str | None,
    model: str | None,
) -> None:
    """Write one map of all scenes in TILES into OUT.tif, every place once.

    OUT.tif is a cloud-optimised GeoTIFF with colours and overviews; the names of its classes lie in OUT.tif.aux.xml,
    what it was made from in OUT.item.json (a STAC Item).
    """
    if out.suffix.lower() not in (".tif", ".tiff"):
        raise click.UsageError(f"{out}: the map is a GeoTIFF; let its name end in .tif")
    if date and between:
        raise click.UsageError("give --date or --between, not both")
    from pipeline.mosaic.ground import told_crs
    from pipeline.mosaic.looks import period_between
    from pipeline.mosaic.making import MosaicRequest, make_mosaic
    from pipeline.outlines import one_outline, read_outlines

    outline = None if area is None else one_outline(read_outlines(area, name_field), area.stem, area_name)
    told = between.split(",") if between else [date, date] if date else None
    request = MosaicRequest(
        product,
        outline,
        None if crs is None else told_crs(crs.upper().removeprefix("EPSG:")),
        None if told is None else period_between(told),
    )
    cover = product.startswith("cover")
    folder = seen_in(model_folder(tiles, model), legend, tiles=not cover, cover=cover, rasters=cover)
    made = make_mosaic(folder, out, request)
    dates = ", ".join(f"{day} on {share:.1%}" for day, share in made.dates.items())
    click.echo(
        f"{made.ground.width:,} x {made.ground.height:,} pixels, {made.ground.crs.to_string()}, {dates} of tiles"
    )
    if len(made.dates) > 1:
        click.echo("several dates stand side by side in this map; --date takes one alone", err=True)
    if made.filled < 1:
        click.echo(f"{made.filled:.1%} of the {'area' if area else 'rectangle'} hold data")
    click.echo(f"map   {made.path.resolve()}\nitem  {made.item.resolve()}")
