"""What composites fill on real pairs of dates, and how alike their errors are.

    python benchmarks/composite_pairs.py FOLDER [--data ../shared/data/scenes]

Each Onera city and the Swiss place become one period over both of their dates. There is no truth of their classes, so
this tells what share of tiles and pixels gets a class, and how often two dates name different ones: if they erred apart
as often as they doubt themselves, labels would differ on the share e1 + e2 - e1 e2 K / (K - 1) (e: mean of 1 -
confidence, K classes). One minus the ratio of what differs to that is a lower bound of the dependence, for the pairs
lie a year and more apart, and some land did change.
"""

import argparse
import sys
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import rasterio

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipeline.batch.composites import make_composites
from pipeline.batch.task import ModelChoice, SceneTask
from pipeline.batch.work import process
from pipeline.legend import TileState
from pipeline.results.folder import ResultsFolder
from pipeline.results.layout import COVER, TABLE
from pipeline.results.period import Period
from pipeline.results.table import class_labels, read_table
from pipeline.scenes.finding.find import find_scenes
from pipeline.scenes.scene import Scene

ALL = Period(date(2014, 1, 1), date(2024, 12, 31))


def mapped(scenes, results):
    cover = ModelChoice("cover-10m", threads=2)
    for scene in scenes:
        if isinstance(scene, Scene):
            record = process(SceneTask(scene, ModelChoice(threads=2), results, cover=cover))
            print(record.id, record.status, record.reason or "", flush=True)
            yield record


def shares(table):
    """Tiles with a class, unclassified and under cloud, of those with data."""
    seen = table[table["code"] != TileState.NO_DATA]
    return [float((seen["code"] == state).mean()) for state in (TileState.UNCLASSIFIED, TileState.CLOUD)]


def codes_of(path):
    with rasterio.open(path) as raster:
        return raster.read(1)


def place(folder, results):
    records = list(mapped(find_scenes(folder), results))
    (made,) = make_composites((ALL,), records, results, force=True)
    looks = [read_table(results.path / look / TABLE).set_index("tile_id") for look in made.looks]
    both = read_table(results.path / made.id / TABLE).set_index("tile_id")
    row = {"looks": len(looks), "tiles": int((both["code"] != TileState.NO_DATA).sum())}
    for name, at in (("unclassified", 0), ("cloud", 1)):
        row[f"{name}, a date"] = float(np.mean([shares(look)[at] for look in looks]))
        row[f"{name}, composite"] = shares(both)[at]
    rasters = [results.path / name / COVER for name in (*made.looks, made.id)]
    if all(path.is_file() for path in rasters):
        *single, whole = ((codes > 252) for codes in map(codes_of, rasters))
        if all(one.shape == whole.shape for one in single):
            anywhere = ~np.logical_and.reduce([codes_of(path) == 255 for path in rasters[:-1]])
            row["pixels without a class, a date"] = float(np.mean([one[anywhere].mean() for one in single]))
            row["pixels without a class, composite"] = float(whole[anywhere].mean())
    one, other = (look[look["code"] >= 0] for look in looks[:2])
    shared = one.index.intersection(other.index)
    if len(shared):
        classes = len(class_labels(one.columns))
        e1, e2 = (1.0 - float(look.loc[shared, "confidence"].mean()) for look in (one, other))
        row["compared"] = len(shared)
        row["differ"] = float((one.loc[shared, "code"].to_numpy() != other.loc[shared, "code"].to_numpy()).mean())
        row["differ, erring apart"] = e1 + e2 - e1 * e2 * classes / (classes - 1)
    return row


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data" / "scenes")
    asked = parser.parse_args()
    places = [*sorted((asked.data / "oscd").iterdir()), asked.data / "switzerland"]
    rows = {}
    for folder in places:
        if folder.is_dir():
            rows[folder.name] = place(folder, ResultsFolder(asked.folder / folder.name))
    table = pd.DataFrame(rows).T
    weights = table["compared"].fillna(0)
    differ, apart = ((table[name].fillna(0) * weights).sum() for name in ("differ", "differ, erring apart"))
    print(table.round(3).to_string())
    tiles = table["tiles"]
    for name in [column for column in table if ", " in column and "erring" not in column]:
        print(f"{name}: {(table[name].fillna(0) * tiles).sum() / tiles[table[name].notna()].sum():.3f}")
    print(
        f"labels differ on {differ / weights.sum():.3f}, erring apart {apart / weights.sum():.3f}: "
        f"dependence at least {1 - differ / apart:.2f}"
    )


if __name__ == "__main__":
    main()
