"""Pictures for the page: quicklooks warped to the web map's projection, and sheets of chips."""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import asinh, atan, ceil, degrees, floor, radians, sinh, tan

import numpy as np
import numpy.typing as npt
from affine import Affine
from PIL import Image
from rasterio.crs import CRS
from rasterio.transform import array_bounds
from rasterio.warp import Resampling, calculate_default_transform, reproject

from pipeline.bands import AERIAL, Sensor

EARTH_RADIUS = 6378137
WEBP_QUALITY = 60
# Red, green, blue codes that show as black and as white. EuroSAT's codes carry the air's blue haze and keep land dark
# (percentiles 1 and 95 of its pictures: 23-193, 43-164, 64-159); one fixed curve keeps dates comparable by eye.
DISPLAY_BLACK = (12, 28, 44)
DISPLAY_WHITE = (190, 175, 170)
DISPLAY_GAMMA = 0.72
# What WebP of this quality takes, measured on Sentinel-2 pictures of towns and mountains: 0.12 to 0.19.
BYTES_A_PIXEL = 0.2

LatLonBounds = tuple[tuple[float, float], tuple[float, float]]
Shown = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.uint8]]


@dataclass(frozen=True, slots=True)
class Quicklook:
    """A picture on the page's map."""

    webp: bytes
    """With alpha, in EPSG:3857."""
    bounds: LatLonBounds
    """((south, west), (north, east)) in degrees; east of 180 goes on counting."""


@dataclass(frozen=True, slots=True)
class PalettePicture:
    """A picture of few colours on the page's map."""

    png: bytes
    """With a palette, in EPSG:3857; its first colour is clear."""
    bounds: LatLonBounds
    """As a quicklook's."""


def _display_table() -> npt.NDArray[np.uint8]:
    codes = np.arange(256.0)
    shares = [
        np.clip((codes - black) / (white - black), 0.0, 1.0)
        for black, white in zip(DISPLAY_BLACK, DISPLAY_WHITE, strict=True)
    ]
    table = np.rint(255.0 * np.stack(shares) ** DISPLAY_GAMMA)
    # 0 stays what it is in the codes: no data.
    table[:, 1:] = np.maximum(table[:, 1:], 1.0)
    return table.astype(np.uint8)


_DISPLAY = _display_table()


def brightened(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """EuroSAT codes (3, ...) as they are shown.

    255 * ((code - black) / (white - black)) ** `DISPLAY_GAMMA`, 0 for no data only.
    """
    return np.stack([table[band] for table, band in zip(_DISPLAY, rgb, strict=True)])


def as_is(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """A camera's picture as it is shown."""
    return rgb


def shown_by(sensor: Sensor) -> Shown:
    """How a sensor's true colour is shown: EuroSAT's codes brightened, a camera's picture as it is."""
    return as_is if sensor is AERIAL else brightened


def quicklook(
    rgb: npt.NDArray[np.uint8],
    valid: npt.NDArray[np.bool_],
    transform: Affine,
    epsg: int,
    shown: Shown = brightened,
) -> Quicklook:
    """A scene's picture for the web map; `rgb` (3, y, x) and `valid` (y, x) in the scene's UTM zone.

    Pixels keep about their size on the ground; the alpha channel is 0 where nothing is valid.
    """
    bands = np.concatenate([shown(rgb), np.where(valid, 255, 0).astype(np.uint8)[None]])
    # No data is 0, which no valid code is, so invalid pixels do not darken the rim; alpha stays nearest, 0 or 255.
    warped, bounds = _warped(bands, transform, epsg, Resampling.bilinear)
    return Quicklook(_webp(_bled(warped)), bounds)


def palette_picture(
    values: npt.NDArray[np.uint8], colours: Mapping[int, tuple[int, int, int]], transform: Affine, epsg: int
) -> PalettePicture:
    """Classes (y, x) in a scene's UTM zone as a picture for the web map; other values stay clear.

    The picture keeps places in a palette: encoding colours of a granule losslessly as WebP takes 0.7 GB.
    """
    places = np.zeros(256, np.uint8)
    for place, value in enumerate(colours, start=1):
        places[value] = place
    warped, bounds = _warped(places[values][None], transform, epsg, Resampling.nearest)
    picture = Image.fromarray(warped[..., 0])
    picture.putpalette(bytes([0, 0, 0, *(part for colour in colours.values() for part in colour)]))
    stream = io.BytesIO()
    picture.save(stream, "PNG", transparency=0, bits=4 if len(colours) < 16 else 8)
    return PalettePicture(stream.getvalue(), bounds)


def _warped(
    bands: npt.NDArray[np.uint8], transform: Affine, epsg: int, resampling: Resampling
) -> tuple[npt.NDArray[np.uint8], LatLonBounds]:
    """Bands (n, y, x) of a UTM zone on the web map (y, x, n), and its place; a fourth one, alpha, by nearest."""
    height, width = bands.shape[1:]
    # EPSG:3857 about the zone's own meridian: the same picture, and no seam at longitude 180.
    meridian = epsg % 100 * 6 - 183
    source, target = (
        CRS.from_epsg(epsg),
        CRS.from_proj4(
            f"+proj=merc +a={EARTH_RADIUS} +b={EARTH_RADIUS} +lon_0={meridian} +units=m +nadgrids=@null +no_defs"
        ),
    )
    place, columns, rows = calculate_default_transform(
        source, target, width, height, *array_bounds(height, width, transform)
    )
    warped = np.zeros((len(bands), rows, columns), np.uint8)
    for some, how in ((slice(0, 3), resampling), (slice(3, 4), Resampling.nearest))[: 2 if len(bands) > 3 else 1]:
        reproject(
            bands[some],
            warped[some],
            src_transform=transform,
            src_crs=source,
            dst_transform=place,
            dst_crs=target,
            src_nodata=None if resampling is Resampling.nearest else 0,
            dst_nodata=0,
            resampling=how,
            num_threads=2,
        )
    west, south, east, north = array_bounds(rows, columns, place)
    longitudes = [round(meridian + degrees(x / EARTH_RADIUS), 7) for x in (west, east)]
    latitudes = [round(degrees(atan(sinh(y / EARTH_RADIUS))), 7) for y in (south, north)]
    return np.moveaxis(warped, 0, -1), ((latitudes[0], longitudes[0]), (latitudes[1], longitudes[1]))


def affordable_gsd(metres: Sequence[float], budget: int, finest: float = 10.0) -> float | None:
    """`finest` metres a pixel, or twice or four times that: what should fit into `budget` bytes.

    `metres` are the scenes' square metres.
    """
    return next(
        (gsd for gsd in (finest, 2 * finest, 4 * finest) if sum(metres) / gsd**2 * BYTES_A_PIXEL <= budget), None
    )


def _bled(rgba: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The picture with the nearest valid colour under its clear pixels; lossy coding smears black into the rim."""
    clear = rgba[..., 3] == 0
    if not clear.any() or clear.all():
        return rgba
    from scipy.ndimage import distance_transform_edt

    row, col = distance_transform_edt(clear, return_distances=False, return_indices=True)
    filled = rgba.copy()
    filled[clear] = rgba[row[clear], col[clear]]
    filled[clear, 3] = 0
    return filled


def clipped(picture: Quicklook, bounds: Sequence[Sequence[float]]) -> Quicklook:
    """The whole pixels of a picture that touch ((south, west), (north, east)); itself where those are all.

    Longitudes of `bounds` may be named a turn of 360 degrees away.
    """
    (south, west), (north, east) = picture.bounds
    top, bottom = _mercator(north), _mercator(south)
    turn = 360.0 * round((west + east - bounds[0][1] - bounds[1][1]) / 720.0)
    with Image.open(io.BytesIO(picture.webp)) as image:
        across, down = image.width / (east - west), image.height / (top - bottom)
        left, right = ((at + turn - west) * across for at in (bounds[0][1], bounds[1][1]))
        upper, lower = ((top - _mercator(at)) * down for at in (bounds[1][0], bounds[0][0]))
        columns = _whole(left, right, image.width)
        rows = _whole(upper, lower, image.height)
        if (columns, rows) == ((0, image.width), (0, image.height)):
            return picture
        part = np.asarray(image.convert("RGBA").crop((columns[0], rows[0], columns[1], rows[1])))
    longitudes = [round(west + at / across, 7) for at in columns]
    latitudes = [round(degrees(atan(sinh(top - at / down))), 7) for at in rows]
    return Quicklook(_webp(part), ((latitudes[1], longitudes[0]), (latitudes[0], longitudes[1])))


def _mercator(latitude: float) -> float:
    return asinh(tan(radians(latitude)))


def _whole(low: float, high: float, size: int) -> tuple[int, int]:
    """The pixels of `size` that a span touches, one at least; a thousandth of one is rounding in degrees."""
    first = min(max(floor(low + 1e-3), 0), size - 1)
    return first, max(min(ceil(high - 1e-3), size), first + 1)


def within_budget(pictures: list[Quicklook], budget: int) -> list[Quicklook]:
    """The same pictures, halved together until they fit into `budget` bytes or are 64 pixels small."""
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
        # Premultiplied alpha ("RGBa") keeps the colour of clear pixels out of the rim.
        small = (
            image.convert("RGBA")
            .convert("RGBa")
            .resize((max(1, image.width // 2), max(1, image.height // 2)), Image.Resampling.BOX)
            .convert("RGBA")
        )
    return _webp(_bled(np.asarray(small)))


def _webp(image: npt.NDArray[np.uint8], quality: int = WEBP_QUALITY) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(stream, "WEBP", quality=quality, method=4)
    return stream.getvalue()
