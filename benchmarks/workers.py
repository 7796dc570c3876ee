"""How much faster N workers of one thread on N cores are than one worker of one thread on one core.

    python benchmarks/workers.py [--workers 1,2] [--scenes 4] [--size 2745] [--rounds 3] [--folder SCENES]

Each side runs in a process of its own that may use exactly N cores, interleaved, in `--rounds` rounds; the median
counts. The seconds are those of the scenes alone: from the start of the workers (with their imports and models) to the
last scene's files; comparing dates and the page come after.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import click
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import making  # noqa: E402 - the checkout must be on the path first
from pipeline.batch.executors import Processes, cores  # noqa: E402
from pipeline.batch.loaded import verified_card  # noqa: E402
from pipeline.batch.task import ModelChoice, SceneTask  # noqa: E402
from pipeline.cli.bench import processor  # noqa: E402
from pipeline.results.folder import ResultsFolder  # noqa: E402
from pipeline.scenes.finding.find import find_scenes  # noqa: E402
from pipeline.scenes.scene import Scene  # noqa: E402


def measured(folder: Path, workers: int) -> None:
    """One side: prints the seconds on the clock and of all processes."""
    choice = ModelChoice(threads=1)
    card = verified_card(choice)
    options = card.input.reading(bands=("B04", "B03", "B02"), offset=0)
    scenes = [found for found in find_scenes(folder, options) if isinstance(found, Scene)]
    with tempfile.TemporaryDirectory() as place:
        began = time.monotonic()
        records = list(
            Processes(workers).run([SceneTask(scene, choice, ResultsFolder(Path(place))) for scene in scenes])
        )
        seconds = time.monotonic() - began
    if bad := [record for record in records if record.status != "done"]:
        raise SystemExit(f"{bad[0].id}: {bad[0].reason}")
    spent = os.times()
    cpu = spent.user + spent.system + spent.children_user + spent.children_system
    print(json.dumps({"seconds": seconds, "cpu": cpu, "tiles": sum(sum(record.counts.values()) for record in records)}))


def side(folder: Path, workers: int) -> dict[str, float]:
    allowed = sorted(os.sched_getaffinity(0))[:workers]
    command = [sys.executable, __file__, "--child", str(workers), "--folder", str(folder)]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, preexec_fn=lambda: os.sched_setaffinity(0, allowed)
    )
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return json.loads(done.stdout.splitlines()[-1])


@click.command(help=__doc__)
@click.option("--workers", default="1,2", show_default=True, help="How many to compare.")
@click.option("--scenes", "count", type=click.IntRange(1), default=4, show_default=True)
@click.option(
    "--size", type=click.IntRange(64), default=2745, show_default=True, help="Pixels of 10 m a side of the made scenes."
)
@click.option("--rounds", type=click.IntRange(1), default=3, show_default=True)
@click.option("--folder", type=click.Path(exists=True, path_type=Path), help="Scenes to work on instead of made ones.")
@click.option("--child", type=int, hidden=True)
def main(workers: str, count: int, size: int, rounds: int, folder: Path | None, child: int | None) -> None:
    if child is not None and folder is not None:
        measured(folder, child)
        return
    sides = [int(text) for text in workers.split(",")]
    if max(sides) > cores():
        raise click.UsageError(f"{max(sides)} workers of one thread need as many cores, here are {cores()}")
    with tempfile.TemporaryDirectory() as place:
        if folder is None:
            folder = Path(place)
            rng = np.random.default_rng(3)
            for number in range(count):
                coarse = (
                    rng.integers(300, 2500, (3, -(-size // 8), -(-size // 8)), dtype=np.uint16)
                    .repeat(8, axis=1)
                    .repeat(8, axis=2)[:, :size, :size]
                )
                pixels = coarse + rng.integers(0, 200, coarse.shape, dtype=np.uint16)
                path = folder / f"S2A_MSIL1C_2024060{number % 9 + 1}_{number}.tif"
                making.write_scene_file(path, pixels, 640_000 + 640 * 100 * number, 5_120_000)
        found: dict[int, list[dict[str, float]]] = {number: [] for number in sides}
        for _ in range(rounds):
            for number in sides:
                found[number].append(side(folder, number))
    print(f"{processor()}, {cores()} cores; {count} scenes, {found[sides[0]][0]['tiles']:,} tiles")
    base = median(entry["seconds"] for entry in found[sides[0]])
    for number, entries in found.items():
        clock, cpu = (median(entry[name] for entry in entries) for name in ("seconds", "cpu"))
        each = ", ".join(f"{entry['seconds']:.1f}" for entry in entries)
        print(
            f"{number} workers of one thread: {clock:6.1f} s on the clock ({each}), {cpu:6.1f} CPU s, "
            f"{base / clock:.2f} x the first"
        )


if __name__ == "__main__":
    main()
