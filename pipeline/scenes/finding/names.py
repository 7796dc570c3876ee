"""What the names of Sentinel-2 products and files tell."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from pipeline.bands import BANDS, BY_NAME
from pipeline.scenes.scene import Level

_PRODUCT = re.compile(
    r"(S2[A-D])_MSI(L1C|L2A)_(\d{8}T\d{6})(?:_N(\d{4}))?_R(\d{3})_T(\d{2}[C-HJ-NP-X][A-Z]{2})_(\d{8}T\d{6})"
)
# First date = creation, V date = sensing (the 2015-16 names).
_OLD_PRODUCT = re.compile(r"(S2[A-D])_OPER_(?:PRD|MTD)_(?:MSI|SAF)(L1C|L2A).*?_V(\d{8}T\d{6})")
_IMAGE = re.compile(r"(?:^|L2A_)T(\d{2}[C-HJ-NP-X][A-Z]{2})_(\d{8}T\d{6})")
_LEVEL = re.compile(r"(?:^|[^A-Z0-9])(?:MSI)?(L1C|L2A)(?:[^A-Z0-9]|$)", re.IGNORECASE)
_TILE = re.compile(r"(?:^|[_\-.])T?(\d{2}[C-HJ-NP-X][A-HJ-NP-Z][A-HJ-NP-V])(?:[_\-.]|$)")
_DATE = re.compile(r"(?<!\d)(20\d{2})[-_]?(0[1-9]|1[0-2])[-_]?(0[1-9]|[12]\d|3[01])(?:T?(\d{2})(\d{2})(\d{2}))?(?!\d)")
# A mosaic of three months, as Copernicus Data Space calls them.
_QUARTER = re.compile(r"(?<!\d)(20\d{2})[-_]?Q([1-4])(?![0-9A-Za-z])")
# In the long names the date is of the file's creation, which can be weeks after sensing.
_CREATION = re.compile(r"_OPER_.*?__(\d{8}T\d{6})")
# Longest id of a scene, a folder's name in the results.
ID_LENGTH = 60
_LANDSAT = re.compile(r"(?:^|[_\-. ])(?:L[COTEM]0[1-9]_L\w\w\w|L[COTEM][1-9]\d{13}\w*|landsat[\w-]*)", re.IGNORECASE)
_BAND = re.compile(
    r"(?:^|[_\-. ])(B(?:0?[1-9]|1[0-2]|8A|0?8A)|TCI|SCL|visual|true_?color)(?:[_\-. ]?(10|20|60)m)?(?=[_\-. ]|$)",
    re.IGNORECASE,
)
_COMMON = {band.common_name: band.name for band in BANDS} | {
    "rededge1": "B05",
    "rededge2": "B06",
    "rededge3": "B07",
    "rededge": "B05",
    "nir2": "B09",
    "coastalaerosol": "B01",
    "swir1": "B11",
    "swir2": "B12",
}


@dataclass(frozen=True, slots=True)
class Named:
    """Facts that a name holds; None where it does not."""

    platform: str | None = None
    """The satellite, such as sentinel-2b."""
    level: Level | None = None
    """L1C or L2A."""
    acquired: datetime | None = None
    """When it was taken."""
    baseline: str | None = None
    """The processing baseline, such as 05.09."""
    tile: str | None = None
    """The granule's MGRS square, such as 32TPS."""
    orbit: str | None = None
    """The relative orbit, such as R108."""
    quarter: str | None = None
    """A mosaic's three months, such as 2024 Q1."""


def timestamp(text: str) -> datetime:
    """A `20230821T221941` as UTC time."""
    return datetime.strptime(text, "%Y%m%dT%H%M%S").replace(tzinfo=UTC)


def facts(name: str) -> Named:
    """What a product's, granule's or file's name tells; users' prefixes and suffixes do no harm."""
    if match := _PRODUCT.search(name):
        baseline = f"{match[4][:2]}.{match[4][2:]}" if match[4] else None
        return Named(match[1], Level(match[2]), _time(match[3]), baseline, match[6], match[5])
    if match := _OLD_PRODUCT.search(name):
        return Named(match[1], Level(match[2]), _time(match[3]))
    level = _LEVEL.search(name)
    quarter = _QUARTER.search(name)
    tile = _TILE.search(name)
    image = _IMAGE.search(name)
    platform = re.search(r"(?:^|[_\-.])(S2[A-D])(?:[_\-.]|$)", name)
    if image:
        acquired = _time(image[2])
    elif quarter:
        acquired = datetime(int(quarter[1]), 3 * int(quarter[2]) - 2, 1, tzinfo=UTC)
    elif _CREATION.search(name):
        acquired = None
    else:
        acquired = _loose_date(name)
    return Named(
        platform[1] if platform else None,
        Level(level[1].upper()) if level else None,
        acquired,
        None,
        tile[1] if tile else None,
        quarter=f"{quarter[1]} Q{quarter[2]}" if quarter and not image else None,
    )


def _time(text: str) -> datetime | None:
    try:
        return timestamp(text)
    except ValueError:
        return None


def _loose_date(name: str) -> datetime | None:
    match = _DATE.search(name)
    if not match:
        return None
    year, month, day, hour, minute, second = (int(part) if part else 0 for part in match.groups())
    try:
        return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None


def band_name(text: str) -> str | None:
    """The band that a description, STAC name or common name means, such as B8A for `b8a` or B04 for `red`."""
    text = text.strip()
    if text.upper() in ("SCL", "TCI"):
        return text.upper()
    if match := re.fullmatch(r"(?:band[ _]?|B)(0?8A|\d{1,2})", text, re.IGNORECASE):
        number = match[1].upper().lstrip("0")
        name = "B8A" if number == "8A" else f"B{number:0>2}"
        return name if name in BY_NAME else None
    return _COMMON.get(re.sub(r"[ _-]", "", text.lower()))


def other_satellite(texts: Iterable[str], bands: Iterable[str] = ()) -> str | None:
    """Why files of such names and bands are not Sentinel-2's, None where nothing says so.

    Landsat numbers its bands B1, B2 and so on as well, but its B4 is near infrared up to Landsat 7.
    """
    for text in texts:
        if match := _LANDSAT.search(text):
            return f"{match[0].strip('_-. ')} is Landsat's"
    spelled = {text.upper() for text in bands}
    few = spelled and spelled <= {f"B{number}" for number in range(1, 8)}
    return "bands B1 to B4 alone may be Landsat's, whose B4 is near infrared" if few and "B1" in spelled else None


def split_band(stem: str) -> tuple[str, str | None, int | None]:
    """A file's stem without its band part, the band (or TCI, SCL) and the pixel size in its name."""
    matches = list(_BAND.finditer(stem))
    if not matches:
        return stem, (name := band_name(stem)) and name, None
    match = matches[-1]
    band = "TCI" if match[1].lower().startswith(("visual", "true")) else band_name(match[1])
    rest = (stem[: match.start()] + stem[match.end() :]).strip("_-. ")
    return rest, band, int(match[2]) if match[2] else None


def platform_name(text: str | None) -> str | None:
    """A satellite's short name, such as S2A for `Sentinel-2A`."""
    match = re.fullmatch(r"(?:sentinel-?2|S2)([A-D])", text or "", re.IGNORECASE)
    return f"S2{match[1].upper()}" if match else None


def safe_id(text: str, limit: int = ID_LENGTH) -> str:
    """A text as a scene id: letters, digits, dot, hyphen and underscore only, and no two hyphens in a row.

    Of a longer text the end is kept, which tells scenes apart.

    >>> safe_id("Wien / April--2023 (final)")
    'Wien-April-2023-final'
    """
    cleaned = re.sub(r"[^A-Za-z0-9._]+", "-", text.encode("ascii", "ignore").decode()).strip("-._")
    return cleaned[-limit:].strip("-._") or "scene"
