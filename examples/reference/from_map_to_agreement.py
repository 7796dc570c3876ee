"""One map of a district, in other people's classes, compared with another map, on the simulated landscape of the demo.

    python examples/reference/from_map_to_agreement.py [FOLDER]

Each step is the command that one would type; it is shown before it runs. docs/mosaic.md, docs/legends.md and
docs/compare.md explain the results. The other map is made here from what the landscape is known to be, in the codes and
the coordinates of ESA WorldCover.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
import rasterio
from rasterio.warp import Resampling, calculate_default_transform, reproject

QUICK = True
"""The tests run this example."""

CHECKOUT = Path(__file__).resolve().parents[2]
DISTRICT = CHECKOUT / "examples" / "district" / "district.geojson"
DAY = "2023-07-23"
# WorldCover's codes of the landscape's classes: water, trees, grass, flooded, crops, shrub, built, bare, snow.
WORLDCOVER = np.array([80, 10, 30, 90, 40, 20, 50, 60, 70, *[0] * 247], np.uint8)


def command(*words: object) -> None:
    """Shows and runs `python -m pipeline WORDS`; ends the example where that fails."""
    told = [str(word) for word in words]
    print("\n$ python -m pipeline", *told, flush=True)
    subprocess.run([sys.executable, "-m", "pipeline", *told], cwd=CHECKOUT, check=True)


def make_reference(mask: Path, target: Path) -> None:
    """The known cover of the landscape as a raster like WorldCover's: its codes, longitudes and latitudes."""
    with rasterio.open(mask) as source:
        codes = WORLDCOVER[source.read(1)]
        place, width, height = calculate_default_transform(
            source.crs, 4326, source.width, source.height, *source.bounds
        )
        moved = np.zeros((height, width), np.uint8)
        there = {"dst_transform": place, "dst_crs": 4326, "resampling": Resampling.nearest}
        reproject(codes, moved, src_transform=source.transform, src_crs=source.crs, **there)
    facts = {"driver": "GTiff", "dtype": "uint8", "count": 1, "width": width, "height": height, "nodata": 0}
    with rasterio.open(target, "w", crs="EPSG:4326", transform=place, compress="deflate", **facts) as written:
        written.write(moved, 1)


def main(folder: Path) -> None:
    """Scenes, results, maps in two legends, hectares in a third, and the agreement with a reference."""
    scenes, tiles = folder / "scenes", folder / "tiles"
    if not (scenes / "truth.csv").exists():
        command("simulate", scenes)
    scene = next(scenes.glob(f"*_{DAY.replace('-', '')}T*.SAFE"))
    command("run", scene, "--area", DISTRICT, "--tiles", tiles, "--maps", folder / "maps")
    district = ("--area", DISTRICT)
    command("mosaic", tiles, folder / "landcover.tif", *district)
    command("mosaic", tiles, folder / "worldcover.tif", *district, "--product", "cover", "--legend", "worldcover")
    command("mosaic", tiles, folder / "europe.tif", *district, "--product", "truecolour", "--crs", "3035")
    municipalities = ("--regions", DISTRICT, "--name-field", "municipality")
    command("areas", tiles, *municipalities, "--legend", "ipcc", "--csv", folder / "ipcc.csv")
    make_reference(scenes / f".cover-{DAY}.tif", folder / "reference.tif")
    command(
        *("compare-raster", tiles, folder / "reference.tif", "--legend", "worldcover", "--product", "cover"),
        *(*municipalities, "-o", folder / "agreement"),
    )


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "reference").resolve())
