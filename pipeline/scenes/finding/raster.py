"""One raster file with several bands."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from pipeline.bands import AERIAL, BY_NAME, NAMES, SENTINEL_2
from pipeline.errors import AmbiguousRadiometry, GeoreferenceError, NotAScene
from pipeline.scenes.finding.bandfiles import ASSUMED
from pipeline.scenes.finding.build import Found, build_scene, file_asset
from pipeline.scenes.finding.listing import Files
from pipeline.scenes.finding.names import band_name, facts, other_satellite
from pipeline.scenes.reading.header import FINEST, GRID_GSD, Header, locate, read_header
from pipeline.scenes.safety import guard
from pipeline.scenes.scene import Asset, OffsetEvidence, Radiometry, ReadOptions, Scene


def raster_scene(name: str, files: Files, options: ReadOptions) -> Scene:
    """The scene in one file.

    Raises:
        NotAScene: a single band without a name.
        PipelineError: it cannot be read, and why.
    """
    path = PurePosixPath(name)
    where = guard.printable(f"{files.root.name}/{name}" if files.root.name != name else name)
    header = read_header(files.href(name))
    told = [text.split(",")[0].split(" (")[0].strip() for text in header.descriptions if text]
    if not options.bands and (why := other_satellite([path.stem], told)):
        raise AmbiguousRadiometry(f"{where}: {why}; say which Sentinel-2 bands its own are with --bands, or remove it")
    bands = _bands(header, options, where)
    named = [facts(part) for part in (path.stem, *reversed(path.parent.parts))]
    baseline = next((fact.baseline for fact in named if fact.baseline), None)
    sources = dict(ASSUMED) | ({"baseline": "name"} if baseline else {})
    level = next((fact.level for fact in named if fact.level), None)
    if level:
        sources["level"] = "name"
    assets: dict[str, Asset] = {}
    stated: dict[str, float] = {}
    if bands is None:
        assets = {"TCI": Asset(files.href(name))}
    else:
        picture = header.dtypes[0] == "uint8" and not set(header.scales) - {1.0}
        alpha = header.colours.index("alpha") + 1 if picture and "alpha" in header.colours else None
        for band, index in bands.items():
            asset, dn = file_asset(header, index)
            assets[band] = replace(asset, picture=picture, alpha=alpha)
            if dn is not None and band in BY_NAME:
                stated[band] = dn
        if stated:
            sources["quantification"] = "the file's scale"
    scales = {asset.scale for band, asset in assets.items() if band in BY_NAME}
    aerial = header.dtypes[0] == "uint8" and _fine(header, options)
    if aerial and options.sensor is None:
        options = replace(options, gsd=round(locate(header, options.assume_crs if header.crs is None else None).gsd, 2))
    return build_scene(
        Found(
            id=path.stem,
            where=where,
            layout="raster",
            assets=assets,
            radiometry=Radiometry(
                baseline, round(1.0 / scales.pop(), 6) if len(scales) == 1 else None, sources=sources
            ),
            acquired=next((fact.acquired for fact in named if fact.acquired), None),
            level=level,
            platform=next((fact.platform for fact in named if fact.platform), None),
            files=(files.path(name),),
            sensor=AERIAL.name if aerial else SENTINEL_2.name,
            evidence=OffsetEvidence(source="the file's offset", stated=stated or None, baseline=baseline),
            headers={header.href: header},
        ),
        options,
    )


def _fine(header: Header, options: ReadOptions) -> bool:
    """Whether pixels are too small to be Sentinel-2's, even after someone's resampling."""
    try:
        return locate(header, options.assume_crs if header.crs is None else None).gsd < FINEST * GRID_GSD
    except GeoreferenceError:
        return False  # `build_scene` meets the same error and tells it


def _bands(header: Header, options: ReadOptions, where: str) -> dict[str, int] | None:
    """Band to its number in the file; None for an 8-bit picture in red, green and blue."""
    named = {
        band: at + 1
        for at, text in reversed(list(enumerate(header.descriptions)))
        if text and (band := _named_band(text.split(",")[0].split(" (")[0]))
    }
    if set(named) & set(BY_NAME):
        return named
    if options.bands:
        if len(options.bands) > header.count:
            raise AmbiguousRadiometry(
                f"{where}: has {header.count} bands, --bands names {len(options.bands)}; name one for each band of "
                f"the file"
            )
        return {band: at + 1 for at, band in enumerate(options.bands)}
    if {"red", "green", "blue"} <= set(header.colours) and header.dtypes[0] == "uint8":
        return None
    if header.count == 1:
        raise NotAScene(
            f"{where}: one band without a name; name the file after its band (B04.tif) if it belongs to a scene"
        )
    raise AmbiguousRadiometry(
        f"{where}: its {header.count} bands have no names; name them in order, as in --bands "
        f"{','.join(_guess(header.count))}"
    )


def _named_band(text: str) -> str | None:
    return {"R": "B04", "G": "B03", "B": "B02"}.get(text.strip().upper()) or band_name(text)


def _guess(count: int) -> Sequence[str]:
    return {3: ("B04", "B03", "B02"), 4: ("B02", "B03", "B04", "B08")}.get(count, NAMES[:count])
