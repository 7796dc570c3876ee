"""Pictures for the page: quicklooks warped to the web map's projection, and sheets of chips."""

import io
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from affine import Affine
from PIL import Image
from pyproj import Transformer
from rasterio.crs import CRS
from rasterio.transform import array_bounds
from rasterio.warp import Resampling, calculate_default_transform, reproject

WEB_MERCATOR = 3857
WEBP_QUALITY = 60
# EuroSAT's codes put 27.5 % reflectance at white, so land is dark on a screen. A gamma lifts the shadows and keeps
# white white; one fixed curve for every scene keeps dates comparable by eye.
DISPLAY_GAMMA = 0.62
_DISPLAY = np.rint(255.0 * (np.arange(256) / 255.0) ** DISPLAY_GAMMA).astype(np.uint8)

LatLonBounds = tuple[tuple[float, float], tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Quicklook:
    """A WebP with alpha in EPSG:3857 and its place, ((south, west), (north, east)) in degrees."""

    webp: bytes
    bounds: LatLonBounds


def brightened(codes: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """EuroSAT codes as they are shown: 255 * (code / 255) ** `DISPLAY_GAMMA`."""
    return _DISPLAY[codes]


def quicklook(rgb: npt.NDArray[np.uint8], valid: npt.NDArray[np.bool_], transform: Affine, epsg: int) -> Quicklook:
    """A scene's picture for the web map; `rgb` (3, y, x) and `valid` (y, x) in the scene's UTM zone.

    Pixels keep about their size on the ground; the alpha channel is 0 where nothing is valid.
    """
    height, width = valid.shape
    source, target = CRS.from_epsg(epsg), CRS.from_epsg(WEB_MERCATOR)
    bands = np.concatenate([brightened(rgb), np.where(valid, 255, 0).astype(np.uint8)[None]])
    place, columns, rows = calculate_default_transform(source, target, width, height, *array_bounds(height, width, transform))
    warped = np.zeros((4, rows, columns), np.uint8)
    # No data is 0, which no valid code is, so invalid pixels do not darken the rim; alpha stays nearest, 0 or 255.
    for band in range(4):
        reproject(
            bands[band],
            warped[band],
            src_transform=transform,
            src_crs=source,
            dst_transform=place,
            dst_crs=target,
            src_nodata=0,
            dst_nodata=0,
            resampling=Resampling.nearest if band == 3 else Resampling.bilinear,
        )
    west, south, east, north = array_bounds(rows, columns, place)
    to_degrees = Transformer.from_crs(WEB_MERCATOR, 4326, always_xy=True)
    (west, east), (south, north) = to_degrees.transform([west, east], [south, north])
    return Quicklook(_webp(np.moveaxis(warped, 0, -1)), ((round(south, 7), round(west, 7)), (round(north, 7), round(east, 7))))


def within_budget(pictures: list[Quicklook], budget: int) -> list[Quicklook]:
    """The same pictures, halved in width and height together until they fit into `budget` bytes or are 64 pixels small."""
    fitted = list(pictures)
    while sum(len(picture.webp) for picture in fitted) > budget:
        smaller = [Quicklook(_halved(picture.webp), picture.bounds) for picture in fitted]
        if sum(len(picture.webp) for picture in smaller) >= sum(len(picture.webp) for picture in fitted):
            break
        fitted = smaller
    return fitted


def _halved(webp: bytes) -> bytes:
    with Image.open(io.BytesIO(webp)) as image:
        if min(image.size) <= 64:
            return webp
        # Premultiplied alpha ("RGBa") keeps the black of empty pixels out of the rim.
        small = image.convert("RGBA").convert("RGBa").resize((max(1, image.width // 2), max(1, image.height // 2)), Image.Resampling.BOX).convert("RGBA")
    return _webp(np.asarray(small))


def _webp(image: npt.NDArray[np.uint8], quality: int = WEBP_QUALITY) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(stream, "WEBP", quality=quality, method=4)
    return stream.getvalue()
