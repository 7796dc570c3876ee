"""STAC catalogues.

Searching an API, downloading an Item's files so that a cut line or a second call goes on where it stopped.
"""

import hashlib
import json
import logging
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urljoin, urlsplit

from pipeline.errors import CorruptScene, NotAScene, OutputError, PipelineError, UnsafeInput
from pipeline.scenes.finding.names import band_name, safe_id
from pipeline.scenes.finding.stac import read_item
from pipeline.scenes.reading.ranged import ranged
from pipeline.scenes.safety.address import SCHEMES, Remote, RemoteError, ask, base_name, explained, redacted
from pipeline.scenes.safety.guard import RASTER_SUFFIXES, printable

ITEM = "item.json"
_TRIES = 4
_CHUNK = 1 << 20
_PAGE = 100
_MAX_ANSWER = 64 << 20
# Multihash prefixes (code and length) of `file:checksum`, the STAC file extension's field.
_HASHES = {"1220": "sha256", "1340": "sha512", "1620": "sha3_256", "d50110": "md5", "1114": "sha1"}

Progress = Callable[[int], None]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Query:
    """What to look for.

    `bbox` in degrees (west, south, east, north), `dates` as `2024-06-01/2024-08-31`, cloud in percent.
    """

    bbox: tuple[float, float, float, float]
    dates: str
    collection: str = "sentinel-2-l2a"
    max_cloud: float | None = None
    limit: int = 100


def search(api: str, query: Query) -> Iterator[Mapping[str, Any]]:
    """Items of a STAC API, page by page; clouded ones are left out here, since not every API filters.

    Raises:
        NotAScene: the API does not answer, or not with Items.
    """
    first, _, last = query.dates.partition("/")
    body: dict[str, Any] | None = {
        "bbox": list(query.bbox),
        "datetime": f"{_moment(first, 'T00:00:00Z')}/{_moment(last or first, 'T23:59:59Z')}",
        "collections": [query.collection],
        "limit": min(query.limit, _PAGE),
    }
    url, left = f"{api.rstrip('/')}/search", query.limit
    while left > 0:
        page = _json(url, body)
        for item in page.get("features") or []:
            cloud = item.get("properties", {}).get("eo:cloud_cover")
            if query.max_cloud is not None and (cloud is None or cloud > query.max_cloud):
                continue
            yield item
            left -= 1
            if not left:
                return
        follow = next((link for link in page.get("links") or [] if link.get("rel") == "next"), None)
        if follow is None:
            return
        again = follow.get("body") or {}
        url = urljoin(url, follow["href"])
        body = (
            None
            if follow.get("method", "GET").upper() == "GET"
            else {**(body or {}), **again}
            if follow.get("merge")
            else again
        )


def _moment(date: str, clock: str) -> str:
    return date if "T" in date or date in ("", "..") else date + clock


def bands_of(key: str, asset: Mapping[str, Any]) -> set[str]:
    """The bands that an asset holds, by its key and its `bands` or `eo:bands`."""
    entries = [entry for field in ("bands", "eo:bands") for entry in asset.get(field) or [] if isinstance(entry, dict)]
    texts = [
        key,
        key.split("-")[0],
        *(entry.get(field) for entry in entries for field in ("name", "eo:common_name", "common_name")),
    ]
    return {band for text in texts if isinstance(text, str) and (band := band_name(text))}


def wanted(item: Mapping[str, Any], bands: Sequence[str]) -> dict[str, str]:
    """Asset keys and addresses of the files that hold the bands and the cloud mask, GeoTIFF before JPEG 2000.

    Raises:
        NotAScene: a band is missing.
    """
    found: dict[str, tuple[str, str]] = {}
    for key, asset in item["assets"].items():
        href = asset.get("href") if isinstance(asset, dict) else None
        if not isinstance(href, str) or set(asset.get("roles") or []) & {"thumbnail", "overview", "metadata"}:
            continue
        for band in bands_of(key, asset) & {*bands, "SCL"}:
            if band not in found or (
                _suffix(href).startswith(".tif") and not _suffix(found[band][1]).startswith(".tif")
            ):
                found[band] = key, href
    if missing := [band for band in bands if band not in found]:
        raise NotAScene(
            f"{printable(str(item['id']))}: its Item names no file for {', '.join(missing)}; choose another "
            f"--collection"
        )
    return dict(found.values())


def _suffix(href: str) -> str:
    return PurePosixPath(urlsplit(href).path).suffix.lower()


def download_item(
    item: Mapping[str, Any], folder: Path, bands: Sequence[str], base: str = "", progress: Progress = lambda _: None
) -> Path:
    """The folder `folder`/<id> with an Item and its files of the bands and the cloud mask; finished files are kept.

    Relative addresses count from `base`.

    Raises:
        NotAScene, UnsafeInput, CorruptScene, OutputError: see `wanted` and `fetch`.
    """
    absolute, place = _absolute(item, base), folder / safe_id(str(item["id"]))
    for key, href in wanted(absolute, bands).items():
        fetch(href, place / file_name(href), absolute["assets"][key].get("file:checksum"), progress)
    _write_item(absolute, place)  # last: a folder with an Item is complete
    return place


def _absolute(item: Mapping[str, Any], base: str) -> dict[str, Any]:
    assets = {
        key: {**asset, "href": urljoin(base, asset["href"])}
        for key, asset in item["assets"].items()
        if isinstance(asset, dict) and "href" in asset
    }
    return {**item, "assets": assets}


def _write_item(item: Mapping[str, Any], place: Path) -> None:
    """Keeps an Item without what signs its addresses: a signature opens files to anyone, and soon to no one."""
    assets = {
        key: {**asset, "href": redacted(asset["href"]).removesuffix("?...")} for key, asset in item["assets"].items()
    }
    links = [
        {**link, "href": redacted(str(link["href"]))}
        for link in item.get("links") or []
        if isinstance(link, dict) and "href" in link
    ]
    part = place / f".{ITEM}.part"
    try:
        place.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps({**item, "links": links, "assets": assets}, indent=1), encoding="utf-8")
        part.replace(place / ITEM)
    except OSError as error:
        raise _unwritable(place, error) from error


def by_range(href: str) -> Remote | None:
    """What is known of a tiled GeoTIFF that its server gives by parts.

    None for all else, which has to be downloaded.
    """
    try:
        return ranged(href) if _suffix(href) in (".tif", ".tiff") else None
    except RemoteError as error:
        _log.debug("%s is downloaded: %s", _shown(href), error)
        return None


def reach_missing(folder: Path, bands: Sequence[str], progress: Progress = lambda _: None) -> dict[Path, Remote]:
    """Makes what Items below a folder name by address, and what is not beside them, readable.

    Tiled GeoTIFFs on servers that give parts are returned, to be read where they lie, by the place that they would have
    on the disk; the others are downloaded to that place. What cannot be had is told in the log and missing afterwards,
    so that its scene is refused and the others go on.
    """
    found: dict[Path, Remote] = {}
    folder = folder if folder.is_dir() else folder.parent
    for path in sorted([*folder.rglob("*.json"), *folder.rglob("*.geojson")]):
        try:
            item = read_item(path.read_bytes(), printable(path.name)) if path.stat().st_size <= _MAX_ANSWER else None
            if item is not None:
                found |= _reached(item, path.absolute().parent, bands, progress)
        except OutputError:
            raise
        except (PipelineError, OSError) as error:
            _log.warning("%s: not fetched: %s", printable(path.name), error)
    return found


def _reached(item: Mapping[str, Any], place: Path, bands: Sequence[str], progress: Progress) -> dict[Path, Remote]:
    found = {}
    for key, href in wanted(item, bands).items():
        path = place / file_name(href)
        if not urlsplit(href).scheme or path.exists():
            continue
        if (entry := by_range(href)) is not None:
            found[path] = entry
        else:
            fetch(href, path, item["assets"][key].get("file:checksum"), progress)
    return found


def reach_address(
    address: str, folder: Path, bands: Sequence[str], progress: Progress = lambda _: None
) -> tuple[Path, dict[Path, Remote]]:
    """The local folder of an Item or raster at an address, and which of its files are read at their address.

    Raises:
        NotAScene, UnsafeInput, CorruptScene, OutputError: see `wanted` and `fetch`.
    """
    if _suffix(address) in RASTER_SUFFIXES:
        place = (folder / safe_id(PurePosixPath(file_name(address)).stem)).absolute()
        path = place / file_name(address)
        if not path.exists() and (entry := by_range(address)) is not None:
            place.mkdir(parents=True, exist_ok=True)
            return place, {path: entry}
        fetch(address, path, None, progress)
        return place, {}
    item = read_item(json.dumps(_json(address, None)).encode(), _shown(address))
    if item is None:
        raise NotAScene(f"{_shown(address)}: neither a STAC Item nor a raster; give the address of one")
    absolute, place = _absolute(item, address), (folder / safe_id(str(item["id"]))).absolute()
    found = _reached(absolute, place, bands, progress)
    _write_item(absolute, place)
    return place, found


def file_name(href: str) -> str:
    """The name under which an address is stored.

    Raises:
        UnsafeInput: it has none that is safe.
    """
    name = base_name(href)
    if not name or name.startswith(".") or "/" in name or "\\" in name or not name.isprintable():
        raise UnsafeInput(f"{_shown(href)}: the address ends in no file name; download the file yourself")
    return name


def fetch(href: str, path: Path, checksum: str | None = None, progress: Progress = lambda _: None) -> None:
    """Downloads a file, continuing what an earlier call left, and compares the whole with its multihash.

    Raises:
        UnsafeInput: the address is neither http, https nor s3.
        NotAScene: the server does not give the file.
        CorruptScene: the bytes are not what the checksum or the server says.
        OutputError: the file cannot be written.
    """
    if path.exists() and (checksum is None or _agrees(path, checksum)):
        return
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(path, error) from error
    for attempt in range(_TRIES):
        try:
            if _continue(href, part, progress):
                break
        except (HTTPException, OSError) as error:
            if isinstance(error, RemoteError) or (isinstance(error, HTTPError) and error.code < 500):
                raise NotAScene(f"{_shown(href)}: {printable(explained(error))}; check the address") from error
            if attempt == _TRIES - 1:
                raise NotAScene(
                    f"{_shown(href)}: cannot be downloaded ({printable(explained(error))}); run the same command "
                    f"again to go on"
                ) from error
            time.sleep(0.5 * 2**attempt)
    else:
        raise CorruptScene(
            f"{_shown(href)}: the connection was cut {_TRIES} times; run the same command again to go on"
        )
    if checksum is not None and not _agrees(part, checksum):
        part.unlink(missing_ok=True)
        raise CorruptScene(
            f"{_shown(href)}: the bytes differ from the catalogue's checksum; try again or choose another --collection"
        )
    part.replace(path)


def _continue(href: str, part: Path, progress: Progress) -> bool:
    """Takes a file on from where its first part ends; whether it is whole now."""
    have = part.stat().st_size if part.exists() else 0
    try:
        answer = _open(href, {"Range": f"bytes={have}-"} if have else {})
    except HTTPError as error:
        if (
            error.code == 416
        ):  # nothing is left behind what is here, or the file became shorter: the checksum or a new start tells
            total = error.headers.get("Content-Range", "").rpartition("/")[2]
            if total == str(have):
                return True
            part.unlink()
            return False
        raise
    with answer:
        kept = have if answer.status == 206 else 0
        length = answer.headers.get("Content-Length")
        if length is not None and int(length) > shutil.disk_usage(part.parent).free:
            raise OutputError(
                f"{part.parent}: {int(length) / 1e6:,.0f} MB do not fit on the disk; free space or choose "
                f"another folder"
            )
        with _writable(part, "ab" if kept else "wb") as target:
            while chunk := answer.read(_CHUNK):
                try:
                    target.write(chunk)
                except OSError as error:
                    raise _unwritable(part, error) from error
                progress(len(chunk))
    return length is None or part.stat().st_size == kept + int(length)


def _writable(path: Path, mode: str) -> Any:  # noqa: ANN401 - a binary file
    try:
        return path.open(mode)
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(f"{path}: cannot be written ({error.strerror or error}); free space or choose another folder")


def _agrees(path: Path, checksum: str) -> bool:
    """Whether a file has a multihash; kinds that are not known pass."""
    for prefix, name in _HASHES.items():
        if checksum.lower().startswith(prefix):
            with path.open("rb") as stream:
                return hashlib.file_digest(stream, name).hexdigest() == checksum.lower().removeprefix(prefix)
    return True


def _json(url: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
    data = None if body is None else json.dumps(body).encode()
    try:
        with _open(
            url,
            {"Accept": "application/geo+json, application/json"}
            | ({"Content-Type": "application/json"} if data else {}),
            data,
        ) as answer:
            found = json.loads(answer.read(_MAX_ANSWER))
    except (HTTPException, OSError, ValueError, RecursionError) as error:
        raise NotAScene(
            f"{_shown(url)}: no usable answer ({printable(explained(error))}); check the address and the query"
        ) from error
    if not isinstance(found, dict):
        raise NotAScene(f"{_shown(url)}: answers something other than STAC; check the address")
    return found


def _open(url: str, headers: Mapping[str, str], data: bytes | None = None) -> HTTPResponse:
    if urlsplit(url).scheme not in SCHEMES:
        raise UnsafeInput(f"{_shown(url)}: only http, https and s3 addresses are fetched; download the file yourself")
    return ask(url, headers, data)


def _shown(href: str) -> str:
    """An address for people: printable, not too long, without what signs it."""
    return printable(redacted(href))[:160]
