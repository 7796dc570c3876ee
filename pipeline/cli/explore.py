"""The verb that looks at a data set."""

from pathlib import Path

import click

from pipeline.cli.console import explain_errors, verbosity


@click.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("runs/explore"),
    show_default=True,
    help="Takes explore.html, its pictures and explore.json.",
)
@verbosity
@explain_errors
def explore(data: Path, out: Path) -> None:
    """Look at a data set of class folders: counts, sizes, spectra, duplicates, and where its pictures lie."""
    from pipeline.exploration.measure import explore as look
    from pipeline.exploration.page import write

    found = look(data, click.echo)
    same = sum(pair.same for pair in found.pairs)
    click.echo(
        f"{len(found.files):,} pictures, {len(found.classes)} classes; {len(found.odd_sizes)} of another size than "
        f"{found.common_size[0]}x{found.common_size[1]}; {same} pairs the same, {len(found.pairs) - same} alike"
    )
    click.echo(f"{write(found, out)} is written")
