"""Makes pipeline/atlas/towns.json and lakes.json from Natural Earth's 1:50 m places and lakes (public domain, CC0).

Usage: make_towns.py FOLDER_WITH_GEOJSON
"""

import json
import sys
from pathlib import Path

from make_outlines import encoded, parts
from shapely.geometry import shape

TARGET = Path(__file__).parents[1] / "pipeline" / "atlas" / "static"
SOURCE = "Natural Earth 1:50m {}, public domain (CC0), https://www.naturalearthdata.com; {}"
SMALLEST_LAKE = 0.03  # square degrees, about 250 km2
SIMPLIFIED = 0.05


def main(folder: Path) -> None:
    features = json.loads((folder / "ne_50m_populated_places_simple.geojson").read_text())["features"]
    places = sorted((f["properties"] for f in features), key=lambda p: (-p["pop_max"], p["name"]))
    countries = sorted({place["adm0name"] for place in places})
    towns = [
        [
            place["name"],
            countries.index(place["adm0name"]),
            round(place["latitude"], 2),
            round(place["longitude"], 2),
            max(0, round(place["pop_max"] / 1000)),
        ]
        for place in places
    ]
    columns = "town, country, latitude, longitude, thousands of people"
    found = {"source": SOURCE.format("populated places", columns), "countries": countries, "towns": towns}
    (TARGET / "towns.json").write_text(
        json.dumps(found, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8"
    )
    lakes = json.loads((folder / "ne_50m_lakes.geojson").read_text())["features"]
    rings = [
        part.exterior.simplify(SIMPLIFIED)
        for lake in lakes
        for part in parts(shape(lake["geometry"]))
        if part.area >= SMALLEST_LAKE
    ]
    stored = {"source": SOURCE.format("lakes", "simplified"), "step": SIMPLIFIED, "lakes": encoded(rings)}
    (TARGET / "lakes.json").write_text(json.dumps(stored, separators=(",", ":")) + "\n")
    for name in ("towns.json", "lakes.json"):
        print(f"{name}: {(TARGET / name).stat().st_size} bytes")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
