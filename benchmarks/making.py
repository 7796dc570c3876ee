"""Made inputs of benchmarks: scenes, and tile folders of a landscape as `run` would leave them."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from scipy.ndimage import gaussian_filter

from pipeline.atlas.collect import CoverTiles
from pipeline.atlas.imagery import Quicklook, quicklook
from pipeline.grid import TileGrid
from pipeline.legend import EUROSAT
from pipeline.models import store
from pipeline.results import layout
from pipeline.results.table import LEGEND, TileAnswers, tile_table, write_table

GRID = TileGrid(32632)
# Column and row of the north-western tile.
ORIGIN = (937, 8281)
# How widespread a class is, and how large its patches are in tiles; rivers and roads are rare and thin.
COMMON = np.array([1.0, 1.1, 0.1, -1.2, -1.4, 0.5, -0.2, -0.4, -1.0, -0.1])
SCALES = (5, 14, 4, 1, 2, 6, 4, 3, 1, 12)


def write_scene_file(path: Path, pixels: np.ndarray, left: float, top: float) -> None:
    """A GeoTIFF of stored numbers (B04, B03, B02; y, x) whose upper left corner lies there."""
    count, height, width = pixels.shape
    profile = {"driver": "GTiff", "count": count, "height": height, "width": width, "dtype": pixels.dtype}
    with rasterio.open(path, "w", crs=GRID.crs, transform=Affine(10, 0, left, 0, -10, top), **profile) as target:
        target.write(pixels)
        target.descriptions = ("B04", "B03", "B02")


def noise(generator: np.random.Generator, shape: tuple[int, int], scale: float) -> np.ndarray:
    field = gaussian_filter(generator.standard_normal(shape), scale, mode="nearest")
    return (field - field.mean()) / field.std()


def logits(shape: tuple[int, int], seed: int = 1) -> np.ndarray:
    """Evidence per class (y, x, class)."""
    generator = np.random.default_rng(seed)
    return np.stack([base + noise(generator, shape, scale) for base, scale in zip(COMMON, SCALES, strict=True)], -1)


def softmax(evidence: np.ndarray, sharpness: float = 3.2) -> np.ndarray:
    raised = np.exp(sharpness * (evidence - evidence.max(axis=-1, keepdims=True)))
    return (raised / raised.sum(axis=-1, keepdims=True)).astype(np.float32)


def days(count: int) -> list[datetime]:
    """Acquisition times with uneven gaps."""
    return [datetime(2019 + k // 2, 7 if k % 2 else 4, 2 + 3 * (k % 5), 10, 16, 1, tzinfo=UTC) for k in range(count)]


def write_scene(place: Path, acquired: datetime, corner: tuple[int, int], shares: np.ndarray, pictures: bool) -> None:
    """One scene's table, Item and quicklook; `shares` (row, col, class) run from north to south."""
    place.mkdir(parents=True, exist_ok=True)
    rows, cols = shares.shape[:2]
    row, col = (axis.ravel() for axis in np.indices((rows, cols)))
    codes = shares.argmax(-1).astype(np.int8)
    index = np.stack([corner[0] + col, corner[1] - row], axis=1).astype(np.int64)
    whole = np.ones(rows * cols, np.float32)
    answers = TileAnswers(index, codes.ravel(), shares.reshape(rows * cols, -1), whole, 0 * whole)
    told = {"model": {"name": "made"}, "model_sha256": "0" * 64, LEGEND: asdict(EUROSAT)}
    write_table(tile_table(answers, GRID, EUROSAT, place.name, acquired), place / layout.TABLE, told)
    assets = {}
    if pictures:
        look = picture(codes, corner)
        (place / layout.QUICKLOOK).write_bytes(look.webp)
        assets["quicklook"] = {"href": f"./{layout.QUICKLOOK}", "proj:epsg": 3857, "atlas:bounds": look.bounds}
    (place / layout.ITEM).write_text(json.dumps({"properties": {"processing:level": "L2"}, "assets": assets}))


def picture(codes: np.ndarray, corner: tuple[int, int]) -> Quicklook:
    """A quicklook of 80 m a pixel in the classes' colours, a little noisy."""
    colours = np.array([tuple(bytes.fromhex(one.colour[1:])) for one in EUROSAT.classes], np.uint8)
    pixels = colours[codes].repeat(8, 0).repeat(8, 1)
    pixels -= np.random.default_rng(3).integers(0, 20, pixels.shape, dtype=np.uint8).clip(max=pixels)
    return quicklook(np.moveaxis(pixels, -1, 0), np.ones(pixels.shape[:2], bool), _at_80_m(corner), GRID.epsg)


def ground(folder: Path, number: int, corner: tuple[int, int], codes: np.ndarray) -> tuple[Quicklook, CoverTiles]:
    """A granule's picture and its cover: a raster of 80 m a pixel in patches of some tiles, and the tiles' shares."""
    legend = store.card(store.DEFAULT_COVER).legend.classes
    classes = [
        {"value": at, "name": one.label, "title": one.title, "colour": one.colour} for at, one in enumerate(legend)
    ]
    evidence = softmax(logits(codes.shape, number)[..., : len(legend)])  # few of them lie in one tile
    values = evidence.argmax(-1).astype(np.uint8).repeat(8, 0).repeat(8, 1)
    path, (height, width) = folder / f"cover-{number}.tif", values.shape
    place = {"crs": GRID.crs, "transform": _at_80_m(corner), "height": height, "width": width}
    with rasterio.open(path, "w", driver="GTiff", count=1, dtype="uint8", compress="deflate", **place) as target:
        target.write(values, 1)
    shares = np.moveaxis(np.rint(100 * evidence).astype(np.uint8), -1, 0)
    return picture(codes, corner), CoverTiles(path, tuple(classes), shares)


def _at_80_m(corner: tuple[int, int]) -> Affine:
    return Affine(80, 0, corner[0] * GRID.edge, 0, -80, (corner[1] + 1) * GRID.edge)


def write_world(
    folder: Path, *, dates: int = 2, granules: int = 1, size: tuple[int, int] = (60, 40), pictures: bool = True
) -> Path:
    """`granules` (a square number) scenes of `size` (rows, cols) tiles a date that overlap by 9 % in one zone."""
    side, generator = round(granules**0.5), np.random.default_rng(2)
    step = tuple(round(0.91 * edge) for edge in size)
    evidence = logits(tuple(one * (side - 1) + edge for one, edge in zip(step, size, strict=True)))
    names = []
    for acquired in days(dates):
        shares = softmax(evidence)
        for i, j in np.ndindex(side, side):
            names.append(f"S2A_{acquired:%Y%m%d}_T32T{'PQRS'[j % 4]}{'TUVW'[i % 4]}")
            window = shares[i * step[0] : i * step[0] + size[0], j * step[1] : j * step[1] + size[1]]
            write_scene(
                folder / names[-1], acquired, (ORIGIN[0] + j * step[1], ORIGIN[1] - i * step[0]), window, pictures
            )
        evidence = evidence + 0.22 * generator.standard_normal(evidence.shape)
    scenes = [{"id": name, "status": "done"} for name in names]
    (folder / layout.RUN_REPORT).write_text(json.dumps({"scenes": scenes}))
    return folder
