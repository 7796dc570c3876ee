"""Frozen records of what a scene is, known before a pixel is read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from shapely.geometry.base import BaseGeometry

from pipeline.bands import RGB
from pipeline.grid import Bounds
from pipeline.scenes.safety.address import Remote

# Stands for an acquisition time that nothing tells; such a scene carries a warning.
UNKNOWN_DATE = datetime(1970, 1, 1, tzinfo=UTC)

# The warning of a scene whose clouds nothing marks.
UNMASKED = "no cloud mask: clouds are not masked and get the class that they look like"


def day(acquired: datetime | None) -> str:
    """An acquisition time for people.

    >>> day(datetime(2023, 6, 14, 10, tzinfo=UTC)), day(UNKNOWN_DATE)
    ('2023-06-14', 'date unknown')
    """
    return f"{acquired:%Y-%m-%d}" if acquired not in (None, UNKNOWN_DATE) else "date unknown"


class Level(StrEnum):
    """Processing level: top of atmosphere, surface, or a picture whose reflectance is only approximate."""

    L1C = "L1C"
    L2A = "L2A"
    RGB = "RGB"


@dataclass(frozen=True, slots=True)
class Asset:
    """One band in one raster file. Reflectance = DN * `scale` + `offset` (STAC's convention)."""

    href: str
    """A path, a zip's member as GDAL names it, or an address."""
    index: int = 1
    """The band's number inside the file, from 1."""
    scale: float = 1e-4
    """Reflectance of one DN."""
    offset: float = 0.0
    """What is added after scaling."""
    nodata: float | None = 0.0
    """DN that is no measurement."""
    gsd: float = 10.0
    """Metres per pixel as stored."""
    picture: bool = False
    """Whether it is a band of an 8-bit picture, whose DN 0 is no data only where all its bands are 0."""
    alpha: int | None = None
    """The file's opacity band, if any."""
    crs: int | str | None = None
    """EPSG code or WKT in place of georeferencing that the file lacks."""
    transform: tuple[float, float, float, float, float, float] | None = None
    """From pixels to map coordinates, likewise."""
    checksum: str | None = None
    """What the product's manifest says of the file, such as `MD5:ec12...`."""
    flags: tuple[int, ...] = ()
    """Scene classes that a mask file's bands, from the first, mark with 1; empty where the file holds the codes."""


@dataclass(frozen=True, slots=True)
class Radiometry:
    """The radiometry passport: what turns a scene's DN into reflectance, and where each fact was read."""

    baseline: str | None = None
    """The processing baseline, such as `05.09`."""
    quantification: float | None = None
    """DN of reflectance 1; None where bands differ or a picture was reconstructed."""
    offsets: Mapping[str, float] = field(default_factory=dict)
    """DN that are added, by band."""
    sources: Mapping[str, str] = field(default_factory=dict)
    """Where each fact (level, baseline, quantification, offset) came from."""
    approximate: bool = False
    """Whether reflectance was reconstructed from a picture."""
    clipped_share: float | None = None
    """Share of sampled pixels below 0; None until pixels were looked at."""
    saturated_share: float | None = None
    """Share of sampled pixels at the sensor's ceiling; None until pixels were looked at."""
    verdict: str | None = None
    """What the pixels said of the offsets."""


@dataclass(frozen=True, slots=True)
class OffsetEvidence:
    """All that tells what is to be added to a scene's stored numbers, but for the pixels; `offsets.py` decides."""

    where: str = ""
    """The scene's name in messages."""
    source: str = ""
    """Where `listed` or `stated` was read; empty where the metadata that should tell it are missing."""
    product: bool = False
    """Whether the scene is a product of ESA, whose own metadata are taken at their word."""
    listed: Mapping[str, float] | None = None
    """DN by band in the list of offsets of the product's own metadata."""
    stated: Mapping[str, float] | None = None
    """DN by band that a STAC Item, or the files' own headers, state."""
    applied: bool | None = None
    """Whether an Item's maker says that the stored numbers are shifted already (`earthsearch:boa_offset_applied`)."""
    baseline: str | None = None
    """The processing baseline; files of newer ones are shifted when they leave ESA."""
    asked: float | None = None
    """DN that the user wants added (`--offset`)."""


@dataclass(frozen=True, slots=True)
class Pass:
    """Which overflight a product shows, and which part and making of it."""

    platform: str
    """The satellite, such as S2A."""
    start: datetime
    """Start of the datatake."""
    granule: str
    """The MGRS square."""
    strip: str
    """Start of the datastrip: two strips of one pass are two parts of the picture."""
    generated: datetime | None = None
    """When the product was made; tells repeated processings apart."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One product, folder or file at one date."""

    id: str
    """Its name in results: unique in a run, fit for a folder."""
    acquired: datetime
    """When it was sensed; `UNKNOWN_DATE` where nothing tells."""
    level: Level
    """The processing level."""
    epsg: int
    """The UTM zone whose grid its tiles belong to."""
    bounds: Bounds
    """Metres in that zone."""
    footprint: BaseGeometry
    """The polygon of valid data in longitude and latitude."""
    assets: Mapping[str, Asset]
    """Bands to rasters."""
    layout: str
    """How it was delivered: SAFE, granule, STAC, bands or raster."""
    radiometry: Radiometry
    """Its passport."""
    quality: Asset | None = None
    """The scene classification (SCL) or another cloud mask."""
    cloud_cover: float | None = None
    """Percent, as its metadata say."""
    platform: str | None = None
    """The satellite, such as S2A."""
    files: tuple[Path, ...] = ()
    """All inputs whose change makes results stale."""
    warnings: tuple[str, ...] = ()
    """Sentences for the user."""
    overlays: tuple["Scene", ...] = ()
    """Complementary products of the same pass, which fill holes of this one."""
    seen: Pass | None = None
    """The pass, where the metadata tell it."""
    evidence: OffsetEvidence = field(default_factory=OffsetEvidence)
    """What tells its offsets."""
    sensor: str = "sentinel-2"
    """Whose pixels: a name of `bands.SENSORS`."""
    gsd: float = 10.0
    """Metres per pixel of the grid of which `bounds` are multiples."""

    @property
    def dated(self) -> bool:
        """Whether anything tells when the scene was acquired."""
        return self.acquired != UNKNOWN_DATE


@dataclass(frozen=True, slots=True)
class Refusal:
    """An input that is not read."""

    id: str
    """What it would have been called."""
    error: str
    """The name of the error class."""
    reason: str
    """What is wrong, where, and what to do about it."""
    source: Path | None = None
    """The file or folder."""


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What the user decides where files do not tell, and what the model takes."""

    bands: tuple[str, ...] = ()
    """Names of nameless rasters' bands in order."""
    required: tuple[str, ...] = RGB
    """Bands without which a scene is refused."""
    offset: float | None = None
    """DN to be added, 0 or -1000, where no product's own list tells it."""
    tci_max: float | None = None
    """The DN that a picture's 255 stands for."""
    assume_crs: int | None = None
    """EPSG code of rasters without one."""
    remote: Mapping[Path, Remote] = field(default_factory=dict)
    """Files that the user allowed to be read at their address, by the place that they would have on the disk."""
    sensor: str | None = "sentinel-2"
    """Whose pictures the model takes; None: anyone's."""
    gsd: float = 10.0
    """Metres per pixel of the model's grid."""
