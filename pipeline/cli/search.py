"""Finding scenes in a STAC catalogue and bringing them home."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.console import ERRORS, explain_errors, verbosity

if TYPE_CHECKING:
    from pipeline.catalogue import Progress

_log = logging.getLogger("pipeline")


def parse_bbox(_: click.Context, __: click.Parameter, value: str) -> tuple[float, float, float, float]:
    """West, south, east and north in degrees."""
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
@click.option("--bbox", required=True, callback=parse_bbox, metavar="W,S,E,N", help="Where, in degrees.")
@click.option("--dates", required=True, metavar="FROM/TO", help="When, such as 2024-06-01/2024-08-31.")
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
    help="Also download them, for `run`; a second call goes on.",
)
@click.option("--model", default="eurosat-resnet50", show_default=True, help="Whose bands to download.")
@verbosity
@explain_errors
def search(
    bbox: tuple[float, float, float, float],
    dates: str,
    collection: str,
    api: str,
    max_cloud: float | None,
    limit: int,
    download: Path | None,
    model: str,
) -> None:
    """List the scenes of a place and time in a STAC catalogue, and download them on request."""
    from pipeline.catalogue import Query, cloud_cover, download_item, item_address
    from pipeline.catalogue import search as ask
    from pipeline.errors import PipelineError
    from pipeline.models import store
    from pipeline.scenes.safety.guard import printable

    found, lost = 0, []
    for item in ask(api, Query(bbox, dates, collection, max_cloud, limit)):
        found += 1
        name, cloud = printable(str(item.get("id"))), cloud_cover(item)
        moment = printable(
            str(properties.get("datetime") if isinstance(properties := item.get("properties"), dict) else None)
        )[:16]
        click.echo(f"{name}  {moment}  {'cloud unknown' if cloud is None else f'{cloud:.0f} % cloud'}")
        if download is None:
            continue
        try:
            with counted(name) as progress:
                bands = store.card(model).input.bands
                download_item(item, download, bands, base=item_address(item, api), progress=progress)
        except PipelineError as error:
            lost.append(str(error))
            _log.warning("%s", error)
    click.echo(f"{found} scenes" + ("" if download is None else f", {found - len(lost)} in {download}"))
    if lost:
        raise SystemExit(3 if len(lost) < found else 1)
