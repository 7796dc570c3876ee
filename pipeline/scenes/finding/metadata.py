"""What the XML files of SAFE products say: the product's, the granule's and the manifest."""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import isfinite
from xml.etree.ElementTree import Element

from pipeline.bands import BANDS
from pipeline.errors import CorruptScene
from pipeline.scenes.finding.names import platform_name
from pipeline.scenes.safety import guard
from pipeline.scenes.scene import Level

MANIFEST = "manifest.safe"
# Elements by their tags.
Nodes = Mapping[str, Sequence[Element]]


@dataclass(frozen=True, slots=True)
class Product:
    """What a product's XML says; None where it does not."""

    level: Level | None
    """L1C or L2A."""
    baseline: str | None
    """The processing baseline, such as 05.09."""
    quantification: float | None
    """Stored numbers for a reflectance of 1."""
    offsets: Mapping[str, float] | None
    """DN to be added by band name; None where there is no offset list."""
    platform: str | None
    """The satellite."""
    start: datetime | None
    """When the product's first datastrip begins."""
    cloud_cover: float | None
    """Percent."""
    images: tuple[str, ...]
    """Names of its rasters, without their endings."""
    source: str
    """The XML's file name."""
    names: tuple[str, ...] = ()
    """Names of the product."""
    generated: datetime | None = None
    """When it was made."""
    strips: Mapping[str, str] = field(default_factory=dict)
    """Granule id to the start of its datastrip."""
    listed: Mapping[str, "Listed"] = field(default_factory=dict)
    """The manifest's table of files."""


@dataclass(frozen=True, slots=True)
class Listed:
    """What `manifest.safe` says of a file."""

    size: int | None
    """Bytes."""
    checksum: str | None
    """As `MD5:ec12...`."""


@dataclass(frozen=True, slots=True)
class Granule:
    """What a granule's XML says; None where it does not."""

    tile: str | None
    """Its MGRS square, such as 32TPS."""
    sensed: datetime | None
    """When it was taken."""
    epsg: int | None
    """Its UTM zone."""
    corners: Mapping[int, tuple[float, float]] = field(default_factory=dict)
    """Upper left corner (x, y) in metres by pixel size."""
    level: Level | None = None
    """L1C or L2A."""
    id: str | None = None
    """Its name in the product."""


def product_facts(root: Element, source: str, where: str) -> Product:
    """What a product's metadata says.

    Raises:
        CorruptScene: it is not the metadata of a Sentinel-2 product, or a number in it is none.
    """
    nodes = _by_tag(root)
    text = _texts(nodes)
    label = f"{where}: {source}"
    if "PROCESSING_BASELINE" not in text and "PRODUCT_URI" not in text and "SPACECRAFT_NAME" not in text:
        raise CorruptScene(f"{label} is not the metadata of a Sentinel-2 product; download it again")
    level = {"Level-1C": Level.L1C, "Level-2A": Level.L2A, "Level-2Ap": Level.L2A}.get(text.get("PROCESSING_LEVEL", ""))
    quantification = _number(text.get("BOA_QUANTIFICATION_VALUE") or text.get("QUANTIFICATION_VALUE"), label)
    if quantification is not None and not 100 <= quantification <= 100_000:
        raise CorruptScene(f"{label} says quantification {quantification:g}; download the product again")
    return Product(
        level=level,
        baseline=text.get("PROCESSING_BASELINE"),
        quantification=quantification,
        offsets=_offsets(nodes, label),
        platform=platform_name(text.get("SPACECRAFT_NAME")),
        start=_instant(text.get("DATATAKE_SENSING_START") or text.get("PRODUCT_START_TIME")),
        cloud_cover=_number(text.get("Cloud_Coverage_Assessment"), label),
        images=tuple(node.text.strip() for node in _named(nodes, "IMAGE_FILE", "IMAGE_ID") if node.text),
        source=source,
        names=tuple(name for name in (text.get("PRODUCT_URI"), where) if name),
        generated=_instant(text.get("GENERATION_TIME")),
        strips=dict(_strips(nodes)),
    )


def _strips(nodes: Nodes) -> Iterator[tuple[str, str]]:
    for node in _named(nodes, "Granule", "Granules"):
        if strip := re.search(r"_S(\d{8}T\d{6})", node.get("datastripIdentifier", "")):
            yield node.get("granuleIdentifier", ""), strip[1]


def manifest(root: Element, where: str) -> dict[str, Listed]:
    """Size and checksum of every file that `manifest.safe` lists, by name relative to the product."""
    found = {}
    for node in _named(_by_tag(root), "byteStream"):
        parts = {_tag(child): child for child in node}
        if (place := parts.get("fileLocation")) is None:
            continue
        size = _number(node.get("size"), f"{where}: {MANIFEST}")
        total = parts.get("checksum")
        checksum = f"{total.get('checksumName', '')}:{total.text.strip()}" if total is not None and total.text else None
        found[place.get("href", "").removeprefix("./")] = Listed(None if size is None else round(size), checksum)
    return found


def granule_facts(root: Element, label: str) -> Granule:
    """What a granule's metadata says.

    Raises:
        CorruptScene: a number in it is none.
    """
    nodes = _by_tag(root)
    text = _texts(nodes)
    corners: dict[int, tuple[float, float]] = {}
    for node in _named(nodes, "Geoposition"):
        inner = _texts(_by_tag(node))
        size, x, y = (
            _number(node.get("resolution"), label),
            _number(inner.get("ULX"), label),
            _number(inner.get("ULY"), label),
        )
        if size and x is not None and y is not None:
            corners[round(size)] = x, y
    code = re.fullmatch(r"EPSG:(\d{4,6})", text.get("HORIZONTAL_CS_CODE", ""))
    tile = re.search(r"_T?(\d{2}[C-HJ-NP-X][A-Z]{2})(?:_|$)", text.get("TILE_ID", ""))
    level = Level.L2A if "Level-2A" in root.tag else Level.L1C if "Level-1C" in root.tag else None
    return Granule(
        tile[1] if tile else None,
        _instant(text.get("SENSING_TIME")),
        int(code[1]) if code else None,
        corners,
        level,
        text.get("TILE_ID"),
    )


def _tag(node: Element) -> str:
    return node.tag.rpartition("}")[2]


def _by_tag(root: Element) -> Nodes:
    """A node and all below it, in the document's order, by their tags without a namespace."""
    found: dict[str, list[Element]] = defaultdict(list)
    for node in root.iter():
        found[_tag(node)].append(node)
    return found


def _named(nodes: Nodes, *tags: str) -> Iterator[Element]:
    """The nodes of some tags: older and newer products, and both levels, call the same otherwise."""
    return (node for tag in tags for node in nodes.get(tag, ()))


def _texts(nodes: Nodes) -> dict[str, str]:
    """The first text of each tag."""
    told = {
        tag: next((text for node in some if (text := (node.text or "").strip())), "") for tag, some in nodes.items()
    }
    return {tag: text for tag, text in told.items() if text}


def _offsets(nodes: Nodes, label: str) -> dict[str, float] | None:
    """Offsets in DN by band, mapped by the product's own table of band ids where it has one."""
    by_id = {band.number: band.name for band in BANDS}
    for node in _named(nodes, "Spectral_Information"):
        if (number := _number(node.get("bandId"), label)) is not None:
            match = re.fullmatch(r"B(\d{1,2}|8A)", node.get("physicalBand", ""))
            if match:
                by_id[round(number)] = "B8A" if match[1] == "8A" else f"B{match[1]:0>2}"
    found: dict[str, float] = {}
    for node in _named(nodes, "BOA_ADD_OFFSET", "RADIO_ADD_OFFSET"):
        number, value = _number(node.get("band_id"), label), _number(node.text, label)
        if number is None or value is None or round(number) not in by_id:
            raise CorruptScene(f"{label} has an offset without a band; download the product again")
        found[by_id[round(number)]] = value
    return found or None


def _number(text: str | None, label: str) -> float | None:
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not isfinite(value):
        raise CorruptScene(
            f"{label} holds {guard.printable(text[:40])!r} where a number belongs; download the product again"
        )
    return value


def _instant(text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
