"""Hectares, the sample and the estimator."""

import json
from datetime import UTC, datetime, timedelta

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

from pipeline import areas
from pipeline.errors import TileTableError
from pipeline.grid import TileGrid
from pipeline.legend import EUROSAT
from pipeline.results.table import TileAnswers, tile_table

DAY = datetime(2021, 6, 1, 10, tzinfo=UTC)


def table(scene, codes, columns=range(700, 705), rows=range(7800, 7803), when=DAY, epsg=32632, valid=1.0):
    """A tile table whose codes (rows from south, columns from west) are given."""
    index = np.array([(col, row) for row in rows for col in columns])
    codes = np.broadcast_to(np.asarray(codes, np.int8), len(index)).copy()
    probabilities = np.full((len(index), 10), np.nan, np.float32)
    known = codes >= 0
    probabilities[known] = 0.01
    probabilities[np.flatnonzero(known), codes[known]] = 0.91
    fraction = np.full(len(index), valid, np.float32)
    return tile_table(
        TileAnswers(index, codes, probabilities, fraction, np.zeros_like(fraction)),
        TileGrid(epsg),
        EUROSAT,
        scene,
        when,
    )


def test_the_published_example_comes_out_to_its_printed_digits():
    """Olofsson et al. (2014), section 5: a map of forest change, 10 million Landsat pixels of 0.09 ha, 640 samples.

    The estimates are theirs to the digit; the score intervals are wider where a class is rare.
    """
    labels = ["deforestation", "forest gain", "stable forest", "stable non-forest"]
    counts = pd.DataFrame(
        [[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]], index=labels, columns=labels
    )
    mapped = pd.Series([200_000, 150_000, 3_200_000, 6_450_000], index=labels) * 0.09
    found = areas.error_adjusted(counts, mapped)
    assert found.classes["adjusted_ha"].round().astype(int).tolist() == [21_158, 11_686, 285_770, 581_386]
    wider = found.classes["adjusted_ci"].to_numpy() / [6_158, 3_756, 15_510, 16_282]
    assert (wider[:2] > 1.5).all() and (wider[:2] < 3).all()  # few of the other strata's samples could hold them
    assert wider[2:].tolist() == pytest.approx([1, 1], abs=0.15)
    assert found.classes["users_accuracy"].round(2).tolist() == [0.88, 0.73, 0.93, 0.96]
    assert found.classes["users_ci"].tolist() == pytest.approx([0.07, 0.10, 0.04, 0.02], abs=0.025)
    assert found.classes["producers_accuracy"].round(2).tolist() == [0.75, 0.85, 0.93, 0.96]
    assert (found.classes["producers_ci"] / 1.96).tolist()[2:] == pytest.approx([0.02, 0.01], abs=0.01)
    assert round(found.accuracy, 2) == 0.95
    assert round(found.accuracy_ci, 2) == 0.02
    assert found.classes["adjusted_ha"].sum() == pytest.approx(mapped.sum())


def test_the_interval_covers_the_truth_as_often_as_it_promises():
    rng = np.random.default_rng(3)
    truth = rng.choice(3, 6000, p=[0.9, 0.07, 0.03])
    mapped = np.where(rng.random(6000) < 0.92, truth, rng.integers(0, 3, 6000))
    sizes = pd.Series(mapped).value_counts().sort_index()
    held = 0
    for _ in range(200):
        drawn = np.concatenate([rng.choice(np.flatnonzero(mapped == label), 80, replace=False) for label in range(3)])
        found = areas.error_adjusted(pd.crosstab(mapped[drawn], truth[drawn]), sizes).classes
        held += abs(found.loc[2, "adjusted_ha"] - (truth == 2).sum()) <= found.loc[2, "adjusted_ci"]
    assert held / 200 >= 0.93


def test_twenty_right_of_twenty_is_not_beyond_doubt():
    counts = pd.DataFrame({"a": [20, 0], "b": [0, 20]}, index=["a", "b"])
    found = areas.error_adjusted(counts, pd.Series({"a": 1000.0, "b": 50.0}))
    assert (found.classes[["users_ci", "producers_ci", "adjusted_ci"]] > 0).all().all()
    assert found.classes.loc["a", "users_ci"] == pytest.approx(1 - 20 / (20 + 1.96**2), abs=1e-3)
    row = found.classes.loc["b"]
    assert row["adjusted_low"] < 50 < row["adjusted_high"] and row["adjusted_high"] - 50 > 50 - row["adjusted_low"]


def test_a_label_that_the_map_never_gives_still_gets_an_area():
    counts = pd.DataFrame({"a": [45, 1], "b": [3, 50], "unseen": [2, 0]}, index=["a", "b"])
    found = areas.error_adjusted(counts, pd.Series({"a": 1000.0, "b": 500.0})).classes
    assert found.loc["unseen", "adjusted_ha"] == pytest.approx(1000 * 2 / 50)
    assert found.loc["unseen", "mapped_ha"] == 0
    assert np.isnan(found.loc["unseen", "users_accuracy"])


def test_a_class_without_reference_is_refused():
    counts = pd.DataFrame({"a": [10, 0], "b": [0, 1]}, index=["a", "b"])
    with pytest.raises(TileTableError, match="map's b"):
        areas.error_adjusted(counts, pd.Series({"a": 10.0, "b": 10.0}))


def test_hectares_by_label_and_date_sum_to_the_tiles():
    first = table("one", [0, 0, 1, 1, -2] * 3)
    second = table("two", 7, when=DAY + timedelta(days=365))
    found = areas.mapped_areas([second, first])
    assert found["date"].tolist() == [DAY.date()] * 3 + [(DAY + timedelta(days=365)).date()]
    assert found.set_index(["date", "label"])["tiles"].to_dict() == {
        (DAY.date(), "AnnualCrop"): 6,
        (DAY.date(), "Forest"): 6,
        (DAY.date(), "cloud"): 3,
        ((DAY + timedelta(days=365)).date(), "Residential"): 15,
    }
    assert found["hectares"].sum() == pytest.approx(30 * 40.96)
    assert found.groupby("date")["share"].sum().tolist() == pytest.approx([1.0, 1.0])


def test_neighbouring_granules_count_their_overlap_once_and_the_clearer_look_wins():
    west = table("west", 0, columns=range(700, 704), when=DAY)
    east = table("east", 1, columns=range(702, 706), when=DAY + timedelta(minutes=4), valid=0.8)
    tiles = areas.places([east, west])
    assert len(tiles) == 6 * 3
    assert tiles["label"].value_counts().to_dict() == {"AnnualCrop": 12, "Forest": 6}
    assert set(tiles["date"]) == {DAY.date()}


def test_ground_seen_on_the_grids_of_two_zones_counts_once():
    """A strip at 12 degrees east, the border of zones 32 and 33, seen on both grids.

    The union's area within a percent.
    """
    zone = {
        epsg: gpd.GeoSeries([shapely.box(11.85, 48.0, 12.15, 48.3)], crs=4326).to_crs(epsg).total_bounds
        for epsg in (32632, 32633)
    }
    both = [table(str(epsg), 0, *TileGrid(epsg).covering(tuple(bounds)), epsg=epsg) for epsg, bounds in zone.items()]
    squares = gpd.GeoSeries(pd.concat([part.geometry.to_crs(4326) for part in both], ignore_index=True), crs=4326)
    union = shapely.union_all(squares.to_crs(32632).to_numpy()).area / 10_000
    alone = sum(len(part) for part in both) * 40.96
    assert alone > 1.5 * union
    assert areas.mapped_areas(both)["hectares"].sum() == pytest.approx(union, rel=0.005)
    assert areas.mapped_areas(both[:1])["hectares"].sum() == pytest.approx(len(both[0]) * 40.96)


def test_regions_take_tiles_by_their_part_inside(tmp_path):
    tiles = table("one", 0)
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
    tiles = table("one", 0)
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
    tiles = table(
        "fiji", 0, *TileGrid(32760).covering((700_000.0, 8_100_000.0, 860_000.0, 8_103_000.0)), epsg=32760
    )  # 178.9 to 180.4 E
    longitude = areas.places([tiles])["longitude"]
    assert longitude.min() < 0 < longitude.max()  # both sides
    home = table("italy", 1)
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
    land = areas.mapped_areas([table("one", 0)], areas.read_regions())  # 45.1 N, 8.4 E
    assert land["region"].tolist() == ["Italy"]
    # Along the border of France and Spain in the Pyrenees, 0.7 E.
    border = table("two", 0, *TileGrid(32631).covering((300_000.0, 4_700_000.0, 330_000.0, 4_760_000.0)), epsg=32631)
    found = areas.mapped_areas([border], areas.read_regions())
    assert set(found["region"]) >= {"France", "Spain"} and found["tiles"].sum() == pytest.approx(len(border))
    sea = table("three", 9, columns=range(700, 703), rows=range(6600, 6603), epsg=32628)  # Atlantic, 38 N, 15.6 W
    assert areas.mapped_areas([sea], areas.read_regions())["region"].tolist() == ["elsewhere"]


def test_the_sample_is_stratified_repeatable_and_blind():
    codes = np.r_[np.zeros(500), np.ones(80), np.full(12, 7), np.full(8, -2)].astype(np.int8)
    tiles = table("one", codes, columns=range(30), rows=range(20))
    drawn = areas.sample(tiles, 100, seed=5)
    assert drawn.equals(areas.sample(tiles, 100, seed=5))
    assert not drawn.equals(areas.sample(tiles, 100, seed=6))
    assert drawn["tile_id"].is_unique
    assert (drawn["label"] == "").all()
    got = tiles.set_index("tile_id").loc[drawn["tile_id"], "label"].astype(str).value_counts().to_dict()
    assert got == {
        "AnnualCrop": 61,
        "Forest": 27,
        "Residential": 12,
    }  # 100: all of the smallest, 20 of each other, the rest by size
    assert len(areas.sample(tiles, 10)) == 20 + 20 + 12 and len(areas.sample(tiles, 10_000)) == 592
    assert {feature["geometry"]["type"] for feature in areas.to_features(drawn)["features"]} == {"Point"}


def test_labels_come_back_as_accuracy():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 600).astype(np.int8)
    codes = np.where(rng.random(600) < 0.9, truth, (truth + 1) % 3).astype(np.int8)
    tiles = table("one", codes, columns=range(30), rows=range(20))
    order = table("one", truth, columns=range(30), rows=range(20))
    true_label = dict(zip(order["tile_id"], order["label"].astype(str), strict=True))
    drawn = areas.sample(tiles, 300)
    drawn["label"] = drawn["tile_id"].map(true_label)
    drawn.loc[drawn.index[:10], "label"] = ""
    found = areas.assess(drawn, tiles)
    assert found.accuracy == pytest.approx((codes == truth).mean(), abs=2 * found.accuracy_ci)
    assert found.counts.to_numpy().sum() == len(drawn) - 10
    assert found.classes["adjusted_ha"].sum() == pytest.approx(600 * 40.96)
    assert json.loads(found.to_json())["labels"] == sorted(EUROSAT.labels[:3])


def test_a_sample_of_another_map_is_refused():
    tiles = pd.DataFrame({"tile_id": [f"32632_{700 + at}_7800" for at in range(40)], "label": ["a", "b"] * 20})
    labelled = areas.sample(tiles, 40, least=2).assign(label="a")
    assert areas.assess(labelled, tiles.sample(frac=1, random_state=0)).accuracy == pytest.approx(0.5)
    assert areas.assess(labelled.drop(columns="map"), tiles.replace({"b": "c"})).accuracy == pytest.approx(0.5)
    with pytest.raises(TileTableError, match="drawn from map"):
        areas.assess(labelled, tiles.replace({"b": "c"}))


def test_contradicting_labels_are_refused():
    tiles = table("one", 0)
    name = tiles["tile_id"].iloc[0]
    with pytest.raises(TileTableError, match="two different"):
        areas.assess(pd.DataFrame({"tile_id": [name, name], "label": ["Forest", "River"]}), tiles)
    with pytest.raises(TileTableError, match="none of the labelled"):
        areas.assess(pd.DataFrame({"tile_id": ["32632_1_1"], "label": ["Forest"]}), tiles)
    with pytest.raises(TileTableError, match="no tile is labelled yet"):
        areas.assess(areas.sample(tiles, 5), tiles)
    with pytest.raises(TileTableError, match="lack the column"):
        areas.assess(pd.DataFrame({"tile": [name]}), tiles)


def test_labels_are_read_as_people_write_them(tmp_path):
    path = tmp_path / "labels.csv"
    for text in (
        "tile_id,label\n1,Forest\n2, sea lake\n3,\n4,Dessert\n",
        "tile_id;label\r\n1;Forest\r\n2;SEALAKE\r\n3;\r\n4;Dessert \r\n",
    ):
        for encoding in ("utf-8", "utf-8-sig"):
            path.write_bytes(text.encode(encoding))
            found = areas.read_labels(path, EUROSAT.labels)
            assert found["label"].fillna("").tolist() == ["Forest", "SeaLake", "", "Dessert"] and found[
                "tile_id"
            ].tolist() == ["1", "2", "3", "4"]


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xfet\x00i\x00", b'tile_id,label\n"1,Forest\n2', bytes(range(128, 256))]
)
def test_what_is_no_table_of_labels_is_refused(tmp_path, content):
    path = tmp_path / "labels.csv"
    path.write_bytes(content)
    with pytest.raises(TileTableError, match="no readable CSV") as error:
        areas.read_labels(path)
    assert "\n" not in str(error.value)


def test_change_of_regions_counts_tiles_by_their_part_inside(tmp_path):
    tiles = table("one", 0)
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
