"""Frozen records of what a scene is, known before a pixel is read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path

from shapely.geometry.base import BaseGeometry

from pipeline.bands import RGB
from pipeline.grid import Bounds
from pipeline.scenes.remote import Remote

# Stands for an acquisition time that nothing tells; such a scene carries a warning.
UNKNOWN_DATE = datetime(1970, 1, 1, tzinfo=UTC)


class Level(StrEnum):
    """Processing level: top of atmosphere, surface, or a picture whose reflectance is only approximate."""

    L1C = "L1C"
    L2A = "L2A"
    RGB = "RGB"


@dataclass(frozen=True, slots=True)
class Asset:
    """One band in one raster file. Reflectance = DN * `scale` + `offset` (STAC's convention).

    `index` is the band number inside the file, from 1. DN equal to `nodata` is no measurement.
    `gsd` is the pixel size in metres as stored. `picture` marks a band of an 8-bit picture, whose DN 0 is no data
    only where all its bands are 0; `alpha` is the file's opacity band, if any. `crs` (EPSG code or WKT) and
    `transform` stand in for georeferencing that the file lacks. `checksum` is what the product's manifest says
    of the file, such as `MD5:ec12...`. `flags` are the scene classes (codes of the SCL) that a mask file's bands,
    from the first, mark with 1; empty where the file holds the codes themselves.
    """

    href: str
    index: int = 1
    scale: float = 1e-4
    offset: float = 0.0
    nodata: float | None = 0.0
    gsd: float = 10.0
    picture: bool = False
    alpha: int | None = None
    crs: int | str | None = None
    transform: tuple[float, float, float, float, float, float] | None = None
    checksum: str | None = None
    flags: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Radiometry:
    """The radiometry passport: what turns a scene's DN into reflectance, and where each fact was read.

    `sources` maps a fact (level, baseline, quantification, offset) to the place it came from. `approximate`
    is true where reflectance was reconstructed from a picture. Shares are 0..1, None until pixels were looked at.
    """

    baseline: str | None = None
    quantification: float | None = None
    offsets: Mapping[str, float] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict)
    approximate: bool = False
    clipped_share: float | None = None
    saturated_share: float | None = None
    verdict: str | None = None


@dataclass(frozen=True, slots=True)
class Pass:
    """Which overflight a product shows: satellite, start of the datatake, granule; and which part and making of it.

    `strip` is the start of its datastrip: two strips of one pass are two parts of the picture. `generated` tells
    repeated processings apart.
    """

    platform: str
    start: datetime
    granule: str
    strip: str
    generated: datetime | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """One product, folder or file at one date.

    `bounds` are in `epsg` (a UTM zone: the grid that the scene's tiles belong to), in metres; `footprint` is the
    polygon of valid data in longitude and latitude. `assets` maps band names (B02, ...) to rasters, `quality` is
    the scene classification layer (SCL). `files` are all inputs whose change makes results stale. `warnings` are
    sentences for the user. `overlays` fill holes of this scene with a complementary product of the same pass,
    which `seen` names. `sensor` took its pixels.
    """

    id: str
    acquired: datetime
    level: Level
    epsg: int
    bounds: Bounds
    footprint: BaseGeometry
    assets: Mapping[str, Asset]
    layout: str
    radiometry: Radiometry
    quality: Asset | None = None
    cloud_cover: float | None = None
    platform: str | None = None
    files: tuple[Path, ...] = ()
    warnings: tuple[str, ...] = ()
    overlays: tuple["Scene", ...] = ()
    seen: Pass | None = None
    sensor: str = "sentinel-2"

    @property
    def dated(self) -> bool:
        """Whether anything tells when the scene was acquired."""
        return self.acquired != UNKNOWN_DATE


@dataclass(frozen=True, slots=True)
class Refusal:
    """An input that is not read: what it is, the name of the error class, and the reason with its remedy."""

    id: str
    error: str
    reason: str
    source: Path | None = None


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """What the user decides where files do not tell.

    `bands` names the bands of nameless rasters in order. `required` are the bands without which a scene is refused.
    `offset` is what to add to DN of products of unknown radiometry (0 or -1000). `tci_max` is the DN that a
    picture's 255 stands for. `assume_crs` is the EPSG code of rasters without one. `remote` are files that are read
    at their address, by the place that they would have on the disk: the user allowed it. `sensor` and `gsd` (metres
    per pixel) are the model's: whose pictures, on which grid.
    """

    bands: tuple[str, ...] = ()
    required: tuple[str, ...] = RGB
    offset: float | None = None
    tci_max: float | None = None
    assume_crs: int | None = None
    remote: Mapping[Path, Remote] = field(default_factory=dict)
    sensor: str = "sentinel-2"
    gsd: float = 10.0
