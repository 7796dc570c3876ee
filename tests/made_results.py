"""Makers of finished results without a model: tiles, cover and pictures whose values encode the place."""

import json
from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import numpy as np
import rasterio
from affine import Affine

from pipeline.grid import TileGrid
from pipeline.legend import COVER, EUROSAT, CoverState, Legend
from pipeline.results.class_raster import pixel_names, write_colours
from pipeline.results.table import LEGEND, TileAnswers, cover_columns, tile_table, write_table

MOMENT = datetime(2024, 6, 1, 10, 30, tzinfo=UTC)
COVERS = Legend("cover", COVER.classes[:8])
WEST, SOUTH = 780, 8000


def results(folder, *names):
    """A model's folder of results, with the report of a run that mapped these scenes."""
    folder.mkdir(parents=True, exist_ok=True)
    told = [{"id": name, "status": "done"} for name in names]
    (folder / "run.json").write_text(json.dumps({"scenes": told}))
    return folder


def scene(folder, name, codes, **facts):
    """A scene of tiles `codes` (rows from the north, columns).

    `facts`: west, south, epsg, days, valid and cloud (a number or planes), probabilities (rows, columns, classes),
    cover (y, x), picture (3, y, x).
    """
    rows, columns = codes.shape
    west, south, epsg = (facts.get(key, usual) for key, usual in (("west", WEST), ("south", SOUTH), ("epsg", 32632)))
    grid = TileGrid(epsg)
    index = np.array([(west + x, south + rows - 1 - y) for y in range(rows) for x in range(columns)])
    flat = codes.ravel()
    parts = facts.get("probabilities")
    if parts is None:
        parts = np.full((len(flat), len(EUROSAT.classes)), 0.02, np.float32)
        parts[np.arange(len(flat)), np.maximum(flat, 0)] = 0.82
    parts = np.asarray(parts, np.float32).reshape(len(flat), -1)
    valid, cloud = (
        np.broadcast_to(np.asarray(facts.get(key, usual), np.float32), codes.shape).ravel()
        for key, usual in (("valid", 1.0), ("cloud", 0.0))
    )
    place = folder / name
    place.mkdir(parents=True)
    answers = TileAnswers(index, flat.astype(np.int8), parts, valid, cloud)
    table = tile_table(answers, grid, EUROSAT, name, MOMENT + timedelta(days=facts.get("days", 0)))
    metadata = {LEGEND: asdict(EUROSAT), "level": "L1C", "model": {"name": "some-model"}, "attribution": "Made land"}
    origin = Affine(10, 0, west * 640, 0, -10, (south + rows) * 640)
    assets = {}
    if (cover := facts.get("cover")) is not None:
        assets["cover"] = _cover(place / "cover.tif", cover, origin, epsg)
        tiled = cover.reshape(rows, 64, columns, 64)
        shares = np.stack([(tiled == code).mean(axis=(1, 3)).ravel() for code in range(8)], axis=1)
        at = {tile: row for row, tile in enumerate(grid.tile_ids(index.tolist()))}
        ordered = shares[[at[tile] for tile in table["tile_id"]]].astype(np.float32)
        for number, column in enumerate([*cover_columns(COVERS.labels), "purity"]):
            table.insert(len(table.columns) - 1, column, ordered[:, number] if number < 8 else ordered.max(axis=1))
    if (picture := facts.get("picture")) is not None:
        shape = {"count": 3, "height": picture.shape[1], "width": picture.shape[2]}
        profile = {"driver": "GTiff", "dtype": "uint8", "crs": f"EPSG:{epsg}", "transform": origin}
        with rasterio.open(place / "truecolour.tif", "w", **profile, **shape) as raster:
            raster.write(picture)
    write_table(table, place / "tiles.parquet", metadata)
    (place / "scene.json").write_text(json.dumps({"id": name, "properties": {}, "assets": assets}))
    return place


def _cover(path, cover, origin, epsg):
    profile = {"driver": "GTiff", "dtype": "uint8", "count": 2, "crs": f"EPSG:{epsg}", "nodata": CoverState.NO_DATA}
    height, width = cover.shape
    # How sure the class is encodes the column.
    sure = np.where(cover < 8, np.arange(width) % 64 + 30, 255).astype(np.uint8)
    with rasterio.open(path, "w", **profile, height=height, width=width, transform=origin) as raster:
        raster.write(np.stack([cover, sure]))
        write_colours(raster, COVERS, pixel_names(COVERS))
    classes = [
        {"value": code, "name": entry.label, "description": entry.title, "color_hint": entry.colour[1:]}
        for code, entry in enumerate(COVERS.classes)
    ]
    return {"href": "./cover.tif", "classification:classes": [*classes, {"value": 254, "name": "cloud"}]}


def stripes(rows, columns):
    """A cover (y, x) of whole tiles: another class every 40 columns, with a corner of its own."""
    plane = np.broadcast_to(np.arange(columns * 64) // 40 % 8, (rows * 64, columns * 64)).astype(np.uint8).copy()
    plane[:50, :70] = 6
    plane[-20:, -30:] = CoverState.CLOUD
    return plane


def coded_tiles(scene, codes, columns=range(700, 705), rows=range(7800, 7803), when=MOMENT, epsg=32632, valid=1.0):
    """A tile table whose codes (rows from south, columns from west) are given."""
    index = np.array([(col, row) for row in rows for col in columns])
    codes = np.broadcast_to(np.asarray(codes, np.int8), len(index)).copy()
    probabilities = np.full((len(index), 10), np.nan, np.float32)
    known = codes >= 0
    probabilities[known] = 0.01
    probabilities[np.flatnonzero(known), codes[known]] = 0.91
    fraction = np.full(len(index), valid, np.float32)
    return tile_table(
        TileAnswers(index, codes, probabilities, fraction, np.zeros_like(fraction)),
        TileGrid(epsg),
        EUROSAT,
        scene,
        when,
    )
