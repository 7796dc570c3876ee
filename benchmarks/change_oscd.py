"""Measures change detection on cities with hand-drawn changes, and fits the weight of the pixels' evidence.

Run from the checkout with the shared data beside it:

    python benchmarks/change_oscd.py             every city folder of the shared data: ablation, then a table per city
    python benchmarks/change_oscd.py --write     the same, and both tables go into benchmarks/README.md
    python benchmarks/change_oscd.py CITY...     other cities

A city folder (Onera Satellite Change Detection, OSCD) holds two dates and `change_mask.tif` on the grid of the first
date's B04: 1 no change, 2 change. A tile counts as changed when at least 5 % of its pixels are marked. AUROC is taken
within each city. The hand-drawn marks are of buildings and roads; a field that was harvested is not marked.
"""

import sys
import warnings
from dataclasses import dataclass, replace
from pathlib import Path

import click
import numpy as np
import pandas as pd
import rasterio
from rasterio.transform import from_origin
from rasterio.warp import Resampling, reproject
from scipy.ndimage import uniform_filter
from scipy.optimize import minimize

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from pipeline.change import ChangeOptions, evidence, measure, transitions  # noqa: E402 - the checkout first
from pipeline.change.chain import class_change, emissions  # noqa: E402
from pipeline.change.fusion import WEIGHTS, FusionWeights, fused_probability, pixel_evidence  # noqa: E402
from pipeline.change.options import SEASONAL, class_rates  # noqa: E402
from pipeline.change.table import within_bound  # noqa: E402
from pipeline.classify import classify_scene  # noqa: E402
from pipeline.files import digest  # noqa: E402
from pipeline.grid import TileGrid  # noqa: E402
from pipeline.models.input import network_input  # noqa: E402
from pipeline.models.store import DEFAULT, load, locate  # noqa: E402
from pipeline.scenes.finding.find import find_scenes  # noqa: E402
from pipeline.scenes.scene import Scene  # noqa: E402
from pipeline.tiling import blocks  # noqa: E402

CHANGED = 0.05
# Share of tiles that change in a year.
LAND = ChangeOptions().land_prior
# Left and top edges of shifted grids, in pixels of 10 m: the same land cut into other tiles, so that a handful of
# changes is seen in more ways.
SHIFTS = [(down, right) for down in (0, 32) for right in (0, 32)]
# How many of all cities' likeliest tiles are looked at, and bounds on false claims.
RANKS = (4, 8, 16, 24, 32, 48, 78)
BOUNDS = (0.05, 0.1, 0.2, 0.25, 0.3)


def card_digest(model: str) -> str:
    """The first digits of the card's SHA-256, which names the weights."""
    return digest(locate(model) / "card.json")[:12]


def auroc(changed, value):
    """Area under the ROC curve by ranks, ties count half; NaN where all or none changed."""
    rank, positive = pd.Series(value).rank().to_numpy(), int(changed.sum())
    negative = len(changed) - positive
    return (
        (rank[changed].sum() - positive * (positive + 1) / 2) / (positive * negative)
        if positive and negative
        else np.nan
    )


def marks(city: Path, epsg: int, bounds):
    """Share (y, x) of every 10 m pixel of bounds that is marked as changed; NaN outside the mask."""
    left, bottom, right, top = bounds
    out = np.full((round((top - bottom) / 10), round((right - left) / 10)), np.nan, np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with (
            rasterio.open(next((city / "imgs_1").glob("*_B04.tif"))) as first,
            rasterio.open(city / "change_mask.tif") as mask,
        ):
            drawn = (mask.read(1) == 2).astype(np.float32)
            place = {
                "src_transform": first.transform,
                "src_crs": first.crs,
                "dst_transform": from_origin(left, top, 10, 10),
                "dst_crs": f"EPSG:{epsg}",
            }
    reproject(drawn, out, resampling=Resampling.average, dst_nodata=np.nan, **place)
    return out


def marked(city: Path, tile_ids) -> pd.Series:
    """Marked share of tiles, by tile_id."""
    share = {}
    for name in tile_ids:
        grid, index = TileGrid.parse_id(name)
        share[name] = np.nanmean(marks(city, grid.epsg, grid.bounds(index)))
    return pd.Series(share)


@dataclass
class City:
    """Both dates of a city, and what was measured on the tiles of the shifted grids, one frame a grid."""

    name: str
    before: Scene
    after: Scene
    grids: list[pd.DataFrame]

    @classmethod
    def read(cls, folder: Path, classifier) -> "City":
        before, after = sorted(
            (found for found in find_scenes(folder) if isinstance(found, Scene)), key=lambda found: found.acquired
        )
        grid, bands = TileGrid(before.epsg), measure.shared_bands(before, after)
        common = measure.common_bounds(before, after, grid)
        dates = replace(before, bounds=common), replace(after, bounds=common)
        strip = measure._joined(list(measure.strips(*dates, grid, bands)))
        matched = measure.match_scenes(*dates, grid, bands)
        told = measure.scored(strip, bands, matched)
        planes = {
            "magnitude": (told.found.score, 95),
            "surprise": (told.surprise, 98),
            "difference": (told.found.plain, 50),
            "plain vectors": (plain(strip.before, strip.after, strip.valid), 95),
        }
        pictures = [
            np.concatenate(
                [network_input(block.pixels, one, classifier.card.input) for block in blocks(one, grid, seen)], axis=1
            )
            for one, seen in ((date, classifier.card.input.bands) for date in dates)
        ]
        drawn = marks(folder, before.epsg, common)
        years = (after.acquired - before.acquired).days / 365.25
        frames = [
            shifted(shift, planes, (strip.valid, told.compared), drawn).assign(
                **classes(shift, pictures, classifier), years=years
            )
            for shift in SHIFTS
        ]
        return cls(folder.name, before, after, [frame[frame["measured"] >= 0.5] for frame in frames])


def shifted(shift, planes, seen, drawn) -> pd.DataFrame:
    """Evidence and marked share of every tile of a shifted grid; `seen` are the measured and the compared pixels."""
    down, right = shift
    measured, compared = (tiles(plane[down // 2 :, right // 2 :], 32).mean(axis=1) for plane in seen)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        columns = {
            name: np.nanpercentile(
                tiles(np.where(seen[0], plane, np.nan)[down // 2 :, right // 2 :], 32), percent, axis=1
            )
            for name, (plane, percent) in planes.items()
        }
        share = np.nan_to_num(np.nanmean(tiles(drawn[down:, right:], 64), axis=1))
    columns |= {"measured": measured, "compared": compared, "share": share}
    return pd.DataFrame(columns | {"changed": share >= CHANGED})


def classes(shift, pictures, classifier) -> dict[str, np.ndarray]:
    """`lift`, how much likelier the classes are if they changed (NaN where one is unfamiliar), and `seasonal`."""
    down, right = shift
    answers = []
    for picture in pictures:
        planes = [tiles(plane[down:, right:], 64).reshape(-1, 64, 64) for plane in picture]
        answers.append(classifier.judge(np.ascontiguousarray(np.stack(planes, axis=-1))))
    legend, options = classifier.card.legend, ChangeOptions()
    seen = np.stack([answer.probabilities for answer in answers], axis=1).astype(float)
    by_class = class_change(
        emissions(seen), np.full(len(seen), 2), class_rates(legend, options), np.ones((len(seen), 1))
    )[:, 0]
    strange = answers[0].unfamiliar | answers[1].unfamiliar
    lift = by_class / (1 - by_class) * (1 - options.prior) / options.prior
    fields = [label in legend.having(*SEASONAL) for label in legend.labels]
    share = seen[:, :, fields].sum(axis=2).prod(axis=1)
    return {"lift": np.where(strange, np.nan, lift), "seasonal": np.where(strange, 0.0, share)}


def tiles(plane, size):
    rows, columns = plane.shape[0] // size, plane.shape[1] // size
    return (
        plane[: rows * size, : columns * size]
        .reshape(rows, size, columns, size)
        .swapaxes(1, 2)
        .reshape(rows * columns, -1)
    )


def plain(before, after, valid):
    """Plain change-vector analysis: each band matched by median and spread, 3 x 3 mean, mean absolute difference."""
    total = np.zeros(valid.shape, np.float32)
    for first, second in zip(before, after, strict=True):
        middle = [np.median(date[valid]) for date in (first, second)]
        spread = [np.subtract(*np.percentile(date[valid], [75, 25])) for date in (first, second)]
        total += np.abs(uniform_filter((second - middle[1]) / spread[1] - (first - middle[0]) / spread[0], 3))
    return np.where(valid, total / len(before), np.nan)


def table(folder: Path, city: City, classifier) -> dict[str, object]:
    """One city's figures, on the tiles of the grid as the product writes them."""
    grid = TileGrid(city.before.epsg)
    tables = [classify_scene(scene, classifier, grid) for scene in (city.before, city.after)]
    found = transitions(*tables, evidence(city.before, city.after, grid), legend=classifier.card.legend)
    changed = marked(folder, found["tile_id"]).to_numpy() >= CHANGED
    claimed = (found["state"] == "changed").to_numpy()
    differ = (found["from_label"].astype(str) != found["to_label"].astype(str)).to_numpy(float)
    return {
        "city": city.name,
        "tiles": len(found),
        "changed": int(changed.sum()),
        "labels differ": auroc(changed, differ),
        "plain change vectors": auroc(city.grids[0]["changed"], city.grids[0]["plain vectors"]),
        "change_class": auroc(changed, found["change_class"].fillna(0.02).to_numpy()),
        "change_vector": auroc(changed, found["change_vector"].to_numpy()),
        "**p_change**": auroc(changed, found["p_change"].to_numpy()),
        "sum of p_change": float(found["p_change"].sum()),
        "claimed": int(claimed.sum()),
        "claimed and marked": int((claimed & changed).sum()),
    }


@dataclass(frozen=True)
class Variant:
    """Which parts of the evidence take part."""

    magnitude: bool = True
    surprise: bool = True
    classes: bool = True
    whole: bool = True
    seasonal: float = WEIGHTS.seasonal
    class_share: float = ChangeOptions().class_share


VARIANTS = {
    "all, as in use": Variant(),
    "without the damped magnitude": Variant(magnitude=False),
    "without surprise": Variant(surprise=False),
    "without classes": Variant(classes=False),
    "without the whole tile's difference": Variant(whole=False),
    "season damps nothing": Variant(seasonal=1.0),
    "class_share 0.4 (first release)": Variant(class_share=0.4),
    "class_share 0.1": Variant(class_share=0.1),
}


def p_change(frame: pd.DataFrame, weights: FusionWeights, variant: Variant) -> np.ndarray:
    """The product's probability of these tiles, with the parts that take part."""
    told = frame.assign(
        magnitude=frame["magnitude"] if variant.magnitude else 0.95,
        surprise=frame["surprise"] if variant.surprise else 0.95,
    )
    pixels = pixel_evidence(told, frame["seasonal"].to_numpy(), replace(weights, seasonal=variant.seasonal))
    if not variant.whole:
        pixels = pixels._replace(whole=np.zeros(len(frame)))
    options = ChangeOptions(prior=LAND * variant.class_share, class_share=variant.class_share)
    expected = options.between(frame["years"].to_numpy())
    odds = frame["lift"].to_numpy() * expected.prior / (1 - expected.prior)
    return fused_probability(pixels, odds / (1 + odds) if variant.classes else np.full(len(frame), np.nan), *expected)


def fit(frames: list[pd.DataFrame], variant: Variant) -> FusionWeights:
    """The intercept and slope under which the marks are likeliest, given the prior in use; a grid counts its share."""
    rows = pd.concat(frames)

    def loss(line):
        p = np.clip(p_change(rows, replace(WEIGHTS, intercept=line[0], slope=line[1]), variant), 1e-9, 1 - 1e-9)
        right = np.where(rows["changed"], p, 1 - p)
        return -np.log(right).sum() / len(SHIFTS) + 0.05 * (line[1] - 2) ** 2

    found = minimize(loss, [-3.0, 2.2], method="Nelder-Mead").x
    return replace(WEIGHTS, intercept=float(found[0]), slope=float(found[1]))


def left_out(cities: list[City], variant: Variant) -> dict[str, list[np.ndarray]]:
    """Probabilities of every city's grids, the weights fitted on the other cities."""
    found = {}
    for city in cities:
        weights = fit([grid for other in cities if other is not city for grid in other.grids], variant)
        found[city.name] = [p_change(grid, weights, variant) for grid in city.grids]
    return found


def certainty(cities: list[City]) -> str:
    """What the likeliest tiles are worth, all cities together, and what bounds on false claims let through."""
    told = left_out(cities, Variant())
    p = np.concatenate([np.concatenate(told[city.name]) for city in cities])
    rows = pd.concat([grid for city in cities for grid in city.grids])
    order = np.argsort(-p, kind="stable")
    lines = ["| likeliest tiles | mean p | marked on 5 % | on 1 % | recall |", "|---" * 5 + "|"]
    for count in RANKS:
        first = order[: count * len(SHIFTS)]
        changed, share = rows["changed"].to_numpy()[first], rows["share"].to_numpy()[first]
        figures = p[first].mean(), changed.mean(), (share >= 0.01).mean(), changed.sum() / rows["changed"].sum()
        lines.append(row(str(count), [], [f"{one:.2f}" for one in figures]))
    lines += [
        "",
        "| at most false | claimed | of them marked | claimed with a class | of them marked |",
        "|---" * 5 + "|",
    ]
    for bound in BOUNDS:
        sums = np.zeros(4)
        for city in cities:
            for grid, one in zip(city.grids, told[city.name], strict=True):
                for at, kind in enumerate((np.ones(len(grid), bool), grid["lift"].notna().to_numpy())):
                    claimed = within_bound(one[kind], ChangeOptions(max_false_share=bound))
                    sums[2 * at : 2 * at + 2] += claimed.sum(), (claimed & grid["changed"].to_numpy()[kind]).sum()
        lines.append(row(f"{bound:.0%}", [], [f"{one:.1f}" for one in sums / len(SHIFTS)]))
    return "\n".join(lines)


def ablation(cities: list[City]) -> str:
    """What every part is worth in cities left out of the fit, as a table."""
    lines = [
        "| cities left out of the fit | "
        + " | ".join(city.name for city in cities)
        + " | mean AUROC | sum of p / drawn | log loss | precision at recall 0.2 |",
        "|---" * (len(cities) + 5) + "|",
    ]
    vectors = [np.nanmean([auroc(one["changed"], one["plain vectors"]) for one in city.grids]) for city in cities]
    lines.append(row("plain change vectors", vectors, [f"{np.nanmean(vectors):.3f}", "", "", ""]))
    for name, variant in VARIANTS.items():
        p = left_out(cities, variant)
        found = [
            np.nanmean([auroc(grid["changed"], one) for grid, one in zip(city.grids, p[city.name], strict=True)])
            for city in cities
        ]
        told = np.concatenate([np.concatenate(p[city.name]) for city in cities])
        changed = np.concatenate([grid["changed"] for city in cities for grid in city.grids])
        loss = -np.log(np.where(changed, told, 1 - told)).sum() / len(SHIFTS)
        order = np.argsort(-told, kind="stable")
        first = np.searchsorted(np.cumsum(changed[order]), 0.2 * changed.sum()) + 1
        tail = [
            f"{np.nanmean(found):.3f}",
            f"{told.sum() / len(SHIFTS):.0f} / {changed.sum() / len(SHIFTS):.0f}",
            f"{loss:.1f}",
            f"{changed[order][:first].mean():.2f}",
        ]
        lines.append(row(name, found, tail))
    weights = fit([grid for city in cities for grid in city.grids], VARIANTS["all, as in use"])
    lines.append(
        f"\nAll cities: intercept {weights.intercept:.2f}, slope {weights.slope:.2f}; in use {WEIGHTS.intercept}, "
        f"{WEIGHTS.slope}."
    )
    return "\n".join(lines)


def row(name, figures, tail) -> str:
    shown = ["-" if np.isnan(one) else f"{one:.3f}" for one in figures]
    return f"| {name} | " + " | ".join([*shown, *tail]) + " |"


def markdown(rows: pd.DataFrame) -> str:
    """The figures as a table with a column a city; counts as they are, the rest with three decimals."""
    counts = ("tiles", "changed", "claimed", "claimed and marked")
    lines = ["| | " + " | ".join([*rows.index, "mean"]) + " |", "|---" * (len(rows) + 2) + "|"]
    for name, values in rows.items():
        shown = [str(int(one)) if name in counts else "-" if np.isnan(one) else f"{one:.3f}" for one in values]
        lines.append(
            f"| {name} | "
            + " | ".join([*shown, "" if name in counts else f"{np.nanmean(values.astype(float)):.3f}"])
            + " |"
        )
    return "\n".join(lines)


def write(text: str) -> None:
    """Puts the table between its marks in benchmarks/README.md."""
    page, marks = Path(__file__).with_name("README.md"), ("<!-- change_oscd.py --write -->", "<!-- end -->")
    before, _, rest = page.read_text(encoding="utf-8").partition(marks[0])
    page.write_text(f"{before}{marks[0]}\n{text}\n{marks[1]}{rest.partition(marks[1])[2]}", encoding="utf-8")


@click.command()
@click.argument("folders", nargs=-1, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--model", default=DEFAULT, show_default=True)
@click.option("--write", "written", is_flag=True, help="Put the table into benchmarks/README.md.")
def main(folders: tuple[Path, ...], model: str, written: bool) -> None:
    found = folders or tuple(
        sorted(path.parent for path in (ROOT.parent / "shared" / "data" / "scenes" / "oscd").glob("*/change_mask.tif"))
    )
    classifier = load(model)
    cities = [City.read(folder, classifier) for folder in found]
    rows = pd.DataFrame(
        [table(folder, city, classifier) for folder, city in zip(found, cities, strict=True)]
    ).set_index("city")
    text = f"{ablation(cities)}\n\n{certainty(cities)}\n\n{markdown(rows)}"
    print(text)
    if written:
        write(f"{text}\n\nModel `{model}`, card {card_digest(model)}, engine {classifier.engine}.")


if __name__ == "__main__":
    main()
