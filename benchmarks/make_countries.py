"""Makes pipeline/countries.geojson from Natural Earth's 1:110m countries (CC0), and tells how good it is.

Usage: make_countries.py FOLDER_WITH_GEOJSON

Borders stay shared: neighbours are simplified together. The places of the 1:50m set, whose countries are known, are the
check.
"""

import json
import sys
from pathlib import Path

import geopandas as gpd
import numpy as np
import shapely

STEP = 0.01  # degrees
GENERALISED = 0.1  # degrees; Visvalingam-Whyatt's tolerance, the side of the smallest area that is kept
TARGET = Path(__file__).parents[1] / "pipeline" / "countries.geojson"
SOURCE = (
    "Natural Earth 1:110m admin 0 countries, public domain (CC0), https://www.naturalearthdata.com; "
    "generalised, names and shapes only"
)


def rounded(shape: shapely.Geometry) -> shapely.Geometry:
    return shapely.transform(shapely.set_precision(shape, STEP), lambda at: np.round(at, 2))


def feature(name: str, shape: shapely.Geometry) -> str:
    return json.dumps(
        {"type": "Feature", "properties": {"name": name}, "geometry": shapely.geometry.mapping(shape)},
        ensure_ascii=False,
        separators=(",", ":"),
    )


def main(folder: Path) -> None:
    countries = gpd.read_file(folder / "ne_110m_admin_0_countries.geojson").sort_values("NAME_LONG", ignore_index=True)
    shapes = [rounded(shape) for shape in shapely.coverage_simplify(countries.geometry.to_numpy(), GENERALISED)]
    lines = ",\n".join(feature(name, shape) for name, shape in zip(countries["NAME_LONG"], shapes, strict=True))
    TARGET.write_text(
        f'{{"type":"FeatureCollection","source":"{SOURCE}","features":[\n{lines}\n]}}\n', encoding="utf-8"
    )
    print(f"{TARGET.name}: {len(shapes)} countries, {TARGET.stat().st_size:,} bytes")

    known = gpd.read_file(folder / "ne_50m_populated_places_simple.geojson")
    known = known[known["adm0_a3"].isin(countries["ADM0_A3"])].reset_index(drop=True)
    own = (
        gpd.GeoSeries(shapes)
        .loc[countries.reset_index().set_index("ADM0_A3").loc[known["adm0_a3"], "index"]]
        .set_axis(known.index)
    )
    held = (
        gpd.sjoin(known, gpd.GeoDataFrame(countries[["ADM0_A3"]], geometry=shapes, crs=4326), how="left")["ADM0_A3"]
        .groupby(level=0)
        .first()
    )
    held = held.reindex(known.index)
    # Degrees of longitude shrink towards the poles; this is close enough to tell kilometres of some tens.
    near = shapely.shortest_line(known.geometry.to_numpy(), own.to_numpy())
    ends = shapely.get_coordinates(near).reshape(-1, 2, 2)
    apart = (
        np.hypot((ends[:, 0, 0] - ends[:, 1, 0]) * np.cos(np.radians(ends[:, 0, 1])), ends[:, 0, 1] - ends[:, 1, 1])
        * 111.2
    )
    right, outside = held == known["adm0_a3"], held.isna()
    print(
        f"{len(known)} towns: {right.mean():.1%} in their country, {outside.mean():.1%} in none, "
        f"{(~right & ~outside).mean():.1%} in another"
    )
    far = known.loc[(~right & (apart > 25)).to_numpy(), "name"].tolist()
    print(
        f"of the others {(apart[~right] <= 25).mean():.0%} lie within 25 km of it, half within "
        f"{np.median(apart[~right]):.0f} km; not so: {', '.join(far)}"
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
