"""Dates of one made landscape, written as products with known truth."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from pipeline.bands import SENTINEL_2, SceneClass
from pipeline.grid import TileGrid, TileIndex
from pipeline.legend import EUROSAT
from pipeline.simulate.fields import Bools, Floats, noise
from pipeline.simulate.landscape import CODE, EPSG, GSD, HEIGHT, NORTH, WEST, WIDTH, Landscape
from pipeline.simulate.product import QUANTIFICATION, Product, write_image, write_product
from pipeline.simulate.truth import TileTruth, Truth, cover_truth, write_truth

BAND_ORDER = ("B04", "B03", "B02", "B08")


@dataclass(frozen=True, slots=True)
class Look:
    """One date of a made landscape."""

    product: Product
    """The product that it is delivered as."""
    number: int
    """From which its chance follows: noise and clouds."""
    land: int = 1
    """0 before the planted changes, 1 after them."""
    cut: bool = False
    """Whether a slanted swath edge ends it in the south-east."""
    clouds: tuple[float, float] | None = None
    """Where the thickest cloud stands, in shares of width and height from the north-west; None for a clear sky."""
    cloudiness: float = 0.0
    """How much more of the sky is covered: 0 a few clouds, 4 a third of it."""
    ripe: float = 0.0
    """Share of the fields that have another colour than at first in the season."""
    haze: float = 0.0
    """Reflectance that a thin veil adds at its thickest, which the scene classification does not tell."""


def delivered(acquired: datetime, baseline: str, offset: int | None, orbit: int) -> Product:
    """The made landscape's product of one moment; `orbit` counts from launch."""
    made = acquired + timedelta(hours=3, minutes=30)
    return Product(acquired, made, baseline, offset, "32TNT", EPSG, WEST, NORTH, WIDTH, HEIGHT, absolute_orbit=orbit)


# Baseline 03.01 knew no offset, 05.09 adds 1000 to every DN: who ignores offsets sees the later dates far too bright.
# The third date confirms the second: the same land twenty days later, under other clouds.
DEMO = (
    Look(
        replace(
            delivered(datetime(2021, 7, 23, 10, 25, 59, tzinfo=UTC), "03.01", None, 22_881),
            generated=datetime(2021, 7, 23, 13, 45, 11, tzinfo=UTC),
        ),
        number=0,
        land=0,
        cut=True,
    ),
    Look(
        replace(
            delivered(datetime(2023, 7, 23, 10, 26, 1, tzinfo=UTC), "05.09", -1000, 33_318),
            generated=datetime(2023, 7, 23, 14, 12, 53, tzinfo=UTC),
        ),
        number=1,
        clouds=(0.10, 0.90),
    ),
    Look(
        delivered(datetime(2023, 8, 12, 10, 25, 59, tzinfo=UTC), "05.09", -1000, 33_604),
        number=2,
        clouds=(0.62, 0.35),
        ripe=0.25,
    ),
)
# The season of the demo's later dates.
DEMO_PERIOD = "2023-07-01/2023-08-31"


def simulate(folder: Path, seed: int = 7, suffix: str = "jp2", looks: Sequence[Look] = DEMO) -> Truth:
    """Writes a product a look, `truth.csv` and masks of the cover into `folder`, the same pixels for the same `seed`.

    `suffix` jp2 or tif chooses the format of the images. The demo's looks are three: between the first and the second
    lie four planted changes and a new highway, the first ends at a slanted swath edge, the others have some cloud.
    """
    folder.mkdir(parents=True, exist_ok=True)
    landscape = Landscape(seed)
    products: list[Path] = []
    tiles: list[TileTruth] = []
    for look in looks:
        product, ground = look.product, landscape.ground[look.land]
        bands = landscape.reflectance(look.land, look.number, look.ripe)
        quality = _scene_classes(ground, landscape.river < 6)
        if look.haze:
            bands += look.haze * _veil(np.random.default_rng((seed, 198 + look.number)))
        if look.clouds:
            _overcast(bands, quality, np.random.default_rng((seed, 98 + look.number)), look.clouds, look.cloudiness)
        valid = _inside_swath() if look.cut else np.ones((HEIGHT, WIDTH), dtype=bool)
        quality[~valid] = 0
        stored = {name: _digital_numbers(band, valid, product) for name, band in zip(BAND_ORDER, bands, strict=True)}
        coarse = np.ascontiguousarray(quality[::2, ::2])
        cloud = np.isin(coarse, SENTINEL_2.cloud).repeat(2, axis=0).repeat(2, axis=1) & valid
        share = 100.0 * float(np.count_nonzero(cloud) / np.count_nonzero(valid))
        products.append(write_product(folder, product, stored, coarse, share, suffix))
        tiles += _tile_truths(product, landscape.classes(look.land), valid, cloud)
        write_image(cover_truth(folder, f"{product.acquired:%Y-%m-%d}"), landscape.covers(look.land), product, GSD)
    write_truth(folder / "truth.csv", tiles)
    return Truth(tuple(products), tuple(tiles))


def _digital_numbers(reflectance: Floats, valid: Bools, product: Product) -> npt.NDArray[np.uint16]:
    """DN of a band; a measured pixel never gets 0, which says no data."""
    numbers = np.round(reflectance * QUANTIFICATION) - (product.offset or 0)
    return np.where(valid, np.clip(numbers, 1, SENTINEL_2.ceiling["L2A"] - 1), 0).astype(np.uint16)


def _scene_classes(ground: npt.NDArray[np.int8], wet: Bools) -> npt.NDArray[np.uint8]:
    """Codes (y, x) of the scene classification: water, vegetation, or neither."""
    built = (ground == CODE["Residential"]) | (ground == CODE["Industrial"])
    dry = np.where(built, SceneClass.NOT_VEGETATED, SceneClass.VEGETATION)
    return np.where(wet | (ground == CODE["SeaLake"]), SceneClass.WATER, dry).astype(np.uint8)


def _veil(rng: np.random.Generator) -> Floats:
    """How thick a thin veil is (y, x), 0..1."""
    return np.asarray(np.clip(0.5 + 0.35 * noise((HEIGHT, WIDTH), 90, rng), 0, 1), np.float32)


def _overcast(
    bands: Floats, quality: npt.NDArray[np.uint8], rng: np.random.Generator, at: tuple[float, float], cloudiness: float
) -> None:
    """Puts some clouds, thickest at shares of the extent, and their shadows over `bands` and `quality` in place."""
    y, x = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    shape = (
        1.5 * noise((HEIGHT, WIDTH), 34, rng)
        + 0.7 * noise((HEIGHT, WIDTH), 12, rng)
        + 0.25 * noise((HEIGHT, WIDTH), 4, rng)
    )
    heart = np.exp(-(((x - at[0] * WIDTH) / 190) ** 2 + ((y - at[1] * HEIGHT) / 130) ** 2) / 2)
    thick = np.clip((shape + 6.0 * heart - 5.2 + cloudiness) / 1.8, 0, 1).astype(np.float32)
    # The sun stands in the south-east at this hour, so shadows fall to the north-west.
    shadow = ndimage.gaussian_filter(np.roll(thick, (-26, -18), axis=(0, 1)), 2)
    bands *= 1 - 0.55 * shadow * (1 - thick)
    bands += thick * (np.array([0.62, 0.62, 0.64, 0.66], dtype=np.float32)[:, None, None] - bands)
    quality[(shadow > 0.4)] = SceneClass.CLOUD_SHADOW
    quality[(thick > 0.15)] = SceneClass.CLOUD_MEDIUM
    quality[(thick > 0.5)] = SceneClass.CLOUD_HIGH


def _inside_swath() -> Bools:
    """True (y, x) but for a wedge at the south-east corner, beyond the slanted edge of the swath."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    return np.asarray((WIDTH - x) + 0.42 * (HEIGHT - y) > 190)


def _tile_truths(product: Product, classes: npt.NDArray[np.int8], valid: Bools, cloud: Bools) -> list[TileTruth]:
    """The truth of every tile that shares pixels with the product, from north to south and west to east."""
    grid = TileGrid(product.epsg)
    cols, rows = grid.covering(product.bounds)
    found = []
    for row in reversed(rows):
        for col in cols:
            left, _, _, top = grid.bounds(TileIndex(col, row))
            x, y = round((left - product.west) / GSD), round((product.north - top) / GSD)
            window = (slice(max(y, 0), max(y + grid.tile_size, 0)), slice(max(x, 0), max(x + grid.tile_size, 0)))
            counts = np.bincount(classes[window].ravel(), minlength=len(EUROSAT.classes))
            area = grid.tile_size**2
            label, purity = EUROSAT.labels[int(counts.argmax())], float(counts.max() / counts.sum())
            shares = (round(float(mask[window].sum() / area), 4) for mask in (valid, cloud))
            tile_id = grid.tile_id(TileIndex(col, row))
            found.append(
                TileTruth(product.name, f"{product.acquired:%Y-%m-%d}", tile_id, label, round(purity, 4), *shares)
            )
    return found
