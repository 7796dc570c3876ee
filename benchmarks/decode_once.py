"""Reads a granule-wide JPEG 2000 scene in strips of the tile grid and tells how often each byte was decoded.

    python benchmarks/decode_once.py [--rows 5000] [--cache MB]

Strips of 1024 rows on the 640 m grid cut through the file's 1024-row blocks; what is left of a block row must still be
in GDAL's cache when the next strip asks for it. The measure is bytes read over file size (Linux, /proc/self/io),
against the same for a plain pass over the file's own blocks.
"""

import argparse
import resource
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
import rasterio

from benchmarks import making
from pipeline.grid import TileGrid
from pipeline.scenes.finding.find import find_scenes
from pipeline.scenes.reading.reader import SceneReader
from pipeline.scenes.safety import guard

BANDS = ("B04", "B03", "B02")
WIDTH = 10_980


def make(folder, rows):
    land = making.noise(np.random.default_rng(7), (rows // 8 + 1, WIDTH // 8 + 1), 12)
    small = np.rint(1500 + 300 * land).clip(200, 4000).astype(np.uint16)
    pixels = small.repeat(8, axis=0).repeat(8, axis=1)[:rows, :WIDTH] + np.random.default_rng(1).integers(
        0, 60, (rows, WIDTH), dtype=np.uint16
    )
    profile = {"width": WIDTH, "height": rows, "count": 1, "dtype": "uint16", "crs": "EPSG:32632"}
    place = rasterio.transform.from_origin(600_020, 5_100_000, 10, 10)
    blocks = {"QUALITY": "25", "REVERSIBLE": "NO", "BLOCKXSIZE": "1024", "BLOCKYSIZE": "1024"}
    with rasterio.open(folder / "B04.jp2", "w", driver="JP2OpenJPEG", transform=place, **profile, **blocks) as image:
        image.write(pixels, 1)
    for band in ("B03", "B02"):
        shutil.copy(folder / "B04.jp2", folder / f"{band}.jp2")


def bytes_read():
    return int(Path("/proc/self/io").read_text().split()[1])


def strips(scene):
    grid = TileGrid(scene.epsg)
    columns, rows = grid.covering(scene.bounds)
    for top in range(rows.stop - 1, rows.start - 1, -16):
        yield columns.start * 640, max(top - 15, rows.start) * 640, columns.stop * 640, (top + 1) * 640


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=5000)
    parser.add_argument("--cache", type=int, help="GDAL's cache in MB instead of the pipeline's")
    options = parser.parse_args()
    if options.cache:
        guard.GDAL_OPTIONS["GDAL_CACHEMAX"] = options.cache << 20
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        folder = Path(scratch)
        make(folder, options.rows)
        size = sum(path.stat().st_size for path in folder.iterdir())
        with guard.environment(), rasterio.open(folder / "B04.jp2") as image:
            before = bytes_read()
            for _, window in image.block_windows(1):
                image.read(1, window=window)
            plain = (bytes_read() - before) / (folder / "B04.jp2").stat().st_size
        (scene,) = find_scenes(folder)
        lanes = [(ThreadPoolExecutor(1), stack.enter_context(SceneReader(scene)), band) for band in BANDS]
        before, started = bytes_read(), time.monotonic()
        for bounds in strips(scene):
            for job in [pool.submit(reader.read, bounds, (band,)) for pool, reader, band in lanes]:
                job.result()
        ratio = (bytes_read() - before) / size
        print(
            f"bytes read / file size: {ratio:.3f} in strips, {plain:.3f} in one pass over the blocks; "
            f"{time.monotonic() - started:.1f} s"
        )
        print(
            f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB, cache "
            f"{guard.GDAL_OPTIONS['GDAL_CACHEMAX'] >> 20} MB"
        )
        for pool, _, _ in lanes:
            pool.shutdown()


if __name__ == "__main__":
    main()
