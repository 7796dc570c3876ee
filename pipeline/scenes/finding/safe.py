"""SAFE products of ESA and their granules: compact, old long names, GeoTIFF flavour, in folders and zips."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import TypeVar

from pipeline.bands import BANDS, SENTINEL_2
from pipeline.errors import CorruptScene, IncompleteScene
from pipeline.scenes.finding.build import Found, build_scene
from pipeline.scenes.finding.listing import Files
from pipeline.scenes.finding.metadata import MANIFEST, Granule, Listed, Product, granule_facts, manifest, product_facts
from pipeline.scenes.finding.names import facts, split_band
from pipeline.scenes.offsets import baseline_pair
from pipeline.scenes.safety import guard
from pipeline.scenes.scene import Asset, Level, OffsetEvidence, Pass, Radiometry, ReadOptions, Scene

PRODUCT_XML = re.compile(r"(?:MTD_MSI(?:L1C|L2A)\.xml|S2[A-D]_(?:OPER|USER)_MTD_SAF.*\.xml)$", re.IGNORECASE)
GRANULE_XML = re.compile(
    r"(?:MTD_TL\.xml|S2[A-D]_(?:OPER|USER)_MTD_L(?:1C|2A)_TL_.*\.xml|(?:granule_)?metadata\.xml)$", re.IGNORECASE
)
# Nearly all of a granule's XML: tables of the angles of sun and sensor, of which nothing is read here.
_ANGLES = re.compile(rb"<VALUES>[^<]*</VALUES>")
T = TypeVar("T")
# How mirrors of single granules call the copy of the product's metadata.
BESIDE_GRANULE = "product_metadata.xml"
_NOT_BANDS = {"QI_DATA", "AUX_DATA", "HTML", "qi", "auxiliary", "preview"}
# L1C's cloud mask since baseline 04.00.
_L1C_MASK = "QI_DATA/MSK_CLASSI_B00.jp2"


def read_product(files: Files, xml: str, where: str) -> tuple[Product, list[Files]]:
    """The facts in a product's metadata file, and the files of each of its granules.

    Raises:
        CorruptScene, UnsafeInput: the XML is broken or hostile.
    """
    product = product_facts(guard.parse_xml(files.read(xml), f"{where}/{xml}"), PurePosixPath(xml).name, where)
    home = files.below(_parent(xml))
    if MANIFEST in home.sizes:
        product = replace(product, listed=manifest(guard.parse_xml(home.read(MANIFEST), f"{where}/{MANIFEST}"), where))
    names = sorted(
        {entry.split("/")[1] for entry in home.sizes if entry.startswith("GRANULE/") and entry.count("/") > 1}
    )
    with_images = [granule for name in names if _images(granule := home.below(f"GRANULE/{name}"))]
    return product, with_images or [home.below(f"GRANULE/{names[0]}") if names else home]


def granule_scene(
    files: Files, product: Product | None, product_xml: tuple[Files, str] | None, options: ReadOptions, where: str
) -> Scene:
    """The scene of one granule; `product_xml` names the product's metadata file for the list of inputs.

    Raises:
        PipelineError: it cannot be read, and why.
    """
    xml = next((name for name in sorted(files.sizes) if "/" not in name and GRANULE_XML.match(name)), None)
    granule = (
        granule_facts(guard.parse_xml(_ANGLES.sub(b"", files.read(xml)), f"{where}/{xml}"), f"{where}: {xml}")
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


def _parent(name: str) -> str:
    parent = str(PurePosixPath(name).parent)
    return "" if parent == "." else parent


def _first(values: Iterable[T | None]) -> T | None:
    return next((value for value in values if value is not None), None)
