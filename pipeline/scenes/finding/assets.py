"""Which bands an asset of a STAC Item holds, and what it says of their numbers."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from pathlib import PurePosixPath
from typing import Any

from pipeline.bands import BY_NAME
from pipeline.errors import CorruptScene
from pipeline.scenes.finding.names import band_name, split_band
from pipeline.scenes.safety.guard import printable

# Assets that show a scene or describe it, and hold no numbers.
_NO_DATA_ROLES = {"thumbnail", "overview", "metadata"}
# What stands for "no pixel size is told" when copies are compared: behind any that tells one.
_UNTOLD_GSD = 1e6


@dataclass(frozen=True, slots=True)
class BandCopy:
    """One band as one asset of an Item holds it; None where the Item does not tell."""

    key: str
    """The asset's key in the Item."""
    index: int
    """The band's number in the file, from 1."""
    gsd: float
    """Metres per pixel, for choosing the finest of several copies; a band's usual size where nothing tells it."""
    tiff: bool
    """Whether the file is a GeoTIFF, which reads faster than JPEG 2000."""
    scale: float | None = None
    """What stored numbers are multiplied with."""
    offset: float | None = None
    """What is added to get reflectance."""
    nodata: float | None = None
    """The stored number that is no measurement."""


def bands_of_asset(key: str, entry: object, label: str = "the Item") -> dict[str, BandCopy]:
    """The bands (and SCL, TCI) that an asset holds, in any of STAC's spellings; `label` names the Item in messages.

    What the asset's own `bands`, `eo:bands` and `raster:bands` say comes first, then its key, as a whole: `red_edge_1`
    is not red.

    >>> list(bands_of_asset("B02_20m", {"href": "x.jp2"})), list(bands_of_asset("red_edge_1", {"href": "x.tif"}))
    (['B02'], ['B05'])

    Raises:
        CorruptScene: a number in it is none.
    """
    if not isinstance(entry, dict) or _NO_DATA_ROLES & {role for role in listed(entry.get("roles")) if text(role)}:
        return {}
    tiff = PurePosixPath((text(entry.get("href")) or "").split("?")[0]).suffix.lower() in (".tif", ".tiff")
    if band_name(key) == "TCI" or key.lower().startswith("visual"):
        return {"TCI": BandCopy(key, 1, finite(entry.get("gsd")) or 10.0, tiff)}
    rows = [listed(entry.get(field)) for field in ("bands", "eo:bands", "raster:bands")]
    count = max(*map(len, rows), 1)
    found: dict[str, BandCopy] = {}
    for at in range(count):
        parts = [row[at] if at < len(row) and isinstance(row[at], dict) else {} for row in rows]
        names = [part.get(field) for part in parts for field in ("name", "eo:common_name", "common_name")]
        band = next((name for told in names if isinstance(told, str) and (name := band_name(told))), None)
        band = band or (_band_of_key(key) if count == 1 else None)
        scale = _setting(("raster:scale", "scale"), (*parts, entry), label)
        offset = _setting(("raster:offset", "offset"), (*parts, entry), label)
        nodata = _setting(("nodata",), (*parts, entry), label)
        if scale == 0:
            raise CorruptScene(f"{label}: asset {printable(key)!r} has scale 0; correct the STAC Item")
        if band is not None and band not in found:
            found[band] = BandCopy(key, at + 1, _gsd(key, band, parts, entry), tiff, scale, offset, nodata)
    return found


def _band_of_key(key: str) -> str | None:
    """The band that a key such as `B02_10m`, `red`, `scl-jp2` or `rededge1` names."""
    plain = re.sub(r"(?:[-_](?:jp2|tiff?|cog|[126]0m))+$", "", key, flags=re.IGNORECASE)
    return band_name(plain) or split_band(plain)[1]


def _gsd(key: str, band: str, parts: list[Mapping[str, Any]], entry: Mapping[str, Any]) -> float:
    stated = [part.get(field) for part in (entry, *parts) for field in ("gsd", "raster:spatial_resolution")]
    stated += [part.get("spatial_resolution") for part in parts]
    known = next((size for value in stated if (size := finite(value))), None)
    usual = BY_NAME[band].gsd if band in BY_NAME else _UNTOLD_GSD
    return known or split_band(key)[2] or usual


def _setting(names: tuple[str, ...], parts: tuple[Mapping[str, Any], ...], label: str) -> float | None:
    for part in parts:
        for name in names:
            value = part.get(name)
            if value is None:
                continue
            if value == "nan":
                return float("nan")
            number = finite(value)
            if number is None:
                raise CorruptScene(
                    f"{label}: {name} is {printable(str(value))[:40]!r}, not a number; correct the STAC Item"
                )
            return number
    return None


def listed(value: object) -> list[Any]:
    """A JSON value where it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def text(value: object) -> str | None:
    """A JSON value where it is a text that says something, without what no log or file can hold."""
    return printable(value) if isinstance(value, str) and value else None


def finite(value: object) -> float | None:
    """A JSON value where it is a finite number."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return float(value) if isfinite(value) else None
    except OverflowError:  # an integer of hundreds of digits
        return None
