"""Loose band files: one raster a band, grouped into scenes by what their names share."""

import re
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import NamedTuple

from pipeline.bands import BY_NAME
from pipeline.errors import AmbiguousRadiometry, PipelineError
from pipeline.scenes.finding.build import Found, build_scene, file_asset
from pipeline.scenes.finding.listing import Files
from pipeline.scenes.finding.names import ID_LENGTH, Named, facts, other_satellite, split_band
from pipeline.scenes.reading.header import read_header
from pipeline.scenes.safety import guard
from pipeline.scenes.scene import Asset, Level, OffsetEvidence, Radiometry, ReadOptions, Scene

# Without an Item the usual scale is Sentinel-2's 10,000 and the pixels must confirm the offset.
ASSUMED = {"quantification": "assumed (Sentinel-2's usual value)"}

_SHORT_BAND = re.compile(r"(?:^|[_\-. ])(B[1-9])(?=[_\-. ]|$)", re.IGNORECASE)


class Group(NamedTuple):
    """Band files of one scene."""

    bands: dict[str, str]
    """Band (or TCI, SCL) to the file with the finest pixels."""
    members: set[str]
    """All its files, coarser copies included."""


def groups(names: Iterable[str]) -> dict[tuple[str, str], Group]:
    """Band files by their folder and the stem that they share."""
    found: dict[tuple[str, str], Group] = {}
    sizes: dict[str, float] = {}
    for name in sorted(names):
        path = PurePosixPath(name)
        rest, band, size = split_band(path.stem)
        if band is None:
            continue
        folder = path.parent.parent if path.parent.name in ("R10m", "R20m", "R60m") else path.parent
        sizes[name] = size or (
            int(path.parent.name[1:3]) if folder != path.parent else BY_NAME[band].gsd if band in BY_NAME else 10
        )
        group = found.setdefault((folder.as_posix(), rest), Group({}, set()))
        group.members.add(name)
        if band not in group.bands or sizes[name] < sizes[group.bands[band]]:
            group.bands[band] = name
    return found


def bandfiles_scene(folder: str, stem: str, bands: Mapping[str, str], files: Files, options: ReadOptions) -> Scene:
    """The scene of one group of band files.

    Raises:
        PipelineError: it cannot be read, and why.
    """
    parts = [stem, *reversed(PurePosixPath(folder).parts)]
    named = [facts(part) for part in parts if part]
    spelled = [match[1] for name in bands.values() if (match := _SHORT_BAND.search(PurePosixPath(name).stem))]
    if why := other_satellite(parts, spelled if len(spelled) == len(bands) else ()):
        raise AmbiguousRadiometry(
            f"{guard.printable(files.root.name)}/{guard.printable(stem or folder)}: {why}; name the files B01, B02 and "
            f"so on if they are Sentinel-2's, or remove them"
        )
    level = next((fact.level for fact in named if fact.level), None)
    baseline = next((fact.baseline for fact in named if fact.baseline), None)
    sources = dict(ASSUMED) | ({"baseline": "name"} if baseline else {})
    if level:
        sources["level"] = "name"
    else:
        level, sources["level"] = level_of(bands)
    described = {band: _asset(files.href(name)) for band, name in bands.items()}
    assets = {band: asset for band, (asset, _) in described.items()}
    stated = {band: dn for band, (_, dn) in described.items() if band in BY_NAME and dn is not None}
    if stated:
        sources["quantification"] = "the files' scale"
    where = "/".join(
        part for part in (files.root.name, folder if folder != "." else "", f"{stem}*" if stem else "") if part
    )
    return build_scene(
        Found(
            id=stem or _folder_id(PurePosixPath(folder)),
            where=where,
            layout="bands",
            assets=assets,
            radiometry=Radiometry(baseline, 10_000.0, sources=sources),
            acquired=next((fact.acquired for fact in named if fact.acquired), None),
            level=level,
            warnings=_mosaic_warning(named),
            platform=next((fact.platform for fact in named if fact.platform), None),
            files=tuple(sorted({files.path(name) for name in bands.values()})),
            evidence=OffsetEvidence(source="the files' offset", stated=stated or None, baseline=baseline),
        ),
        options,
    )


def _folder_id(folder: PurePosixPath) -> str:
    """An id from the innermost folders' names, as many as an id has room for."""
    kept: list[str] = []
    for part in reversed(folder.parts):
        if kept and len("_".join([part, *kept])) > ID_LENGTH:
            break
        kept.insert(0, part)
    return "_".join(kept)


def _mosaic_warning(named: Iterable[Named]) -> tuple[str, ...]:
    quarter = next((fact.quarter for fact in named if fact.quarter), None)
    return (f"a mosaic of the quarter {quarter}, dated by its first day",) if quarter else ()


def _asset(href: str) -> tuple[Asset, float | None]:
    try:
        return file_asset(read_header(href), 1)
    except PipelineError:
        return Asset(href), None  # build_scene meets the same error and decides whether the band matters


def level_of(bands: Mapping[str, str]) -> tuple[Level | None, str]:
    """The level that the set of files gives away, and why."""
    if "B10" in bands:
        return Level.L1C, "the cirrus band B10 is only in L1C"
    if "SCL" in bands:
        return Level.L2A, "the scene classification is only in L2A"
    if any(split_band(PurePosixPath(name).stem)[2] for name in bands.values()):
        return Level.L2A, "pixel sizes in file names are only in L2A"
    return None, ""
