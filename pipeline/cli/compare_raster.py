"""The verb that compares a map with a reference raster."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pipeline.cli.areas import DATE, cover_at, tiles_at
from pipeline.cli.console import explain_errors, verbosity
from pipeline.cli.tables import COVER, MODEL, OTHER_LEGEND, PRODUCT, legend_of, model_folder, seen_product

if TYPE_CHECKING:
    import pandas as pd

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command("compare-raster")
@click.argument("tiles", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("reference", type=_FILE)
@OTHER_LEGEND
@click.option("--reference-legend", type=_FILE, help="What the reference's codes mean: CSV with code and label.")
@click.option("--regions", type=_FILE, help="Also by polygon: GeoJSON, KML, GeoPackage or a zipped shapefile.")
@click.option("--name-field", metavar="FIELD", help="The field of --regions that holds names.")
@click.option(
    "-o",
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("maps/agreement"),
    show_default=True,
    help="Folder for figures, matrix, tiles (GeoPackage) and map (GeoTIFF).",
)
@DATE
@PRODUCT
@MODEL
@verbosity
@explain_errors
def compare_raster(
    tiles: Path,
    reference: Path,
    legend: str | None,
    reference_legend: Path | None,
    regions: Path | None,
    name_field: str | None,
    out: Path,
    date: str | None,
    product: str,
    model: str | None,
) -> None:
    """Tell how far the map in TILES agrees with the raster REFERENCE (GeoTIFF): by class, by region, and where.

    The codes of ESA WorldCover (--legend worldcover) and CORINE (--legend corine1) are known, and those of maps that
    `mosaic` made; --reference-legend tells others. A tile is compared with the commonest class inside it, a pixel of
    the cover with the nearest. Agreement is no truth.
    """
    from pipeline.agreement.comparing import ALL, Overlay, all_labels, compare_cover, compare_tiles
    from pipeline.agreement.disagreement import disagreement
    from pipeline.agreement.reference_map import ReferenceMap
    from pipeline.agreement.writing import (
        NO_TRUTH,
        cover_agreement_layers,
        tile_agreement_layers,
        write_agreement,
    )
    from pipeline.areas import read_regions

    results = model_folder(tiles, model)
    other = ReferenceMap.opened(reference, _codes(legend, reference_legend))
    shapes = None if regions is None else read_regions(regions, name_field)
    folder = seen_product(results, legend, product)
    if product == COVER:
        cover = cover_at(folder, date)
        labels = cover.classes()
        found = compare_cover(cover, labels, other, shapes)
        layers = cover_agreement_layers(Overlay(cover, other, all_labels(labels, other)))
    else:
        labels = legend_of(folder).labels
        found = compare_tiles(tiles_at(folder, date), labels, other, shapes)
        layers = tile_agreement_layers(found)
    written = write_agreement(found, out, layers)
    for name, matrix in found.matrices.items():
        figures = disagreement(matrix)
        click.echo(
            f"{'' if name == ALL else f'{name}: '}{figures.agreement:.1%} of {figures.hectares:,.0f} ha agree; "
            f"{figures.quantity:.1%} differ in quantity, {figures.allocation:.1%} in place"
        )
        if name == ALL:
            _tell_classes(figures.classes)
    for reason, hectares in found.left_out.items():
        click.echo(f"not compared: {hectares:,.0f} ha, {reason}")
    _tell_lone(labels, other.labels(), found.matrices[ALL])
    click.echo(NO_TRUTH)
    for path in written.values():
        click.echo(path.resolve())


def _codes(legend: str | None, told: Path | None) -> Mapping[int, str] | None:
    """What the reference's codes mean; None where it may tell itself."""
    if told is not None:
        from pipeline.crosswalk.correspondence import read_codes

        return read_codes(told)
    if legend is None:
        return None
    from pipeline.crosswalk.correspondence import find_crosswalk

    return find_crosswalk(legend).codes or None


def _tell_classes(classes: "pd.DataFrame") -> None:
    click.echo(
        f"\n{'class':<24}{'map ha':>12}{'reference ha':>14}{'of map':>9}{'of ref.':>9}{'quantity':>10}{'place':>8}"
    )
    for row in classes.itertuples():
        shares = "".join(f"{'-' if share != share else f'{share:.0%}':>9}" for share in (row.of_map, row.of_reference))
        click.echo(
            f"{row.Index:<24}{row.map_ha:>12,.0f}{row.reference_ha:>14,.0f}{shares}{row.quantity:>10.1%}"
            f"{row.allocation:>8.1%}"
        )
    click.echo("")


def _tell_lone(labels: tuple[str, ...], theirs: tuple[str, ...], matrix: "pd.DataFrame") -> None:
    """Classes that only one of the maps can show: they never agree."""
    ours = [label for label in labels if label not in theirs and matrix.loc[label].sum() > 0]
    others = [label for label in theirs if label not in labels and matrix[label].sum() > 0]
    for names, whose in ((ours, "this map"), (others, "the reference")):
        if names:
            click.echo(f"only {whose} has {', '.join(names)}; they count as differing wherever they stand")
