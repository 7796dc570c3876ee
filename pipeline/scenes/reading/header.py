"""What a raster's header says, and where on Earth and on the tile grid that puts it."""

from dataclasses import dataclass
from functools import lru_cache
from math import ceil, cos, hypot, radians

import numpy as np
import numpy.typing as npt
import rasterio
import shapely
from affine import Affine
from pyproj import CRS, Transformer
from pyproj.enums import TransformDirection
from pyproj.exceptions import ProjError
from shapely import GEOSException
from shapely.affinity import translate
from shapely.geometry.base import BaseGeometry

from pipeline.bands import BY_NAME
from pipeline.errors import CorruptScene, GeoreferenceError, ResolutionError
from pipeline.grid import Bounds, utm_epsg
from pipeline.scenes.reading.ranged import open_header
from pipeline.scenes.safety import guard

GRID_GSD = 10.0
# A band may be resampled from up to half as coarse again as it is delivered, down to half of the grid's pixels.
COARSEST = 1.5
FINEST = 0.5
# Sentinel-2's coarsest bands have 60 m on its grid of 10 m.
_COARSEST_BAND = 6
# Shifts below this share of a pixel over the whole scene are rounding in the file's header, not another grid: 5 cm of
# Sentinel-2's 10 m.
_ALIGNMENT = 0.005
# Units of the coordinate system; real places come back to the millimetre.
_ROUND_TRIP = 1.0
_WGS84 = 4326

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Header:
    """A raster's description without its pixels."""

    href: str
    """Path or address."""
    driver: str
    """GDAL's name of the format."""
    width: int
    """Pixels in a row."""
    height: int
    """Rows."""
    dtypes: tuple[str, ...]
    """Type of each band."""
    crs: int | str | None
    """EPSG code or WKT that pyproj understands; None without one."""
    transform: Affine
    """Pixels to CRS units."""
    nodata: float | None
    """The number that marks missing pixels; None without one."""
    descriptions: tuple[str | None, ...]
    """Each band's name in the file; None without one."""
    colours: tuple[str, ...]
    """Each band's colour interpretation."""
    scales: tuple[float, ...]
    """Each band's scale."""
    offsets: tuple[float, ...]
    """Each band's offset after scaling."""
    tags: dict[str, str]
    """The file's own metadata."""

    @property
    def count(self) -> int:
        """Number of bands."""
        return len(self.dtypes)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a raster lies."""

    epsg: int
    """Its UTM zone."""
    bounds: Bounds
    """In the zone, as multiples of the grid's pixels."""
    footprint: BaseGeometry
    """In degrees."""
    gsd: float
    """Metres per pixel on the ground."""
    on_grid: bool
    """Whether the file's pixels are the grid's."""


def read_header(href: str) -> Header:
    """The header of a raster.

    Raises:
        NotAScene, UnsafeInput, CorruptScene: as `open_header`.
    """
    with guard.environment(), open_header(href) as dataset:
        try:
            return Header(
                href=href,
                driver=dataset.driver,
                width=dataset.width,
                height=dataset.height,
                dtypes=tuple(dataset.dtypes),
                crs=crs_key(dataset.crs),
                transform=dataset.transform,
                nodata=dataset.nodata,
                descriptions=tuple(dataset.descriptions),
                colours=tuple(colour.name for colour in dataset.colorinterp),
                scales=tuple(dataset.scales),
                offsets=tuple(dataset.offsets),
                tags={str(key): str(value) for key, value in dataset.tags().items()},
            )
        except guard.RASTER_ERRORS as error:
            raise CorruptScene(
                f"{guard.display_name(href)}: a damaged header ({guard.one_line(error)}); download it again"
            ) from error


def crs_key(crs: rasterio.CRS | None) -> int | str | None:
    """A rasterio CRS as EPSG code where it has one, else as WKT, None where there is none."""
    if not crs:
        return None
    code = crs.to_epsg()
    return int(code) if code else str(crs.to_wkt())


def corner(transform: Affine, col: float, row: float) -> tuple[float, float]:
    """Map coordinates of a pixel's corner (affine's own operator for it changes between its versions)."""
    return transform.a * col + transform.b * row + transform.c, transform.d * col + transform.e * row + transform.f


def is_utm(crs: int | str | None) -> bool:
    """Whether a CRS is a WGS 84 / UTM zone by its EPSG code."""
    return isinstance(crs, int) and (32601 <= crs <= 32660 or 32701 <= crs <= 32760)


def aligned(
    crs: int | str | None, transform: Affine, width: int, height: int, epsg: int, gsd: float = GRID_GSD
) -> bool:
    """Whether a raster's pixels are whole pixels of `gsd` metres of the zone's grid, north up."""
    if crs != epsg or transform.b or transform.d or transform.a <= 0 or transform.e >= 0:
        return False
    corners = (corner(transform, 0, 0), corner(transform, width, height))
    snapped = snap(corners[0][0], gsd), snap(corners[0][1], gsd)
    far = snapped[0] + width * gsd, snapped[1] - height * gsd
    shifts = (corners[0][0] - snapped[0], corners[0][1] - snapped[1], corners[1][0] - far[0], corners[1][1] - far[1])
    return max(map(abs, shifts)) <= _ALIGNMENT * gsd


def snap(value: float, gsd: float = GRID_GSD) -> float:
    """The edge of a pixel of the zone's grid that lies nearest."""
    return round(value / gsd) * gsd


def locate(
    header: Header, crs: int | str | None = None, transform: Affine | None = None, gsd: float = GRID_GSD
) -> Place:
    """Where a raster lies on the grid of `gsd` metres; `crs` and `transform` replace missing georeferencing.

    Raises:
        GeoreferenceError: there is no usable place on Earth.
    """
    try:
        return _place(
            crs if crs is not None else header.crs,
            transform if transform is not None else header.transform,
            (header.width, header.height),
            gsd,
        )
    except GeoreferenceError as error:
        raise GeoreferenceError(f"{guard.display_name(header.href)}: {error}") from error


# A scene's files share few places, and finding one asks PROJ for its coordinates several times.
@lru_cache(maxsize=256)
def _place(crs: int | str | None, transform: Affine, shape: tuple[int, int], gsd: float) -> Place:
    """Where `shape` (columns, rows) pixels lie."""
    if crs is None:
        raise GeoreferenceError(
            "has no coordinate reference system of its own (side files are not trusted); assign one with "
            "gdal_translate -a_srs, or --assume-crs"
        )
    if transform == Affine.identity() or not abs(transform.determinant) > 0 or not np.isfinite(tuple(transform)).all():
        raise GeoreferenceError(
            "has no position on the ground (identity or degenerate transform); georeference it first"
        )
    if max(abs(transform.b), abs(transform.d)) > 1e-9 * max(abs(transform.a), abs(transform.e)):
        raise GeoreferenceError("its pixels are rotated against the map; warp it north-up first (gdalwarp)")
    left, top = corner(transform, 0, 0)
    right, bottom = corner(transform, shape[0], shape[1])
    ring = _ring(min(left, right), min(bottom, top), max(left, right), max(bottom, top))
    longitude, latitude = _degrees(crs, ring[:, 0], ring[:, 1])
    middle_x, middle_y = _degrees(crs, np.array([(left + right) / 2]), np.array([(bottom + top) / 2]))
    try:
        epsg = int(crs) if is_utm(crs) else utm_epsg(float(middle_x[0]), float(middle_y[0]))
    except ValueError as error:
        raise GeoreferenceError(f"{error}; polar areas outside UTM are not mapped") from error
    on_grid = aligned(crs, transform, shape[0], shape[1], epsg, gsd)
    if on_grid:
        west, north = snap(left, gsd), snap(top, gsd)
        bounds = (west, north - shape[1] * gsd, west + shape[0] * gsd, north)
    else:
        x, y = Transformer.from_crs(_WGS84, epsg, always_xy=True).transform(longitude, latitude)
        bounds = (
            _outward(-min(x), -1.0, gsd),
            _outward(-min(y), -1.0, gsd),
            _outward(max(x), 1.0, gsd),
            _outward(max(y), 1.0, gsd),
        )
    try:
        outline = footprint(longitude, latitude)
    except GEOSException:
        outline = None
    if outline is None or outline.is_empty or not outline.is_valid:
        raise GeoreferenceError("its outline is no area on Earth; correct its georeferencing")
    return Place(epsg, bounds, outline, _ground_gsd(crs, transform, float(middle_y[0])), on_grid)


def _outward(value: float, sign: float, gsd: float) -> float:
    """The next multiple of `gsd` away from the middle, unless the edge misses a nearer one by rounding alone."""
    return sign * ceil(value / gsd - _ALIGNMENT) * gsd


def _ring(left: float, bottom: float, right: float, top: float, points: int = 21) -> Floats:
    """The outline of a box with `points` a side.

    A straight 110 km edge is off by 416 m mid-edge at 60 degrees north.
    """
    along = np.linspace(0.0, 1.0, points)[:-1]
    corners = np.array([(left, bottom), (right, bottom), (right, top), (left, top), (left, bottom)])
    sides = [corners[i] + along[:, None] * (corners[i + 1] - corners[i]) for i in range(4)]
    return np.concatenate([*sides, corners[:1]])


def _degrees(crs: int | str, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    try:
        system = CRS.from_user_input(crs)
        there = Transformer.from_crs(system, _WGS84, always_xy=True)
        longitude, latitude = there.transform(x, y, errcheck=True)
        again = (
            there.transform(longitude, latitude, direction=TransformDirection.INVERSE)
            if system.is_projected
            else (x, y)
        )
    except ProjError as error:
        raise GeoreferenceError(
            f"its coordinate system leads to no place on Earth ({guard.one_line(error)}); assign the right one"
        ) from error
    # Far outside its area a projection still gives degrees, but they do not lead back.
    strayed = max(np.abs(again[0] - x).max(), np.abs(again[1] - y).max())
    if not (np.isfinite(longitude).all() and np.abs(latitude).max() <= 90 and strayed <= _ROUND_TRIP):
        raise GeoreferenceError("its coordinates lie outside its coordinate system; assign the right one")
    return longitude, latitude


def _ground_gsd(crs: int | str, transform: Affine, latitude: float) -> float:
    system = CRS.from_user_input(crs)
    width, height = hypot(transform.a, transform.d), hypot(transform.b, transform.e)
    factor = system.axis_info[0].unit_conversion_factor if system.axis_info else 1.0
    if system.is_geographic:
        metre = 6_371_000.0 * factor  # a degree's factor is its radians
        return float((width * metre * cos(radians(latitude)) * height * metre) ** 0.5)
    if system.to_epsg() == 3857:
        factor *= cos(radians(latitude))
    return float((width * height) ** 0.5 * factor)


def footprint(longitude: Floats, latitude: Floats) -> BaseGeometry:
    """The polygon of an outline in degrees, split where it crosses longitude 180."""
    longitude = np.where(
        longitude - longitude[0] > 180,
        longitude - 360,
        np.where(longitude[0] - longitude > 180, longitude + 360, longitude),
    )
    outline = shapely.Polygon(np.column_stack([longitude, latitude]))
    if longitude.min() >= -180 and longitude.max() <= 180:
        return outline
    moved = (translate(outline, shift) for shift in (-360.0, 0.0, 360.0))
    parts = [inside for part in moved if (inside := part.intersection(shapely.box(-180, -90, 180, 90))).area > 0]
    return shapely.union_all(parts)


def native_gsd(band: str, gsd: float = GRID_GSD) -> float:
    """The pixel size in metres that a band is delivered with; that of the grid, where no sensor's table tells.

    A grid much finer than a sensor's bands is another sensor's.
    """
    native = float(BY_NAME[band].gsd) if band in BY_NAME else gsd
    return max(native, gsd) if native <= _COARSEST_BAND * gsd else gsd


def check_gsd(gsd: float, native: float, name: str, grid_gsd: float = GRID_GSD) -> None:
    """Refuses pixels too coarse or too fine for what a band is and for the grid.

    Raises:
        ResolutionError: they are.
    """
    if not FINEST * grid_gsd <= gsd <= COARSEST * native:
        raise ResolutionError(
            f"{name}: its pixels are {gsd:.1f} m on the ground, the band needs about {native:g} m; use the "
            f"full-resolution file"
        )
