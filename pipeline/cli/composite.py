"""The verb that makes composites of finished results."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.console import PRIOR, explain_errors, periods_option, verbosity
from pipeline.cli.tables import MODEL, legend_of, model_folder

if TYPE_CHECKING:
    from pipeline.results.period import Period


@click.command()
@click.argument("tiles", type=click.Path(exists=True, file_okay=False, path_type=Path))
@periods_option("--period")
@MODEL
@click.option(
    "--maps", type=click.Path(path_type=Path), default=Path("maps"), show_default=True, help="Folder for atlas.html."
)
@PRIOR
@verbosity
@explain_errors
def composite(tiles: Path, period: "tuple[Period, ...]", model: str | None, maps: Path, prior: float) -> None:
    """Make one answer of all clear looks of each period in TILES, without the scenes and without the model.

    The composites speak in place of their looks until they are made anew: by this verb or by `run --composite`. Without
    any --period the scenes speak for themselves again.
    """
    from pipeline.batch.composing import compose
    from pipeline.change import ChangeOptions

    folder = model_folder(tiles, model)
    maps.mkdir(parents=True, exist_ok=True)
    found = compose(folder, maps, period, legend_of(folder), ChangeOptions(prior=prior))
    for record in found.records:
        if record.mapped:
            click.echo(f"{record.id}: {len(record.looks)} looks, {record.classified:,} tiles with a class")
        else:
            click.echo(f"{record.id}: {record.error}: {record.reason}", err=True)
    click.echo(f"map     {found.page.resolve()}")
    if not all(record.mapped for record in found.records):
        sys.exit(3 if any(record.mapped for record in found.records) else 1)
