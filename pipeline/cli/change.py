"""The verb that compares two results."""

from collections.abc import Sequence
from pathlib import Path

import click

from pipeline.cli.console import MAX_FALSE, PRIOR, explain_errors, verbosity
from pipeline.cli.tables import COVER, OTHER_LEGEND, PRODUCT, legend_of, seen_product


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
@PRIOR
@MAX_FALSE
@click.option(
    "--min-mapping-unit",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Touching tiles that a claimed change needs.",
)
@click.option("--cross-level", is_flag=True, help="Also claim changes between an L1C and an L2A scene.")
@click.option(
    "--regions",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Also tell the change of every polygon: GeoJSON, KML, GeoPackage or a zipped shapefile; writes regions.csv.",
)
@click.option("--name-field", metavar="FIELD", help="The field of --regions that holds names.")
@PRODUCT
@OTHER_LEGEND
@verbosity
@explain_errors
def change(
    before: str,
    after: str,
    tiles: Path,
    out: Path,
    prior: float,
    max_false: float,
    min_mapping_unit: int,
    cross_level: bool,
    regions: Path | None,
    name_field: str | None,
    product: str,
    legend: str | None,
) -> None:
    """Compare two runs or two scenes, given by name or folder.

    Changes.parquet, a from-to matrix in hectares, a page. With --product cover a from-to matrix of the pixels alone: of
    a run with several dates, BEFORE counts by its first and AFTER by its last.
    """
    from pipeline.batch.comparison import compare, results_of
    from pipeline.change import ChangeOptions

    options = ChangeOptions(
        prior=prior, max_false_share=max_false, min_mapping_unit=min_mapping_unit, claim_cross_level=cross_level
    )
    first, second = results_of(before, tiles), results_of(after, tiles)
    sides = [*first, *second]
    views = {
        folder: seen_product(
            folder, legend, product, [scene for scene in dict.fromkeys(sides) if scene.parent == folder]
        )
        for folder in {scene.parent for scene in sides}
    }
    first, second = ([views[scene.parent] / scene.name for scene in side] for side in (first, second))
    if product == COVER:
        _tell_cover(first, second, out)
        return
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
    if regions is not None:
        _tell_regions(found.table, regions, name_field, out / "regions.csv")
    click.echo(f"table   {found.table.resolve()}\nmatrix  {found.matrix.resolve()}\npage    {found.page.resolve()}")


def _tell_cover(before: Sequence[Path], after: Sequence[Path], out: Path) -> None:
    """The from-to matrix of pixels, with what may be concluded from it."""
    from pipeline.cover_areas import CoverMap, cover_matrix
    from pipeline.files import whole_file
    from pipeline.results.layout import COVER_MATRIX

    first, last = (CoverMap.of(scenes[0].parent, scenes) for scenes in (before, after))
    first, last = first.at(first.days()[0]), last.at(last.days()[-1])
    found = cover_matrix(first, last)
    table = found.pivot_table("hectares", "from_label", "to_label", "sum", fill_value=0.0)
    shown = found.sort_values("hectares", ascending=False)
    differs = shown[shown["from_label"] != shown["to_label"]]
    total = found["hectares"].sum()
    click.echo(f"{first.days()[0]} to {last.days()[-1]}: {total:,.0f} ha measured at both dates")
    click.echo(f"  other labels on {differs['hectares'].sum():,.0f} ha, {differs['hectares'].sum() / total:.1%}")
    for row in differs.head(10).itertuples():
        click.echo(f"  {row.from_label:>12} to {row.to_label:<12}{row.hectares:>12,.0f} ha")
    click.echo(
        "this compares two maps, not the ground: two that are each right on 90 % of the pixels differ on up to 19 % of "
        "them where nothing changed, more in other seasons and between L1C and L2A. It finds no change by itself; "
        "conclude from a labelled sample of both dates"
    )
    out.mkdir(parents=True, exist_ok=True)
    with whole_file(out / COVER_MATRIX) as part_file:
        table.to_csv(part_file)
    click.echo(f"matrix  {(out / COVER_MATRIX).resolve()}")


def _tell_regions(table: Path, regions: Path, name_field: str | None, out: Path) -> None:
    """Hectares of every region by state and by move, tiles on its border by their part inside."""
    import geopandas as gpd

    from pipeline.areas import changed_areas, read_regions
    from pipeline.files import whole_file
    from pipeline.results.layout import ChangeState

    rows = changed_areas(gpd.read_parquet(table), read_regions(regions, name_field))
    for name, part in rows.groupby("region", sort=False):
        click.echo(f"{name}")
        for row in part.itertuples():
            move = f"{row.from_label} to {row.to_label}" if row.state == ChangeState.CHANGED else ""
            false = f", about {row.expected_false_ha:,.0f} ha of it expected to be false" if move else ""
            click.echo(f"  {row.state:<10}{move:<42}{row.hectares:>12,.0f} ha{false}")
    with whole_file(out) as part_file:
        rows.to_csv(part_file, index=False)
    click.echo(f"regions {out.resolve()}")
