"""Measures change detection on cities with hand-drawn changes, and fits the weight of the pixels' evidence.

Run from the checkout with the shared data beside it:

    python benchmarks/change_oscd.py                        every city folder of the shared data: the fits, then a table
    per city python benchmarks/change_oscd.py --write                the same, and the table goes into
    benchmarks/README.md python benchmarks/change_oscd.py CITY...                other cities

A city folder (Onera Satellite Change Detection, OSCD) holds two dates and `change_mask.tif` on the grid of the first
date's B04: 1 no change, 2 change. A tile counts as changed when at least 5 % of its pixels are marked. AUROC is taken
within each city. The hand-drawn marks are of buildings and roads; a field that was harvested is not marked.
"""

import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from unittest.mock import patch

import click
import numpy as np
import pandas as pd
import rasterio
from rasterio.transform import from_origin
from rasterio.warp import Resampling, reproject
from scipy.ndimage import uniform_filter
from sklearn.linear_model import LogisticRegression

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from pipeline.change import evidence, measure, score, transitions  # noqa: E402 - the checkout must be on the path first
from pipeline.change.fusion import WEIGHTS, FusionWeights, pixel_evidence  # noqa: E402
from pipeline.classify import classify_scene  # noqa: E402
from pipeline.files import digest  # noqa: E402
from pipeline.grid import TileGrid  # noqa: E402
from pipeline.models.store import DEFAULT, load, locate  # noqa: E402
from pipeline.scenes.finding.find import find_scenes  # noqa: E402
from pipeline.scenes.scene import Scene  # noqa: E402

CHANGED = 0.05
# Left and top edges of shifted grids, in pixels of 10 m: the same land cut into other tiles, so that a handful of
# changes is seen in more ways.
SHIFTS = [(down, right) for down in (0, 16, 32, 48) for right in (0, 16, 32, 48)]


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
    """Both dates of a city on a 20 m grid, its scores, and its marks on the 10 m grid."""

    name: str
    before: Scene
    after: Scene
    valid: np.ndarray
    score: np.ndarray
    plain_cva: np.ndarray
    marks: np.ndarray

    @classmethod
    def read(cls, folder: Path) -> "City":
        before, after = sorted(
            (found for found in find_scenes(folder) if isinstance(found, Scene)), key=lambda found: found.acquired
        )
        grid, bands = TileGrid(before.epsg), measure.shared_bands(before, after)
        common = measure.common_bounds(before, after, grid)
        dates = replace(before, bounds=common), replace(after, bounds=common)
        parts = list(measure.strips(*dates, grid, bands))
        first, second = (
            np.concatenate([getattr(part, name) for part in parts], axis=1) for name in ("before", "after")
        )
        valid = np.concatenate([part.valid for part in parts])
        found = score.differences(first, second, valid, bands, measure.match_scenes(*dates, grid, bands))
        return cls(
            folder.name,
            before,
            after,
            valid,
            found.score,
            plain(first, second, valid),
            marks(folder, before.epsg, common),
        )

    def shifted(self, picture) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """For every shifted grid.

        Marked share and 95th percentile of `picture` (20 m) of the tiles that are at least half valid.
        """
        for down, right in SHIFTS:
            pictures = [
                self.valid[down // 2 :, right // 2 :],
                picture[down // 2 :, right // 2 :],
                self.marks[down:, right:],
            ]
            valid, values, drawn = (tiles(plane, size) for plane, size in zip(pictures, (32, 32, 64), strict=True))
            kept = valid.mean(axis=1) >= 0.5
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)
                yield np.nan_to_num(np.nanmean(drawn[kept], axis=1)), np.nanpercentile(values[kept], 95, axis=1)


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


def table(folder: Path, city: City, classifier, others: FusionWeights | None) -> dict[str, object]:
    """One city's figures, on the tiles of the grid as the product writes them.

    `others` are weights fitted on the other cities.
    """
    grid = TileGrid(city.before.epsg)
    tables = [classify_scene(scene, classifier, grid) for scene in (city.before, city.after)]
    measured = evidence(city.before, city.after, grid)
    found = transitions(*tables, measured, legend=classifier.card.legend)
    with patch("pipeline.change.table.pixel_evidence", partial(pixel_evidence, weights=others or WEIGHTS)):
        held_out = transitions(*tables, measured, legend=classifier.card.legend)
    changed = marked(folder, found["tile_id"]).to_numpy() >= CHANGED
    columns = [name for name in tables[0] if name.startswith("p_")]
    first, second = (one.set_index("tile_id").loc[found["tile_id"], columns].to_numpy() for one in tables)
    plain_cva, own_score = (
        [auroc(share >= CHANGED, value) for share, value in city.shifted(picture)]
        for picture in (city.plain_cva, city.score)
    )
    claimed = (found["state"] == "changed").to_numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return {
            "city": city.name,
            "tiles": len(found),
            "changed": int(changed.sum()),
            "labels differ": auroc(
                changed, (found["from_label"].astype(str) != found["to_label"].astype(str)).to_numpy(float)
            ),
            "1 - sum p0 p1": auroc(changed, 1 - np.nan_to_num((first * second).sum(axis=1), nan=0.5)),
            "plain change vectors": plain_cva[0],
            "change_class": auroc(changed, found["change_class"].fillna(0.02).to_numpy()),
            "change_vector": auroc(changed, found["change_vector"].to_numpy()),
            "**p_change**": auroc(changed, found["p_change"].to_numpy()),
            "p_change, weights of the other cities": auroc(changed, held_out["p_change"].to_numpy())
            if others
            else np.nan,
            "plain change vectors, shifted": np.nanmean(plain_cva),
            "own score, shifted": np.nanmean(own_score),
            "sum of p_change": float(found["p_change"].sum()),
            "claimed": int(claimed.sum()),
            "claimed and marked": int((claimed & changed).sum()),
        }


def fit(cities: list[City]) -> dict[str, FusionWeights]:
    """The logistic fit of log(magnitude + 0.05), every tile of a shifted grid a sixteenth.

    For each city the weights of all others.
    """
    rows = [(city.name, share, np.log(value + 0.05)) for city in cities for share, value in city.shifted(city.score)]
    name = np.concatenate([np.full(len(share), city) for city, share, _ in rows])
    changed = np.concatenate([share for _, share, _ in rows]) >= CHANGED
    value = np.concatenate([one for _, _, one in rows])[:, None]
    weight = np.full(len(name), 1 / len(SHIFTS))

    def line(kept):
        model = LogisticRegression(C=10).fit(value[kept], changed[kept], sample_weight=weight[kept])
        base = np.log(changed[kept].mean() / (1 - changed[kept].mean()))
        return model.intercept_[0] - base, model.coef_[0, 0], model

    others = {}
    for city in dict.fromkeys(name):
        kept = name != city
        if not changed[kept].any():
            continue
        intercept, slope, model = line(kept)
        others[city] = replace(WEIGHTS, intercept=intercept, slope=slope)
        p = model.predict_proba(value[~kept])[:, 1]
        expected, drawn = p.sum() / len(SHIFTS), changed[~kept].sum() / len(SHIFTS)
        print(
            f"without {city}: intercept {intercept:.2f}, slope {slope:.2f}; there {expected:.1f} changed tiles "
            f"expected, {drawn:.1f} drawn"
        )
    if changed.any():
        intercept, slope, _ = line(np.ones(len(name), bool))
        print(
            f"all: intercept {intercept:.2f}, slope {slope:.2f}, in use {WEIGHTS.intercept}, {WEIGHTS.slope}; "
            f"{changed.mean():.1%} of {len(changed)} changed"
        )
    return others


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
    cities = [City.read(folder) for folder in found]
    others = fit(cities)
    classifier = load(model)
    rows = pd.DataFrame(
        [table(folder, city, classifier, others.get(city.name)) for folder, city in zip(found, cities, strict=True)]
    ).set_index("city")
    text = markdown(rows)
    print(text)
    if written:
        write(f"{text}\n\nModel `{model}`, card {card_digest(model)}, engine {classifier.engine}.")


if __name__ == "__main__":
    main()
