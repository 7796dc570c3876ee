"""SAFE products of ESA and their granules: compact, old long names, GeoTIFF flavour, in folders and zips."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path, PurePosixPath
from typing import TypeVar
from xml.etree.ElementTree import Element

from pipeline.bands import BANDS, SENTINEL_2
from pipeline.errors import CorruptScene, IncompleteScene
from pipeline.scenes.finding.build import Found, build_scene
from pipeline.scenes.finding.listing import Files
from pipeline.scenes.finding.names import facts, platform_name, split_band
from pipeline.scenes.offsets import baseline_pair
from pipeline.scenes.safety import guard
from pipeline.scenes.scene import Asset, Level, OffsetEvidence, Pass, Radiometry, ReadOptions, Scene

PRODUCT_XML = re.compile(r"(?:MTD_MSI(?:L1C|L2A)\.xml|S2[A-D]_(?:OPER|USER)_MTD_SAF.*\.xml)$", re.IGNORECASE)
GRANULE_XML = re.compile(
    r"(?:MTD_TL\.xml|S2[A-D]_(?:OPER|USER)_MTD_L(?:1C|2A)_TL_.*\.xml|(?:granule_)?metadata\.xml)$", re.IGNORECASE
)
T = TypeVar("T")
# How mirrors of single granules call the copy of the product's metadata.
BESIDE_GRANULE = "product_metadata.xml"
_MANIFEST = "manifest.safe"
_NOT_BANDS = {"QI_DATA", "AUX_DATA", "HTML", "qi", "auxiliary", "preview"}
# L1C's cloud mask since baseline 04.00.
_L1C_MASK = "QI_DATA/MSK_CLASSI_B00.jp2"


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


def read_product(files: Files, xml: str, where: str) -> tuple[Product, list[Files]]:
    """The facts in a product's metadata file, and the files of each of its granules.

    Raises:
        CorruptScene, UnsafeInput: the XML is broken or hostile.
    """
    product = product_facts(guard.parse_xml(files.read(xml), f"{where}/{xml}"), PurePosixPath(xml).name, where)
    home = files.below(_parent(xml))
    if _MANIFEST in home.sizes:
        product = replace(
            product, listed=_manifest(guard.parse_xml(home.read(_MANIFEST), f"{where}/{_MANIFEST}"), where)
        )
    names = sorted(
        {entry.split("/")[1] for entry in home.sizes if entry.startswith("GRANULE/") and entry.count("/") > 1}
    )
    with_images = [granule for name in names if _images(granule := home.below(f"GRANULE/{name}"))]
    return product, with_images or [home.below(f"GRANULE/{names[0]}") if names else home]


def product_facts(root: Element, source: str, where: str) -> Product:
    """What a product's metadata says.

    Raises:
        CorruptScene: it is not the metadata of a Sentinel-2 product, or a number in it is none.
    """
    text = _texts(root)
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
        offsets=_offsets(root, label),
        platform=platform_name(text.get("SPACECRAFT_NAME")),
        start=_instant(text.get("DATATAKE_SENSING_START") or text.get("PRODUCT_START_TIME")),
        cloud_cover=_number(text.get("Cloud_Coverage_Assessment"), label),
        images=tuple(
            node.text.strip() for node in root.iter() if _tag(node) in ("IMAGE_FILE", "IMAGE_ID") and node.text
        ),
        source=source,
        names=tuple(name for name in (text.get("PRODUCT_URI"), where) if name),
        generated=_instant(text.get("GENERATION_TIME")),
        strips=dict(_strips(root)),
    )


def _strips(root: Element) -> Iterator[tuple[str, str]]:
    for node in root.iter():
        if _tag(node) in ("Granule", "Granules"):
            strip = re.search(r"_S(\d{8}T\d{6})", node.get("datastripIdentifier", ""))
            if strip:
                yield node.get("granuleIdentifier", ""), strip[1]


def _manifest(root: Element, where: str) -> dict[str, Listed]:
    """Size and checksum of every file that `manifest.safe` lists, by name relative to the product."""
    found = {}
    for node in root.iter():
        if _tag(node) != "byteStream":
            continue
        parts = {_tag(child): child for child in node}
        if (place := parts.get("fileLocation")) is None:
            continue
        size = _number(node.get("size"), f"{where}: {_MANIFEST}")
        total = parts.get("checksum")
        checksum = f"{total.get('checksumName', '')}:{total.text.strip()}" if total is not None and total.text else None
        found[place.get("href", "").removeprefix("./")] = Listed(None if size is None else round(size), checksum)
    return found


def granule_facts(root: Element, label: str) -> Granule:
    """What a granule's metadata says.

    Raises:
        CorruptScene: a number in it is none.
    """
    text = _texts(root)
    corners: dict[int, tuple[float, float]] = {}
    for node in root.iter():
        if _tag(node) == "Geoposition":
            inner = _texts(node)
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


def granule_scene(
    files: Files, product: Product | None, product_xml: tuple[Files, str] | None, options: ReadOptions, where: str
) -> Scene:
    """The scene of one granule; `product_xml` names the product's metadata file for the list of inputs.

    Raises:
        PipelineError: it cannot be read, and why.
    """
    xml = next((name for name in sorted(files.sizes) if "/" not in name and GRANULE_XML.match(name)), None)
    granule = (
        granule_facts(guard.parse_xml(files.read(xml), f"{where}/{xml}"), f"{where}: {xml}")
        if xml
        else Granule(None, None, None)
    )
    named = [facts(name) for name in (*(product.names if product else ()), where, files.root.name)]
    level = (product.level if product else None) or granule.level or _first(fact.level for fact in named)
    radiometry = _radiometry(product)
    images = _images(files)
    if not images:
        raise IncompleteScene(f"{where}: holds metadata but no band images; download the whole product")
    home = product_xml[0].root / _parent(product_xml[1]) if product_xml else files.root
    assets = {
        band: replace(asset, scale=1.0 / (radiometry.quantification or 10_000.0))
        for band, asset in _assets(files, images, granule, product.listed if product else {}, home, where).items()
    }
    if level is Level.L1C and _L1C_MASK in files.sizes:
        assets["SCL"] = Asset(files.href(_L1C_MASK), nodata=None, flags=SENTINEL_2.mask_flags)
    tile = granule.tile or _first(fact.tile for fact in [facts(files.root.name), *named])
    platform = (product.platform if product else None) or _first(fact.platform for fact in named)
    start = product.start if product and product.start else _first(fact.acquired for fact in named)
    acquired = granule.sensed or start
    inputs = {files.path(name) for name, _ in images.values()} | ({files.path(xml)} if xml else set())
    if product_xml:
        inputs.add(product_xml[0].path(product_xml[1]))
    told_by: str | None = product.source if product and product.level else xml if granule.level else None
    sources = {**radiometry.sources, "level": "name" if told_by is None else told_by}
    return build_scene(
        Found(
            id="_".join(
                part
                for part in (
                    platform,
                    level,
                    f"T{tile}" if tile else files.root.stem,
                    f"{start:%Y%m%dT%H%M%S}" if start else None,
                )
                if part
            ),
            where=where,
            layout="SAFE" if product and product.source != BESIDE_GRANULE else "granule",
            assets=assets,
            radiometry=replace(radiometry, sources=sources),
            acquired=acquired,
            level=level,
            platform=platform,
            cloud_cover=product.cloud_cover if product else None,
            files=tuple(sorted(inputs)),
            warnings=_baseline_warnings(product),
            expected=_expected(product),
            seen=_pass(product, platform, start, tile, granule.id),
            evidence=_evidence(product),
        ),
        options,
    )


def _assets(
    files: Files,
    images: Mapping[str, tuple[str, int | None]],
    granule: Granule,
    listed: Mapping[str, Listed],
    home: Path,
    where: str,
) -> dict[str, Asset]:
    """Each image with the place that the granule's XML gives it and the checksum that the manifest states.

    Raises:
        CorruptScene: a file's size is not the manifest's.
    """
    assets = {}
    for band, (name, size) in images.items():
        corner = granule.corners.get(size or 0)
        entry = listed.get((files.root / name).relative_to(home).as_posix(), Listed(None, None))
        if entry.size is not None and entry.size != files.sizes[name]:
            raise CorruptScene(
                f"{where}: {PurePosixPath(name).name} has {files.sizes[name]} bytes, the manifest says {entry.size}; "
                f"download it again"
            )
        place = (float(size), 0.0, corner[0], 0.0, -float(size), corner[1]) if size and corner else None
        assets[band] = Asset(files.href(name), crs=granule.epsg, transform=place, checksum=entry.checksum)
    return assets


def _expected(product: Product | None) -> dict[str, str]:
    """Band to the file name that the product's XML gives it."""
    names = [PurePosixPath(path).name for path in (product.images if product else ())]
    return {band: name for name in names if (band := split_band(name)[1])}


def _pass(
    product: Product | None, platform: str | None, start: datetime | None, tile: str | None, granule: str | None
) -> Pass | None:
    if product is None or platform is None or start is None or tile is None:
        return None
    strip = product.strips.get(granule or "") or next(iter(product.strips.values()), "")
    return Pass(platform, start.replace(microsecond=0), tile, strip, product.generated)


def _radiometry(product: Product | None) -> Radiometry:
    """The passport without the offsets."""
    quantification, sources = product.quantification if product else None, {}
    if quantification is None:
        quantification, sources["quantification"] = 10_000.0, "assumed (Sentinel-2's usual value)"
    elif product:
        sources["quantification"] = product.source
    if product and product.baseline:
        sources["baseline"] = product.source
    return Radiometry(product.baseline if product else None, quantification, sources=sources)


def _evidence(product: Product | None) -> OffsetEvidence:
    """What the product's metadata tell of offsets.

    Presence of the list decides, never a date or a name. A copy of the metadata beside single granules is one witness
    among others: their makers may have shifted the pixels.
    """
    if product is None:
        return OffsetEvidence(product=True)
    if product.source == BESIDE_GRANULE:
        return OffsetEvidence(source=product.source, stated=product.offsets, baseline=product.baseline)
    return OffsetEvidence(source=product.source, product=True, listed=product.offsets, baseline=product.baseline)


def _baseline_warnings(product: Product | None) -> tuple[str, ...]:
    if product and SENTINEL_2.newest_baseline < baseline_pair(product.baseline) < (99, 0):
        return (
            f"baseline {product.baseline} is newer than those known here "
            f"({SENTINEL_2.newest_baseline[0]:02}.{SENTINEL_2.newest_baseline[1]:02}); read as its metadata says",
        )
    return ()


def _images(files: Files) -> dict[str, tuple[str, int | None]]:
    """Band (or TCI, SCL) to file name and pixel size in its name; the finest of the copies at 10, 20 and 60 m."""
    best: dict[str, tuple[float, str, int | None]] = {}
    for name in sorted(files.sizes):
        path = PurePosixPath(name)
        if path.suffix.lower() not in guard.RASTER_SUFFIXES or _NOT_BANDS & set(path.parts):
            continue
        _, band, size = split_band(path.stem)
        if band is None or (band == "SCL" and "MSK" in path.stem):
            continue
        if size is None and (folder := re.fullmatch(r"R(10|20|60)m", path.parent.name)):
            size = int(folder[1])
        native = next((entry.gsd for entry in BANDS if entry.name == band), 10)
        rank = size or native
        if band not in best or rank < best[band][0]:
            best[band] = rank, name, size or (round(native) if band != "SCL" else None)
    return {band: (name, size) for band, (_, name, size) in best.items()}


def _tag(node: Element) -> str:
    return node.tag.rsplit("}", 1)[-1]


def _texts(root: Element) -> dict[str, str]:
    """The first text of each tag below a node."""
    found: dict[str, str] = {}
    for node in root.iter():
        if node.text and node.text.strip():
            found.setdefault(_tag(node), node.text.strip())
    return found


def _offsets(root: Element, label: str) -> dict[str, float] | None:
    """Offsets in DN by band, mapped by the product's own table of band ids where it has one."""
    by_id = {band.number: band.name for band in BANDS}
    for node in root.iter():
        if _tag(node) == "Spectral_Information" and (number := _number(node.get("bandId"), label)) is not None:
            match = re.fullmatch(r"B(\d{1,2}|8A)", node.get("physicalBand", ""))
            if match:
                by_id[round(number)] = "B8A" if match[1] == "8A" else f"B{match[1]:0>2}"
    found: dict[str, float] = {}
    for node in root.iter():
        if _tag(node) in ("BOA_ADD_OFFSET", "RADIO_ADD_OFFSET"):
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


def _parent(name: str) -> str:
    parent = str(PurePosixPath(name).parent)
    return "" if parent == "." else parent


def _first(values: Iterable[T | None]) -> T | None:
    return next((value for value in values if value is not None), None)
