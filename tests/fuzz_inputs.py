"""Feeds thousands of damaged tiny products to the scene readers: each must be refused, or read as it is stored.

    python tests/fuzz_inputs.py --count 10000 --seed 1

A worker process with limited memory reads one mutant after another; one that crashes, hangs or raises anything but a
PipelineError is kept in --keep for a closer look, and the exit code is 1.
"""

import argparse
import json
import random
import resource
import select
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402  (the package is found by the line above)
import rasterio  # noqa: E402

from pipeline.errors import PipelineError  # noqa: E402
from tests import builders  # noqa: E402

BANDS = ("B04", "B03", "B02")
SECONDS = 30
MEMORY = 4 << 30
SHAPE = (70, 90)


_TOKENS = (
    (b"<", b""),
    (b">", b""),
    (b'"', b"'"),
    (b"null", b"{}"),
    (b"EPSG", b"epsg"),
    (b"B04", b"B03"),
    (b"L2A", b"L1C"),
    (b"10", b"1"),
)


def make_seeds(folder):
    """One small scene a layout."""
    values = builders.surface(*SHAPE)
    builders.write_safe(folder / "safe-jp2", builders.Safe(manifest="MD5"), values, scl=np.full((35, 45), 4, np.uint8))
    builders.write_safe(folder / "safe-tif", builders.Safe(suffix="tif", level="L1C"), values)
    builders.zipped(builders.write_safe(folder / "made", builders.Safe(), values), folder / "zip" / "x.zip")
    shutil.rmtree(folder / "made")
    builders.band_folder(folder / "bands-jp2", values, suffix="jp2")
    builders.band_folder(folder / "bands-tif", values)
    for band, value in values.items():
        builders.write_tif(
            folder / "plain-tif" / f"{band}.tif",
            builders.stored(value),
            compress="none",
            tiled=False,
            blockxsize=90,
            blockysize=16,
        )
    builders.write_tif(
        folder / "stack" / "stack.tif", np.stack([builders.stored(values[band]) for band in BANDS]), names=BANDS
    )
    home = builders.band_folder(folder / "stac", values)
    assets = {
        band: (f"{band}.tif", [{"name": band, "raster:scale": 1e-4, "raster:offset": 0, "nodata": 0}]) for band in BANDS
    }
    builders.write_item(home / "item.json", assets)
    return sorted(path for path in folder.iterdir())


def mutate(folder, chance):
    """Damages one file of a scene; returns what was done."""
    path = chance.choice(sorted(path for path in folder.rglob("*") if path.is_file()))
    data = bytearray(path.read_bytes())
    text = path.suffix in (".xml", ".json", ".safe")
    kind = chance.choice(
        [
            "flip",
            "flip",
            "cut",
            "zero",
            "insert",
            "copy",
            "delete",
            "header",
            "number" if text else "header",
            "token" if text else "word",
        ]
    )
    at = chance.randrange(max(len(data), 1))
    size = chance.choice((1, 2, 4, 16, 64, 512))
    if kind == "flip":
        for _ in range(chance.choice((1, 3, 20))):
            if data:
                data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
    elif kind == "cut":
        del data[at:]
    elif kind == "zero":
        data[at : at + size] = bytes(len(data[at : at + size]))
    elif kind == "insert":
        data[at:at] = chance.randbytes(size)
    elif kind == "copy":
        data[at:at] = data[at : at + size]
    elif kind == "delete":
        del data[at : at + size]
    elif kind == "header":
        at = chance.randrange(min(len(data), 400) or 1)
        data[at : at + 1] = bytes([chance.choice((0, 1, 0x7F, 0x80, 0xFF, chance.randrange(256)))])
    elif kind == "word":
        at = chance.randrange(max(len(data) - 8, 1))
        data[at : at + 4] = chance.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\0\0\0\x80"))
    elif kind == "number":
        digits = [index for index, value in enumerate(data) if chr(value).isdigit()]
        if digits:
            at = chance.choice(digits)
            data[at : at + 1] = chance.choice((b"9", b"-", b"1e9", b"NaN", b"", b"99999999999999999999", b"0"))
    else:
        old, new = chance.choice(_TOKENS)
        at = data.find(old, at)
        if at >= 0:
            data[at : at + len(old)] = new
    path.write_bytes(data)
    return f"{kind} at {at} in {path.relative_to(folder)}"


def judge(folder, truth):
    """`refused`, `correct`, or what is wrong with the answer to one mutant."""
    from pipeline.scenes.finding.find import find_scenes
    from pipeline.scenes.radiometry import Stretch, encode
    from pipeline.scenes.reading.inspect import inspect_pixels
    from pipeline.scenes.reading.reader import SceneReader
    from pipeline.scenes.scene import Refusal

    try:
        found = list(find_scenes(folder))
        scenes = [entry for entry in found if not isinstance(entry, Refusal)]
        for entry in found:
            if isinstance(entry, Refusal) and ("\n" in entry.reason or not entry.reason):
                return f"a reason that is not one line: {entry.reason!r}"
        if not scenes:
            return "refused"
        scene = inspect_pixels(scenes[0])
        with SceneReader(scene) as reader:
            pixels, valid = reader.read(scene.bounds, BANDS)
            reader.read_quality(scene.bounds)
    except PipelineError:
        return "refused"
    codes = encode(pixels, [scene.assets[band] for band in BANDS], Stretch())
    if codes.shape[1:] != valid.shape or not (0 < scene.assets["B04"].scale < 1e6):
        return "an answer of the wrong shape"
    if pixels.shape == truth.shape and (np.array_equal(pixels, truth) or np.array_equal(pixels, truth + 1000)):
        return "correct"
    return "correct" if _as_stored(scene, pixels) else "pixels that are not what the files hold"


def _as_stored(scene, pixels):
    """Whether the pixels are those of a plain reading of the files, where no resampling came between."""
    if any("resampled" in text for text in scene.warnings):
        return True
    for at, band in enumerate(BANDS):
        asset = scene.assets[band]
        if asset.href.startswith("/vsizip/") or asset.crs is not None:
            continue
        with (
            rasterio.Env(GDAL_NUM_THREADS="1", GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"),
            rasterio.open(asset.href) as image,
        ):
            stored = image.read(asset.index)
        if stored.shape == pixels[at].shape and not np.array_equal(np.where(pixels[at] == 0, 0, stored), pixels[at]):
            return False
    return True


def work():
    """The worker: one folder a line in, one verdict a line out."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    truth = np.stack([builders.stored(builders.surface(*SHAPE)[band]) for band in BANDS])
    for line in sys.stdin:
        try:
            verdict = judge(Path(line.rstrip("\n")), truth)
        except Exception as error:  # the very thing that is looked for
            verdict = f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"
        print(json.dumps(verdict), flush=True)


class Worker:
    """The reading process, started again when it dies."""

    def __init__(self):
        self.process = None

    def ask(self, folder):
        if self.process is None:
            command = [sys.executable, __file__, "--work"]
            self.process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
        self.process.stdin.write(f"{folder}\n")
        self.process.stdin.flush()
        if not select.select([self.process.stdout], [], [], SECONDS)[0]:
            self.close()
            return f"no answer in {SECONDS} s"
        answer = self.process.stdout.readline()
        if not answer:
            code = self.process.wait()
            self.process = None
            return f"the reader died (code {code})"
        return json.loads(answer)

    def close(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process.stdin.close()
            self.process.stdout.close()
            self.process = None


def fuzz(count, seed, keep=None):
    """Outcomes of `count` mutants, and the bad ones with what was done to them."""
    chance = random.Random(seed)
    outcomes, bad = Counter(), []
    worker = Worker()
    with tempfile.TemporaryDirectory() as scratch:
        seeds = make_seeds(Path(scratch, "seeds"))
        for number in range(count):
            source = seeds[number % len(seeds)]
            target = Path(scratch, "mutant", source.name)
            shutil.copytree(source, target)
            done = "; ".join(mutate(target, chance) for _ in range(chance.choice((1, 1, 1, 2, 4))))
            verdict = worker.ask(target)
            good = verdict in ("refused", "correct")
            outcomes[verdict if good else "bad"] += 1
            if not good:
                bad.append(f"{number} {source.name}: {done}: {verdict}")
                if keep is not None:
                    shutil.copytree(target, Path(keep, f"{number}-{source.name}"), dirs_exist_ok=True)
            shutil.rmtree(target.parent)
    worker.close()
    return outcomes, bad


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--work", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        work()
        return 0
    started = time.monotonic()
    outcomes, bad = fuzz(options.count, options.seed, options.keep)
    print(f"{options.count} mutants, seed {options.seed}: {dict(outcomes)} in {time.monotonic() - started:.0f} s")
    print("\n".join(bad))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
