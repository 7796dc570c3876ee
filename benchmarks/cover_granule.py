"""What the cover adds to a granule: time, CPU and memory of a run with and without it, and its network's own inference.

    python benchmarks/make_granule.py build/cog --format cog
    python benchmarks/cover_granule.py build/cog plain       # a run with --cover none
    python benchmarks/cover_granule.py build/cog cover       # the same with the shipped network
    python benchmarks/cover_granule.py build/cog network     # its windows of a granule alone

CPU seconds are of all threads: halved they are what two idle cores would need.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from pipeline.cover import WINDOW_TILES  # noqa: E402 - the checkout must be on the path first
from pipeline.models.pixels import load_pixels  # noqa: E402

# Tiles along a granule's side, where its windows are whole.
SIDE = 172


def run(folder: Path, cover: str) -> None:
    """One run of the command in a process of its own."""
    with tempfile.TemporaryDirectory() as out:
        asked = [sys.executable, ROOT / "run_pipeline.py", folder, "--tiles", f"{out}/tiles", "--maps", f"{out}/maps"]
        began = time.monotonic()
        subprocess.run([*asked, "--cover", cover, "-q"], check=True)
        wall = time.monotonic() - began
        size = sum(path.stat().st_size for path in Path(out).rglob("cover.tif")) / 1e6
    told("run", wall, resource.getrusage(resource.RUSAGE_CHILDREN))
    print(f"cover.tif {size:.1f} MB")


def network(name: str) -> None:
    """As many windows as a granule has, one after the other."""
    loaded = load_pixels(name)
    rows, columns = (tiles * 64 + 2 * loaded.halo for tiles in WINDOW_TILES)
    rng = np.random.default_rng(0)
    pixels = rng.uniform(0.02, 0.4, (rows, columns, len(loaded.card.input.bands))).astype(np.float32)
    loaded.best(pixels)
    count = -(-SIDE // WINDOW_TILES[0]) * -(-SIDE // WINDOW_TILES[1])
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF)
    for _ in range(count):
        loaded.best(pixels)
    told(
        f"{count} windows, {loaded.engine}", time.monotonic() - began, resource.getrusage(resource.RUSAGE_SELF), before
    )


def told(what: str, wall: float, after: resource.struct_rusage, before: resource.struct_rusage | None = None) -> None:
    cpu = after.ru_utime + after.ru_stime - (0 if before is None else before.ru_utime + before.ru_stime)
    print(
        f"{what}: {wall:.1f} s, {cpu:.1f} CPU s (half: {cpu / 2:.1f}), peak {after.ru_maxrss / 1024:.0f} MB", flush=True
    )


if __name__ == "__main__":
    place, part = Path(sys.argv[1]), sys.argv[2]
    if part == "network":
        network("cover-10m")
    else:
        run(place, "none" if part == "plain" else "cover-10m")
