"""From what a layout found to a Scene: headers, place, resolution, the picture fallback."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from affine import Affine

from pipeline.bands import AERIAL, BY_NAME, RGB, SENTINEL_2
from pipeline.errors import (
    AmbiguousRadiometry,
    CorruptScene,
    GeoreferenceError,
    IncompleteScene,
    PipelineError,
    UnfitScene,
)
from pipeline.grid import Bounds
from pipeline.scenes.finding.names import safe_id
from pipeline.scenes.offsets import Offsets, decide, in_dn, shifted
from pipeline.scenes.reading.header import COARSEST, Header, Place, check_gsd, locate, native_gsd, read_header
from pipeline.scenes.safety.address import base_name
from pipeline.scenes.safety.guard import display_name, is_zipped
from pipeline.scenes.safety.integrity import check_structure
from pipeline.scenes.scene import (
    UNKNOWN_DATE,
    UNMASKED,
    Asset,
    Level,
    OffsetEvidence,
    Pass,
    Radiometry,
    ReadOptions,
    Scene,
)

# Codes 1..255 span reflectance 0..max; 0 is no data.
_TCI_STEPS = 254.0
_USUAL_SCALE = 1e-4
_APPROXIMATE = "reflectance is approximate: it was reconstructed from an 8-bit true-colour picture"
_SIDE_FILES = (".aux.xml", ".ovr", ".msk", ".tfw", ".j2w", ".wld")


@dataclass(frozen=True, slots=True)
class Found:
    """What a layout's reader knows of a scene before rasters are opened."""

    id: str
    """The scene's name before others claim it too."""
    where: str
    """Folder, archive or file, as messages name it."""
    layout: str
    """Which kind of product it is, such as SAFE."""
    assets: Mapping[str, Asset]
    """Band (or SCL, TCI) to its file; `gsd` is filled from the headers, offsets by the `evidence`."""
    radiometry: Radiometry
    """What the metadata says of stored numbers."""
    acquired: datetime | None = None
    """When it was taken; None = not told."""
    level: Level | None = None
    """None = not told."""
    platform: str | None = None
    """The satellite, such as sentinel-2b; None = not told."""
    cloud_cover: float | None = None
    """Percent by the metadata; None = not told."""
    files: tuple[Path, ...] = ()
    """All local files that it consists of."""
    warnings: tuple[str, ...] = ()
    """What the reader doubts."""
    expected: Mapping[str, str] = field(default_factory=dict)
    """Checksum by href, such as `MD5:ec12...`, where a manifest tells it."""
    seen: Pass | None = None
    """The pass that it shows, by which duplicates are told; None = not told."""
    evidence: OffsetEvidence = field(default_factory=OffsetEvidence)
    """All that speaks for one offset or another."""
    sensor: str = SENTINEL_2.name
    """Name of its sensor."""
    unscaled: frozenset[str] = frozenset()
    """Bands whose scale nothing tells."""
    headers: Mapping[str, Header] = field(default_factory=dict)
    """By href, where they were read already."""


def build_scene(found: Found, options: ReadOptions) -> Scene:
    """Opens the headers of a scene's files and puts it on the grid.

    Raises:
        UnfitScene: the model was trained on another sensor's pixels.
        IncompleteScene, GeoreferenceError, ResolutionError, AmbiguousRadiometry, CorruptScene, UnsafeInput: it cannot
        be read.
    """
    sensor = found.sensor
    if options.sensor not in (None, sensor):
        raise UnfitScene(_unfit(found, options))
    assets, radiometry, notes = _chosen(found, options)
    warnings = [*found.warnings, *notes]
    level = found.level
    if level is None:
        level = Level.RGB if radiometry.approximate else Level.L2A
        radiometry = replace(radiometry, sources={**radiometry.sources, "level": "assumed (nothing tells it)"})
        if not radiometry.approximate:
            warnings.append("processing level unknown, taken as L2A; a STAC Item beside the files can tell it")
    if found.acquired is None:
        warnings.append(
            "acquisition date unknown; put it into the file name (YYYYMMDD) or a STAC Item beside the files"
        )
    evidence = replace(found.evidence, where=found.where, asked=options.offset)
    offsets = None if radiometry.approximate else decide(evidence, assets)
    placed, quality, dropped = _place(found, assets, offsets, options)
    warnings += dropped
    warnings += _side_files(found.files)
    if quality is None and sensor == SENTINEL_2.name:
        warnings.append(UNMASKED)
    first = options.required[0]
    place = placed[first][1]
    bounds = _shared_bounds(found.where, place, {band: placed[band][1] for band in options.required})
    others = [band for band in options.required if not placed[band][1].on_grid]
    if others:
        gsd = placed[others[0]][1].gsd
        warnings.append(
            f"{', '.join(others)}: pixels of {gsd:.1f} m in another grid, resampled (cubic) to {options.gsd:g} m in "
            f"EPSG:{place.epsg}"
        )
    return Scene(
        id=safe_id(found.id or f"{place.epsg}_{place.bounds[0]:.0f}_{place.bounds[3]:.0f}"),
        acquired=found.acquired or UNKNOWN_DATE,
        level=level,
        epsg=place.epsg,
        bounds=bounds,
        footprint=place.footprint,
        assets={band: asset for band, (asset, _) in placed.items()},
        layout=found.layout,
        radiometry=radiometry if offsets is None else _told(radiometry, offsets),
        quality=quality,
        cloud_cover=found.cloud_cover,
        platform=found.platform,
        files=tuple(path for path in found.files if path not in options.remote),
        warnings=tuple(warnings),
        seen=found.seen,
        evidence=evidence,
        sensor=sensor,
        gsd=options.gsd,
    )


def _unfit(found: Found, options: ReadOptions) -> str:
    what = "a picture with finer pixels than Sentinel-2's" if found.sensor == AERIAL.name else "a scene of Sentinel-2"
    return (
        f"{found.where}: {what}; the model was trained on {options.sensor} pixels of {options.gsd:g} m; choose a model "
        f"for it"
    )


def _chosen(found: Found, options: ReadOptions) -> tuple[dict[str, Asset], Radiometry, list[str]]:
    """The bands to read: the scene's own, or those of its true-colour picture as the last resort.

    With what to say of it. Pictures from planes and drones are taken as they are.

    A product that has some of the bands is incomplete; only loose files are completed by their picture.
    """
    if found.sensor == AERIAL.name:
        return _plain_picture(found, options)
    if _has_picture_bands(found) and set(options.required) <= set(RGB):
        return *_picture_bands(found, options), [_APPROXIMATE]
    missing = [band for band in options.required if band not in found.assets]
    if not missing:
        return {band: asset for band, asset in found.assets.items() if band in BY_NAME}, found.radiometry, []
    partial = any(band in found.assets for band in RGB)
    product = found.layout in ("SAFE", "granule")
    if not set(options.required) <= set(RGB) or (product and partial) or not _usable_picture(found, options):
        names = ", ".join(f"{band} ({found.expected[band]})" if band in found.expected else band for band in missing)
        raise IncompleteScene(f"{found.where}: lacks {names}; add the missing files or download the product again")
    notes = (
        [f"{', '.join(missing)} missing: the true-colour picture (TCI) is used instead of the bands"] if partial else []
    )
    return *_picture_bands(found, options), [*notes, _APPROXIMATE]


def _picture_bands(found: Found, options: ReadOptions) -> tuple[dict[str, Asset], Radiometry]:
    """Red, green and blue of an 8-bit picture as approximate bands, and the passport that says so."""
    known = SENTINEL_2.true_colour.get(found.level) if found.level else None
    top = options.tci_max or known
    if top is None:
        raise AmbiguousRadiometry(
            f"{found.where}: a picture of unknown level, whose code 255 could stand for DN "
            f"{SENTINEL_2.true_colour[Level.L1C]:.0f} (L1C) "
            f"or {SENTINEL_2.true_colour[Level.L2A]:.0f} (L2A); say which with --tci-max"
        )
    scale = top / _TCI_STEPS * 1e-4
    # Sen2Cor truncates where it makes codes, so a code stands for the middle of its step (measured intercept: -0.48
    # steps).
    middle = 0.5 if found.level is Level.L2A and options.tci_max is None else 1.0
    chosen = found.assets if _has_picture_bands(found) else _true_colour(found)
    assets = {band: replace(chosen[band], scale=scale, offset=-middle * scale, nodata=None) for band in RGB}
    source = (
        "--tci-max" if options.tci_max else f"{found.level} true-colour pictures end at reflectance {top / 1e4:.4f}"
    )
    sources = {**found.radiometry.sources, "scale": source}
    return assets, replace(found.radiometry, approximate=True, sources=sources, quantification=None, offsets={})


def _plain_picture(found: Found, options: ReadOptions) -> tuple[dict[str, Asset], Radiometry, list[str]]:
    """Red, green and blue of a picture under the names that the model has for them; its numbers are no reflectance."""
    chosen = found.assets if _has_picture_bands(found) else _true_colour(found) if "TCI" in found.assets else {}
    if len(options.required) != len(RGB) or not set(RGB) <= set(chosen):
        raise IncompleteScene(
            f"{found.where}: is no 8-bit picture in red, green and blue, which {', '.join(options.required)} ask for; "
            f"give such pictures or choose another model"
        )
    assets = {
        name: replace(chosen[band], picture=True, nodata=None) for name, band in zip(options.required, RGB, strict=True)
    }
    sources = {"scale": "none: the picture's numbers are taken as they are"}
    return assets, Radiometry(sources=sources, approximate=True), []


def _usable_picture(found: Found, options: ReadOptions) -> bool:
    """Whether the scene has a true-colour picture of 10 m pixels; the 60 m copy in every L2A product is no stand-in."""
    if "TCI" not in found.assets:
        return False
    header = read_header(found.assets["TCI"].href)
    return _placed(header, found.assets["TCI"], options)[0].gsd <= COARSEST * options.gsd


def _has_picture_bands(found: Found) -> bool:
    return all(band in found.assets and found.assets[band].picture for band in RGB)


def _true_colour(found: Found) -> dict[str, Asset]:
    """Red, green and blue of the scene's TCI file."""
    picture = found.assets["TCI"]
    header = read_header(picture.href)
    order = {"red": 1, "green": 2, "blue": 3}
    if set(order) <= set(header.colours):
        order = {colour: header.colours.index(colour) + 1 for colour in order}
    elif header.count < 3:
        raise IncompleteScene(
            f"{found.where}: the true-colour picture has {header.count} band(s), three are needed; add the B02, B03 "
            f"and B04 files"
        )
    alpha = header.colours.index("alpha") + 1 if "alpha" in header.colours else None
    return {
        band: replace(picture, index=order[colour], picture=True, alpha=alpha)
        for band, colour in zip(RGB, order, strict=True)
    }


def file_asset(header: Header, index: int) -> tuple[Asset, float | None]:
    """A band of a file that only its own header describes, and the offset in DN that it states, if it does."""
    scale, offset, floats = header.scales[index - 1], header.offsets[index - 1], header.dtypes[index - 1][:5] == "float"
    told = scale != 1.0 or offset != 0.0
    if scale == 1.0 and not floats:
        scale, offset = _USUAL_SCALE, offset * _USUAL_SCALE
    asset = Asset(header.href, index, scale, nodata=header.nodata if header.nodata is not None else 0.0)
    return asset, in_dn(scale, offset) if told else None


def _told(radiometry: Radiometry, offsets: Offsets) -> Radiometry:
    """The passport with the offsets, and where they were read."""
    return replace(
        radiometry,
        offsets=offsets.values,
        sources={**radiometry.sources, "offset": offsets.origin},
    )


def _place(
    found: Found, assets: Mapping[str, Asset], offsets: Offsets | None, options: ReadOptions
) -> tuple[dict[str, tuple[Asset, Place]], Asset | None, list[str]]:
    """Each band's asset with its pixel size, and its place.

    Optional bands that cannot be read are dropped with a word.
    """
    quality = found.assets.get("SCL")
    places: dict[str, tuple[Place, bool]] = {}
    headers: dict[str, Header] = {}
    dropped: list[str] = []

    def completed(asset: Asset) -> tuple[Asset, Place]:
        if asset.href not in places:
            headers[asset.href] = found.headers.get(asset.href) or read_header(asset.href)
            if not is_zipped(asset.href):  # the reader walks zip members when they are unpacked anyway
                check_structure(asset.href)
            places[asset.href] = _placed(headers[asset.href], asset, options)
        count, asked = headers[asset.href].count, max(asset.index, len(asset.flags))
        if asked > count:
            raise IncompleteScene(
                f"{display_name(asset.href)}: has {count} band(s), band {asked} is asked for; correct its description"
            )
        place, borrowed = places[asset.href]
        crs = (asset.crs or options.assume_crs) if borrowed else None
        return replace(asset, gsd=round(place.gsd, 2), crs=crs, transform=asset.transform if borrowed else None), place

    placed: dict[str, tuple[Asset, Place]] = {}
    for band, asset in assets.items():
        try:
            asset, place = completed(asset)
            if band in found.unscaled and headers[asset.href].dtypes[asset.index - 1].startswith("float"):
                asset = replace(asset, scale=1.0)  # reflectance, unless the pixels say otherwise
            asset = asset if offsets is None else shifted(asset, offsets.values[band])
            _check_numbers(headers[asset.href], asset)
            check_gsd(place.gsd, native_gsd(band, options.gsd), f"{base_name(asset.href)} ({band})", options.gsd)
        except PipelineError as error:
            if band in options.required:
                raise
            dropped.append(f"{band} is left out: {error}")
            continue
        placed[band] = asset, place
    if quality is not None:
        try:
            quality, _ = completed(quality)
        except PipelineError as error:
            dropped.append(f"the cloud mask is left out: {error}")
            quality = None
    return placed, quality, dropped


def _placed(header: Header, asset: Asset, options: ReadOptions) -> tuple[Place, bool]:
    """Where a file lies, and whether its place was borrowed from the product's metadata or the user.

    JP2s of Level-2Ap products, before baseline 02.07, have no georeferencing of their own.
    """
    name = display_name(header.href)
    if header.crs is None:
        transform = Affine(*asset.transform) if asset.transform else None
        return locate(header, asset.crs or options.assume_crs, transform, options.gsd), True
    if asset.crs is not None and header.crs != asset.crs:
        raise GeoreferenceError(
            f"{name}: says EPSG:{header.crs}, its metadata EPSG:{asset.crs}; download the product again"
        )
    return locate(header, gsd=options.gsd), False


def _check_numbers(header: Header, asset: Asset) -> None:
    """Refuses scales and offsets that no reflectance has, and 8-bit numbers, someone's stretch of unknown scale."""
    if not (1e-9 < asset.scale < 1e6 and abs(asset.offset) < 1e3):
        why = f"its metadata turn numbers into reflectance by {asset.scale:g} x DN + {asset.offset:g}"
        raise CorruptScene(f"{display_name(header.href)}: {why}; correct them")
    if header.dtypes[asset.index - 1] == "uint8" and asset.scale == _USUAL_SCALE and not asset.picture:
        raise AmbiguousRadiometry(
            f"{display_name(header.href)}: 8-bit numbers of unknown scale; use the 16-bit file, or a STAC Item that "
            f"tells the scale"
        )


def _shared_bounds(where: str, first: Place, places: Mapping[str, Place]) -> Bounds:
    """The area that all needed bands cover."""
    left, bottom, right, top = first.bounds
    for band, place in places.items():
        if place.epsg != first.epsg:
            raise GeoreferenceError(
                f"{where}: {band} lies in EPSG:{place.epsg}, others in EPSG:{first.epsg}; warp the bands to one zone"
            )
        left, bottom = max(left, place.bounds[0]), max(bottom, place.bounds[1])
        right, top = min(right, place.bounds[2]), min(top, place.bounds[3])
    if left >= right or bottom >= top:
        raise GeoreferenceError(f"{where}: its bands do not overlap on the ground; check their georeferencing")
    return left, bottom, right, top


def _side_files(files: tuple[Path, ...]) -> list[str]:
    beside = (
        side for path in files for suffix in _SIDE_FILES for side in (Path(f"{path}{suffix}"), path.with_suffix(suffix))
    )
    ignored = sorted({side.name for side in beside if side.exists()})
    if not ignored:
        return []
    more = f" and {len(ignored) - 3} more" if len(ignored) > 3 else ""
    return [f"side files are ignored for safety: {', '.join(ignored[:3])}{more}"]
