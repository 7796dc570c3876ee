"""Makes pipeline/atlas/static/outlines.json from Natural Earth's 1:110 m land and countries (public domain, CC0).

Usage: make_outlines.py FOLDER_WITH_GEOJSON
"""

import json
import sys
from pathlib import Path

import numpy as np
import shapely
from shapely.geometry import shape
from shapely.ops import linemerge, unary_union

STEP = 0.05  # degrees; the coast of the 1:110 m set is coarser


def features(path: Path) -> list:
    return [shape(feature["geometry"]) for feature in json.loads(path.read_text())["features"]]


def parts(geometry: shapely.Geometry) -> list:
    return list(getattr(geometry, "geoms", [geometry]))


def encoded(lines: list) -> list[list[int]]:
    """Coordinates in steps, each after the first as the difference to the one before."""
    out = []
    for line in lines:
        steps = np.rint(np.asarray(line.coords)[:, :2] / STEP).astype(int)
        steps = steps[np.r_[True, np.any(np.diff(steps, axis=0) != 0, axis=1)]]
        if len(steps) > 1:
            out.append(np.vstack([steps[:1], np.diff(steps, axis=0)]).ravel().tolist())
    return out


def main(folder: Path) -> None:
    land = [
        ring
        for polygon in features(folder / "ne_110m_land.geojson")
        for part in parts(polygon)
        for ring in (part.exterior, *part.interiors)
    ]
    countries = features(folder / "ne_110m_admin_0_countries.geojson")
    tree, shared = shapely.STRtree(countries), []
    for at, country in enumerate(countries):
        for other in tree.query(country):
            if other > at:
                shared += [
                    line
                    for line in parts(shapely.intersection(country.boundary, countries[other].boundary))
                    if line.geom_type == "LineString"
                ]
    borders = parts(linemerge(unary_union(shared)))
    found = {
        "source": "Natural Earth 1:110m land and admin 0 countries, public domain (CC0), "
        "https://www.naturalearthdata.com; simplified",
        "step": STEP,
        "land": encoded([ring.simplify(STEP) for ring in land]),
        "borders": encoded([line.simplify(STEP) for line in borders]),
    }
    target = Path(__file__).parents[1] / "pipeline" / "atlas" / "static" / "outlines.json"
    target.write_text(json.dumps(found, separators=(",", ":")) + "\n")
    print(f"{target}: {target.stat().st_size} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
