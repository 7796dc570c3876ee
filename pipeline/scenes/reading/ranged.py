"""Tiled GeoTIFFs at an address.

The blocks that a window needs are fetched into a local file with holes, which GDAL reads.

GDAL itself stays off the network, and sees a block only when all of it is here.
"""

import struct
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import rasterio
from affine import Affine
from rasterio.windows import Window

from pipeline.errors import CorruptScene, NotAScene
from pipeline.scenes.safety import guard
from pipeline.scenes.safety.address import Remote, RemoteError, base_name, begin, fetch_range, is_remote

# Bytes of TIFF's field types, by their number (TIFF 6.0, BigTIFF).
_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_INTEGERS = {1: "u1", 3: "u2", 4: "u4", 16: "u8"}
_WIDTH, _HEIGHT, _SAMPLES, _PLANES, _TILE_WIDTH, _TILE_HEIGHT, _OFFSETS, _COUNTS = (
    256,
    257,
    277,
    284,
    322,
    323,
    324,
    325,
)
# The field that tells an overview (1) or a mask (4) from the image.
_KIND, _MASK = 254, 4
_MAX_DIRECTORIES = 64
# Holes up to this size are fetched along, and no request asks for more than that.
_SMALL_GAP = 64 << 10
_LARGEST = 16 << 20


@dataclass(frozen=True, slots=True)
class _Blocks:
    """Where a TIFF's first image keeps its blocks.

    Their size in pixels, how many there are, start and length in bytes of each (band, y, x).
    """

    height: int
    width: int
    starts: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]

    def of(self, indexes: Sequence[int], window: Window) -> list[tuple[int, int]]:
        """Start and end in bytes of the blocks that hold a window of these bands (from 1)."""
        rows = slice(window.row_off // self.height, -(-(window.row_off + window.height) // self.height))
        columns = slice(window.col_off // self.width, -(-(window.col_off + window.width) // self.width))
        planes = [index - 1 for index in indexes] if len(self.starts) > 1 else [0]
        starts, lengths = (table[planes, rows, columns].ravel().tolist() for table in (self.starts, self.lengths))
        return sorted((start, start + length) for start, length in zip(starts, lengths, strict=True) if length)


def _blocks(head: bytes) -> _Blocks | None:
    """The blocks of a tiled TIFF, from its first bytes.

    None where they do not hold all its directories, or it has no tiles.
    """
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    try:
        if order is None or not (directories := _directories(head, order)):
            return None
        first = directories[0]
        if any(int(fields[_KIND][0]) & _MASK for fields in directories if _KIND in fields):
            return None  # the blocks of its mask are not followed
        shape = [int(first[tag][0]) for tag in (_HEIGHT, _WIDTH, _TILE_HEIGHT, _TILE_WIDTH)]
        planes = int(first[_SAMPLES][0]) if _PLANES in first and first[_PLANES][0] == 2 else 1
        grid = planes, -(-shape[0] // shape[2]), -(-shape[1] // shape[3])
        return _Blocks(
            shape[2],
            shape[3],
            first[_OFFSETS].astype(np.int64).reshape(grid),
            first[_COUNTS].astype(np.int64).reshape(grid),
        )
    except (struct.error, KeyError, IndexError, ValueError, ZeroDivisionError):
        return None


def _directories(head: bytes, order: str) -> list[dict[int, npt.NDArray[Any]]]:
    """The integer fields of every directory; none at all where a directory or a field lies behind the first bytes."""
    big = struct.unpack_from(f"{order}H", head, 2)[0] == 43
    count_of, entry, value, jump = ("Q", "HHQ", 12, "Q") if big else ("H", "HHI", 8, "I")
    (at,) = struct.unpack_from(f"{order}{jump}", head, 8 if big else 4)
    found: list[dict[int, npt.NDArray[Any]]] = []
    while at and len(found) < _MAX_DIRECTORIES:
        (entries,) = struct.unpack_from(f"{order}{count_of}", head, at)
        at += struct.calcsize(f"{order}{count_of}")
        fields: dict[int, npt.NDArray[Any]] = {}
        for _ in range(entries):
            tag, kind, count = struct.unpack_from(f"{order}{entry}", head, at)
            size, inline = _TYPE_BYTES[kind] * count, struct.calcsize(jump)
            start = at + value if size <= inline else struct.unpack_from(f"{order}{jump}", head, at + value)[0]
            if start + size > len(head):
                return []
            if kind in _INTEGERS:
                fields[tag] = np.frombuffer(head, f"{order}{_INTEGERS[kind]}", count, start)
            at += value + inline
        found.append(fields)
        (at,) = struct.unpack_from(f"{order}{jump}", head, at)
    return found


def ranged(href: str) -> Remote | None:
    """What is known of a file that can be read by its blocks.

    A tiled TIFF with its directories in front, on a server that gives parts.

    Raises:
        RemoteError: the server does not give the file at all.
    """
    remote, head = begin(href)
    return remote if remote is not None and _blocks(head) is not None else None


class RangedRaster:
    """A raster at an address, as far as a `SceneReader` needs a dataset; a context manager.

    Raises:
        NotAScene, UnsafeInput, CorruptScene: as `guard.open_raster`.
        RemoteError: the server gives no parts of the file, or fails.
    """

    def __init__(self, href: str) -> None:
        self._stack = ExitStack()
        found, head = begin(href)
        blocks = _blocks(head)
        if found is None or blocks is None:
            raise NotAScene(
                f"{guard.display_name(href)}: no tiled GeoTIFF that its server gives by parts; download the file"
            )
        self._remote, self._blocks, self._here = found, blocks, set[tuple[int, int]]()
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="landcover-")))
        self._path = folder / (base_name(href) or "raster.tif")
        with self._path.open("wb") as target:
            target.write(head)
            target.truncate(found.size)
        self.header = self._open()

    def _open(self) -> rasterio.DatasetReader:
        try:
            return guard.open_raster(str(self._path))
        except BaseException:
            self._stack.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.header.close()
        self._stack.close()

    @property
    def crs(self) -> rasterio.CRS | None:
        """The raster's coordinate system."""
        return self.header.crs

    @property
    def transform(self) -> Affine:
        """From pixels to map coordinates."""
        found: Affine = self.header.transform
        return found

    @property
    def width(self) -> int:
        """Pixels from west to east."""
        return int(self.header.width)

    @property
    def height(self) -> int:
        """Pixels from north to south."""
        return int(self.header.height)

    @property
    def dtypes(self) -> tuple[str, ...]:
        """Type of each band's numbers."""
        return tuple(self.header.dtypes)

    @property
    def fetched(self) -> int:
        """Bytes of the blocks that are here."""
        return sum(end - start for start, end in self._here)

    def read(self, indexes: Sequence[int], window: Window) -> npt.NDArray[Any]:
        """Bands (band, y, x) of a window within the raster.

        Raises:
            RemoteError: the server does not give the blocks.
            RasterioError: they do not decode.
        """
        self._fetch(self._blocks.of(indexes, window))
        found: npt.NDArray[Any] = self.header.read(indexes, window=window)
        return found

    def whole(self) -> rasterio.DatasetReader:
        """The dataset with all its blocks here, for reading that cannot tell what it needs.

        Raises:
            RemoteError: the server does not give the blocks.
        """
        self._fetch(self._blocks.of(range(1, len(self._blocks.starts) + 1), Window(0, 0, self.width, self.height)))
        return self.header

    def _fetch(self, wanted: list[tuple[int, int]]) -> None:
        missing = [block for block in wanted if block not in self._here]
        if not missing:
            return
        if missing[-1][1] > self._remote.size:
            raise RemoteError(f"the file ends {missing[-1][1] - self._remote.size} bytes before its last block")
        with self._path.open("r+b") as target:
            for start, end in _joined(missing):
                target.seek(start)
                target.write(fetch_range(self._remote, start, end))
        self._here.update(missing)
        # GDAL's file buffer may hold the hole that was there before.
        self.header.close()
        self.header = self._open()


def _joined(blocks: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Neighbouring pieces of a file as one, so that few requests fetch them."""
    start, end = blocks[0]
    for left, right in blocks[1:]:
        if left - end > _SMALL_GAP or right - start > _LARGEST:
            yield start, end
            start, end = left, right
        else:
            end = max(end, right)
    yield start, end


@contextmanager
def open_header(href: str) -> Iterator[rasterio.DatasetReader]:
    """A raster of whose pixels nothing will be read, at a path or an address.

    Raises:
        NotAScene, UnsafeInput, CorruptScene: as `guard.open_raster`.
        CorruptScene: a server does not give the file.
    """
    if not is_remote(href):
        with guard.open_raster(href) as dataset:
            yield dataset
        return
    try:
        raster = RangedRaster(href)
    except guard.READ_ERRORS as error:
        raise CorruptScene(
            f"{guard.display_name(href)}: does not open ({guard.one_line(error)}); {guard.remedy(href)}"
        ) from error
    with raster:
        yield raster.header
