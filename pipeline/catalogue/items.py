"""STAC Items: which of their files are wanted, bringing them home, reaching them where they lie."""

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urljoin, urlsplit

from pipeline.catalogue.download import MAX_ANSWER, Progress, fetch, file_name, json_at, links_of, shown, unwritable
from pipeline.catalogue.window import BBox, cut
from pipeline.errors import NotAScene, OutputError, PipelineError
from pipeline.scenes.finding.assets import bands_of_asset
from pipeline.scenes.finding.names import safe_id
from pipeline.scenes.finding.stac import read_item
from pipeline.scenes.reading.ranged import ranged
from pipeline.scenes.safety.address import Remote, RemoteError, redacted
from pipeline.scenes.safety.guard import RASTER_SUFFIXES, printable

ITEM = "item.json"

_log = logging.getLogger(__name__)


def wanted(item: Mapping[str, Any], bands: Sequence[str], welcome: Sequence[str] = ()) -> dict[str, str]:
    """Asset keys and addresses of the files that hold the bands and the cloud mask, the finest, then GeoTIFF.

    Bands that are `welcome` are taken where the Item names them.

    Raises:
        NotAScene: a band is missing.
        CorruptScene: an asset tells a number that is none.
    """
    found: dict[str, tuple[tuple[float, bool], str, str]] = {}
    name = printable(str(item.get("id")))
    for key, asset in _assets(item).items():
        for band, copy in bands_of_asset(key, asset, name).items():
            rank = copy.gsd, not copy.tiff
            if band in (*bands, *welcome, "SCL") and (band not in found or rank < found[band][0]):
                found[band] = rank, key, asset["href"]
    if missing := [band for band in bands if band not in found]:
        raise NotAScene(f"{name}: its Item names no file for {', '.join(missing)}; choose another --collection")
    return {key: href for _, key, href in found.values()}


def _assets(item: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The assets of an Item that have an address, whatever else the Item holds."""
    assets = item.get("assets")
    return {
        str(key): asset
        for key, asset in (assets.items() if isinstance(assets, dict) else ())
        if isinstance(asset, dict) and isinstance(asset.get("href"), str)
    }


def _checksum(asset: Mapping[str, Any]) -> str | None:
    told = asset.get("file:checksum")
    return told if isinstance(told, str) else None


def _suffix(href: str) -> str:
    return PurePosixPath(urlsplit(href).path).suffix.lower()


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted of Items."""

    bands: Sequence[str]
    """Bands without which a scene is of no use."""
    welcome: Sequence[str] = ()
    """Bands that are taken where there are any."""
    area: BBox | None = None
    """West, south, east, north in degrees of what is needed; None for whole files."""


def download_item(
    item: Mapping[str, Any], folder: Path, wish: Wish, base: str = "", progress: Progress = lambda _: None
) -> Path:
    """The folder `folder`/<id> with an Item and its files of the bands and the cloud mask; finished files are kept.

    With an area only its part is fetched where the server gives parts of all the files; the folder's name then tells
    which. Relative addresses count from `base`.

    Raises:
        NotAScene, UnsafeInput, CorruptScene, OutputError: see `wanted`, `fetch` and `cut`.
    """
    absolute, place = _absolute(item, base), folder / safe_id(str(item.get("id")))
    files = wanted(absolute, wish.bands, wish.welcome)
    if wish.area is not None and all(by_range(href) is not None for href in files.values()):
        return _download_part(absolute, place, files, wish.area, progress)
    if wish.area is not None:
        _log.warning("%s: its server does not give parts of its files, so they are downloaded whole", place.name)
    for key, href in files.items():
        fetch(href, place / file_name(href), _checksum(absolute["assets"][key]), progress)
    _write_item(absolute, place)  # last: a folder with an Item is complete
    return place


def _download_part(
    item: Mapping[str, Any], whole: Path, files: Mapping[str, str], area: BBox, progress: Progress
) -> Path:
    """A scene that holds an area only; its Item says so, without what was true of the whole files alone."""
    place = whole.with_name(f"{whole.name}_{hashlib.sha256(repr(area).encode()).hexdigest()[:8]}")
    boxes = [cut(href, place / file_name(href), area, progress) for href in files.values()]
    west, south, east, north = boxes[0]
    corners = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    parts = {key: _without(item["assets"][key], ("file:", "proj:")) for key in files}
    cropped = {
        **item,
        "bbox": list(boxes[0]),
        "geometry": {"type": "Polygon", "coordinates": [corners]},
        "properties": _without(item.get("properties") or {}, ("proj:shape", "proj:transform", "proj:bbox")),
        "assets": parts,
    }
    _write_item(cropped, place)
    return place


def _without(told: Mapping[str, Any], prefixes: tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in told.items() if not name.startswith(prefixes)}


def item_address(item: Mapping[str, Any], api: str) -> str:
    """The address that an Item's relative addresses count from; the API's where it does not tell its own."""
    return next((str(link["href"]) for link in links_of(item) if link.get("rel") == "self" and "href" in link), api)


def _absolute(item: Mapping[str, Any], base: str) -> dict[str, Any]:
    assets = {key: {**asset, "href": urljoin(base, asset["href"])} for key, asset in _assets(item).items()}
    return {**item, "assets": assets}


def _write_item(item: Mapping[str, Any], place: Path) -> None:
    """Keeps an Item without what signs its addresses: a signature opens files to anyone, and soon to no one."""
    assets = {
        key: {**asset, "href": redacted(asset["href"]).removesuffix("?...")} for key, asset in item["assets"].items()
    }
    links = [{**link, "href": redacted(str(link["href"]))} for link in links_of(item) if "href" in link]
    part = place / f".{ITEM}.part"
    try:
        place.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps({**item, "links": links, "assets": assets}, indent=1), encoding="utf-8")
        part.replace(place / ITEM)
    except OSError as error:
        raise unwritable(place, error) from error


def by_range(href: str) -> Remote | None:
    """What is known of a tiled GeoTIFF that its server gives by parts.

    None for all else, which has to be downloaded.
    """
    try:
        return ranged(href) if _suffix(href) in (".tif", ".tiff") else None
    except RemoteError as error:
        _log.debug("%s is downloaded: %s", shown(href), error)
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
            item = read_item(path.read_bytes(), printable(path.name)) if path.stat().st_size <= MAX_ANSWER else None
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
            fetch(href, path, _checksum(item["assets"][key]), progress)
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
    item = read_item(json.dumps(json_at(address, None)).encode(), shown(address))
    if item is None:
        raise NotAScene(f"{shown(address)}: neither a STAC Item nor a raster; give the address of one")
    absolute, place = _absolute(item, address), (folder / safe_id(str(item.get("id")))).absolute()
    found = _reached(absolute, place, bands, progress)
    _write_item(absolute, place)
    return place, found
