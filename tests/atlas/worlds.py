"""A made landscape of EuroSAT's classes on the tile grid, cut into scenes and written as tile folders."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
from affine import Affine
from rasterio.crs import CRS
from rasterio.io import MemoryFile
from rasterio.windows import Window
from scipy.ndimage import gaussian_filter

from pipeline.atlas.imagery import quicklook
from pipeline.grid import TileGrid
from pipeline.legend import EUROSAT, Legend
from pipeline.results.table import LEGEND, TileAnswers, read_metadata, read_table, tile_table, write_table

# Mean codes (red, green, blue) of the classes, near EuroSAT's own.
TONES = np.array(
    [
        *([105, 98, 88], [45, 62, 72], [96, 97, 92], [99, 100, 97], [123, 122, 124]),
        *([86, 100, 86], [112, 106, 100], [113, 108, 110], [64, 78, 85], [31, 52, 82]),
    ],
    float,
)


def noise(generator: np.random.Generator, shape: tuple[int, int], scale: float) -> np.ndarray:
    field = gaussian_filter(generator.standard_normal(shape), scale, mode="nearest")
    return (field - field.mean()) / field.std()


def logits(shape: tuple[int, int], seed: int = 1, classes: int = 10) -> np.ndarray:
    """Evidence per class (y, x, class) of a landscape with hills, towns, lakes, rivers and roads."""
    generator = np.random.default_rng(seed)
    height = 0.8 * noise(generator, shape, 22) + 0.5 * noise(generator, shape, 7)
    wet, out = noise(generator, shape, 15), np.full((*shape, 10), -3.0)
    patch = [0.9 * noise(generator, shape, 1.1) + 0.8 * noise(generator, shape, 3) for _ in range(10)]
    towns = gaussian_filter((generator.random(shape) < 0.0016) * generator.gamma(2, 1, shape), 2.3) * 30
    out[..., 0] = 1.1 - 0.6 * np.maximum(height, 0) + 0.8 * patch[0]
    out[..., 1] = 0.5 + 1.2 * height + 0.8 * patch[1]
    out[..., 2] = -0.3 + 0.3 * height + 0.8 * patch[2] - 0.3 * wet
    out[..., 4] = -1.9 + 2.2 * gaussian_filter(towns, 2) + 0.8 * patch[4]
    out[..., 5] = 0.1 + 0.7 * patch[5] + 0.6 * wet
    out[..., 6] = -0.5 - 0.5 * height + 0.8 * patch[6] - 0.5 * wet
    out[..., 7] = -1.6 + 2.6 * towns + 0.3 * patch[7]
    out[..., 9] = -1.2 + (height < -1.2) * 4.5 + 0.2 * patch[9]
    rows, cols = np.indices(shape)
    river = np.abs(rows - (0.45 * shape[0] + 9 * np.sin(cols / 11.0) + 3 * np.sin(cols / 4.0))) < 0.8
    road = np.abs(rows - 0.3 * cols - 0.2 * shape[0] - 4 * np.sin(cols / 30.0)) < 0.6
    out[..., 8], out[..., 3] = np.where(river, 3.2, -3), np.where(road, 2.6, -3)
    return out[..., :classes]


def later(evidence: np.ndarray, seed: int) -> np.ndarray:
    """The same landscape at another date: towns grow, some forest is cut, all answers vary a little."""
    generator = np.random.default_rng(seed)
    moved = evidence + 0.22 * generator.standard_normal(evidence.shape)
    growth, cut = noise(generator, evidence.shape[:2], 4), noise(generator, evidence.shape[:2], 2.2)
    if evidence.shape[2] > 7:
        moved[..., 7] += 3.0 * np.maximum(growth - 1.7, 0)
    moved[..., 1] -= 6.0 * np.maximum(cut - 1.6, 0)
    return moved


def softmax(evidence: np.ndarray, sharpness: float = 3.2) -> np.ndarray:
    shifted = evidence * sharpness
    raised = np.exp(shifted - shifted.max(axis=-1, keepdims=True))
    return (raised / raised.sum(axis=-1, keepdims=True)).astype(np.float32)


def picture(codes: np.ndarray, pixels: int, seed: int) -> np.ndarray:
    """True-colour codes (3, y, x) with `pixels` per tile."""
    generator = np.random.default_rng(seed)
    tone = np.repeat(np.repeat(TONES[np.maximum(codes, 0)], pixels, 0), pixels, 1)
    grain = noise(generator, tone.shape[:2], 0.8) * 5 + noise(generator, tone.shape[:2], 3.0) * 7
    return np.clip(np.moveaxis(tone + grain[..., None], -1, 0), 1, 255).astype(np.uint8)


def write_scene(
    folder: Path,
    scene: str,
    acquired: datetime,
    epsg: int,
    first_col: int,
    top_row: int,
    probabilities: np.ndarray,
    *,
    legend: Legend = EUROSAT,
    cloud: np.ndarray | None = None,
    drop: np.ndarray | None = None,
    pictures: bool = True,
    truecolour: bool = False,
) -> Path:
    """One scene's outputs as the pipeline leaves them: `probabilities` (row, col, class) run from north to south.

    `cloud` marks cloudy tiles; tiles in `drop` have no row in the table. One tile each is unclassified and without
    data.
    """
    grid, (rows, cols) = TileGrid(epsg), probabilities.shape[:2]
    codes = probabilities.argmax(-1).astype(np.int8)
    cloudy = np.zeros((rows, cols), bool) if cloud is None else cloud
    codes[cloudy] = -2
    codes[0, 0], codes[0, 1] = -1, -3
    keep = np.ones((rows, cols), bool) if drop is None else ~drop
    row, col = np.nonzero(keep)
    shares = probabilities[row, col].copy()
    shares[codes[row, col] < 0] = np.nan
    shares[codes[row, col] == -3] = probabilities[0, 1]
    index = np.stack([first_col + col, top_row - row], axis=1).astype(np.int64)
    valid = np.where(codes[row, col] == -1, 0.1, 1.0).astype(np.float32)
    table = tile_table(
        TileAnswers(index, codes[row, col], shares, valid, cloudy[row, col].astype(np.float32)),
        grid,
        legend,
        scene,
        acquired,
    )
    place = folder / scene
    place.mkdir(parents=True, exist_ok=True)
    model = {
        "name": "made",
        "architecture": "resnet50",
        "metrics": {"random_val": {"accuracy": 0.982}, "spatial_val": {"accuracy": 0.951, "ece": 0.012}},
    }
    radiometry = {
        "baseline": "05.09",
        "quantification": 10000,
        "sources": {"offset": "MTD_MSIL2A.xml"},
        "approximate": False,
        "verdict": "fine",
    }
    write_table(
        table,
        place / "tiles.parquet",
        {
            "model": model,
            "radiometry": radiometry,
            "model_sha256": "0" * 64,
            "software": "0.1.0",
            LEGEND: asdict(legend),
        },
    )
    item: dict = {
        "properties": {
            "platform": "sentinel-2a",
            "processing:level": "L2",
            "atlas:cloud_cover": round(100 * float(cloudy.mean()), 1),
        },
        "assets": {},
    }
    west, north = first_col * grid.edge, (top_row + 1) * grid.edge
    if pictures:
        look = quicklook(
            picture(codes, 8, 3), np.repeat(np.repeat(keep, 8, 0), 8, 1), Affine(80, 0, west, 0, -80, north), epsg
        )
        (place / "quicklook.webp").write_bytes(look.webp)
        item["assets"]["quicklook"] = {"href": "./quicklook.webp", "proj:epsg": 3857, "atlas:bounds": look.bounds}
    if truecolour:
        write_truecolour(place / "truecolour.tif", codes, epsg, west, north)
    (place / "scene.json").write_text(json.dumps(item))
    return place


def write_truecolour(path: Path, codes: np.ndarray, epsg: int, west: float, north: float) -> None:
    rows, cols = codes.shape
    profile = {
        "driver": "GTiff",
        "width": cols * 64,
        "height": rows * 64,
        "count": 3,
        "dtype": "uint8",
        "crs": CRS.from_epsg(epsg),
        "transform": Affine(10, 0, west, 0, -10, north),
        "tiled": True,
        "blockxsize": 64,
        "blockysize": 64,
        "compress": "JPEG",
        "photometric": "YCBCR",
    }
    with MemoryFile() as memory:
        with memory.open(**profile) as out:
            for row in range(rows):
                out.write(picture(codes[row : row + 1], 64, row), window=Window(0, row * 64, cols * 64, 64))
        path.write_bytes(memory.read())


def write_changes(folder: Path, scenes: str = "*") -> None:
    """Changes between consecutive scenes of one place, in order of name: tiles whose labels differ and are sure."""
    tables = [read_table(path).set_index("tile_id") for path in sorted(folder.glob(f"{scenes}/tiles.parquet"))]
    parts = []
    for before, after in pairwise(tables):
        both = before.index.intersection(after.index)
        one, two = before.loc[both], after.loc[both]
        sure = np.minimum(one["confidence"], two["confidence"]).fillna(0).to_numpy()
        differ = (one["code"] != two["code"]).to_numpy()
        known = ((one["code"] >= 0) & (two["code"] >= 0)).to_numpy()
        parts.append(
            pd.DataFrame(
                {
                    "tile_id": both,
                    "before": str(one["scene"].iloc[0]),
                    "after": str(two["scene"].iloc[0]),
                    "from_label": one["label"].astype(str).to_numpy(),
                    "to_label": two["label"].astype(str).to_numpy(),
                    "p_change": np.where(differ, np.round(0.5 + sure / 2, 2), 0.04),
                    "state": np.where(
                        known & differ & (sure > 0.5), "changed", np.where(known & ~differ, "stable", "undecided")
                    ),
                    "change_vector": np.where(differ, 0.7, 0.1),
                    "change_class": np.where(differ, sure, 0.02),
                    "geometry": one["geometry"].to_numpy(),
                }
            )
        )
    write_table(
        gpd.GeoDataFrame(pd.concat(parts, ignore_index=True), geometry="geometry", crs=tables[0].crs),
        folder / "changes.parquet",
        {},
    )


def days(count: int) -> list[datetime]:
    """Acquisition times with uneven gaps."""
    return [datetime(2019 + k // 2, 7 if k % 2 else 4, 2 + 3 * (k % 5), 10, 16, 1, tzinfo=UTC) for k in range(count)]


def write_world(
    folder: Path,
    *,
    dates: int = 2,
    granules: int = 1,
    size: tuple[int, int] = (60, 40),
    epsg: int = 32632,
    origin: tuple[int, int] = (937, 8281),
    clouds: bool = True,
    pictures: bool = True,
    truecolour: bool = False,
    changes: bool = False,
    seed: int = 1,
) -> Path:
    """`granules` (a square number) scenes of `size` (rows, cols) tiles per date that overlap by 9 % in one zone."""
    side = round(granules**0.5)
    step = (round(size[0] * 0.91), round(size[1] * 0.91))
    evidence = logits((step[0] * (side - 1) + size[0], step[1] * (side - 1) + size[1]), seed)
    for at, acquired in enumerate(days(dates)):
        if at:
            evidence = later(evidence, 100 * seed + at)
        shares = softmax(evidence)
        for i in range(side):
            for j in range(side):
                window = shares[i * step[0] : i * step[0] + size[0], j * step[1] : j * step[1] + size[1]]
                cloud = noise(np.random.default_rng(at * 77 + i * 9 + j), size, 5) > 2.1 if clouds and at % 2 else None
                name = f"S2A_{acquired:%Y%m%d}_T32T{'PQRS'[j % 4]}{'TUVW'[i % 4]}"
                corner = (origin[0] + j * step[1], origin[1] - i * step[0])
                write_scene(
                    folder, name, acquired, epsg, *corner, window, cloud=cloud, pictures=pictures, truecolour=truecolour
                )
    scenes = [{"id": path.parent.name, "status": "done"} for path in sorted(folder.glob("*/tiles.parquet"))]
    reason = "S2B_broken: band B02 is missing; download the product again"
    scenes.append({"id": "S2B_broken", "status": "refused", "error": "IncompleteScene", "reason": reason})
    (folder / "run.json").write_text(json.dumps({"scenes": scenes}))
    if changes:
        write_changes(folder)
    return folder


COVERS = (("water", "#419bdf"), ("trees", "#397d49"), ("crops", "#e49635"))


def write_cover(folder: Path, scene: str, parts: np.ndarray) -> None:
    """Cover of a scene that is written: `parts` (row, col, cover) are shares in eighths, stripes from the west."""
    place = folder / scene
    path = place / "tiles.parquet"
    table = read_table(path)
    first_col, top_row = int(table["col"].min()), int(table["row"].max())
    for k, (name, _) in enumerate(COVERS):
        table[f"cover_{name}"] = parts[top_row - table["row"], table["col"] - first_col, k].astype(np.float32)
    table["purity"] = table[[f"cover_{name}" for name, _ in COVERS]].max(axis=1)
    write_table(table, path, dict(read_metadata(path)))
    ends = np.cumsum(parts, axis=2)[..., None] * 64
    across = np.arange(64)[None, None, None, :]
    row_of = np.argmax(across < ends, axis=2)  # (row, col, 64)
    pixels = np.repeat(row_of.reshape(parts.shape[0], -1), 64, axis=0).astype(np.uint8)
    edge = 640
    profile = {
        "driver": "GTiff",
        "width": pixels.shape[1],
        "height": pixels.shape[0],
        "count": 2,
        "dtype": "uint8",
        "nodata": 255,
        "crs": table.crs.to_wkt(),
        "transform": Affine(10, 0, first_col * edge, 0, -10, (top_row + 1) * edge),
    }
    with MemoryFile() as memory:
        with memory.open(**profile) as out:
            out.write(pixels, 1)
            out.write(np.full_like(pixels, 90), 2)
        (place / "cover.tif").write_bytes(memory.read())
    item = json.loads((place / "scene.json").read_text())
    classes = [
        {"value": k, "name": name, "description": name, "color_hint": colour[1:].upper()}
        for k, (name, colour) in enumerate(COVERS)
    ]
    classes.append({"value": 254, "name": "cloud", "description": "cloud"})
    item["assets"]["cover"] = {"href": "./cover.tif", "classification:classes": classes}
    (place / "scene.json").write_text(json.dumps(item))
