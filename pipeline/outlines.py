"""Outlines: the polygons that a user cares about, from any common vector file, and the part of a tile inside them."""

import logging
from dataclasses import dataclass
from pathlib import Path

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import shapely
from pyproj import Transformer

from pipeline.errors import TileTableError
from pipeline.grid import Bounds, TileGrid, TileIndex

log = logging.getLogger(__name__)

NAMES = ("name", "NAME", "Name", "NAME_EN", "name_en", "ADMIN", "admin", "title", "id")
# Sides are straight in degrees; on a zone's grid they bend, so they are cut into pieces of this many degrees.
PIECE = 0.02
STRAIGHT_METRES = 500.0
# Tiles along a side of the squares that are placed before the tiles in them.
_SQUARE = 16
KINDS = "GeoJSON, KML, GeoPackage (.gpkg) or a zipped shapefile"


@dataclass(frozen=True, slots=True)
class Outline:
    """A named area."""

    name: str
    """What the user's file calls it."""
    shape: shapely.Geometry
    """Polygon or multipolygon in longitudes and latitudes."""


def read_outlines(path: Path, name_field: str | None = None) -> tuple[Outline, ...]:
    """Every polygon of a vector file, in its order.

    The name comes from `name_field`, else from the first field that is called like a name, else the features are
    numbered. Features that are no polygons are left out and counted in a warning; shapes that cross themselves are
    repaired; several features of one name stay apart.

    Raises:
        TileTableError: the file cannot be read, lacks `name_field`, holds no polygon, or lies nowhere on Earth.
    """
    source = f"/vsizip/{path}" if path.suffix.lower() == ".zip" else path
    try:
        found = gpd.read_file(source)
    except (OSError, ValueError, RuntimeError) as error:
        raise TileTableError(
            f"{path}: not a file of outlines ({' '.join(str(error).split())}); give {KINDS}"
        ) from error
    if not isinstance(found, gpd.GeoDataFrame) or found.empty:
        raise TileTableError(f"{path}: holds no shapes; give {KINDS} with polygons")
    fields = [name for name in found.columns if name != found.geometry.name]
    if name_field is not None and name_field not in fields:
        raise TileTableError(f"{path}: has no field {name_field!r}; its fields are {', '.join(fields) or 'none'}")
    field = name_field or next((name for name in NAMES if name in fields), None)
    placed = _in_degrees(path, found)
    outlines, odd = [], 0
    for number, (shape, at) in enumerate(zip(placed.geometry, found.index, strict=True), 1):
        areas = _polygons(shape)
        if areas is None:
            odd += 1
            continue
        name = None if field is None else found.loc[at, field]
        known = name is not None and name == name and str(name).strip()
        outlines.append(Outline(str(name).strip() if known else f"area {number}", areas))
    if not outlines:
        raise TileTableError(f"{path}: holds no polygon; give every area an outline that closes")
    if odd:
        log.warning("%s: %d of %d features are no polygons and are left out", path, odd, len(found))
    return tuple(outlines)


def one_outline(outlines: tuple[Outline, ...], title: str, name: str | None = None) -> Outline:
    """The outline of a name, or all of them as one area called `title`.

    Raises:
        TileTableError: no outline has the name.
    """
    if name is None:
        return outlines[0] if len(outlines) == 1 else Outline(title, shapely.union_all([one.shape for one in outlines]))
    chosen = [one.shape for one in outlines if one.name == name]
    if not chosen:
        known = ", ".join(sorted({one.name for one in outlines})[:20])
        raise TileTableError(f"{title}: has no area {name!r}; it holds {known}")
    return Outline(name, shapely.union_all(chosen))


def _in_degrees(path: Path, found: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    if found.crs is None or found.crs.is_geographic:
        placed = found.set_crs(4326) if found.crs is None else found.to_crs(4326)
    else:
        metre = found.crs.axis_info[0].unit_conversion_factor
        # Sides are straight where they were drawn.
        fine = found.set_geometry(found.geometry.force_2d().segmentize(STRAIGHT_METRES / metre))
        placed = fine.to_crs(4326)
        placed = placed.set_geometry(placed.geometry.transform(_counted_on))
    west, south, east, north = placed.total_bounds
    if not (-360 <= west <= east <= 360 and -90 <= south <= north <= 90):
        raise TileTableError(
            f"{path}: its coordinates are no longitudes and latitudes; name its coordinate reference system in the file"
        )
    return placed


def _counted_on(at: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Longitudes that count on beyond 180 where a shape lies across it."""
    if np.ptp(at[:, 0]) > 180:
        return np.column_stack([np.where(at[:, 0] < 0, at[:, 0] + 360.0, at[:, 0]), at[:, 1]])
    return at


def _polygons(shape: shapely.Geometry | None) -> shapely.Geometry | None:
    """The polygons of a shape as one valid shape, None where it has none."""
    if shape is None or shape.is_empty:
        return None
    parts = [
        part
        for part in shapely.get_parts(shapely.make_valid(shapely.force_2d(shape)))
        if part.geom_type in ("Polygon", "MultiPolygon")
    ]
    return shapely.union_all(parts) if parts and sum(part.area for part in parts) > 0 else None


def on_grid(shape: shapely.Geometry, epsg: int, reach: Bounds | None = None) -> shapely.Geometry:
    """A shape in degrees on a zone's plane, in metres.

    What lies outside `reach` is cut off: west, south, east, north in degrees, longitudes counted on from the zone's
    meridian; by default 30 degrees to either side.
    """
    meridian = epsg % 100 * 6 - 183
    near = shapely.box(*(reach or (meridian - 30.0, -89.0, meridian + 30.0, 89.0)))
    # The same ground is also named a turn of 360 degrees away.
    turned = [shapely.transform(shape, lambda at, by=by: at + np.array([by, 0.0])) for by in (-360, 0, 360)]
    inside = shapely.union_all([shapely.intersection(one, near) for one in turned])
    to_zone = Transformer.from_crs(4326, epsg, always_xy=True)
    return shapely.transform(
        shapely.segmentize(inside, PIECE), lambda at: np.column_stack(to_zone.transform(at[:, 0], at[:, 1]))
    )


def tile_shares(shape: shapely.Geometry, grid: TileGrid) -> dict[TileIndex, float]:
    """Which tiles of a zone's grid the shape touches, and the part of each that lies inside (0..1]."""
    placed = on_grid(shape, grid.epsg)
    if placed.is_empty:
        return {}
    cols, rows = grid.covering(placed.bounds)
    index = np.array([(col, row) for row in rows for col in cols], dtype=np.int64).reshape(-1, 2)
    inside = shares_of(placed, index, grid.edge)
    return {
        TileIndex(int(col), int(row)): float(share) for (col, row), share in zip(index, inside, strict=True) if share
    }


def cropped(bounds: Bounds, shape: shapely.Geometry, grid: TileGrid) -> Bounds | None:
    """The part of a scene's bounds in the whole tiles that a shape touches; None where it touches none."""
    placed = shapely.intersection(on_grid(shape, grid.epsg), shapely.box(*bounds))
    if placed.area <= 0:
        return None
    cols, rows = grid.covering(placed.bounds)
    left, bottom, right, top = (at * grid.edge for at in (cols.start, rows.start, cols.stop, rows.stop))
    return max(bounds[0], left), max(bounds[1], bottom), min(bounds[2], right), min(bounds[3], top)


def shares_of(placed: shapely.Geometry, index: npt.NDArray[np.int64], edge: float) -> npt.NDArray[np.float64]:
    """The part (n,) of every tile (n, 2: column, row) that lies inside a shape on the zone's plane."""
    shapely.prepare(placed)
    # Squares of many tiles first: most lie wholly inside or outside.
    square = index // _SQUARE
    _, first, member = np.unique(square[:, 0] << 32 | square[:, 1], return_index=True, return_inverse=True)
    around = _boxes(square[first], _SQUARE * edge)
    shares = shapely.contains(placed, around).astype(np.float64)[member]
    near = np.flatnonzero((shares == 0) & shapely.intersects(placed, around)[member])
    boxes = _boxes(index[near], edge)
    shares[near] = shapely.contains(placed, boxes)
    border = (shares[near] == 0) & shapely.intersects(placed, boxes)
    shares[near[border]] = shapely.area(shapely.intersection(placed, boxes[border])) / edge**2
    return np.asarray(shares)


def _boxes(index: npt.NDArray[np.int64], edge: float) -> npt.NDArray[np.object_]:
    low = index * edge
    return np.asarray(shapely.box(low[:, 0], low[:, 1], low[:, 0] + edge, low[:, 1] + edge), dtype=object)
