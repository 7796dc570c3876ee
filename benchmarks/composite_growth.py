"""Memory and time of a composite of full granules by the number of its looks.

    python benchmarks/composite_growth.py FOLDER [--looks 2,8] [--tiles 172]

The looks are made results in the form that a run leaves: random classes in patches, one picture and one cover that all
looks share. Each composite is made in a process of its own.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import rasterio

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipeline.batch.composites import make_composites
from pipeline.batch.products.pixel_cover import colour, whole_raster
from pipeline.batch.products.truecolour import Pictures
from pipeline.grid import TileGrid
from pipeline.legend import COVER, EUROSAT, CoverState
from pipeline.results import layout
from pipeline.results.folder import ResultsFolder
from pipeline.results.layout import SceneStatus
from pipeline.results.period import Period
from pipeline.results.record import SceneRecord
from pipeline.results.table import TileAnswers, tile_table, write_table

PERIOD = Period(date(2023, 5, 1), date(2023, 9, 30))
GRID = TileGrid(32632)


def made(folder, tiles):
    """One look's rasters, which all share."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(1)
    columns, rows = range(1000, 1000 + tiles), range(8000 - tiles, 8000)
    pictures = Pictures(folder, GRID, columns, rows)
    with whole_raster(folder / layout.COVER, GRID, columns, rows) as cover:
        colour(cover, COVER)
        for at, row in enumerate(reversed(rows)):
            patches = rng.integers(0, len(COVER.labels), (8, 8 * tiles)).astype(np.uint8)
            codes = patches.repeat(8, axis=0).repeat(8, axis=1)
            codes[rng.random(codes.shape) < 0.02] = CoverState.CLOUD
            sure = np.where(codes < CoverState.UNFAMILIAR, 5 * rng.integers(8, 20, codes.shape), 255).astype(np.uint8)
            cover.write(np.stack([codes, sure]), window=rasterio.windows.Window(0, 64 * at, 64 * tiles, 64))
            rgb = np.stack([codes * 20 + 40] * 3)
            pictures.add(row, rgb, np.ones(codes.shape, bool))
    pictures.finish("sentinel-2")
    return columns, rows


def look(folder, shared, columns, rows, number):
    """One look's table and Item beside links to the shared rasters."""
    rng = np.random.default_rng(number)
    index = np.array([(col, row) for row in reversed(rows) for col in columns])
    score = rng.standard_normal((len(index), len(EUROSAT.labels))) * 2
    p = (np.exp(score) / np.exp(score).sum(axis=1, keepdims=True)).astype(np.float32)
    valid, cloud = np.ones(len(index), np.float32), rng.random(len(index)).astype(np.float32) * 0.3
    acquired = datetime(2023, 5, 2, 10, tzinfo=UTC) + timedelta(days=5 * number)
    answers = TileAnswers(index, p.argmax(axis=1).astype(np.int8), p, valid, cloud)
    folder.mkdir()
    facts = {
        "model": {"name": "made", "card_sha256": "0"},
        "legend": asdict(EUROSAT),
        "grid": asdict(GRID),
        "sensor": "sentinel-2",
        "attribution": "",
        "options": {},
        "level": "L2A",
    }
    write_table(tile_table(answers, GRID, EUROSAT, folder.name, acquired), folder / layout.TABLE, facts)
    for name in (layout.COVER, layout.TRUE_COLOUR):
        os.link(shared / name, folder / name)
    named = [{"value": code, "name": label, "color_hint": "00ff00"} for code, label in enumerate(COVER.labels)]
    item = {
        "properties": {"atlas:level": "L2A", "atlas:sensor": "sentinel-2"},
        "geometry": {"type": "Polygon", "coordinates": [[[9, 46], [10, 46], [10, 47], [9, 46]]]},
        "stac_extensions": [],
        "assets": {"cover": {"href": f"./{layout.COVER}", "classification:classes": named}},
    }
    (folder / layout.ITEM).write_text(json.dumps(item), encoding="utf-8")
    return SceneRecord(folder.name, SceneStatus.DONE, acquired=acquired.isoformat())


def child(folder, looks):
    places = sorted(folder.glob("look-*"))[:looks]
    moments = [datetime(2023, 5, 2, 10, tzinfo=UTC) + timedelta(days=5 * number) for number in range(looks)]
    records = [
        SceneRecord(place.name, SceneStatus.DONE, acquired=moment.isoformat())
        for place, moment in zip(places, moments, strict=True)
    ]
    started, used = time.monotonic(), time.process_time()
    (found,) = make_composites((PERIOD,), records, ResultsFolder(folder), force=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"{looks} looks, {sum(found.counts.values()):,} tiles: {time.monotonic() - started:.0f} s, "
        f"{time.process_time() - used:.0f} CPU s, {peak:.2f} GB {found.reason or ''}"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--looks", default="2,8")
    parser.add_argument("--tiles", type=int, default=172)
    parser.add_argument("--child", type=int)
    asked = parser.parse_args()
    if asked.child:
        child(asked.folder, asked.child)
    else:
        numbers = [int(number) for number in asked.looks.split(",")]
        shared = asked.folder / ".shared"
        span = made(shared, asked.tiles)
        for number in range(max(numbers)):
            look(asked.folder / f"look-{number:03}", shared, *span, number)
        for number in numbers:
            again = [sys.executable, __file__, str(asked.folder), "--child", str(number)]
            subprocess.run(again, check=True)
