"""Of a tiled GeoTIFF at an address only what an area needs, as a GeoTIFF of its own."""

from collections.abc import Callable
from math import ceil, floor
from pathlib import Path
from typing import Any, Final

import rasterio
from rasterio.warp import transform_bounds
from rasterio.windows import Window

from pipeline.errors import CorruptScene, NotAScene
from pipeline.files import whole_file
from pipeline.scenes.reading.ranged import RangedRaster
from pipeline.scenes.safety.guard import READ_ERRORS, display_name, one_line

BBox = tuple[float, float, float, float]

# Metres around the area: the tiles on its border, and what networks look at beyond them.
MARGIN: Final = 1300.0
# Windows begin and end on the lattice of the coarsest bands, so that the cuts of all bands cover the same ground.
LATTICE: Final = 60.0


def cut(href: str, path: Path, area: BBox, progress: Callable[[int], object]) -> BBox:
    """Writes the part of a raster around an area (west, south, east, north in degrees); tells its own bbox.

    Raises:
        NotAScene: the raster lies beside the area, or its server gives no parts of it.
        CorruptScene: its blocks cannot be had.
        OutputError: the file cannot be written.
    """
    try:
        with RangedRaster(href) as source:
            window = _window(source, area)
            if window is None:
                raise NotAScene(f"{display_name(href)}: lies beside the area; choose another one, or other dates")
            if not path.exists():
                _write(source, window, path)
                progress(source.fetched)
            place = rasterio.windows.bounds(window, source.transform)
            west, south, east, north = transform_bounds(source.crs, "EPSG:4326", *place, densify_pts=21)
    except READ_ERRORS as error:
        raise CorruptScene(
            f"{display_name(href)}: cannot be read by parts ({one_line(error)}); run the same command again, or use "
            f"--bbox, which downloads whole files"
        ) from error
    return west, south, east, north


def _window(source: RangedRaster, area: BBox) -> Window | None:
    """The pixels of the area and its margin, on the lattice and within the raster."""
    west, south, east, north = transform_bounds("EPSG:4326", source.crs, *area, densify_pts=21)
    pixel, low, high = source.transform.a, source.transform.c, source.transform.f
    step = max(1, round(LATTICE / pixel))
    reach = MARGIN if source.crs is not None and source.crs.is_projected else MARGIN / 111_000

    def span(first: float, last: float, count: int) -> tuple[int, int]:
        begin, end = floor(first / pixel / step) * step, ceil(last / pixel / step) * step
        return max(0, begin), min(count, end)

    left, right = span(west - reach - low, east + reach - low, source.width)
    top, bottom = span(high - north - reach, high - south + reach, source.height)
    return Window(left, top, right - left, bottom - top) if left < right and top < bottom else None


def _write(source: RangedRaster, window: Window, path: Path) -> None:
    pixels = source.read(source.header.indexes, window)
    header = source.header  # another one than before the reading
    profile: dict[str, Any] = {
        "driver": "GTiff",
        "count": header.count,
        "dtype": header.dtypes[0],
        "crs": source.crs,
        "transform": rasterio.windows.transform(window, source.transform),
        "width": window.width,
        "height": window.height,
        "nodata": header.nodata,
    }
    scales, offsets, names = header.scales, header.offsets, header.descriptions
    with (
        whole_file(path) as part,
        rasterio.open(part, "w", **profile, compress="deflate", tiled=True, blockxsize=512, blockysize=512) as target,
    ):
        target.write(pixels)
        target.scales, target.offsets, target.descriptions = scales, offsets, names
