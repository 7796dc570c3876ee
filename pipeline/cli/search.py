"""Finding scenes in a STAC catalogue and bringing them home."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.console import ERRORS, explain_errors, verbosity

if TYPE_CHECKING:
    from pipeline.catalogue import Progress, Wish

_log = logging.getLogger("pipeline")


# A full granule on two cores takes about so many seconds from GeoTIFF (CHANGELOG.md tells the machine).
_SECONDS = 36


def parse_years(_: click.Context, __: click.Parameter, value: str | None) -> tuple[int, ...]:
    """Years, separated by commas."""
    try:
        years = tuple(int(part) for part in value.split(",")) if value else ()
    except ValueError:
        raise click.BadParameter(f"{value!r} is not a list of years such as 2018,2024") from None
    if any(not 2015 <= year <= 2100 for year in years):
        raise click.BadParameter(f"{value!r}: Sentinel-2 has seen the land since 2015")
    return years


def parse_bbox(_: click.Context, __: click.Parameter, value: str | None) -> tuple[float, float, float, float] | None:
    """West, south, east and north in degrees."""
    if value is None:
        return None
    try:
        west, south, east, north = (float(part) for part in value.split(","))
    except ValueError:
        raise click.BadParameter(
            f"{value!r} is not WEST,SOUTH,EAST,NORTH in degrees, such as 11.2,46.4,11.5,46.6"
        ) from None
    if not (-180 <= west <= 180 and -180 <= east <= 180 and -90 <= south < north <= 90):
        raise click.BadParameter(f"{value!r}: south must lie below north, and all within -180..180 and -90..90")
    return west, south, east, north


@contextmanager
def counted(name: str) -> "Iterator[Progress]":
    """A counter of downloaded bytes: a bar on a terminal, a line at the end elsewhere."""
    import time

    from rich.progress import DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    total, began = 0, time.monotonic()
    columns = TextColumn("{task.description}", markup=False), DownloadColumn(), TransferSpeedColumn()
    with Progress(*columns, console=ERRORS, transient=True, disable=not ERRORS.is_terminal) as bar:
        task = bar.add_task(name, total=None)

        def count(more: int) -> None:
            nonlocal total
            total += more
            bar.advance(task, more)

        yield count
    if total:
        _log.info("%s: %.1f MB in %.1f s", name, total / 1e6, time.monotonic() - began)


@click.command()
@click.option("--bbox", callback=parse_bbox, metavar="W,S,E,N", help="Where, in degrees.")
@click.option(
    "--area",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Where, as an outline: GeoJSON, KML, GeoPackage or a zipped shapefile.",
)
@click.option("--dates", metavar="FROM/TO", help="When, such as 2024-06-01/2024-08-31.")
@click.option(
    "--years", callback=parse_years, metavar="2018,2024", help="Instead of --dates: the --season of each year."
)
@click.option(
    "--season", default="06-01:08-31", show_default=True, metavar="MM-DD:MM-DD", help="The season of --years."
)
@click.option(
    "--clearest", is_flag=True, help="Of every granule and year (or of --dates) only the scene with least cloud."
)
@click.option("--collection", default="sentinel-2-l2a", show_default=True, help="The catalogue's name of the products.")
@click.option(
    "--api",
    default="https://earth-search.aws.element84.com/v1",
    show_default=True,
    metavar="URL",
    help="A STAC API whose files need no account.",
)
@click.option("--max-cloud", type=click.FloatRange(0, 100), help="Leave out scenes with more cloud, in percent.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="At most so many scenes.")
@click.option(
    "--download",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help="Also download them, for `run` (with --area only its part, where the server gives parts); again goes on.",
)
@click.option("--model", default="eurosat-resnet50", show_default=True, help="Whose bands to download.")
@verbosity
@explain_errors
def search(
    bbox: tuple[float, float, float, float] | None,
    area: Path | None,
    dates: str | None,
    years: tuple[int, ...],
    season: str,
    clearest: bool,
    collection: str,
    api: str,
    max_cloud: float | None,
    limit: int,
    download: Path | None,
    model: str,
) -> None:
    """List the scenes of a place and time in a STAC catalogue, and download them on request."""
    from pipeline.catalogue import Query, Wish, cloud_cover, size_of
    from pipeline.catalogue import clearest as clearest_of
    from pipeline.catalogue import search as ask
    from pipeline.models import store
    from pipeline.scenes.safety.guard import printable

    place = _place(bbox, area)
    # The cover's bands come along where there are any: `run` makes one where it can.
    wish = Wish(
        store.card(model).input.bands, store.card(store.DEFAULT_COVER).input.bands, None if area is None else place
    )
    items: list[Any] = []
    for when in _ranges(dates, years, season):
        found = list(ask(api, Query(place, when, collection, max_cloud, limit)))
        items += clearest_of(found) if clearest else found
    total, unknown = 0, 0
    for item in items:
        name, cloud, size = printable(str(item.get("id"))), cloud_cover(item), size_of(item, wish.bands, wish.welcome)
        moment = printable(
            str(properties.get("datetime") if isinstance(properties := item.get("properties"), dict) else None)
        )[:16]
        told = "" if size is None else f"  {size / 1e6:,.0f} MB"
        click.echo(f"{name}  {moment}  {'cloud unknown' if cloud is None else f'{cloud:.0f} % cloud'}{told}")
        total, unknown = total + (size or 0), unknown + (size is None)
    if items and (clearest or years):
        sizes = f"{total / 1e6:,.0f} MB" + (f" and {unknown} of unknown size" if unknown else "")
        less = "" if area is None else " at most (the area's part only, where the server gives parts)"
        click.echo(
            f"to bring home: {sizes}{less}; to map: about {len(items) * _SECONDS:,} s on two cores, less with --area"
        )
    if download is None:
        click.echo(f"{len(items)} scenes")
        return
    lost = _download(items, download, api, wish)
    click.echo(f"{len(items)} scenes, {len(items) - lost} in {download}")
    if lost:
        raise SystemExit(3 if lost < len(items) else 1)


def _place(bbox: tuple[float, float, float, float] | None, area: Path | None) -> tuple[float, float, float, float]:
    if (bbox is None) == (area is None):
        raise click.UsageError("say where: --bbox or --area, one of them")
    if area is None:
        return bbox or (0.0, 0.0, 0.0, 0.0)
    from pipeline.outlines import one_outline, read_outlines

    west, south, east, north = one_outline(read_outlines(area), area.stem).shape.bounds
    return west, south, east, north


def _ranges(dates: str | None, years: tuple[int, ...], season: str) -> list[str]:
    from pipeline.catalogue import seasons

    if (dates is None) == (not years):
        raise click.UsageError("say when: --dates or --years, one of them")
    try:
        return seasons(years, season) if dates is None else [dates]
    except ValueError as error:
        raise click.UsageError(f"--season: {error}") from error


def _download(items: list[Any], folder: Path, api: str, wish: "Wish") -> int:
    """Downloads Items one after another; how many could not be had."""
    from pipeline.catalogue import download_item, item_address
    from pipeline.errors import PipelineError
    from pipeline.scenes.safety.guard import printable

    lost = 0
    for item in items:
        try:
            with counted(printable(str(item.get("id")))) as progress:
                download_item(item, folder, wish, base=item_address(item, api), progress=progress)
        except PipelineError as error:
            lost += 1
            _log.warning("%s", error)
    return lost
