"""The absolute tile grid: 640 m cells anchored at the origin of a UTM zone.

The same ground has the same tile id at every date, in every crop and in neighbouring granules of a zone.
"""

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


class TileIndex(NamedTuple):
    """A cell of the grid: `col` counts eastward from x = 0, `row` northward from y = 0."""

    col: int
    row: int


def utm_epsg(longitude: float, latitude: float) -> int:
    """The EPSG code of the UTM zone of a place in degrees, with the exceptions of Norway and Svalbard.

    Raises:
        ValueError: the latitude lies outside UTM's 80 degrees south to 84 degrees north.
    """
    if not -80.0 <= latitude <= 84.0:
        raise ValueError(f"latitude {latitude:.2f} lies outside the UTM zones (80 S to 84 N)")
    longitude = (longitude + 180.0) % 360.0 - 180.0
    zone = int((longitude + 180.0) // 6.0) + 1
    if 56.0 <= latitude < 64.0 and 3.0 <= longitude < 12.0:
        zone = 32
    elif latitude >= 72.0 and 0.0 <= longitude < 42.0:
        zone = 31 if longitude < 9.0 else 33 if longitude < 21.0 else 35 if longitude < 33.0 else 37
    return (32600 if latitude >= 0.0 else 32700) + zone


@dataclass(frozen=True, slots=True)
class TileGrid:
    """The grid of one UTM zone. `gsd` in metres, `tile_size` in pixels.

    Raises:
        ValueError: `epsg` is not a WGS 84 / UTM zone.
    """

    epsg: int
    gsd: float = 10.0
    tile_size: int = 64

    def __post_init__(self) -> None:
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
        return f"{self.epsg}_{index[0]}_{index[1]}"

    def tile_ids(self, indices: Iterable[tuple[int, int]]) -> list[str]:
        """Ids of many tiles."""
        return [f"{self.epsg}_{col}_{row}" for col, row in indices]

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
        try:
            epsg, col, row = (int(part) for part in tile_id.split("_"))
        except ValueError:
            raise ValueError(f"{tile_id!r} is not a tile id such as 32632_625_8280") from None
        return cls(epsg), TileIndex(col, row)
