"""The Sentinel-2 band table and the band orders that data sets and models use."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Band:
    """One spectral band of Sentinel-2's MSI.

    `number` is the index (`band_id`) that product metadata uses; `common_name` is the STAC eo extension's;
    `gsd` is in metres, `centre` in nanometres (S2A, ESA's spectral response document).
    """

    name: str
    number: int
    common_name: str
    gsd: int
    centre: float


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
