"""Scenes described by a STAC Item (1.0 or 1.1) beside their files."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote

from pipeline.bands import BY_NAME, SENTINEL_2
from pipeline.errors import CorruptScene, NotAScene, UnsafeInput
from pipeline.scenes.finding.assets import BandCopy, bands_of_asset, finite, listed, text
from pipeline.scenes.finding.build import Found, build_scene
from pipeline.scenes.finding.listing import Files
from pipeline.scenes.finding.names import facts, platform_name, timestamp
from pipeline.scenes.offsets import baseline_pair, in_dn
from pipeline.scenes.reading.header import read_header
from pipeline.scenes.safety import guard
from pipeline.scenes.scene import Asset, Level, OffsetEvidence, Pass, Radiometry, ReadOptions, Scene

_OTHER_SATELLITES = re.compile(r"landsat|lc0[89]|l[et]0\d|sentinel-?[13456]|modis|terra|aqua|viirs", re.IGNORECASE)
# No picture from above is older; dates before it are mistakes.
_FIRST_YEAR = 1858
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


def product_names(item: Mapping[str, Any]) -> set[str]:
    """How an Item may call the product that it describes."""
    properties = item["properties"]
    told = (item["id"], *(properties.get(name) for name in ("s2:product_uri", "s2:product_title", "title")))
    return {name for value in told if (name := text(value))}


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
    label, origin = guard.printable(f"{files.root.name}/{name}"), guard.printable(PurePosixPath(name).name)
    properties, local = item["properties"], item_files(item, name, files)
    baseline = text(properties.get("s2:processing_baseline")) or text(properties.get("processing:version"))
    _check_satellite(properties, label)
    described = _described(item, local, label)
    assets = {
        band: _georeferenced(
            Asset(
                files.href(local[copy.key]),
                copy.index,
                1e-4 if copy.scale is None else copy.scale,
                nodata=0.0 if copy.nodata is None else copy.nodata,
            ),
            item["assets"][copy.key],
            properties,
        )
        for band, copy in described.items()
        if copy.key in local
    }
    level, sources = _level(item), {}
    if level:
        sources["level"] = origin
    if baseline:
        sources["baseline"] = origin
    scales = {asset.scale for band, asset in assets.items() if band in BY_NAME}
    used = {files.path(local[copy.key]) for copy in described.values() if copy.key in local}
    return build_scene(
        Found(
            id=item["id"],
            where=label,
            layout="STAC",
            assets=assets,
            radiometry=Radiometry(
                baseline,
                round(1.0 / scales.pop(), 6) if len(scales) == 1 and 0 not in scales else None,
                sources=sources,
            ),
            acquired=_when(properties) or facts(item["id"]).acquired,
            level=level,
            platform=platform_name(text(properties.get("platform"))),
            cloud_cover=finite(properties.get("eo:cloud_cover")),
            files=tuple(sorted({*used, files.path(name)})),
            expected={
                band: guard.printable(PurePosixPath(str(item["assets"][copy.key].get("href")).split("?")[0]).name)
                for band, copy in described.items()
            },
            seen=_pass(properties),
            evidence=_evidence(described, properties, baseline, origin),
            unscaled=frozenset(band for band, copy in described.items() if copy.scale is None),
        ),
        options,
    )


def _check_satellite(properties: Mapping[str, Any], label: str) -> None:
    """Other satellites number their bands differently: Landsat's B4 can be near infrared.

    Raises:
        NotAScene: the Item names another one.
    """
    for name in (text(properties.get("constellation")), text(properties.get("platform"))):
        if name and _OTHER_SATELLITES.match(name):
            raise NotAScene(f"{label}: of {guard.printable(name)[:40]}, which is not Sentinel-2; move it elsewhere")


def _described(item: Mapping[str, Any], local: Mapping[str, str], label: str) -> dict[str, BandCopy]:
    """The best copy of each band: one that is here, then the finest, then GeoTIFF, then the first."""
    copies: dict[str, list[BandCopy]] = {}
    for key, entry in item["assets"].items():
        for band, copy in bands_of_asset(key, entry, label).items():
            copies.setdefault(band, []).append(copy)
    return {
        band: min(found, key=lambda copy: (copy.key not in local, copy.gsd, not copy.tiff))
        for band, found in copies.items()
    }


def _evidence(
    described: Mapping[str, BandCopy], properties: Mapping[str, Any], baseline: str | None, origin: str
) -> OffsetEvidence:
    """What the Item tells of offsets.

    STAC's default offset is 0, but makers of Items of newer baselines have left it out.
    """
    new = baseline_pair(baseline) >= SENTINEL_2.offset_since
    stated = {
        band: in_dn(1e-4 if copy.scale is None else copy.scale, copy.offset or 0.0)
        for band, copy in described.items()
        if band in BY_NAME and (copy.offset is not None or (copy.scale is not None and not new))
    }
    applied = properties.get("earthsearch:boa_offset_applied")
    return OffsetEvidence(
        source=origin, stated=stated or None, applied=applied if isinstance(applied, bool) else None, baseline=baseline
    )


def _pass(properties: Mapping[str, Any]) -> Pass | None:
    """The overflight by the s2 extension's ids, where the Item has them."""
    platform = platform_name(text(properties.get("platform")))
    start = re.search(
        r"_(\d{8}T\d{6})_", text(properties.get("s2:datatake_id")) or text(properties.get("s2:product_uri")) or ""
    )
    strip = re.search(r"_S(\d{8}T\d{6})", text(properties.get("s2:datastrip_id")) or "")
    granule = re.fullmatch(
        r"(?:MGRS-)?T?(\d{1,2})([C-X][A-Z]{2})",
        text(properties.get("grid:code")) or text(properties.get("s2:mgrs_tile")) or "",
    )
    if not (platform and start and granule):
        return None
    made = _when({"datetime": properties.get("s2:generation_time")})
    return Pass(platform, timestamp(start[1]), f"{granule[1]:0>2}{granule[2]}", strip[1] if strip else "", made)


def _georeferenced(asset: Asset, entry: Mapping[str, Any], properties: Mapping[str, Any]) -> Asset:
    """The asset with the projection extension's place, for files that have none of their own (bare codestreams)."""
    transform, shape = listed(entry.get("proj:transform")), listed(entry.get("proj:shape"))
    code = entry.get("proj:code", properties.get("proj:code", entry.get("proj:epsg", properties.get("proj:epsg"))))
    epsg = re.fullmatch(r"(?:EPSG:)?(\d{4,6})", str(code))
    numbers = [finite(value) for value in [*transform[:6], *shape[:2]]]
    if epsg is None or len(numbers) != 8 or any(value is None for value in numbers):
        return asset
    a, b, c, d, e, f, rows, columns = (value for value in numbers if value is not None)
    header = read_header(asset.href)
    if header.crs is not None:
        return asset
    across, down = columns / header.width, rows / header.height
    return replace(asset, crs=int(epsg[1]), transform=(a * across, b * down, c, d * across, e * down, f))


def _level(item: Mapping[str, Any]) -> Level | None:
    properties = item["properties"]
    stated = text(properties.get("processing:level")) or text(properties.get("s2:product_type")) or ""
    if match := re.search(r"(?:L|Level-?|MSI)?(1C?|2A?)p?$", stated, re.IGNORECASE):
        return Level.L1C if match[1].startswith("1") else Level.L2A
    collection = text(item.get("collection")) or ""
    for name in (
        text(properties.get("s2:product_uri")),
        text(properties.get("s2:product_title")),
        item["id"],
        collection.upper().replace("-", "_"),
    ):
        if name and (level := facts(name).level):
            return level
    return None


def _when(properties: Mapping[str, Any]) -> datetime | None:
    for name in ("datetime", "start_datetime"):
        try:
            moment = datetime.fromisoformat(text(properties.get(name)) or "")
            moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
        except (ValueError, OverflowError):
            continue
        if moment.year >= _FIRST_YEAR:
            return moment
    return None
