"""A continent on a cluster: what 10,000 granules need by recorded costs, and what the scheduler itself costs.

    python benchmarks/continent.py [--tasks 10000] [--workers 2]

The scheduler's part is measured: as many empty tasks, each with the parameters of a real scene's task, on a real
`LocalCluster`, on the clock and in CPU seconds of scheduler, client and workers, which all share this machine's cores.
The rest is simulated from the costs of a granule in benchmarks/README.md, which vary by 20 %, with workers that are
lost now and then; a lost worker's scene runs again elsewhere, and what fails is the share of all attempts.
"""

import heapq
import pickle
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import click
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import making  # noqa: E402 - the checkout must be on the path first
from pipeline.batch.executors import Cluster  # noqa: E402
from pipeline.batch.task import ModelChoice, SceneTask  # noqa: E402
from pipeline.cli.bench import processor  # noqa: E402
from pipeline.results.folder import ResultsFolder  # noqa: E402
from pipeline.results.record import SceneRecord  # noqa: E402
from pipeline.scenes.finding.find import find_scenes  # noqa: E402


@dataclass(frozen=True)
class Granule:
    """What one granule costs, as benchmarks/README.md records it: JPEG 2000, two cores, no cover."""

    core_seconds: float = 110.3
    """CPU seconds of the main job."""
    seconds: float = 58.8
    """On the clock, on two cores."""
    stored: int = 36_000_000
    """Bytes of results."""
    objects: int = 6
    """Files of results."""


def nothing(task: SceneTask) -> SceneRecord:
    return SceneRecord.described(task.scene)


class Overhead(NamedTuple):
    """What an empty task costs."""

    seconds: float
    """On the clock."""
    client: float
    """CPU seconds of client and scheduler, which share a process."""
    workers: float
    """CPU seconds of all workers."""
    size: int
    """Bytes of a task."""


def overhead(count: int, workers: int, folder: Path) -> Overhead:
    """What `count` empty tasks cost each."""
    import psutil
    from distributed import LocalCluster

    making.write_scene_file(folder / "S2A_MSIL1C_20240601_000.tif", np.full((3, 64, 64), 900, np.uint16), 320_000, 5e6)
    (scene,) = find_scenes(folder)
    tasks = [
        SceneTask(replace(scene, id=f"scene-{number}"), ModelChoice(), ResultsFolder(Path("tiles")))
        for number in range(count)
    ]
    with LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as cluster:
        executor = Cluster(cluster.scheduler_address, nothing)
        list(executor.run(tasks[:10]))
        others = psutil.Process().children(recursive=True)

        def used() -> float:
            return sum(sum(one.cpu_times()[:2]) for one in others)

        began, cpu, theirs = time.monotonic(), time.process_time(), used()
        done = sum(1 for _ in executor.run(tasks))
        spent = time.monotonic() - began, time.process_time() - cpu, used() - theirs
    if done != count:
        raise SystemExit(f"{done} of {count} tasks were answered")
    return Overhead(*(one / count for one in spent), len(pickle.dumps(tasks[0])))


class Outcome(NamedTuple):
    """How a simulated run went."""

    hours: float
    """On the clock."""
    busy: float
    """Share of the workers' time that went into scenes."""
    again: int
    """Scenes that ran again because a worker was lost."""


def simulated(count: int, workers: int, cost: Granule, lost_per_hour: float, dispatch: float) -> Outcome:
    """`count` granules on workers of two cores; each worker is lost `lost_per_hour` times an hour and replaced."""
    rng = np.random.default_rng(0)
    free = [0.0] * workers
    heapq.heapify(free)
    waiting, again, busy, issued, end = count, 0, 0.0, 0.0, 0.0
    while waiting:
        waiting -= 1
        issued += dispatch  # the scheduler hands out one task after the other
        start, need = max(heapq.heappop(free), issued), cost.seconds * float(rng.lognormal(-0.02, 0.2))
        until_lost = float(rng.exponential(3600 / lost_per_hour))
        if until_lost < need:
            waiting, again, need = waiting + 1, again + 1, until_lost + 60  # a minute until another one is there
        busy += need
        end = max(end, start + need)
        heapq.heappush(free, start + need)
    return Outcome(end / 3600, busy / (end * workers), again)


@click.command(help=__doc__)
@click.option("--tasks", type=click.IntRange(100), default=10_000, show_default=True)
@click.option("--workers", type=click.IntRange(1), default=2, show_default=True)
def main(tasks: int, workers: int) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as place:
        each = overhead(tasks, workers, Path(place))
    cost = Granule()
    print(f"{tasks:,} empty tasks of {each.size:,} bytes on {workers} workers of {processor()}")
    clock, client, theirs = (f"{1000 * one:.2f} ms" for one in each[:3])
    print(f"{clock} a task on the clock; CPU: client and scheduler {client}, workers {theirs}")
    core_hours, stored = tasks * cost.core_seconds / 3600, tasks * cost.stored / 1e9
    print(f"{core_hours:,.0f} core-hours, {stored:,.0f} GB, {tasks * cost.objects:,} objects")
    print("| workers of 2 cores | hours | busy | scenes run again | attempts that failed |\n|---|---|---|---|---|")
    for machines in (10, 100, 1000):
        found = simulated(tasks, machines, cost, 0.05, each.seconds)
        failed = found.again / (tasks + found.again)
        print(f"| {machines:,} | {found.hours:.2f} | {found.busy:.1%} | {found.again} | {failed:.2%} |")


if __name__ == "__main__":
    main()
