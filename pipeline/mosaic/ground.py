"""Where the map lies: its coordinate reference system, its pixels, and which of them are inside the outline."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely
from affine import Affine
from pyproj import CRS, Transformer
from pyproj.exceptions import CRSError, ProjError
from rasterio.features import geometry_mask

from pipeline.errors import GeoreferenceError, TileTableError
from pipeline.grid import Bounds, TileGrid, utm_epsg
from pipeline.outlines import PIECE, Outline, on_grid

# Metres of a degree of latitude.
_DEGREE = 111_320.0
# More pixels than the land of the Earth has at 100 m are nobody's district but a CRS far from home.
_MOST_PIXELS = 2 * 10**10
# Points along each side of a rectangle that is moved to another CRS.
_SIDE = 24


@dataclass(frozen=True, slots=True)
class Ground:
    """The pixels of the map."""

    crs: CRS
    """Its coordinate reference system."""
    transform: Affine
    """From pixels to the map, north up."""
    width: int
    """Pixels eastward."""
    height: int
    """Pixels southward."""
    outline: shapely.Geometry | None
    """What it is cut to, in its own coordinates."""

    def bounds(self, rows: range | None = None) -> Bounds:
        """Left, bottom, right, top of some rows, of all without."""
        rows = rows or range(self.height)
        left, top = self.transform * (0, rows.start)
        right, bottom = self.transform * (self.width, rows.stop)
        return left, bottom, right, top

    def part(self, rows: range) -> Affine:
        """The transform of some rows."""
        return self.transform * Affine.translation(0, rows.start)

    def inside(self, rows: range) -> npt.NDArray[np.bool_]:
        """Which pixels (y, x) of some rows have their centre inside the outline."""
        shape = (len(rows), self.width)
        if self.outline is None:
            return np.ones(shape, np.bool_)
        here = shapely.intersection(self.outline, shapely.box(*self.bounds(rows)).buffer(abs(self.transform.e)))
        if here.is_empty or here.area == 0:
            return np.zeros(shape, np.bool_)
        return np.asarray(geometry_mask([here], shape, self.part(rows), invert=True))


def best_crs(grids: Sequence[TileGrid], outline: Outline | None) -> CRS:
    """The zone that most of the outline lies in, where tiles of several zones are at hand; else the only zone."""
    zones = [grid.epsg for grid in grids]
    if outline is not None and len(set(zones)) > 1:
        middle = outline.shape.centroid
        return CRS.from_epsg(utm_epsg(middle.x, middle.y))
    return CRS.from_epsg(max(sorted(set(zones)), key=zones.count))


def told_crs(text: str) -> CRS:
    """The coordinate reference system that a person names.

    Raises:
        GeoreferenceError: there is no such thing, or it has no plane.
    """
    try:
        crs = CRS.from_user_input(int(text) if text.isdecimal() else text)
    except CRSError as error:
        raise GeoreferenceError(f"{text}: no coordinate reference system; give an EPSG code such as 3035") from error
    if not (crs.is_projected or crs.is_geographic) or len(crs.axis_info) != 2:
        raise GeoreferenceError(f"{text}: has no plane to draw on; give an EPSG code of two axes such as 3035")
    return crs


def map_ground(crs: CRS, metres: float, extents: Sequence[tuple[int, Bounds]], outline: Outline | None) -> Ground:
    """The pixels, `metres` wide, that hold rectangles (zone, bounds), cut to the outline's.

    Pixels lie at whole multiples of their size, so that in a zone of the tiles they are the scenes' own.

    Raises:
        TileTableError: the outline lies outside the rectangles.
        GeoreferenceError: the place cannot be drawn in this CRS.
    """
    placed = None if outline is None else _placed(outline.shape, crs)
    boxes = [_moved(bounds, zone, crs) for zone, bounds in extents]
    if placed is not None:
        reached = [shapely.intersection(shapely.box(*one), placed) for one in boxes]
        boxes = [part.bounds for part in reached if part.area > 0]
        if not boxes:
            raise TileTableError("the outline lies outside the mapped tiles; map scenes of this area first")
    sides = np.array(boxes)
    size = metres / (_DEGREE if crs.is_geographic else crs.axis_info[0].unit_conversion_factor)
    left, bottom = (math.floor(value / size + 1e-6) for value in sides[:, :2].min(axis=0))
    right, top = (math.ceil(value / size - 1e-6) for value in sides[:, 2:].max(axis=0))
    width, height = right - left, top - bottom
    if width * height > _MOST_PIXELS:
        raise GeoreferenceError(
            f"{crs.to_string()}: the map would be {width:,} x {height:,} pixels; choose a CRS made for this place, or "
            f"a smaller --area"
        )
    return Ground(crs, Affine(size, 0, left * size, 0, -size, top * size), width, height, placed)


def _placed(shape: shapely.Geometry, crs: CRS) -> shapely.Geometry:
    zone = crs.to_epsg()
    try:
        return on_grid(shape, TileGrid(int(zone or 0)).epsg)
    except ValueError:  # no zone of the tile grid
        forth = Transformer.from_crs(4326, crs, always_xy=True)
        fine = shapely.segmentize(shape, PIECE)
        return _finite(shapely.transform(fine, lambda at: np.column_stack(forth.transform(at[:, 0], at[:, 1]))), crs)


def _finite(shape: shapely.Geometry, crs: CRS) -> shapely.Geometry:
    if not np.isfinite(shape.bounds).all():
        raise GeoreferenceError(f"{crs.to_string()}: cannot show this place; choose a CRS made for it")
    return shape


def _moved(bounds: Bounds, zone: int, crs: CRS) -> Bounds:
    """The rectangle around a zone's rectangle in another CRS."""
    if zone == crs.to_epsg():
        return bounds
    try:
        found = Transformer.from_crs(zone, crs, always_xy=True).transform_bounds(*bounds, densify_pts=_SIDE)
    except ProjError as error:
        raise GeoreferenceError(f"{crs.to_string()}: cannot show this place ({error}); choose another") from error
    if not np.isfinite(found).all():
        raise GeoreferenceError(f"{crs.to_string()}: cannot show this place; choose a CRS made for it")
    left, bottom, right, top = found
    if right < left:
        raise GeoreferenceError(
            f"{crs.to_string()}: is cut in two where this place lies; choose a CRS made for it, such as its UTM zone"
        )
    return left, bottom, right, top


def in_degrees(shape: shapely.Geometry, crs: CRS) -> shapely.Geometry:
    """A shape of the map in longitudes and latitudes."""
    back = Transformer.from_crs(crs, 4326, always_xy=True)
    fine = shapely.segmentize(shape, shape.length / (4 * _SIDE))
    return shapely.transform(fine, lambda at: np.column_stack(back.transform(at[:, 0], at[:, 1])))
