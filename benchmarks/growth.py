"""How cost grows: finding scenes, a run, the same run again, the page, and counting and comparing tiles.

    python benchmarks/growth.py [--plot benchmarks/growth.png] [--only NAME] [--most COUNT] [--json OUT]

Every point runs in a process of its own on made inputs and tells CPU seconds and the process's largest memory, beside
the goal where the largest count has one. CPU seconds hold on a busy machine, the clock does not. A cost that is flat a
unit grows as it should.
"""

import json
import pickle
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from multiprocessing import get_context
from pathlib import Path

import click
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import make_granule, making  # noqa: E402 - the checkout must be on the path first
from pipeline.cli.bench import processor  # noqa: E402

DATA = ROOT.parent / "shared" / "data"


def make_safes(folder: Path, count: int) -> None:
    places, first = list(make_granule.sites(DATA / "scenes")), datetime(2022, 10, 5, 11, 54, 11)
    for number in range(count):
        day = first + number * make_granule.REVISIT
        make_granule.make(folder, DATA, places, make_granule.GRANULES[0], day, 0, 128, "cog", 1)


def find(folder: Path, count: int) -> None:
    from pipeline.scenes.finding.find import find_scenes

    if (found := len(list(find_scenes(folder)))) != count:
        raise SystemExit(f"{found} scenes of {count} were found")


def make_scenes(folder: Path, count: int) -> None:
    rng = np.random.default_rng(0)
    (folder / "in").mkdir()
    for number in range(count):
        corner = 640 * (500 + 6 * (number % 30)), 640 * (8000 - 6 * (number // 30))
        name = f"S2A_MSIL1C_2024{1 + number // 28 % 12:02}{1 + number % 28:02}_{number:04}.tif"
        pixels = rng.integers(200, 2700, (3, 128, 192), dtype=np.uint16)
        making.write_scene_file(folder / "in" / name, pixels, *corner)


def make_run(folder: Path, count: int) -> None:
    make_scenes(folder, count)
    run_scenes(folder, count)


def run_scenes(folder: Path, _: int) -> None:
    from pipeline.batch.main_job import RunOptions, run
    from pipeline.scenes.finding.find import find_scenes

    run(find_scenes(folder / "in"), RunOptions(folder / "tiles", folder / "maps"))


def make_world(folder: Path, granules: int) -> None:
    # Sixteen of them at two dates hold a million tiles.
    making.write_world(folder / "made", dates=2, granules=granules, size=(177, 177))


def make_atlas(folder: Path, granules: int) -> None:
    from benchmarks.page import large_world

    (folder / "atlas.pickle").write_bytes(pickle.dumps(large_world(folder, granules, 12)))


def page(folder: Path, _: int) -> None:
    from pipeline.atlas.page import render_atlas
    from pipeline.legend import EUROSAT

    render_atlas(pickle.loads((folder / "atlas.pickle").read_bytes()), EUROSAT, folder / "atlas.html")


def read_and_page(folder: Path, _: int) -> None:
    from pipeline.atlas.collect import collect
    from pipeline.atlas.page import render_atlas
    from pipeline.legend import EUROSAT

    render_atlas(collect(folder / "made"), EUROSAT, folder / "atlas.html")


def areas(folder: Path, _: int) -> None:
    from pipeline.areas import mapped_areas, read_regions
    from pipeline.results.layout import TABLE, scene_folders
    from pipeline.results.table import LOOKS, read_columns

    mapped_areas([read_columns(one / TABLE, LOOKS) for one in scene_folders(folder / "made")], read_regions())


def change(folder: Path, _: int) -> None:
    from pipeline.change import changes
    from pipeline.legend import EUROSAT
    from pipeline.results.layout import TABLE, scene_folders
    from pipeline.results.table import read_columns

    changes([read_columns(one / TABLE) for one in scene_folders(folder / "made")], legend=EUROSAT)


@dataclass(frozen=True)
class Side:
    """Something whose cost grows with a count."""

    make: Callable[[Path, int], None]
    """Makes the inputs."""
    work: Callable[[Path, int], None]
    """What is measured."""
    counts: tuple[int, ...]
    """Of what `unit` names."""
    unit: str
    """What is counted."""
    seconds: float | None = None
    """Goal for the largest count, on the clock."""


TWO, TWELVE = "granules at two dates", "granules at twelve dates"
SIDES = {
    "find_scenes": Side(make_safes, find, (10, 100, 1000), "products", 10.0),
    "a run": Side(make_scenes, run_scenes, (1, 10, 50), "scenes"),
    "a finished run again": Side(make_run, run_scenes, (10, 100, 1000), "scenes", 20.0),
    "page": Side(make_atlas, page, (1, 16, 64), TWELVE),
    "tables read, page": Side(make_world, read_and_page, (1, 4, 16), TWO),
    "areas": Side(make_world, areas, (1, 4, 16), TWO, 10.0),
    "change": Side(make_world, change, (1, 4, 16), TWO, 10.0),
}


def apart(work: Callable[[Path, int], None], folder: str, count: int) -> tuple[float, float, float]:
    """CPU seconds, seconds and peak GB of some work in a process of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(inside, work, folder, count).result()


def inside(work: Callable[[Path, int], None], folder: str, count: int) -> tuple[float, float, float]:
    import resource

    began, cpu = time.monotonic(), time.process_time()
    work(Path(folder), count)
    spent = time.process_time() - cpu, time.monotonic() - began
    return *spent, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def draw(rows: list[tuple[str, int, float, float, float]], path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    names = list(dict.fromkeys(row[0] for row in rows))
    figure, panels = plt.subplots(1, len(names), figsize=(3 * len(names), 3), layout="constrained", squeeze=False)
    for panel, name in zip(panels[0], names, strict=True):
        counts, cpu = np.array([(row[1], row[2]) for row in rows if row[0] == name]).T
        panel.loglog(counts, cpu, "o-", color="#0b5410", label="CPU seconds")
        panel.loglog(counts, cpu[-1] / counts[-1] * counts, ":", color="#5c5c5c", label="in proportion")
        panel.set(title=name, xlabel=SIDES[name].unit)
    panels[0][0].legend(fontsize=8)
    figure.savefig(path, dpi=80)


@click.command(help=__doc__)
@click.option("--only", multiple=True, type=click.Choice(list(SIDES)))
@click.option("--most", type=click.IntRange(1), help="Leaves larger counts out.")
@click.option("--plot", type=click.Path(path_type=Path))
@click.option("--json", "out", type=click.Path(path_type=Path))
def main(only: tuple[str, ...], most: int | None, plot: Path | None, out: Path | None) -> None:
    rows = []
    print(
        f"{processor()}\n| | count | CPU s | CPU ms each | clock s | goal s | peak GB |\n|---|---|---|---|---|---|---|"
    )
    for name in only or SIDES:
        side = SIDES[name]
        for count in side.counts:
            if most is not None and count > most:
                continue
            with tempfile.TemporaryDirectory() as folder:
                apart(side.make, folder, count)
                cpu, wall, memory = apart(side.work, folder, count)
            rows.append((name, count, cpu, wall, memory))
            goal = f"{side.seconds:g}" if side.seconds and count == side.counts[-1] else ""
            told = f"{cpu:.2f} | {1000 * cpu / count:.0f} | {wall:.1f} | {goal} | {memory:.2f}"
            print(f"| {name} | {count} {side.unit} | {told} |", flush=True)
    if plot is not None:
        draw(rows, plot)
    if out is not None:
        out.write_text(json.dumps(rows) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
