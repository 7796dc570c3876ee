"""Verbs about hectares: by class, date and region; a sample to label; what the labels say."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.console import explain_errors, verbosity
from pipeline.cli.tables import COVER, MODEL, OTHER_LEGEND, PRODUCT, legend_of, model_folder, seen_product
from pipeline.errors import TileTableError

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.assessment import Assessment
    from pipeline.cover_areas import CoverMap

# Olofsson et al. (2014) advise 50 units and more of a rare class; below this an interval is luck.
_FEW = 20
DATE = click.option("--date", metavar="YYYY-MM-DD", help="The date to use; the latest where none is given.")


def _tables(folder: Path) -> list[Any]:
    from pipeline.results.layout import TABLE, scene_folders
    from pipeline.results.table import LOOKS, read_columns

    return [read_columns(scene / TABLE, LOOKS) for scene in scene_folders(folder)]


def tiles_at(folder: Path, date: str | None) -> "pd.DataFrame":
    """Every tile of one date, once."""
    from pipeline.areas import places

    found = places(_tables(folder))
    days = sorted({str(day) for day in found["date"]})
    if not days:
        raise TileTableError(f"{folder}: no tile of any scene holds data; run the pipeline on other scenes")
    chosen = date or days[-1]
    if chosen not in days:
        raise TileTableError(f"{folder}: has no date {chosen}; choose one of {', '.join(days)}")
    return found[found["date"].astype(str) == chosen]


def cover_at(folder: Path, date: str | None) -> "CoverMap":
    """The cover of one date."""
    from pipeline.cover_areas import CoverMap

    found = CoverMap.of(folder)
    return found.at(date or found.days()[-1])


def _write(frame: "pd.DataFrame", out: Path) -> None:
    from pipeline.files import whole_file

    with whole_file(out) as part:
        frame.to_csv(part, index=False)


@click.command()
@click.argument("tiles", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--regions",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Polygons: GeoJSON, KML, GeoPackage or a zipped shapefile. [default: countries]",
)
@click.option("--name-field", metavar="FIELD", help="The field of --regions that holds names.")
@click.option("--csv", "out", type=click.Path(dir_okay=False, path_type=Path), help="Also write the table as CSV.")
@PRODUCT
@MODEL
@OTHER_LEGEND
@verbosity
@explain_errors
def areas(
    tiles: Path,
    regions: Path | None,
    name_field: str | None,
    out: Path | None,
    product: str,
    model: str | None,
    legend: str | None,
) -> None:
    """Tell the hectares of every class by date and region, each place counted once.

    A tile on a border counts in each region by its part inside, a pixel of the cover in the region that holds its
    centre; what no region holds is "elsewhere". Without
    --regions these are the countries of Natural Earth 1:110m: borders and coasts are good to about 25 km, small islands
    and states are missing.
    """
    from pipeline.areas import COUNTRIES, ELSEWHERE, mapped_areas, read_regions

    shapes = read_regions(regions or COUNTRIES, name_field)
    folder = seen_product(model_folder(tiles, model), legend, product)
    if product == COVER:
        from pipeline.cover_areas import CoverMap, mapped_cover

        found = mapped_cover(CoverMap.of(folder), shapes)
    else:
        found = mapped_areas(_tables(folder), shapes)
    for (date, region), rows in found.groupby(["date", "region"], sort=True):
        click.echo(f"{date}  {region}")
        for row in rows.sort_values("hectares", ascending=False).itertuples():
            click.echo(f"  {row.label:<22}{row.hectares:>14,.0f} ha {row.share:>7.1%}")
    if regions is None:
        click.echo("regions: countries of Natural Earth 1:110m; borders and coasts are good to about 25 km")
    elif (found["region"] == ELSEWHERE).all():
        click.echo(f"nothing lies in a region of {regions}; check its coordinates", err=True)
    if out is not None:
        _write(found, out)


@click.command()
@click.argument("tiles", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("out", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--size", type=click.IntRange(1), default=300, show_default=True, help="Tiles or pixels to draw.")
@click.option(
    "--least",
    type=click.IntRange(2),
    default=20,
    show_default=True,
    help="How many of every class, where it has as many.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed draws the same.")
@DATE
@PRODUCT
@MODEL
@OTHER_LEGEND
@verbosity
@explain_errors
def sample(
    tiles: Path,
    out: Path,
    size: int,
    least: int,
    seed: int,
    date: str | None,
    product: str,
    model: str | None,
    legend: str | None,
) -> None:
    """Draw a stratified random sample of tiles or pixels into OUT (CSV) for a person to fill in the column `label`."""
    folder = seen_product(model_folder(tiles, model), legend, product)
    if product == COVER:
        from pipeline.cover_areas import sample_cover

        drawn, units, asked = (
            sample_cover(cover_at(folder, date), size, seed, least),
            "pixels",
            " --product cover",
        )
    else:
        from pipeline.assessment import sample as draw

        drawn, units, asked = draw(tiles_at(folder, date), size, seed, least=least), "tiles", ""
    _write(drawn, out)
    asked += f" --legend {legend}" if legend else ""
    click.echo(
        f"{len(drawn)} {units} in {out}; fill in the column label, then: python -m pipeline assess {tiles} {out}{asked}"
    )


@click.command()
@click.argument("tiles", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("labels", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--json",
    "out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to write the assessment. [default: beside run.json, for the page]",
)
@DATE
@PRODUCT
@MODEL
@OTHER_LEGEND
@verbosity
@explain_errors
def assess(
    tiles: Path,
    labels: Path,
    out: Path | None,
    date: str | None,
    product: str,
    model: str | None,
    legend: str | None,
) -> None:
    """Tell accuracy and error-adjusted areas, with 95 % intervals, from the LABELS (CSV) of a stratified sample."""
    from pipeline.assessment import assess as judge
    from pipeline.assessment import read_labels
    from pipeline.files import write_text
    from pipeline.results.layout import ASSESSMENT, COVER_ASSESSMENT, in_legend

    results = model_folder(tiles, model)
    folder = seen_product(results, legend, product)
    given = read_labels(labels)
    drawn = sorted(set(given["date"].dropna())) if "date" in given else []
    if len(drawn) > 1 or (date and drawn and drawn != [date]):
        raise TileTableError(
            f"{labels}: the sample is of {', '.join(drawn)}; assess one date, the one that it was drawn from"
        )
    when = date or next(iter(drawn), None)
    if product == COVER:
        from pipeline.cover_areas import assess_cover

        cover = cover_at(folder, when)
        known = cover.classes()
        found, units = assess_cover(read_labels(labels, known), cover), "pixels"
    else:
        known = legend_of(folder).labels
        found, units = judge(read_labels(labels, known), tiles_at(folder, when)), "tiles"
    _tell(found, units, known)
    usual = results / (COVER_ASSESSMENT if product == COVER else ASSESSMENT)
    write_text(out or (in_legend(usual, Path(legend).stem) if legend else usual), found.to_json() + "\n")
    if out is None and product != COVER:
        click.echo(
            f"\nthe page shows it after: python -m pipeline atlas {tiles}{f' --legend {legend}' if legend else ''}"
        )


def _tell(found: "Assessment", units: str, known: Sequence[str]) -> None:
    click.echo(
        f"accuracy {found.accuracy:.1%} +- {found.accuracy_ci:.1%} (95 %), {int(found.counts.to_numpy().sum())} "
        f"labelled {units}"
    )
    click.echo(f"\n{'class':<22}{'mapped ha':>12}{'adjusted ha':>14}{'95 %':>22}{'user':>8}{'producer':>10}{units:>7}")
    for row in found.classes.itertuples():
        right = "".join(
            f"{'-' if share != share else f'{share:.0%}':>{width}}"
            for share, width in ((row.users_accuracy, 8), (row.producers_accuracy, 10))
        )
        click.echo(
            f"{row.Index:<22}{row.mapped_ha:>12,.0f}{row.adjusted_ha:>14,.0f}"
            f"{f'{row.adjusted_low:,.0f} to {row.adjusted_high:,.0f}':>22}{right}{row.sampled:>7}"
        )
    if few := [row.Index for row in found.classes.itertuples() if row.mapped_ha and row.sampled < _FEW]:
        click.echo(f"\nfewer than {_FEW} labelled {units} of {', '.join(few)}: their intervals say little")
    if strange := sorted(set(found.counts.columns[found.counts.sum() > 0]) - set(known)):
        click.echo(f"\nnot among the map's classes, counted as classes of their own: {', '.join(strange)}", err=True)
