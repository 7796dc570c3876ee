"""Sensors and their bands: what is a fact of the instrument or of its products' format, and so stands only here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum


@dataclass(frozen=True, slots=True)
class Band:
    """One spectral band of a sensor."""

    name: str
    """The name that files and models use, such as B8A."""
    number: int
    """The index (`band_id`) that product metadata uses, from 0."""
    common_name: str
    """The STAC eo extension's name, such as red."""
    gsd: float
    """Metres per pixel as delivered."""
    centre: float
    """Wavelength in nanometres (S2A, ESA's spectral response document)."""


BANDS: tuple[Band, ...] = (
    Band("B01", 0, "coastal", 60, 442.7),
    Band("B02", 1, "blue", 10, 492.4),
    Band("B03", 2, "green", 10, 559.8),
    Band("B04", 3, "red", 10, 664.6),
    Band("B05", 4, "rededge071", 20, 704.1),
    Band("B06", 5, "rededge075", 20, 740.5),
    Band("B07", 6, "rededge078", 20, 782.8),
    Band("B08", 7, "nir", 10, 832.8),
    Band("B8A", 8, "nir08", 20, 864.7),
    Band("B09", 9, "nir09", 60, 945.1),
    Band("B10", 10, "cirrus", 60, 1373.5),
    Band("B11", 11, "swir16", 20, 1613.7),
    Band("B12", 12, "swir22", 20, 2202.4),
)
BY_NAME: dict[str, Band] = {band.name: band for band in BANDS}
NAMES: tuple[str, ...] = tuple(band.name for band in BANDS)

RGB: tuple[str, ...] = ("B04", "B03", "B02")
TEN_BANDS: tuple[str, ...] = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
# EuroSAT's 13-band tifs hold B8A last (the data set's README; B10's mean of about 12 DN proves the order).
EUROSAT_TIF: tuple[str, ...] = (*(name for name in NAMES if name != "B8A"), "B8A")


class SceneClass(IntEnum):
    """Codes of Sentinel-2's scene classification layer, the SCL (ESA's Level-2A product description)."""

    NO_DATA = 0
    SATURATED = 1
    DARK = 2
    CLOUD_SHADOW = 3
    VEGETATION = 4
    NOT_VEGETATED = 5
    WATER = 6
    UNCLASSIFIED = 7
    CLOUD_MEDIUM = 8
    CLOUD_HIGH = 9
    CIRRUS = 10
    SNOW = 11


@dataclass(frozen=True, slots=True)
class Sensor:
    """What is true of every scene of a sensor."""

    name: str
    """What cards and scenes call it."""
    title: str
    """What people call its pictures."""
    bands: tuple[Band, ...]
    """Its bands in the order of their numbers."""
    gsd: float | None
    """Metres per pixel at which its scenes are mapped; None where each scene has its own."""
    constellation: str | None = None
    """The STAC name of its satellites; None where its pictures come from no satellite, or from any."""
    attribution: str = ""
    """What everything made from its pixels has to say."""
    nodata: int = 0
    """The stored number that never is a measurement."""
    ceiling: Mapping[str, int] = field(default_factory=dict)
    """Stored number from which on a pixel is saturated, by processing level."""
    cloud: tuple[int, ...] = ()
    """Scene classes that hide the ground: cloud, its shadow, thin cirrus."""
    snow: tuple[int, ...] = ()
    """Scene classes of snow and ice."""
    bright: tuple[int, ...] = ()
    """Scene classes of pixels so bright that a clipping defect may have stored them as no data."""
    mask_flags: tuple[int, ...] = ()
    """Scene classes that the bands of a product's own cloud mask (L1C's `MSK_CLASSI`) mark with 1, in their order."""
    offset: float = 0.0
    """What products since the baseline `offset_since` want added to their stored numbers."""
    offset_since: tuple[int, int] = (0, 0)
    """The first processing baseline whose stored numbers are shifted."""
    newest_baseline: tuple[int, int] = (99, 0)
    """The newest processing baseline that was looked at; newer ones are read by their metadata, with a word."""
    darkest: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """By level and band, a reflectance that at most a few pixels of any scene stay below."""
    true_colour: Mapping[str, float] = field(default_factory=dict)
    """By level, the stored number that 255 stands for in the product's true-colour picture."""


SENTINEL_2 = Sensor(
    name="sentinel-2",
    title="Sentinel-2",
    bands=BANDS,
    gsd=10.0,
    constellation="sentinel-2",
    attribution="Contains modified Copernicus Sentinel data",
    # 65535 in all metadata, but L2A's files stop at 32767 (ESA's answer in the STEP forum, thread 44294).
    ceiling={"L1C": 65_535, "L2A": 32_767},
    cloud=(SceneClass.CLOUD_SHADOW, SceneClass.CLOUD_MEDIUM, SceneClass.CLOUD_HIGH, SceneClass.CIRRUS),
    snow=(SceneClass.SNOW,),
    bright=(SceneClass.SATURATED, SceneClass.CLOUD_MEDIUM, SceneClass.CLOUD_HIGH, SceneClass.SNOW),
    # Since baseline 04.00: opaque cloud, cirrus, snow or ice (eoreader's table of the mask's bands).
    mask_flags=(SceneClass.CLOUD_HIGH, SceneClass.CIRRUS, SceneClass.SNOW),
    offset=-1000.0,
    offset_since=(4, 0),
    newest_baseline=(5, 12),
    # Hundredth of pixels, clear sky: Rayleigh scattering keeps top-of-atmosphere values above 0.075, 0.057, 0.035 in 26
    # real scenes; surface reflectance of water goes a little below 0 (0.012, 0.019 and 0.012 in three).
    darkest={
        "L1C": {"B02": 0.055, "B03": 0.035, "B04": 0.015},
        "L2A": {"B02": -0.02, "B03": -0.02, "B04": -0.02},
    },
    # 3558 in L1C (ESA's product specification); 2500 in L2A (Sen2Cor 2.8's source, and the slope of the true-colour
    # picture's red against B04 in two real products of 2020 and 2021 is 2498.4).
    true_colour={"L1C": 3558.0, "L2A": 2500.0},
)
# Pictures from the air: three colours in 8-bit codes, each file with pixels of its own size.
AERIAL = Sensor(
    name="aerial",
    title="Aerial pictures",
    bands=tuple(
        Band(name, at, colour, 0.3, centre)
        for at, (name, colour, centre) in enumerate(
            [("B02", "blue", 470.0), ("B03", "green", 550.0), ("B04", "red", 650.0)]
        )
    ),
    gsd=None,
)
SENSORS: Mapping[str, Sensor] = {sensor.name: sensor for sensor in (SENTINEL_2, AERIAL)}
