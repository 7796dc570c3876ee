"""Hectares of the map."""

from datetime import timedelta

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

from pipeline import areas
from pipeline.errors import TileTableError
from pipeline.grid import TileGrid
from tests.made_results import MOMENT, coded_tiles


def test_hectares_by_label_and_date_sum_to_the_tiles():
    first = coded_tiles("one", [0, 0, 1, 1, -2] * 3)
    second = coded_tiles("two", 7, when=MOMENT + timedelta(days=365))
    found = areas.mapped_areas([second, first])
    assert found["date"].tolist() == [MOMENT.date()] * 3 + [(MOMENT + timedelta(days=365)).date()]
    assert found.set_index(["date", "label"])["tiles"].to_dict() == {
        (MOMENT.date(), "AnnualCrop"): 6,
        (MOMENT.date(), "Forest"): 6,
        (MOMENT.date(), "cloud"): 3,
        ((MOMENT + timedelta(days=365)).date(), "Residential"): 15,
    }
    assert found["hectares"].sum() == pytest.approx(30 * 40.96)
    assert found.groupby("date")["share"].sum().tolist() == pytest.approx([1.0, 1.0])


def test_neighbouring_granules_count_their_overlap_once_and_the_clearer_look_wins():
    west = coded_tiles("west", 0, columns=range(700, 704), when=MOMENT)
    east = coded_tiles("east", 1, columns=range(702, 706), when=MOMENT + timedelta(minutes=4), valid=0.8)
    tiles = areas.places([east, west])
    assert len(tiles) == 6 * 3
    assert tiles["label"].value_counts().to_dict() == {"AnnualCrop": 12, "Forest": 6}
    assert set(tiles["date"]) == {MOMENT.date()}


def test_ground_seen_on_the_grids_of_two_zones_counts_once():
    """A strip at 12 degrees east, the border of zones 32 and 33, seen on both grids.

    The union's area within a percent.
    """
    zone = {
        epsg: gpd.GeoSeries([shapely.box(11.85, 48.0, 12.15, 48.3)], crs=4326).to_crs(epsg).total_bounds
        for epsg in (32632, 32633)
    }
    both = [
        coded_tiles(str(epsg), 0, *TileGrid(epsg).covering(tuple(bounds)), epsg=epsg) for epsg, bounds in zone.items()
    ]
    squares = gpd.GeoSeries(pd.concat([part.geometry.to_crs(4326) for part in both], ignore_index=True), crs=4326)
    union = shapely.union_all(squares.to_crs(32632).to_numpy()).area / 10_000
    alone = sum(len(part) for part in both) * 40.96
    assert alone > 1.5 * union
    assert areas.mapped_areas(both)["hectares"].sum() == pytest.approx(union, rel=0.005)
    assert areas.mapped_areas(both[:1])["hectares"].sum() == pytest.approx(len(both[0]) * 40.96)


def test_regions_take_tiles_by_their_part_inside(tmp_path):
    tiles = coded_tiles("one", 0)
    west, south, _, north = tiles.total_bounds
    zone = shapely.box(west - 900, south - 900, west + 2.25 * 640, north + 900)
    path = tmp_path / "regions.gpkg"
    gpd.GeoDataFrame({"kreis": ["West"]}, geometry=[shapely.segmentize(zone, 100)], crs=32632).to_file(path)
    found = areas.mapped_areas([tiles], areas.read_regions(path, "kreis")).set_index("region")
    assert found["tiles"].to_dict() == pytest.approx({"West": 6.75, "elsewhere": 8.25}, abs=1e-3)
    assert found["hectares"].sum() == pytest.approx(15 * 40.96)


def test_regions_without_names_are_numbered(tmp_path):
    path = regions_file(tmp_path, [shapely.box(0, 0, 1, 1)] * 2, size=[1, 2])
    assert areas.read_regions(path)["name"].tolist() == ["area 1", "area 2"]


def regions_file(tmp_path, shapes, **columns):
    path = tmp_path / "regions.gpkg"
    gpd.GeoDataFrame(columns, geometry=shapes, crs=4326).to_file(path)
    return path


def test_regions_that_mean_nothing_are_refused(tmp_path):
    bad = tmp_path / "bad.geojson"
    for text, message in (
        ('{"type":"FeatureColl', "not a file of outlines"),
        ('{"type":"FeatureCollection","features":[]}', "holds no shapes"),
        (gpd.GeoSeries([shapely.box(5e5, 5e6, 6e5, 6e6)]).to_json(), "no longitudes and latitudes"),
    ):
        bad.write_text(text)
        with pytest.raises(TileTableError, match=message) as error:
            areas.read_regions(bad)
        assert "\n" not in str(error.value)
    with pytest.raises(TileTableError, match="no polygon"):
        areas.read_regions(regions_file(tmp_path, [shapely.Point(0, 0)], name=["point"]))


def test_regions_in_another_crs_and_crossing_themselves_still_hold_their_tiles(tmp_path):
    tiles = coded_tiles("one", 0)
    square = shapely.box(*tiles.total_bounds)
    west, south, east, north = tiles.to_crs(4326).total_bounds
    path = tmp_path / "regions.gpkg"
    gpd.GeoDataFrame({"name": ["All"]}, geometry=[square], crs=32632).to_file(path)
    assert areas.mapped_areas([tiles], areas.read_regions(path)).set_index("region")["tiles"].to_dict() == (
        pytest.approx({"All": len(tiles)}, abs=1e-3)
    )
    crossed = shapely.Polygon([(west, south), (east, north), (east, south), (west, north)])
    found = areas.mapped_areas([tiles], areas.read_regions(regions_file(tmp_path, [crossed], name=["Bow"])))
    assert set(found["region"]) == {"Bow", "elsewhere"}


def test_regions_across_longitude_180_hold_their_tiles_only(tmp_path):
    tiles = coded_tiles(
        "fiji", 0, *TileGrid(32760).covering((700_000.0, 8_100_000.0, 860_000.0, 8_103_000.0)), epsg=32760
    )  # 178.9 to 180.4 E
    longitude = areas.places([tiles])["longitude"]
    assert longitude.min() < 0 < longitude.max()  # both sides
    home = coded_tiles("italy", 1)
    zone = tmp_path / "zone.gpkg"
    gpd.GeoDataFrame({"name": ["Zone"]}, geometry=[shapely.box(*tiles.total_bounds)], crs=32760).to_file(zone)
    files = [
        lambda: zone,
        *(
            lambda west=west: regions_file(tmp_path, [shapely.box(west, -20, west + 4, -10)], name=["Zone"])
            for west in (178, -182)
        ),
    ]
    for file in files:
        found = areas.mapped_areas([tiles, home], areas.read_regions(file()))
        held = found.set_index(["region", "label"])["tiles"]
        assert held["Zone"].to_dict() == pytest.approx({"AnnualCrop": len(tiles)}, abs=0.1 * len(tiles))
        assert held["elsewhere", "Forest"] == pytest.approx(len(home))


def test_the_countries_of_the_world_are_the_default_regions():
    regions = areas.read_regions()
    assert len(regions) == 177 and regions["name"].is_unique and regions.is_valid.all()
    assert areas.COUNTRIES.stat().st_size < 300_000
    towns = {
        "Italy": (11.35, 46.5),
        "Switzerland": (8.2, 46.9),
        "France": (2.35, 48.85),
        "Belgium": (4.6, 50.6),
        "India": (77.6, 13.0),
        "Fiji": (178.0, -17.8),
    }
    for country, (x, y) in towns.items():
        assert regions.loc[regions.intersects(shapely.Point(x, y)), "name"].tolist() == [country]
    assert not regions.intersects(shapely.Point(-40.0, 40.0)).any()


def test_countries_share_their_borders():
    """No ground belongs to two countries, and along a land border none belongs to neither."""
    regions = areas.read_regions().to_crs(6933)
    shapes = regions.geometry.to_numpy()
    first, second = shapely.STRtree(shapes).query(shapes, "overlaps")
    shared = shapely.area(shapely.intersection(shapes[first], shapes[second])).sum() if len(first) else 0.0
    assert shared < 1e-5 * shapely.area(shapes).sum()
    between = shapely.union_all(
        regions[regions["name"].isin(["Germany", "Austria", "Switzerland", "Liechtenstein"])]
        .to_crs(4326)
        .geometry.to_numpy()
    )
    assert all(shapely.Polygon(ring).area < 0.01 for part in shapely.get_parts(between) for ring in part.interiors)


def test_every_place_belongs_to_one_country_and_the_sea_to_none():
    land = areas.mapped_areas([coded_tiles("one", 0)], areas.read_regions())  # 45.1 N, 8.4 E
    assert land["region"].tolist() == ["Italy"]
    # Along the border of France and Spain in the Pyrenees, 0.7 E.
    border = coded_tiles(
        "two", 0, *TileGrid(32631).covering((300_000.0, 4_700_000.0, 330_000.0, 4_760_000.0)), epsg=32631
    )
    found = areas.mapped_areas([border], areas.read_regions())
    assert set(found["region"]) >= {"France", "Spain"} and found["tiles"].sum() == pytest.approx(len(border))
    sea = coded_tiles("three", 9, columns=range(700, 703), rows=range(6600, 6603), epsg=32628)  # Atlantic, 38 N, 15.6 W
    assert areas.mapped_areas([sea], areas.read_regions())["region"].tolist() == ["elsewhere"]


def test_change_of_regions_counts_tiles_by_their_part_inside(tmp_path):
    tiles = coded_tiles("one", 0)
    states = np.array(["changed"] * 3 + ["stable"] * 12)
    changes = pd.DataFrame(
        {
            "tile_id": tiles["tile_id"],
            "state": states,
            "from_label": "Forest",
            "to_label": "AnnualCrop",
            "p_change": 0.9,
        }
    )
    west, south, _, north = tiles.total_bounds
    half = shapely.segmentize(shapely.box(west - 900, south - 900, west + 2.5 * 640, north + 900), 100)
    regions = gpd.GeoDataFrame({"name": ["West"]}, geometry=[half], crs=32632).to_crs(4326)
    found = areas.changed_areas(changes, regions).set_index(["region", "state"])
    assert found.loc[("West", "changed"), "hectares"] == pytest.approx(2.5 * 40.96, abs=0.05)
    assert found.loc[("West", "changed"), "expected_false_ha"] == pytest.approx(0.25 * 40.96, abs=0.01)
    assert found.loc[("West", "stable"), "from_label"] == ""
    assert found["hectares"].sum() == pytest.approx(15 * 40.96)
