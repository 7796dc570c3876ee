"""The other raster: opened with care, and its codes brought onto the tile grid."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import rasterio
from rasterio.crs import CRS
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform_bounds

from pipeline.errors import ReferenceMapError, TileTableError
from pipeline.grid import TileGrid, TileIndex
from pipeline.legend import COVER_STATE_LABELS, STATE_LABELS
from pipeline.results.class_raster import read_class_names

# What stands for no class where labels are numbered from 0, and for a code that nothing explains.
NOTHING, UNKNOWN = -1, -2
# Pixels by which a place may be wrong: with the usual eighth, a pixel's answer would depend on what is read beside it.
_EXACT = 1e-6
# What maps of this software call a tile or a pixel without a class.
_STATES = {*STATE_LABELS.values(), *COVER_STATE_LABELS.values()}

# Codes that lie closer together than this are looked up in a table.
_TABLE = 1 << 17
_SMALL = ("uint8", "int8", "uint16", "int16", "int32")

Numbers = npt.NDArray[np.signedinteger]


@dataclass(frozen=True, slots=True)
class ReferenceMap:
    """A raster of codes, and what they mean."""

    path: Path
    """The file."""
    codes: Mapping[int, str]
    """The label of every code; an empty one is no data."""

    @classmethod
    def opened(cls, path: Path, codes: Mapping[int, str] | None) -> "ReferenceMap":
        """The raster in a file; without `codes` its own tags tell them, as those of maps of this software do.

        Raises:
            ReferenceMapError: it is no GeoTIFF of whole numbers with a place on Earth, or does not tell its codes.
        """
        with _raster(path) as raster:
            if raster.crs is None or raster.transform.is_identity:
                raise ReferenceMapError(
                    f"{path}: has no coordinate reference system; write it into the file, for example with "
                    f"gdal_edit.py -a_srs EPSG:3035"
                )
            if np.dtype(raster.dtypes[0]).kind not in "iu":
                raise ReferenceMapError(
                    f"{path}: holds {raster.dtypes[0]} and no whole numbers; take a raster of class codes"
                )
        if codes is None:
            try:
                codes = {code: "" if name in _STATES else name for code, name in read_class_names(path).items()}
            except TileTableError as error:
                raise ReferenceMapError(str(error)) from error
        if not codes:
            raise ReferenceMapError(
                f"{path}: does not tell what its codes mean; give --legend worldcover or corine1 for these maps, or "
                f"--reference-legend FILE.csv with the columns code and label"
            )
        return cls(path, codes)

    def labels(self) -> tuple[str, ...]:
        """The labels of all codes, in order of codes."""
        return tuple(dict.fromkeys(label for _, label in sorted(self.codes.items()) if label))

    def numbered(self, grid: TileGrid, cols: range, rows: range, labels: Sequence[str]) -> tuple[Numbers, Numbers]:
        """The places among `labels` (y, x) of the codes on a rectangle of tiles, and the codes themselves.

        The nearest pixel counts. `NOTHING` has no class there, `UNKNOWN` is a code that nothing explains.

        Raises:
            ReferenceMapError: the raster cannot be read.
        """
        codes, known = self._codes(grid, cols, rows)
        place = {label: at for at, label in enumerate(labels)}
        numbers = {code: place.get(label, NOTHING) for code, label in self.codes.items()}
        lowest, highest = int(codes.min()), int(codes.max())
        if highest - lowest < _TABLE:
            table = np.full(highest - lowest + 1, UNKNOWN, np.int32)
            for code in numbers.keys() & set(range(lowest, highest + 1)):
                table[code - lowest] = numbers[code]
            found = np.take(table, codes - lowest)
        else:
            present, at = np.unique(codes, return_inverse=True)
            found = np.array([numbers.get(code, UNKNOWN) for code in present.tolist()], np.int32)[at]
        found[~known] = NOTHING
        return found, codes

    def _codes(self, grid: TileGrid, cols: range, rows: range) -> tuple[Numbers, npt.NDArray[np.bool_]]:
        size = grid.tile_size
        place = {
            "crs": CRS.from_epsg(grid.epsg),
            "transform": grid.transform(TileIndex(cols.start, rows.stop - 1)),
            "width": len(cols) * size,
            "height": len(rows) * size,
        }
        with (
            _raster(self.path) as raster,
            WarpedVRT(raster, resampling=Resampling.nearest, add_alpha=True, tolerance=_EXACT, **place) as moved,
        ):
            return moved.read(1).astype(np.int32 if moved.dtypes[0] in _SMALL else np.int64), np.asarray(
                moved.read(moved.count) > 0
            )

    def degrees(self) -> str:
        """What it spans, for people."""
        with _raster(self.path) as raster:
            west, south, east, north = transform_bounds(raster.crs, 4326, *raster.bounds)
        return f"{west:.3f} to {east:.3f} degrees east and {south:.3f} to {north:.3f} north"


@contextmanager
def _raster(path: Path) -> Iterator[Any]:
    try:
        with rasterio.open(path, driver="GTiff") as raster:
            yield raster
    except RasterioError as error:
        raise ReferenceMapError(
            f"{path}: cannot be read ({' '.join(str(error).split())}); give a whole GeoTIFF of class codes"
        ) from error
