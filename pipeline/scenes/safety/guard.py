"""What makes a file safe to open: magic bytes, pinned drivers, no side files, no network, limits, hardened XML."""

import os
import threading
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError

import defusedxml.ElementTree as safe_xml
import rasterio
from defusedxml import DefusedXmlException
from rasterio._err import CPLE_BaseError
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from pipeline.errors import CorruptScene, NotAScene, UnsafeInput
from pipeline.scenes.safety import address

# One decoding thread: with more, GDAL returns zeros or another scene's pixels for a truncated JP2 instead of an error.
# EMPTY_DIR and PAM off: .ovr, .msk, .aux.xml and world files beside a good raster can redirect or misplace it.
GDAL_OPTIONS: dict[str, str | int] = {
    "GDAL_NUM_THREADS": "1",
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_PAM_ENABLED": "NO",
    "GDAL_GEOREF_SOURCES": "INTERNAL",
    "CPL_VSIL_CURL_ALLOWED_EXTENSIONS": ".none",
    "CPL_VSIL_CURL_ALLOWED_FILENAME": "/vsicurl/none",
    "GDAL_CACHEMAX": 192 << 20,
}

MAX_SIDE = 25_000
MAX_COUNT = 32
MAX_BLOCK_BYTES = 1 << 30
MAX_TEXT_BYTES = 64 << 20
DTYPES = ("uint8", "uint16", "int16", "uint32", "int32", "float32", "float64")

RASTER_SUFFIXES = (".tif", ".tiff", ".jp2", ".j2k")
_MAGIC = {
    b"II*\0": "GTiff",
    b"MM\0*": "GTiff",
    b"II+\0": "GTiff",
    b"MM\0+": "GTiff",
    b"\0\0\0\x0cjP  \r\n\x87\n": "JP2OpenJPEG",
    b"\xff\x4f\xff\x51": "JP2OpenJPEG",  # a bare codestream
}
MAGIC_BYTES = 12
_ZIP = "/vsizip/"
# What a damaged file or zip member makes Python's own readers raise.
READ_ERRORS = (
    OSError,
    EOFError,
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    RuntimeError,
    NotImplementedError,
    ValueError,
    KeyError,
)
# GDAL's errors reach Python as RasterioError, or raw where rasterio wraps a property and not an opening.
RASTER_ERRORS = (RasterioError, CPLE_BaseError, ValueError, UnicodeError, OverflowError)
# Python's warning filters belong to the process, so threads take turns while they are changed.
_OPENING = threading.Lock()


def environment() -> rasterio.Env:
    """GDAL's settings for reading untrusted files; they override the caller's environment."""
    return rasterio.Env(**GDAL_OPTIONS)


@contextmanager
def block_cache(size: int) -> Iterator[None]:
    """Within, files that are opened may fill GDAL's cache of decoded blocks up to `size` bytes.

    The cache is the whole process's.
    """
    usual, GDAL_OPTIONS["GDAL_CACHEMAX"] = GDAL_OPTIONS["GDAL_CACHEMAX"], size
    try:
        yield
    finally:
        GDAL_OPTIONS["GDAL_CACHEMAX"] = usual


def sniff(head: bytes, name: str) -> str:
    """The GDAL driver that the first bytes of a file ask for.

    Raises:
        CorruptScene: the file is empty.
        UnsafeInput: the file is XML under a raster's name, such as a VRT that reads other files.
        NotAScene: the bytes belong to no raster format that is read here.
    """
    for magic, driver in _MAGIC.items():
        if head.startswith(magic):
            return driver
    if not head.strip(b"\0"):
        raise CorruptScene(f"{name}: the file is empty or starts with zeros; download it again")
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        raise UnsafeInput(
            f"{name}: XML under a raster's name (a VRT or web service can read other files); convert it to GeoTIFF "
            f"or JPEG 2000"
        )
    raise NotAScene(f"{name}: neither GeoTIFF nor JPEG 2000 by its first bytes; remove it or convert it")


def zip_href(archive: Path, member: str) -> str:
    """GDAL's path of a zip's member; the braces take any file name, such as `X.SAFE (1).zip`."""
    return f"{_ZIP}{{{archive}}}/{member}"


def is_zipped(href: str) -> bool:
    """Whether an address is a zip's member."""
    return href.startswith(_ZIP)


def split_zip(href: str) -> tuple[str, str]:
    """The archive and the member that `zip_href` joined."""
    archive, _, member = href.removeprefix(_ZIP + "{").rpartition("}/")
    return archive, member


def read_head(href: str, size: int = MAGIC_BYTES) -> bytes:
    """The first bytes of a file, zip member or address."""
    if address.is_remote(href):
        return address.begin(href)[1][:size]
    if is_zipped(href):
        archive, member = split_zip(href)
        with zipfile.ZipFile(archive) as bundle, bundle.open(member) as stream:
            return stream.read(size)
    with Path(href).open("rb") as stream:
        return stream.read(size)


def open_raster(href: str) -> rasterio.DatasetReader:
    """Opens a raster by path or `zip_href` inside `environment()`, with the driver that its first bytes ask for.

    Raises:
        NotAScene, UnsafeInput, CorruptScene: the file is no raster, beyond the limits, or does not open.
    """
    name = display_name(href)
    try:
        driver = sniff(read_head(href), name)
        path = href if href.startswith(_ZIP) else os.path.abspath(href)  # noqa: PTH100  (a relative `http:x.tif` is a URL to GDAL)
        with _OPENING, warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)  # its place may come from the product's metadata
            dataset = rasterio.open(path, driver=driver)
    except (*RASTER_ERRORS, *READ_ERRORS) as error:
        raise CorruptScene(f"{name}: does not open ({one_line(error)}); download it again") from error
    try:
        _check_limits(dataset, name)
    except UnsafeInput:
        dataset.close()
        raise
    return dataset


def _check_limits(dataset: rasterio.DatasetReader, name: str) -> None:
    if max(dataset.shape) > MAX_SIDE or dataset.count > MAX_COUNT:
        raise UnsafeInput(
            f"{name}: {dataset.width} x {dataset.height} pixels and {dataset.count} bands exceed {MAX_SIDE} x "
            f"{MAX_SIDE} "
            f"and {MAX_COUNT}; cut it into smaller files"
        )
    if unknown := sorted(set(dataset.dtypes) - set(DTYPES)):
        raise UnsafeInput(f"{name}: pixels of type {', '.join(unknown)} are not read; convert them to uint16")
    height, width = dataset.block_shapes[0]
    if height * width * 8 * dataset.count > 4 * MAX_BLOCK_BYTES:
        raise UnsafeInput(f"{name}: one block holds {height} x {width} pixels; rewrite the file with smaller blocks")


def parse_xml(data: bytes, name: str) -> Element:
    """The root of an XML document without entities or a document type.

    Raises:
        UnsafeInput: it declares entities or a document type, or is too large.
        CorruptScene: it is not well-formed.
    """
    if len(data) > MAX_TEXT_BYTES:
        raise UnsafeInput(f"{name}: {len(data)} bytes of XML are too many; download the product again")
    try:
        root: Element = safe_xml.fromstring(data, forbid_dtd=True)
    except DefusedXmlException as error:
        raise UnsafeInput(
            f"{name}: hostile XML ({type(error).__name__}); download the product again from its source"
        ) from error
    except (ParseError, ValueError, LookupError) as error:
        raise CorruptScene(f"{name}: broken XML ({one_line(error)}); download the product again") from error
    return root


def display_name(href: str) -> str:
    """The last two parts of a path, printable in one line, for messages; of an address nothing that signs it."""
    if address.is_remote(href):
        href = address.redacted(href).removesuffix("?...")
    parts = href.removeprefix("/vsizip/").replace("{", "").replace("}", "").rstrip("/").split("/")
    return printable("/".join(parts[-2:]))


def remedy(href: str) -> str:
    """What to do about a file that does not read."""
    return "run again, or download the file" if address.is_remote(href) else "download it again"


def printable(text: str) -> str:
    """Text with control characters and undecodable bytes replaced, so that it fits in one line of any log."""
    return text if text.isprintable() else "".join(char if char.isprintable() else "?" for char in text)


def one_line(error: BaseException) -> str:
    """An exception's text in one line of at most 200 characters."""
    return printable(" ".join(str(error).split()))[:200]
