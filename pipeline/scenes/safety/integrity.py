"""Whether a file is whole: the structure of a JPEG 2000 stream, and the size and checksum that a product states."""

import hashlib
import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pipeline.errors import CorruptScene
from pipeline.scenes.safety import guard
from pipeline.scenes.safety.address import is_remote

_SOC, _SIZ, _SOT, _EOC = 0xFF4F, 0xFF51, 0xFF90, 0xFFD9
_MAX_TILES = 65_535
_CHUNK = 1 << 20
# Names in manifests (SAFE) and what Python calls them. SHA3-256 since about baseline 03.01.
_HASHES = {"MD5": "md5", "SHA3-256": "sha3_256", "SHA-256": "sha256"}


def check_structure(href: str) -> None:
    """Walks a JPEG 2000 file's boxes and tile parts to its end marker, reading headers only.

    Other formats and addresses pass.

    Decoders fill what is missing of a truncated stream with zeros, in silence; the walk finds every truncation.

    Raises:
        CorruptScene: the file ends early, or tiles are missing.
    """
    if is_remote(href) or guard.sniff(guard.read_head(href), guard.display_name(href)) != "JP2OpenJPEG":
        return
    name = guard.display_name(href)
    try:
        with opened(href) as stream:
            size = stream.seek(0, 2)
            _walk_stream(stream, *_codestream(stream, size))
    except (struct.error, _Broken) as error:
        why = str(error) if isinstance(error, _Broken) else "it ends inside a header"
        raise CorruptScene(f"{name}: a damaged JPEG 2000 file ({why}); download it again") from error
    except guard.READ_ERRORS as error:
        raise CorruptScene(f"{name}: does not read ({guard.one_line(error)}); download it again") from error


class _Broken(Exception):
    pass


@contextmanager
def opened(href: str) -> Iterator[IO[bytes]]:
    """A file or zip member for reading bytes."""
    if guard.is_zipped(href):
        archive, member = guard.split_zip(href)
        with zipfile.ZipFile(archive) as bundle, bundle.open(member) as stream:
            yield stream
    else:
        with Path(href).open("rb") as stream:
            yield stream


def _codestream(stream: IO[bytes], size: int) -> tuple[int, int]:
    """Start and end of the contiguous codestream, in its box or bare."""
    stream.seek(0)
    if _u16(stream) == _SOC:
        return 0, size
    at = 0
    while at < size:
        stream.seek(at)
        length, kind = struct.unpack(">I4s", stream.read(8))
        header = 8
        if length == 1:
            (length,) = struct.unpack(">Q", stream.read(8))
            header = 16
        end = size if length == 0 else at + length
        if length and length < header:
            raise _Broken("a box shorter than its header")
        if end > size:
            raise _Broken(f"{end - size} bytes are missing at its end")
        if kind == b"jp2c":
            return at + header, end
        at = end
    raise _Broken("it holds no image")


def _walk_stream(stream: IO[bytes], start: int, end: int) -> None:
    """Follows main header, tile parts and end marker of a codestream."""
    at, tiles = _main_header(stream, start, end)
    seen: dict[int, int] = {}
    expected: dict[int, int] = {}
    while True:
        stream.seek(at)
        marker = _u16(stream)
        if marker == _EOC:
            break
        if marker != _SOT:
            raise _Broken(f"no tile part at byte {at}")
        _, tile, length, _, parts = struct.unpack(">HHIBB", stream.read(10))
        seen[tile] = seen.get(tile, 0) + 1
        if parts:
            expected[tile] = parts
        if length == 0:  # the last tile part may run to the end marker
            at = end - 2
            continue
        at += length
        if length < 14 or at + 2 > end:
            raise _Broken(f"tile {tile} ends {at + 2 - end} bytes behind the end of the file")
    missing = tiles - len(seen)
    if missing or any(seen[tile] != parts for tile, parts in expected.items()):
        raise _Broken(f"{missing} of {tiles} tiles are missing" if missing else "parts of a tile are missing")


def _main_header(stream: IO[bytes], start: int, end: int) -> tuple[int, int]:
    """Where the first tile part starts, and how many tiles the image has."""
    stream.seek(start)
    if _u16(stream) != _SOC:
        raise _Broken("no image where its box says")
    at, tiles = start + 2, 0
    while at < end:
        stream.seek(at)
        marker = _u16(stream)
        if marker == _SOT:
            return at, tiles
        if marker < 0xFF00:
            raise _Broken("its main header is damaged")
        length = _u16(stream)
        if marker == _SIZ:
            _, width, height, _, _, tile_width, tile_height, tile_left, tile_top = struct.unpack(
                ">H8I", stream.read(34)
            )
            if not (tile_width and tile_height):
                raise _Broken("its tiles have no size")
            tiles = -(-(width - tile_left) // tile_width) * -(-(height - tile_top) // tile_height)
            if not 0 < tiles <= _MAX_TILES:
                raise _Broken(f"it declares {tiles} tiles")
        at += 2 + length
    raise _Broken("it ends in its main header")


def _u16(stream: IO[bytes]) -> int:
    (value,) = struct.unpack(">H", stream.read(2))
    return int(value)


def check_sum(href: str, checksum: str) -> None:
    """Compares a file's bytes with a checksum such as `MD5:ec12...`; kinds that are not known pass.

    Raises:
        CorruptScene: they differ.
    """
    kind, _, expected = checksum.partition(":")
    name = guard.display_name(href)
    if kind.upper() not in _HASHES:
        return
    digest = hashlib.new(_HASHES[kind.upper()], usedforsecurity=False)
    try:
        with opened(href) as stream:
            while chunk := stream.read(_CHUNK):
                digest.update(chunk)
    except guard.READ_ERRORS as error:
        raise CorruptScene(f"{name}: does not read ({guard.one_line(error)}); download it again") from error
    if digest.hexdigest().lower() != expected.lower():
        raise CorruptScene(f"{name}: its {kind} differs from the product's manifest; download it again")
