"""Scenes described by a STAC Item (1.0 or 1.1) beside their files."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from math import isfinite
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote

from pipeline.bands import BY_NAME, SENTINEL_2
from pipeline.errors import CorruptScene, UnsafeInput
from pipeline.scenes.finding.build import Found, build_scene
from pipeline.scenes.finding.listing import Files
from pipeline.scenes.finding.names import band_name, facts, platform_name, timestamp
from pipeline.scenes.offsets import baseline_pair
from pipeline.scenes.reading.header import read_header
from pipeline.scenes.safety import guard
from pipeline.scenes.scene import Asset, Level, Pass, Radiometry, ReadOptions, Scene

_REMOTE = re.compile(r"[a-z][a-z0-9+.\-]*://|/vsi", re.IGNORECASE)


def read_item(data: bytes, label: str) -> Mapping[str, Any] | None:
    """The STAC Item in a JSON file, None where the JSON is something else.

    Raises:
        CorruptScene: the file calls itself an Item and is not one.
    """
    if b"stac_version" not in data:
        return None
    try:
        item = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise CorruptScene(f"{label}: broken JSON ({guard.one_line(error)}); write the STAC Item again") from error
    if not isinstance(item, dict) or item.get("type") != "Feature" or "stac_version" not in item:
        return None
    if not (
        isinstance(item.get("assets"), dict)
        and isinstance(item.get("properties"), dict)
        and isinstance(item.get("id"), str)
    ):
        raise CorruptScene(f"{label}: a STAC Item without id, properties or assets; write it again")
    return item


def item_files(item: Mapping[str, Any], name: str, files: Files) -> dict[str, str]:
    """Asset keys to the local files that the Item's assets mean.

    Remote addresses stand for the file of the same name beside the Item, as in a downloaded folder; nothing is fetched.

    Raises:
        UnsafeInput: an address leads out of the scene's folder.
    """
    home = PurePosixPath(name).parent
    found = {}
    for key, asset in item["assets"].items():
        href = asset.get("href") if isinstance(asset, dict) else None
        if not isinstance(href, str):
            continue
        remote = _REMOTE.match(href)
        path = (
            home / PurePosixPath(href.split("?")[0]).name
            if remote
            else _within(home, href, f"{files.root.name}/{name}")
        )
        for spelling in (path.as_posix(), unquote(path.as_posix())):
            if spelling in files.sizes:
                found[key] = spelling
                break
    return found


def _within(home: PurePosixPath, href: str, label: str) -> PurePosixPath:
    parts = list(home.parts)
    shown = f"{guard.printable(label)}: an asset's address {guard.printable(href)[:80]!r}"
    if href.startswith("/") or "\0" in href:
        raise UnsafeInput(f"{shown} is absolute; write it relative to the Item")
    for part in PurePosixPath(href).parts:
        if part == "..":
            if not parts:
                raise UnsafeInput(f"{shown} leads out of the scene folder; copy the file in")
            parts.pop()
        else:
            parts.append(part)
    return PurePosixPath(*parts)


def item_scene(item: Mapping[str, Any], name: str, files: Files, options: ReadOptions) -> Scene:
    """The scene that an Item describes.

    Raises:
        PipelineError: it cannot be read, and why.
    """
    label = guard.printable(f"{files.root.name}/{name}")
    properties = item["properties"]
    local = item_files(item, name, files)
    baseline = _text(properties.get("s2:processing_baseline")) or _text(properties.get("processing:version"))
    assets: dict[str, Asset] = {}
    offsets: dict[str, float] = {}
    entry_of: dict[str, Mapping[str, Any]] = {}
    told = False
    expected: dict[str, str] = {}
    for key, entry in item["assets"].items():
        for band, index, scale, offset, nodata in _bands(key, entry, label):
            if band is None:
                continue
            expected.setdefault(band, PurePosixPath(str(entry.get("href")).split("?")[0]).name)
            if key not in local or (
                band in assets and PurePosixPath(local[key]).suffix.lower() not in (".tif", ".tiff")
            ):
                continue
            # STAC's default offset is 0, but makers of Items of newer baselines have left it out.
            told |= offset is not None or (scale is not None and baseline_pair(baseline) < SENTINEL_2.offset_since)
            assets[band] = Asset(
                files.href(local[key]),
                index,
                1e-4 if scale is None else scale,
                offset or 0.0,
                0.0 if nodata is None else nodata,
            )
            entry_of[band] = entry
            if band in BY_NAME:
                offsets[band] = round((offset or 0.0) / assets[band].scale, 6)
    assets = {band: _georeferenced(asset, entry_of[band], properties) for band, asset in assets.items()}
    if options.offset is not None and not any(offsets.values()):
        assets = {band: _shifted(asset, options.offset) if band in BY_NAME else asset for band, asset in assets.items()}
        offsets = dict.fromkeys(offsets, options.offset)
        told = True
    origin = "--offset" if options.offset is not None else PurePosixPath(name).name
    sources = {"offset": origin if told else "assumed none (the Item does not tell)"}
    level = _level(item)
    if level:
        sources["level"] = PurePosixPath(name).name
    if baseline:
        sources["baseline"] = PurePosixPath(name).name
    scales = {asset.scale for band, asset in assets.items() if band in BY_NAME}
    used = {
        files.path(path) for path in local.values() if files.href(path) in {asset.href for asset in assets.values()}
    }
    return build_scene(
        Found(
            id=item["id"],
            where=label,
            layout="STAC",
            assets=assets,
            radiometry=Radiometry(
                baseline,
                round(1.0 / scales.pop(), 6) if len(scales) == 1 and 0 not in scales else None,
                offsets,
                sources,
            ),
            acquired=_when(properties) or facts(item["id"]).acquired,
            level=level,
            platform=platform_name(_text(properties.get("platform"))),
            cloud_cover=_finite(properties.get("eo:cloud_cover")),
            files=tuple(sorted({*used, files.path(name)})),
            expected=expected,
            seen=_pass(properties),
        ),
        options,
    )


def _pass(properties: Mapping[str, Any]) -> Pass | None:
    """The overflight by the s2 extension's ids, where the Item has them."""
    platform = platform_name(_text(properties.get("platform")))
    start = re.search(
        r"_(\d{8}T\d{6})_", _text(properties.get("s2:datatake_id")) or _text(properties.get("s2:product_uri")) or ""
    )
    strip = re.search(r"_S(\d{8}T\d{6})", _text(properties.get("s2:datastrip_id")) or "")
    granule = re.fullmatch(
        r"(?:MGRS-)?T?(\d{1,2})([C-X][A-Z]{2})",
        _text(properties.get("grid:code")) or _text(properties.get("s2:mgrs_tile")) or "",
    )
    if not (platform and start and granule):
        return None
    made = _when({"datetime": properties.get("s2:generation_time")})
    return Pass(platform, timestamp(start[1]), f"{granule[1]:0>2}{granule[2]}", strip[1] if strip else "", made)


def _georeferenced(asset: Asset, entry: Mapping[str, Any], properties: Mapping[str, Any]) -> Asset:
    """The asset with the projection extension's place, for files that have none of their own (bare codestreams)."""
    transform, shape = _list(entry.get("proj:transform")), _list(entry.get("proj:shape"))
    code = entry.get("proj:code", properties.get("proj:code", entry.get("proj:epsg", properties.get("proj:epsg"))))
    epsg = re.fullmatch(r"(?:EPSG:)?(\d{4,6})", str(code))
    numbers = [_finite(value) for value in [*transform[:6], *shape[:2]]]
    if epsg is None or len(numbers) != 8 or any(value is None for value in numbers):
        return asset
    a, b, c, d, e, f, rows, columns = (value for value in numbers if value is not None)
    header = read_header(asset.href)
    if header.crs is not None:
        return asset
    across, down = columns / header.width, rows / header.height
    return replace(asset, crs=int(epsg[1]), transform=(a * across, b * down, c, d * across, e * down, f))


def _shifted(asset: Asset, dn: float) -> Asset:
    return replace(asset, offset=dn * asset.scale)


def _bands(
    key: str, entry: object, label: str
) -> list[tuple[str | None, int, float | None, float | None, float | None]]:
    """Band, number in the file, scale, offset and nodata of each band of an asset, in any of STAC's spellings."""
    if not isinstance(entry, dict) or set(_list(entry.get("roles"))) & {"thumbnail", "overview", "metadata"}:
        return []
    modern, named, raster = _list(entry.get("bands")), _list(entry.get("eo:bands")), _list(entry.get("raster:bands"))
    count = max(len(modern), len(named), len(raster), 1)
    rows = []
    if band_name(key) == "TCI" or key.lower().startswith("visual"):
        return [("TCI", 1, None, None, None)]
    for at in range(count):
        parts = [row[at] if at < len(row) and isinstance(row[at], dict) else {} for row in (modern, named, raster)]
        texts = [part.get(field) for part in parts for field in ("name", "eo:common_name", "common_name")]
        band = next((found for text in texts if isinstance(text, str) and (found := band_name(text))), None)
        if band is None and count == 1:
            band = band_name(key) or band_name(key.split("-")[0].split("_")[0])
        scale = _setting(("raster:scale", "scale"), (*parts, entry), label)
        offset = _setting(("raster:offset", "offset"), (*parts, entry), label)
        nodata = _setting(("nodata",), (*parts, entry), label)
        if scale == 0:
            raise CorruptScene(f"{label}: asset {guard.printable(key)!r} has scale 0; correct the STAC Item")
        rows.append((band, at + 1, scale, offset, nodata))
    return rows


def _setting(names: tuple[str, ...], parts: tuple[Mapping[str, Any], ...], label: str) -> float | None:
    for part in parts:
        for name in names:
            value = part.get(name)
            if value is None:
                continue
            if value == "nan":
                return float("nan")
            number = _finite(value)
            if number is None:
                raise CorruptScene(
                    f"{label}: {name} is {guard.printable(str(value))[:40]!r}, not a number; correct the STAC Item"
                )
            return number
    return None


def _level(item: Mapping[str, Any]) -> Level | None:
    properties = item["properties"]
    stated = _text(properties.get("processing:level")) or _text(properties.get("s2:product_type")) or ""
    if match := re.search(r"(?:L|Level-?|MSI)?(1C?|2A?)p?$", stated, re.IGNORECASE):
        return Level.L1C if match[1].startswith("1") else Level.L2A
    collection = _text(item.get("collection")) or ""
    for text in (
        _text(properties.get("s2:product_uri")),
        _text(properties.get("s2:product_title")),
        item["id"],
        collection.upper().replace("-", "_"),
    ):
        if text and (level := facts(text).level):
            return level
    return None


def _when(properties: Mapping[str, Any]) -> datetime | None:
    for name in ("datetime", "start_datetime"):
        text = properties.get(name)
        if isinstance(text, str):
            try:
                moment = datetime.fromisoformat(text)
            except ValueError:
                continue
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return None


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _finite(value: object) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return float(value) if isfinite(value) else None
    except OverflowError:  # an integer of hundreds of digits
        return None
