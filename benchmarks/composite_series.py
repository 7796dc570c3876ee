"""What composites are worth on made seasons with known truth, and how much the looks of a season depend on each other.

    python benchmarks/composite_series.py make FOLDER [--places 8]    makes seasons, classifies every look; resumable
    python benchmarks/composite_series.py measure FOLDER [--write]    fits on odd places, checks on even ones

A place is the demo's landscape of another seed, seen six times from May to August under clouds of every amount, a veil
that no quality layer tells, and fields that ripen. `--write` puts the tables into benchmarks/README.md.
"""

import argparse
import re
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import rasterio
from rasterio.windows import from_bounds
from scipy.optimize import minimize_scalar

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipeline.change.chain import emissions
from pipeline.composite.pool import COVER_DEPENDENCE, TILE_DEPENDENCE, independent, pooled
from pipeline.legend import COVER, EUROSAT
from pipeline.results.layout import COVER as COVER_RASTER
from pipeline.results.layout import TABLE, scene_folders
from pipeline.results.table import probability_columns, read_table
from pipeline.simulate import Look, read_truth, simulate
from pipeline.simulate.simulation import delivered
from pipeline.simulate.truth import cover_truth

LOOKS, PURE = 6, 0.9
CLOUDINESS = (1.5, 3.0, 4.5, 0.0, 2.5, 3.5)
HAZE = (0.0, 0.012, 0.03, 0.02, 0.006, 0.025)
RIPE = (0.0, 0.15, 0.35, 0.5, 0.6, 0.7)
README = Path(__file__).with_name("README.md")


def season(seed):
    """The looks of one place; every place has its clouds and veils in another order."""
    rng = np.random.default_rng((seed, 5))
    order = rng.permutation(LOOKS)
    start = datetime(2023, 5, 4, 10, 26, 1, tzinfo=UTC)
    return [
        Look(
            delivered(start + timedelta(days=20 * at), "05.09", -1000, 32_174 + 286 * at),
            number=10 + at,
            clouds=tuple(rng.uniform(0.1, 0.9, 2).tolist()),
            cloudiness=CLOUDINESS[which],
            haze=HAZE[which],
            ripe=RIPE[at],
        )
        for at, which in enumerate(order)
    ]


def make(folder, places):
    from pipeline.batch.task import ModelChoice, SceneTask
    from pipeline.batch.work import process
    from pipeline.results.folder import ResultsFolder
    from pipeline.scenes.finding.find import find_scenes

    for seed in range(100, 100 + places):
        place = folder / str(seed)
        if not (place / "scenes" / "truth.csv").exists():
            simulate(place / "scenes", seed, "tif", season(seed))
        for scene in find_scenes(place / "scenes"):
            task = SceneTask(
                scene,
                ModelChoice(threads=2),
                ResultsFolder(place / "tiles"),
                cover=ModelChoice("cover-10m", threads=2),
            )
            record = process(task)
            print(seed, record.id, record.status, record.error, record.reason, flush=True)


def tiles_of(place):
    """Probabilities (tiles, looks, classes), NaN without a clear look; true class and purity (tiles,)."""
    tables = sorted((read_table(one / TABLE) for one in scene_folders(place / "tiles")), key=_moment)
    truth = {one.tile_id: one for one in read_truth(place / "scenes" / "truth.csv")}
    ids = [name for name in tables[0]["tile_id"] if name in truth]
    columns = probability_columns(EUROSAT.labels)
    found = []
    for table in tables:
        rows = table.set_index("tile_id").loc[ids]
        p = rows[columns].to_numpy(np.float64, copy=True)
        p[rows["code"].to_numpy() < 0] = np.nan
        found.append(p)
    label = np.array([EUROSAT.labels.index(truth[name].label) for name in ids])
    return np.stack(found, axis=1), label, np.array([truth[name].purity for name in ids])


def pixels_of(place, each=15):
    """The same of every fifteenth pixel of the cover, each look's rest of probability spread over the other classes."""
    scenes = sorted(scene_folders(place / "tiles"), key=lambda one: _moment(read_table(one / TABLE)))
    mask = cover_truth(place / "scenes", "2023-05-04")
    with rasterio.open(mask) as source:
        wanted, bounds = source.read(1)[::each, ::each].ravel(), source.bounds
    found = []
    for scene in scenes:
        with rasterio.open(scene / COVER_RASTER) as source:
            window = from_bounds(*bounds, source.transform).round_offsets().round_lengths()
            codes, sure = source.read(window=window, boundless=True, fill_value=255)[:, ::each, ::each]
        codes, sure = codes.ravel(), np.clip(sure.ravel() / 100.0, 1 / len(COVER.labels), 0.975)
        p = np.repeat(((1 - sure) / (len(COVER.labels) - 1))[:, None], len(COVER.labels), axis=1)
        known = codes < len(COVER.labels)
        p[np.flatnonzero(known), codes[known]] = sure[known]
        p[~known] = np.nan
        found.append(p)
    known = wanted != 255
    return np.stack(found, axis=1)[known], wanted[known].astype(int), np.ones(known.sum())


def _moment(table):
    return table["acquired"].iloc[0]


def pool(p, dependence):
    """The pool of looks (tiles, looks, classes) and how many were clear."""
    clear = ~np.isnan(p).any(axis=2)
    total = np.where(clear[..., None], p, 0.0).sum(axis=1)
    return pooled(total, clear.sum(axis=1), dependence).astype(np.float64), clear.sum(axis=1)


def log_pool(p, dependence):
    """The product of the looks' likelihoods, discounted by the same dependence: the rule that was not taken."""
    clear = ~np.isnan(p).any(axis=2)
    count = clear.sum(axis=1)
    scores = np.where(clear[..., None], np.log(emissions(p)), 0.0).sum(axis=1)
    scores *= (independent(count, dependence) / np.maximum(count, 1))[:, None]
    likely = np.exp(scores - scores.max(axis=1, keepdims=True))
    return likely / likely.sum(axis=1, keepdims=True), count


def log_loss(p, label):
    return float(-np.log(np.clip(p[np.arange(len(label)), label], 1e-9, 1)).mean())


def fit(places, rule=pool):
    """The dependence with the smallest log loss over tiles with two clear looks and more."""

    def loss(dependence):
        parts = []
        for p, label, _ in places:
            both, count = rule(p, dependence)
            parts.append(np.array([log_loss(both[count > 1], label[count > 1]), (count > 1).sum()]))
        losses, sizes = np.array(parts).T
        return float((losses * sizes).sum() / sizes.sum())

    return float(minimize_scalar(loss, bounds=(0, 2), method="bounded", options={"xatol": 0.02}).x)


def ece(sure, right, bins=15):
    at = np.minimum((sure * bins).astype(int), bins - 1)
    return float(sum(abs(right[at == k].mean() - sure[at == k].mean()) * (at == k).mean() for k in np.unique(at)))


def majority(p):
    """The class of most clear looks, the mean probability deciding between equals; its share of the votes."""
    clear = ~np.isnan(p).any(axis=2)
    votes = np.zeros((len(p), p.shape[2]))
    for at in range(p.shape[1]):
        rows = np.flatnonzero(clear[:, at])
        votes[rows, p[rows, at].argmax(axis=1)] += 1
    mean = np.nan_to_num(np.where(clear[..., None], p, 0).sum(axis=1) / np.maximum(clear.sum(axis=1), 1)[:, None])
    best = (votes + 1e-3 * mean).argmax(axis=1)
    return best, votes[np.arange(len(p)), best] / np.maximum(clear.sum(axis=1), 1)


def told(places, dependence, discounted, least):
    """One row a way to answer: share of tiles answered, and of all that two looks and more show accuracy, ECE, loss."""
    p = np.concatenate([one[0] for one in places])
    label, purity = (np.concatenate([one[at] for one in places]) for at in (1, 2))
    p, label = p[purity >= least], label[purity >= least]
    clear = ~np.isnan(p).any(axis=2)
    many = clear.sum(axis=1) > 1
    rows = {}

    def row(name, best, sure, known, probabilities=None):
        here = known & many
        right = best == label
        rows[name] = {
            "answered": f"{known.mean():.1%}",
            "right of these": f"{right[known].mean():.1%}",
            "right": f"{right[here].mean():.1%}",
            "ECE": f"{ece(sure[here], right[here]):.3f}",
            "log loss": "" if probabilities is None else f"{log_loss(probabilities[here], label[here]):.3f}",
        }

    looks = np.repeat(np.arange(len(p)), clear.sum(axis=1))
    singles = p[clear]
    hit = singles.argmax(axis=1) == label[looks]
    of_many = many[looks]
    rows["one look (mean of six)"] = {
        "answered": f"{clear.mean():.1%}",
        "right of these": f"{hit.mean():.1%}",
        "right": f"{hit[of_many].mean():.1%}",
        "ECE": f"{ece(singles.max(axis=1)[of_many], hit[of_many]):.3f}",
        "log loss": f"{log_loss(singles[of_many], label[looks][of_many]):.3f}",
    }
    # The date with most clear tiles, place by place.
    best_date = np.concatenate(
        [
            np.full((one[2] >= least).sum(), int((~np.isnan(one[0][one[2] >= least]).any(axis=2)).sum(axis=0).argmax()))
            for one in places
        ]
    )
    chosen = p[np.arange(len(p)), best_date]
    known = ~np.isnan(chosen).any(axis=1)
    filled = np.nan_to_num(chosen)
    row("best single date", filled.argmax(axis=1), filled.max(axis=1), known, filled)
    best, share = majority(p)
    row("majority of the looks", best, share, clear.any(axis=1))
    rules = {
        "product of likelihoods": (log_pool, 0.0),
        f"the same, discounted (r = {discounted:.2f})": (log_pool, discounted),
        "mean of probabilities": (pool, 1.0),
        f"composite (r = {dependence:.2f})": (pool, dependence),
    }
    for name, (rule, value) in rules.items():
        both, count = rule(p, value)
        row(name, both.argmax(axis=1), both.max(axis=1), count > 0, both)
    return pd.DataFrame(rows).T


def by_number(places, dependence):
    """Accuracy and ECE of the composite by number of clear looks."""
    p, label = (np.concatenate([one[at] for one in places]) for at in (0, 1))
    both, count = pool(p, dependence)
    right = both.argmax(axis=1) == label
    return pd.DataFrame(
        {
            f"{n} looks": {
                "tiles": str(int((count == n).sum())),
                "right": f"{right[count == n].mean():.1%}",
                "ECE": f"{ece(both.max(axis=1)[count == n], right[count == n]):.3f}",
                "worth": f"{float(independent(np.array(n), dependence)):.2f}",
            }
            for n in sorted(set(count.tolist()) - {0})
        }
    ).T


def measure(folder, write):
    found = [one for one in sorted(folder.iterdir()) if (one / "tiles").is_dir()]
    parts = []
    for name, reader, used in (("tiles", tiles_of, TILE_DEPENDENCE), ("pixels", pixels_of, COVER_DEPENDENCE)):
        places = [reader(one) for one in found]
        odd, even = places[::2], places[1::2]
        discounted = fit(odd, log_pool)
        parts.append(
            f"{name}: r = {fit(odd):.2f} on {len(odd)} places, {fit(even):.2f} on the other {len(even)}, in use "
            f"{used}; as a discounted product {discounted:.2f} and {fit(even, log_pool):.2f}"
        )
        parts.append(f"{name}, the other {len(even)} places, all:\n\n" + markdown(told(even, used, discounted, 0.0)))
        if name == "tiles":
            parts.append(f"pure tiles (one class on {PURE:.0%}):\n\n" + markdown(told(even, used, discounted, PURE)))
            parts.append("by the number of clear looks:\n\n" + markdown(by_number(even, used)))
    text = "\n\n".join(parts)
    print(text)
    if write:
        page = README.read_text(encoding="utf-8")
        mark = "<!-- composite_series.py measure --write -->"
        page = re.sub(f"{mark}.*?{mark}", lambda _: f"{mark}\n{text}\n{mark}", page, flags=re.S)
        README.write_text(page, encoding="utf-8")


def markdown(frame):
    head = "| | " + " | ".join(frame.columns) + " |\n|" + "---|" * (len(frame.columns) + 1)
    return "\n".join(
        [
            head,
            *(
                f"| {name} | " + " | ".join(map(str, row)) + " |"
                for name, row in zip(frame.index, frame.to_numpy(), strict=True)
            ),
        ]
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["make", "measure"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--places", type=int, default=8)
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    if asked.what == "make":
        make(asked.folder, asked.places)
    else:
        measure(asked.folder, asked.write)
