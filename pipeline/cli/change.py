"""The verb that compares two results."""

from pathlib import Path

import click

from pipeline.cli.console import explain_errors, verbosity
from pipeline.cli.tables import legend_of


@click.command()
@click.argument("before")
@click.argument("after")
@click.option(
    "--tiles",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("tiles"),
    show_default=True,
    help="Where scenes given by name lie.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("maps/change"),
    show_default=True,
    help="Folder for the answer.",
)
@click.option(
    "--prior",
    type=click.FloatRange(0.0001, 0.2),
    default=0.02,
    show_default=True,
    help="Share of tiles whose class really changes.",
)
@click.option(
    "--min-mapping-unit",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Touching tiles that a claimed change needs.",
)
@click.option("--cross-level", is_flag=True, help="Also claim changes between an L1C and an L2A scene.")
@verbosity
@explain_errors
def change(
    before: str, after: str, tiles: Path, out: Path, prior: float, min_mapping_unit: int, cross_level: bool
) -> None:
    """Compare two runs or two scenes, given by name or folder.

    Changes.parquet, a from-to matrix in hectares, a page.
    """
    from pipeline.batch.comparison import compare, results_of
    from pipeline.change import ChangeOptions

    options = ChangeOptions(prior=prior, min_mapping_unit=min_mapping_unit, claim_cross_level=cross_level)
    first, second = results_of(before, tiles), results_of(after, tiles)
    found = compare(first, second, out, legend_of(first[0].parent), options)
    for row in found.totals.itertuples():
        click.echo(f"{row.before} to {row.after}: {row.tiles:,} tiles compared")
        claim = f"{row.changed_ha:>10,.0f} ha, about {row.expected_false:.1f} of these tiles expected to be false"
        click.echo(f"  changed   {row.changed:>7,}{claim if row.changed else '  none is sure enough to be claimed'}")
        click.echo(
            f"  stable    {row.stable:>7,}\n  undecided {row.undecided:>7,}  ({row.expected_missed:.1f} changed "
            f"tiles expected besides the claimed)"
        )
        click.echo(f"  labels differ on {row.labels_differ:,} tiles; that alone is not called change")
        if row.without_class:
            click.echo(f"  {row.without_class:,} tiles have no class at one of the dates, so they stay undecided")
        if row.unseen:
            click.echo(
                f"  {row.unseen:,} tiles are judged by class alone: no run has compared these two scenes' pixels; "
                f"run them in a folder of their own"
            )
        if row.cross_level:
            click.echo(f"  {row.cross_level:,} tiles compare L1C with L2A: the atmosphere alone changes labels")
    click.echo(f"table   {found.table.resolve()}\nmatrix  {found.matrix.resolve()}\npage    {found.page.resolve()}")
