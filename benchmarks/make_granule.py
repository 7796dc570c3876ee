"""Makes full-size Level-2A products for measurements: real metadata around a mosaic of real crops.

Run from the checkout with the shared data beside it:

    python benchmarks/make_granule.py OUT                        one date of one granule, JPEG 2000, as from ESA
    python benchmarks/make_granule.py OUT --format cog           the same tree with cloud-optimised GeoTIFFs
    python benchmarks/make_granule.py OUT --size 2196 --dates 3 --granules 2

The pixels repeat, turned and mirrored, so their entropy is natural but the place is not. Never commit the output.
"""

import re
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import click
import numpy as np
import rasterio
from affine import Affine
from rasterio.io import MemoryFile
from rasterio.shutil import copy
from rasterio.warp import transform_bounds

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from pipeline.simulate.landscape import PATH, TRANSMITTED  # noqa: E402 - the checkout must be on the path first
from pipeline.simulate.product import write_manifest  # noqa: E402

BANDS = ("B04", "B03", "B02", "B08")
TEMPLATE = "S2A_MSIL2A_20221005T115411_N0400_R023_T29UNU_20221005T164454"
FULL, OFFSET = 10_980, 1000
BLOCK = 305  # 36 x 36 blocks fill a granule, and the smallest crop (360 x 395) holds one
# Neighbours of the template's granule on the 100 km lattice: name, west and north edge in metres (EPSG:32629).
GRANULES = (
    ("29UNU", 499_980, 5_900_040),
    ("29UPU", 600_000, 5_900_040),
    ("29UNV", 499_980, 6_000_000),
    ("29UPV", 600_000, 6_000_000),
)
REVISIT = timedelta(days=10)
CREATION = {
    "jp2": {
        "driver": "JP2OpenJPEG",
        "QUALITY": "100",
        "REVERSIBLE": "YES",
        "BLOCKXSIZE": "1024",
        "BLOCKYSIZE": "1024",
        "RESOLUTIONS": "6",
    },
    "cog": {"driver": "COG", "COMPRESS": "DEFLATE", "PREDICTOR": "YES", "BLOCKSIZE": "512"},
}


def surface(rgb_nir):
    """Surface reflectance of top-of-atmosphere reflectance (4, y, x); the near infrared needs no correction here."""
    corrected = rgb_nir.copy()
    corrected[:3] = (rgb_nir[:3] - PATH[:, None, None]) / TRANSMITTED[:, None, None]
    return corrected


def read(paths):
    return np.stack([rasterio.open(path).read(1) for path in paths]).astype(np.float32) / 10_000


def sites(scenes: Path) -> Iterator[list[np.ndarray]]:
    """For each place its dates: surface reflectance (4, y, x) of B04, B03, B02, B08."""
    with rasterio.open(scenes / "bolzano" / "S2_L2A_sample.tif") as source:
        yield [source.read([1, 2, 3, 4]).astype(np.float32) / 10_000]
    yield [
        read([scenes / "belgium" / f"ref_check_{method}_S2_{band}.tif" for band in BANDS])
        for method in ("icor", "smac")
    ]
    for city in sorted((scenes / "oscd").iterdir()):
        yield [
            surface(read([next(folder.glob(f"*_{band}.tif")) for band in BANDS]))
            for folder in sorted(city.glob("imgs_*"))
        ]


def mosaic(places, size: int, date: int, seed: int) -> np.ndarray:
    """Digital numbers (4, size, size) of blocks of real crops, the same places at every date."""
    rng = np.random.default_rng(seed)
    out = np.empty((4, size, size), dtype=np.uint16)
    areas = np.array([place[0].shape[1] * place[0].shape[2] for place in places], dtype=float)
    for top in range(0, size, BLOCK):
        for left in range(0, size, BLOCK):
            place = places[rng.choice(len(places), p=areas / areas.sum())]
            pixels = place[date % len(place)]
            y, x = (int(rng.integers(0, extent - BLOCK + 1)) for extent in pixels.shape[1:])
            piece = pixels[:, y : y + BLOCK, x : x + BLOCK]
            turns, mirrored, gain = int(rng.integers(4)), rng.random() < 0.5, rng.uniform(0.92, 1.08)
            piece = np.rot90(piece[:, :, ::-1] if mirrored else piece, turns, axes=(1, 2))
            height, width = min(BLOCK, size - top), min(BLOCK, size - left)
            stored = np.round(piece[:, :height, :width] * gain * 10_000) + OFFSET
            out[:, top : top + height, left : left + width] = np.clip(stored, 1, 32_766)
    return out


def scene_classes(dn: np.ndarray) -> np.ndarray:
    """A plain scene classification at 20 m: water 6, vegetation 4, bare 5."""
    red, nir = ((dn[band, ::2, ::2].astype(np.float32) - OFFSET) for band in (0, 3))
    green = (nir - red) / np.maximum(nir + red, 1)
    return np.where(nir < 700, 6, np.where(green > 0.35, 4, 5)).astype(np.uint8)


def write_image(path: Path, pixels: np.ndarray, west: int, north: int, gsd: int, kind: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    height, width = pixels.shape
    profile = {"driver": "GTiff", "width": width, "height": height, "count": 1, "dtype": pixels.dtype}
    with MemoryFile() as memory:
        with memory.open(**profile, crs="EPSG:32629", transform=Affine(gsd, 0, west, 0, -gsd, north)) as plain:
            plain.write(pixels, 1)
        with memory.open() as plain:
            copy(plain, path, **CREATION[kind])


def metadata(text: str, name: str, granule, acquired: datetime, size: int, kind: str) -> str:
    """The template's XML moved to another granule, date and size."""
    tile, west, north = granule
    text = text.replace(TEMPLATE, name).replace("29UNU", tile)
    text = text.replace("20221005T", f"{acquired:%Y%m%d}T").replace("2022-10-05T", f"{acquired:%Y-%m-%d}T")
    text = re.sub(r"<ULX>\d+", f"<ULX>{west}", text)
    text = re.sub(r"<ULY>\d+", f"<ULY>{north}", text)
    for gsd in (10, 20, 60):
        full, part = FULL * 10 // gsd, -(-size * 10 // gsd)
        text = re.sub(rf"<(NROWS|NCOLS)>{full}<", rf"<\g<1>>{part}<", text)
    text = re.sub(
        r"<(Cloud_Coverage_Assessment|CLOUDY_PIXEL_PERCENTAGE)>[^<]*", r"<\1>0.0", text
    )  # the crops were chosen clear
    if (tile, size) != ("29UNU", FULL):
        left, bottom, right, top = transform_bounds(
            "EPSG:32629", "EPSG:4326", west, north - 10 * size, west + 10 * size, north
        )
        corners = " ".join(
            f"{lat} {lon}" for lat, lon in ((top, left), (top, right), (bottom, right), (bottom, left), (top, left))
        )
        text = re.sub(r"<EXT_POS_LIST>[^<]*", f"<EXT_POS_LIST>{corners}", text)
    return text.replace('imageFormat="JPEG2000"', 'imageFormat="GeoTIFF"') if kind == "cog" else text


def make(
    out: Path, data: Path, places, granule, acquired: datetime, date: int, size: int, kind: str, workers: int
) -> Path:
    tile, west, north = granule
    name = TEMPLATE.replace("29UNU", tile).replace("20221005T", f"{acquired:%Y%m%d}T")
    root = out / f"{name}.SAFE"
    template = data / "safe" / f"{TEMPLATE}.SAFE"
    for source in template.rglob("*.xml"):
        target = root / metadata(str(source.relative_to(template)), name, granule, acquired, size, kind)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(
            metadata(source.read_text(encoding="utf-8"), name, granule, acquired, size, kind), encoding="utf-8"
        )
    (granule_folder,) = (root / "GRANULE").iterdir()
    dn = mosaic(places, size, date, seed=GRANULES.index(granule))
    suffix = {"jp2": "jp2", "cog": "tif"}[kind]
    images = granule_folder / "IMG_DATA"
    stem = f"T{tile}_{acquired:%Y%m%dT%H%M%S}"
    jobs = [(images / "R10m" / f"{stem}_{band}_10m.{suffix}", dn[at], 10) for at, band in enumerate(BANDS)]
    jobs.append((images / "R20m" / f"{stem}_SCL_20m.{suffix}", scene_classes(dn), 20))
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(lambda job: write_image(job[0], job[1], west, north, job[2], kind), jobs))
    write_manifest(root)
    return root


@click.command(help=__doc__)
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--data",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=ROOT.parent / "shared" / "data",
    help="The shared data folder.",
)
@click.option("--format", "kind", type=click.Choice(sorted(CREATION)), default="jp2", show_default=True)
@click.option(
    "--size", type=click.IntRange(128, FULL), default=FULL, show_default=True, help="Pixels of 10 m a side; even."
)
@click.option("--dates", type=click.IntRange(1), default=1, show_default=True, help="Number of dates, ten days apart.")
@click.option(
    "--granules",
    type=click.IntRange(1, len(GRANULES)),
    default=1,
    show_default=True,
    help="Number of neighbouring granules.",
)
@click.option(
    "--workers", type=click.IntRange(1), default=2, show_default=True, help="Images that are encoded at the same time."
)
def main(out: Path, data: Path, kind: str, size: int, dates: int, granules: int, workers: int) -> None:
    places = list(sites(data / "scenes"))
    for granule in GRANULES[:granules]:
        for date in range(dates):
            began = time.monotonic()
            root = make(
                out,
                data,
                places,
                granule,
                datetime(2022, 10, 5, 11, 54, 11) + date * REVISIT,
                date,
                size - size % 2,
                kind,
                workers,
            )
            megabytes = {
                path.name.split("_")[-2]: path.stat().st_size / 1e6 for path in sorted(root.rglob("IMG_DATA/R*/*"))
            }
            print(
                f"{root}: {', '.join(f'{band} {size:.1f} MB' for band, size in megabytes.items())} in "
                f"{time.monotonic() - began:.0f} s"
            )


if __name__ == "__main__":
    main()
