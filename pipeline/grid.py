"""The absolute tile grid: square cells anchored at the origin of a UTM zone, usually 64 pixels of 10 m.

The same ground has the same tile id at every date, in every crop and in neighbouring granules of a zone. The ids of
another grid say which: pixels along a tile's side, then metres a pixel.

>>> TileGrid(32632).tile_id(TileIndex(625, 8280))
'32632_625_8280'
>>> TileGrid(32632, gsd=0.3, tile_size=256).tile_id(TileIndex(5208, 69000))
'32632_5208_69000_256x0.3m'
>>> TileGrid.parse_id("32632_5208_69000_256x0.3m")
(TileGrid(epsg=32632, gsd=0.3, tile_size=256), TileIndex(col=5208, row=69000))
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from math import ceil, floor
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
import shapely
from affine import Affine
from pyproj import CRS

Bounds = tuple[float, float, float, float]

# Bounds computed in floating point may miss a cell edge by rounding; a hundredth of a millimetre is no overlap.
_TOLERANCE = 1e-5
_USUAL_GSD, _USUAL_SIZE = 10.0, 64
_TILE_ID = re.compile(
    r"(?P<epsg>\d{5})_(?P<col>-?\d{1,9})_(?P<row>-?\d{1,9})(?:_(?P<size>\d{1,5})x(?P<gsd>[\d.e+-]{1,12})m)?", re.ASCII
)


class TileIndex(NamedTuple):
    """A cell of the grid."""

    col: int
    """Counts eastward from x = 0."""
    row: int
    """Counts northward from y = 0."""


def utm_epsg(longitude: float, latitude: float) -> int:
    """The EPSG code of the UTM zone of a place in degrees, with the exceptions of Norway and Svalbard.

    Raises:
        ValueError: the latitude lies outside UTM's 80 degrees south to 84 degrees north.
    """
    if not -80.0 <= latitude <= 84.0:
        raise ValueError(f"latitude {latitude:.2f} lies outside the UTM zones (80 S to 84 N)")
    return int(utm_epsgs(np.array([longitude]), np.array([latitude]))[0])


def utm_epsgs(longitudes: npt.NDArray[np.floating], latitudes: npt.NDArray[np.floating]) -> npt.NDArray[np.int64]:
    """What `utm_epsg` says of n places, whose latitudes must be those of UTM."""
    longitude = (longitudes + 180.0) % 360.0 - 180.0
    zone = ((longitude + 180.0) // 6.0).astype(np.int64) + 1
    zone[(latitudes >= 56.0) & (latitudes < 64.0) & (longitude >= 3.0) & (longitude < 12.0)] = 32
    svalbard = (latitudes >= 72.0) & (longitude >= 0.0) & (longitude < 42.0)
    zone[svalbard] = 31 + 2 * np.digitize(longitude[svalbard], (9.0, 21.0, 33.0))
    return np.where(latitudes >= 0.0, 32600, 32700) + zone


@dataclass(frozen=True, slots=True)
class TileGrid:
    """The grid of one UTM zone.

    Raises:
        ValueError: `epsg` is not a WGS 84 / UTM zone, or the tiles have no size that an id can tell.
    """

    epsg: int
    """The zone's EPSG code."""
    gsd: float = _USUAL_GSD
    """Metres per pixel, at most six digits."""
    tile_size: int = _USUAL_SIZE
    """Pixels along a tile's side."""

    def __post_init__(self) -> None:
        if self.tile_size < 1 or not self.gsd > 0 or float(f"{self.gsd:g}") != self.gsd:
            raise ValueError(
                f"{self.tile_size} pixels of {self.gsd} m make no tile; give metres with at most six digits"
            )
        if not (32601 <= self.epsg <= 32660 or 32701 <= self.epsg <= 32760):
            raise ValueError(f"EPSG:{self.epsg} is not a WGS 84 / UTM zone")

    @property
    def edge(self) -> float:
        """Length of a tile's side in metres."""
        return self.gsd * self.tile_size

    @property
    def hectares(self) -> float:
        """Area of a tile on the map plane in hectares."""
        return self.edge**2 / 10_000.0

    @property
    def crs(self) -> CRS:
        """The zone's coordinate reference system."""
        return CRS.from_epsg(self.epsg)

    def covering(self, bounds: Bounds) -> tuple[range, range]:
        """Columns and rows of every tile that shares area with `bounds` (left, bottom, right, top; metres)."""
        left, bottom, right, top = (value / self.edge for value in bounds)
        tolerance = _TOLERANCE / self.edge
        return (
            range(floor(left + tolerance), ceil(right - tolerance)),
            range(floor(bottom + tolerance), ceil(top - tolerance)),
        )

    def bounds(self, index: TileIndex) -> Bounds:
        """Left, bottom, right, top of a tile in metres."""
        col, row = index
        return col * self.edge, row * self.edge, (col + 1) * self.edge, (row + 1) * self.edge

    def transform(self, index: TileIndex) -> Affine:
        """Pixel to map transform of a tile; y runs down from its north edge."""
        left, _, _, top = self.bounds(index)
        return Affine(self.gsd, 0.0, left, 0.0, -self.gsd, top)

    def tile_id(self, index: TileIndex) -> str:
        """The tile's id, such as `32632_625_8280`."""
        return f"{self.epsg}_{index[0]}_{index[1]}{self.mark}"

    def tile_ids(self, indices: Iterable[tuple[int, int]]) -> list[str]:
        """Ids of many tiles."""
        mark = self.mark
        return [f"{self.epsg}_{col}_{row}{mark}" for col, row in indices]

    @property
    def mark(self) -> str:
        """What ends the ids of all grids but the usual one."""
        usual = (self.gsd, self.tile_size) == (_USUAL_GSD, _USUAL_SIZE)
        return "" if usual else f"_{self.tile_size}x{self.gsd:g}m"

    def polygons(self, indices: npt.NDArray[np.int64]) -> npt.NDArray[np.object_]:
        """Tile squares in the zone's CRS for an (n, 2) array of columns and rows."""
        corner = np.asarray(indices, dtype=float).reshape(-1, 2) * self.edge
        return np.asarray(
            shapely.box(corner[:, 0], corner[:, 1], corner[:, 0] + self.edge, corner[:, 1] + self.edge), dtype=object
        )

    @classmethod
    def parse_id(cls, tile_id: str) -> tuple[Self, TileIndex]:
        """The grid and the index that a tile id names.

        Raises:
            ValueError: the text is not a tile id.
        """
        found = _TILE_ID.fullmatch(tile_id)
        if found is None:
            raise ValueError(f"{tile_id!r} is not a tile id such as 32632_625_8280")
        epsg, col, row = (int(found[part]) for part in ("epsg", "col", "row"))
        grid = cls(epsg, float(found["gsd"]), int(found["size"])) if found["size"] else cls(epsg)
        if grid.tile_id(TileIndex(col, row)) != tile_id:
            raise ValueError(f"{tile_id!r} is not a tile id such as 32632_625_8280")
        return grid, TileIndex(col, row)
