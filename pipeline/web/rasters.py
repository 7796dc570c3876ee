"""Map tiles: PNGs of 256 pixels in Web Mercator, read from the results' rasters by rio-tiler."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
import rasterio
from affine import Affine
from PIL import Image
from rasterio.io import MemoryFile
from rasterio.warp import transform_bounds
from rio_tiler.colormap import cmap
from rio_tiler.errors import TileOutsideBounds
from rio_tiler.io import Reader
from rio_tiler.models import ImageData

from pipeline.results.layout import QUICKLOOK
from pipeline.scenes.safety import guard
from pipeline.web.library import RASTERS, ShownScene, classes, item
from pipeline.web.problems import Problem

MAX_ZOOM: Final = 20
SIDE: Final = 256
# Metres a pixel of zoom 0 at the equator; at 80 m and more the quicklook shows as much as the true colour.
_EQUATOR: Final = 156_543.033_928
_QUICKLOOK_METRES: Final = 80.0
_PERCENT: Final = (40, 100)
_BLACK: Final = 10
Colours = dict[int, tuple[int, int, int, int]]


def legend_colours(stored: dict[str, Any], asset: str) -> Colours:
    """The colours of a class raster, from the legend in its scene's Item."""
    return {entry["code"]: (*bytes.fromhex(entry["colour"][1:]), 255) for entry in classes(stored, asset)}


def confidence_colours() -> Colours:
    """Colours of whole percent: viridis from 40 to 100, below as 40."""
    low, high = _PERCENT
    ramp = cmap.get("viridis")
    return {
        percent: tuple(ramp[round(255 * min(1.0, max(0.0, (percent - low) / (high - low))))])  # type: ignore[misc]
        for percent in range(101)
    }


def legend(scene: ShownScene, layer: str) -> list[dict[str, Any]]:
    """What a layer's colours mean, with code, title and colour; nothing for true colour."""
    if layer == "confidence":
        colours, low = confidence_colours(), _PERCENT[0]
        return [
            {"code": code, "title": f"{code} %{' or less' if code == low else ''}", "colour": _hex(colours[code])}
            for code in range(low, 101, 20)
        ]
    return [] if layer == "truecolour" else classes(item(scene), layer)


def _hex(colour: tuple[int, int, int, int]) -> str:
    return "#" + bytes(colour[:3]).hex()


def raster_of(scene: ShownScene, layer: str) -> Path:
    """The file of a layer.

    Raises:
        Problem: the scene has no such layer (404).
    """
    path = scene.file(RASTERS[layer])
    if path is None:
        raise Problem(404, f"{scene.id} has no {layer}")
    return path


def bounds(scene: ShownScene, layer: str) -> tuple[float, float, float, float]:
    """West, south, east, north of a layer in degrees."""
    with _reader(raster_of(scene, layer)) as reader:
        west, south, east, north = transform_bounds(reader.crs, "EPSG:4326", *reader.bounds)
    return west, south, east, north


def tile(scene: ShownScene, layer: str, z: int, x: int, y: int) -> bytes:
    """A PNG of 256 x 256 pixels; where the scene has nothing it is transparent.

    Raises:
        Problem: there is no such tile or layer (404).
    """
    if not (0 <= z <= MAX_ZOOM and 0 <= x < 1 << z and 0 <= y < 1 << z):
        raise Problem(404, f"no map tile {z}/{x}/{y}; zooms run from 0 to {MAX_ZOOM}")
    path = raster_of(scene, layer)
    status = path.stat()
    return _png(scene, layer, path, (status.st_mtime_ns, status.st_size), (z, x, y))


@lru_cache(maxsize=512)
def _png(scene: ShownScene, layer: str, path: Path, state: tuple[int, int], at: tuple[int, int, int]) -> bytes:  # noqa: ARG001 - part of the cache's key
    z, x, y = at
    try:
        if layer == "truecolour":
            return _true_colour(scene, path, z, x, y)
        with _reader(path) as reader:
            band = 2 if layer == "confidence" else 1
            image = reader.tile(x, y, z, tilesize=SIDE, indexes=band, resampling_method="nearest")
        colours = confidence_colours() if layer == "confidence" else legend_colours(item(scene), layer)
        return _coloured(image, colours)
    except TileOutsideBounds:
        return empty()


def _coloured(image: ImageData, colours: Colours) -> bytes:
    """A palette PNG: one byte a pixel, entry 255 clear."""
    band = image.array.filled(255)[0].astype(np.uint8)
    known = np.zeros(256, np.bool_)
    known[list(colours)] = True
    band = np.where(known[band], band, 255)
    palette = np.zeros((256, 3), np.uint8)
    for code, colour in colours.items():
        palette[code] = colour[:3]
    picture = Image.fromarray(band, "P")
    picture.putpalette(palette.tobytes())
    out = io.BytesIO()
    picture.save(out, "PNG", transparency=255)
    return out.getvalue()


def _true_colour(scene: ShownScene, path: Path, z: int, x: int, y: int) -> bytes:
    overview = _EQUATOR / 2**z >= _QUICKLOOK_METRES and scene.file(QUICKLOOK)
    if overview:
        with _quicklook(scene, overview).open() as dataset, Reader(None, dataset=dataset) as reader:
            image = reader.tile(x, y, z, tilesize=SIDE, indexes=(1, 2, 3), resampling_method="average")
    else:
        with _reader(path) as reader:
            image = reader.tile(x, y, z, tilesize=SIDE, indexes=(1, 2, 3), resampling_method="bilinear")
    # The raster has no mask of its own: black is where the scene has no data, but for what JPEG makes of it.
    clear = (image.array.filled(0) <= _BLACK).all(axis=0) | np.ma.getmaskarray(image.array).all(axis=0)
    rgba = np.concatenate([image.array.filled(0), np.where(clear, 0, 255)[None]]).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(np.moveaxis(rgba, 0, -1), "RGBA").save(out, "PNG", compress_level=1)
    return out.getvalue()


@contextmanager
def _reader(path: Path) -> Iterator[Reader]:
    with guard.environment(), guard.open_raster(str(path)) as dataset, Reader(None, dataset=dataset) as reader:
        yield reader


def _quicklook(scene: ShownScene, path: Path) -> MemoryFile:
    status = path.stat()
    place = item(scene)["assets"]["quicklook"]["atlas:bounds"]
    return _warped(path, status.st_mtime_ns, status.st_size, tuple(map(tuple, place)))


@lru_cache(maxsize=16)
def _warped(path: Path, modified: int, size: int, place: tuple[tuple[float, float], ...]) -> MemoryFile:  # noqa: ARG001 - part of the cache's key
    """The quicklook, which lies in Web Mercator already, as a raster with overviews in memory."""
    with Image.open(path) as picture:
        pixels = np.moveaxis(np.asarray(picture.convert("RGB")), -1, 0)
    (south, west), (north, east) = place
    left, bottom, right, top = transform_bounds("EPSG:4326", "EPSG:3857", west, south, east, north)
    count, height, width = pixels.shape
    transform = Affine((right - left) / width, 0, left, 0, -(top - bottom) / height, top)
    memory = MemoryFile()
    shape: dict[str, Any] = {"count": count, "height": height, "width": width, "dtype": "uint8"}
    with memory.open(driver="GTiff", crs="EPSG:3857", transform=transform, tiled=True, **shape) as target:
        target.write(pixels)
        target.build_overviews([2, 4, 8, 16], rasterio.enums.Resampling.average)
    return memory


@lru_cache(maxsize=1)
def empty() -> bytes:
    """A clear tile."""
    out = io.BytesIO()
    Image.new("LA", (SIDE, SIDE)).save(out, "PNG")
    return out.getvalue()
