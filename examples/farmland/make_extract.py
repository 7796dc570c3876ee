"""Makes what the example learns from: two places of a made landscape and an extract with OpenStreetMap's tags.

python examples/farmland/make_extract.py FOLDER

The land is painted, so the extract is nobody's data: use it as you like (CC0-1.0). Real extracts are under the Open
Database License (ODbL-1.0): name OpenStreetMap's contributors where you publish what was made from them.
"""

import json
import sys
from pathlib import Path

import numpy as np
import rasterio
import rasterio.features
from affine import Affine
from pyproj import Transformer

EPSG, SIDE, GSD = 32632, 192, 10.0
BANDS = ("B02", "B03", "B04", "B08")
# West and north of two places that do not touch.
PLACES = {"north": (690_000.0, 5_000_320.0), "south": (690_000.0, 4_960_320.0)}
# Tags of every kind of ground with its reflectance by band and how much that varies from field to field.
KINDS = (
    ({"landuse": "farmland"}, (0.09, 0.10, 0.11, 0.24), 0.30),
    ({"landuse": "meadow"}, (0.07, 0.09, 0.07, 0.36), 0.12),
    ({"landuse": "forest"}, (0.05, 0.055, 0.035, 0.22), 0.08),
    ({"natural": "water"}, (0.06, 0.05, 0.03, 0.02), 0.05),
    ({"landuse": "residential"}, (0.14, 0.14, 0.15, 0.20), 0.15),
)


def main(folder: Path) -> None:
    """Writes `scenes/<place>_20220612.tif` and `extract.geojson`."""
    (folder / "scenes").mkdir(parents=True, exist_ok=True)
    features = []
    for number, (place, (west, north)) in enumerate(PLACES.items()):
        chance = np.random.default_rng(number)
        parcels = laid_out(chance)
        kinds = chance.choice(len(KINDS), int(parcels.max()) + 1, p=(0.4, 0.2, 0.2, 0.1, 0.1))
        transform = Affine(GSD, 0.0, west, 0.0, -GSD, north)
        write_scene(folder / "scenes" / f"{place}_20220612.tif", painted(parcels, kinds, chance), transform)
        features += drawn(parcels, kinds, transform)
    told = {
        "type": "FeatureCollection",
        "license": "CC0-1.0; made by examples/farmland/make_extract.py",
        "features": features,
    }
    (folder / "extract.geojson").write_text(json.dumps(told), encoding="utf-8")


def laid_out(chance: np.random.Generator) -> np.ndarray:
    """Numbers of parcels (y, x): each pixel belongs to the nearest of 40 points."""
    points = chance.uniform(0, SIDE, (40, 2))
    y, x = np.mgrid[:SIDE, :SIDE]
    away = (y[..., None] - points[:, 0]) ** 2 + (x[..., None] - points[:, 1]) ** 2
    return away.argmin(axis=-1).astype(np.int32)


def painted(parcels: np.ndarray, kinds: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    """Reflectance (band, y, x)."""
    light = np.array([KINDS[kind][1] for kind in kinds])
    spread = np.array([KINDS[kind][2] for kind in kinds])
    light = light * (1 + spread[:, None] * chance.uniform(-1, 1, light.shape))
    noise = chance.normal(1.0, 0.04, (len(BANDS), SIDE, SIDE))
    return np.moveaxis(light[parcels], -1, 0) * noise


def write_scene(path: Path, light: np.ndarray, transform: Affine) -> None:
    """One GeoTIFF with named bands, as most programs write them."""
    profile = {"driver": "GTiff", "dtype": "uint16", "count": len(BANDS), "width": SIDE, "height": SIDE}
    with rasterio.open(path, "w", **profile, crs=f"EPSG:{EPSG}", transform=transform, compress="deflate") as image:
        image.write(np.rint(np.clip(light, 0.001, 1.0) * 10_000).astype(np.uint16))
        image.descriptions = BANDS


def drawn(parcels: np.ndarray, kinds: np.ndarray, transform: Affine) -> list[dict[str, object]]:
    """The parcels as polygons in degrees with their tags."""
    to_degrees = Transformer.from_crs(EPSG, 4326, always_xy=True)
    return [
        {
            "type": "Feature",
            "properties": KINDS[kinds[int(number)]][0],
            "geometry": {
                "type": "Polygon",
                "coordinates": [
                    [[round(at, 7) for at in to_degrees.transform(*corner)] for corner in ring]
                    for ring in shape["coordinates"]
                ],
            },
        }
        for shape, number in rasterio.features.shapes(parcels, transform=transform)
    ]


if __name__ == "__main__":
    main(Path(sys.argv[1]))
