"""Two hundred small scenes in one run: memory, open files and threads after each.

python benchmarks/soak.py [--scenes 200] [--size 330]
"""

import sys
import tempfile
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import click
import numpy as np
import psutil

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks import making  # noqa: E402 - the checkout must be on the path first
from pipeline.atlas.page import AtlasOptions  # noqa: E402
from pipeline.batch.main_job import RunOptions, Watcher, run  # noqa: E402
from pipeline.cli.bench import processor  # noqa: E402
from pipeline.scenes.finding.find import find_scenes  # noqa: E402


class Meter(Watcher):
    def __init__(self):
        self.process = psutil.Process()
        self.rows: list[tuple[int, int, int]] = []

    def scene(self, record):
        if record.status != "done":
            raise SystemExit(f"{record.id}: {record.status} {record.reason}")
        self.rows.append((self.process.memory_info().rss, self.process.num_fds(), self.process.num_threads()))


@click.command(help=__doc__)
@click.option("--scenes", "count", type=click.IntRange(20), default=200, show_default=True)
@click.option("--size", type=click.IntRange(64), default=330, show_default=True, help="Pixels of 10 m a side.")
def main(count: int, size: int) -> None:
    meter, rng = Meter(), np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        scenes = []
        for number in range(count):
            pixels = rng.integers(200, 2700, (3, size, size + 64), dtype=np.uint16)
            # Places side by side, so that what is measured is the scenes and not the comparison of dates.
            corner = 640 * (500 + 10 * (number % 20)), 640 * (8000 - 10 * (number // 20))
            path = folder / f"S2A_MSIL1C_20240601_{number:03}.tif"
            making.write_scene_file(path, pixels, *corner)
            (scene,) = find_scenes(path)
            scenes.append(replace(scene, acquired=scene.acquired + timedelta(days=number)))
        began = time.monotonic()
        run(scenes, RunOptions(folder / "tiles", folder / "maps", page=AtlasOptions(chips="none")), watcher=meter)
        seconds = time.monotonic() - began
    print(f"{count} scenes of {size + 64} x {size} px in {seconds:.0f} s on {processor()}, {psutil.cpu_count()} cores")
    print(f"{'after scene':<14}{'memory MB':>10}{'files':>7}{'threads':>9}")
    for at in sorted({0, 9, 19, count // 2 - 1, count - 1}):
        memory, files, threads = meter.rows[at]
        print(f"{at + 1:<14}{memory / 1e6:>10.0f}{files:>7}{threads:>9}")
    first, last = (
        np.mean([row[0] for row in part]) for part in (meter.rows[count // 10 : count // 5], meter.rows[-count // 10 :])
    )
    print(
        f"memory of the last tenth over the second tenth: {last / first:.3f}; growth "
        f"{(last - first) / 1e3 / (count * 0.8):.1f} kB a scene"
    )


if __name__ == "__main__":
    main()
