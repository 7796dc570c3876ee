"""Verbs about hectares: by class, date and region; a sample to label; what the labels say."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipeline.cli.console import explain_errors, verbosity
from pipeline.cli.tables import COVER, MODEL, PRODUCT, legend_of, model_folder
from pipeline.errors import TileTableError

if TYPE_CHECKING:
    import pandas as pd

    from pipeline.areas import Assessment
    from pipeline.cover_areas import CoverMap

# Olofsson et al. (2014) advise 50 units and more of a rare class; below this an interval is luck.
_FEW = 20
DATE = click.option("--date", metavar="YYYY-MM-DD", help="The date to use; the latest where none is given.")


def _tables(tiles: Path, model: str | None) -> list[Any]:
    from pipeline.results.layout import TABLE, scene_folders
    from pipeline.results.table import LOOKS, read_columns

    return [read_columns(folder / TABLE, LOOKS) for folder in scene_folders(model_folder(tiles, model))]


def _at(tiles: Path, model: str | None, date: str | None) -> "pd.DataFrame":
    """Every tile of one date, once."""
    from pipeline.areas import places

    found = places(_tables(tiles, model))
    days = sorted({str(day) for day in found["date"]})
    if not days:
        raise TileTableError(f"{tiles}: no tile of any scene holds data; run the pipeline on other scenes")
    chosen = date or days[-1]
    if chosen not in days:
        raise TileTableError(f"{tiles}: has no date {chosen}; choose one of {', '.join(days)}")
    return found[found["date"].astype(str) == chosen]


def _cover_at(tiles: Path, model: str | None, date: str | None) -> "CoverMap":
    """The cover of one date."""
    from pipeline.cover_areas import CoverMap

    found = CoverMap.of(model_folder(tiles, model))
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
@verbosity
@explain_errors
def areas(
    tiles: Path, regions: Path | None, name_field: str | None, out: Path | None, product: str, model: str | None
) -> None:
    """Tell the hectares of every class by date and region, each place counted once.

    A tile on a border counts in each region by its part inside, a pixel of the cover in the region that holds its
    centre; what no region holds is "elsewhere". Without
    --regions these are the countries of Natural Earth 1:110m: borders and coasts are good to about 25 km, small islands
    and states are missing.
    """
    from pipeline.areas import COUNTRIES, ELSEWHERE, mapped_areas, read_regions

    shapes = read_regions(regions or COUNTRIES, name_field)
    if product == COVER:
        from pipeline.cover_areas import CoverMap, mapped_cover

        found = mapped_cover(CoverMap.of(model_folder(tiles, model)), shapes)
    else:
        found = mapped_areas(_tables(tiles, model), shapes)
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
) -> None:
    """Draw a stratified random sample of tiles or pixels into OUT (CSV) for a person to fill in the column `label`."""
    if product == COVER:
        from pipeline.cover_areas import sample_cover

        drawn, units, asked = (
            sample_cover(_cover_at(tiles, model, date), size, seed, least),
            "pixels",
            " --product cover",
        )
    else:
        from pipeline.areas import sample as draw

        drawn, units, asked = draw(_at(tiles, model, date), size, seed, least=least), "tiles", ""
    _write(drawn, out)
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
@verbosity
@explain_errors
def assess(tiles: Path, labels: Path, out: Path | None, date: str | None, product: str, model: str | None) -> None:
    """Tell accuracy and error-adjusted areas, with 95 % intervals, from the LABELS (CSV) of a stratified sample."""
    from pipeline.areas import assess as judge
    from pipeline.areas import read_labels
    from pipeline.files import write_text
    from pipeline.results.layout import ASSESSMENT, COVER_ASSESSMENT

    folder = model_folder(tiles, model)
    given = read_labels(labels)
    drawn = sorted(set(given["date"].dropna())) if "date" in given else []
    if len(drawn) > 1 or (date and drawn and drawn != [date]):
        raise TileTableError(
            f"{labels}: the sample is of {', '.join(drawn)}; assess one date, the one that it was drawn from"
        )
    when = date or next(iter(drawn), None)
    if product == COVER:
        from pipeline.cover_areas import assess_cover

        cover = _cover_at(tiles, model, when)
        known = cover.classes()
        found, units = assess_cover(read_labels(labels, known), cover), "pixels"
    else:
        known = legend_of(folder).labels
        found, units = judge(read_labels(labels, known), _at(tiles, model, when)), "tiles"
    _tell(found, units, known)
    write_text(out or folder / (COVER_ASSESSMENT if product == COVER else ASSESSMENT), found.to_json() + "\n")
    if out is None and product != COVER:
        click.echo(f"\nthe page shows it after: python -m pipeline atlas {tiles}")


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
