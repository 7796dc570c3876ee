"""Finds places without a network: coordinates, tiles, scenes, granules in their names, countries."""

import re
from functools import lru_cache
from math import isfinite
from typing import Any, Final

from pyproj import Transformer

from pipeline.areas import read_regions
from pipeline.grid import TileGrid
from pipeline.web.library import Library, item

_NUMBER: Final = r"([-+]?\d{1,3}(?:\.\d+)?)"
_COORDINATES: Final = re.compile(rf"\s*{_NUMBER}\s*°?\s*([NS]?)\s*[,; ]\s*{_NUMBER}\s*°?\s*([EW]?)\s*", re.IGNORECASE)
_AROUND: Final = 0.02
MOST: Final = 10


def search(query: str, library: Library) -> list[dict[str, Any]]:
    """Places that a text may mean, best first: name, kind and bbox (west, south, east, north)."""
    text = query.strip()[:200]
    if not text:
        return []
    found = _coordinates(text) + _tile(text)
    wanted = text.casefold()
    found += [
        {"name": scene.id, "kind": "scene", "bbox": item(scene)["bbox"]}
        for scene in library.scenes()
        if wanted in scene.id.casefold()
    ]
    found += [entry for entry in _countries() if wanted in str(entry["name"]).casefold()]
    return found[:MOST]


def _coordinates(text: str) -> list[dict[str, Any]]:
    match = _COORDINATES.fullmatch(text)
    if match is None:
        return []
    latitude, longitude = float(match[1]), float(match[3])
    latitude *= -1 if match[2].upper() == "S" else 1
    longitude *= -1 if match[4].upper() == "W" else 1
    if not (-90 <= latitude <= 90 and -180 <= longitude <= 180):
        return []
    box = [longitude - _AROUND, latitude - _AROUND, longitude + _AROUND, latitude + _AROUND]
    return [{"name": f"{latitude:.5f}, {longitude:.5f}", "kind": "coordinates", "bbox": box}]


def _tile(text: str) -> list[dict[str, Any]]:
    try:
        grid, index = TileGrid.parse_id(text)
    except ValueError:
        return []
    box = Transformer.from_crs(grid.epsg, 4326, always_xy=True).transform_bounds(*grid.bounds(index))
    return [{"name": text, "kind": "tile", "bbox": list(box)}] if all(map(isfinite, box)) else []


@lru_cache(maxsize=1)
def _countries() -> list[dict[str, Any]]:
    regions = read_regions()
    return [
        {"name": str(name), "kind": "country", "bbox": [float(value) for value in shape.bounds]}
        for name, shape in zip(regions["name"], regions.geometry, strict=True)
    ]
