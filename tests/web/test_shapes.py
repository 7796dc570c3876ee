"""Polygons as they come: good ones in three formats, hostile ones in any."""

import io
import json
import sqlite3
import zipfile

import geopandas as gpd
import numpy as np
import pytest
from shapely.geometry import Point, Polygon, box, mapping

from pipeline.web.problems import Problem
from pipeline.web.shapes import read_shapes
from pipeline.web.uploads import Upload, file_name, shown_name

SQUARE = box(9.0, 47.0, 9.5, 47.25)


def _zip(**members):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as bundle:
        for name, data in members.items():
            bundle.writestr(name.replace("_", "."), data)
    return out.getvalue()


def _read(data, name="x"):
    return read_shapes(Upload(name, data if isinstance(data, bytes) else json.dumps(data).encode()))


@pytest.mark.parametrize(
    ("told", "names"),
    [
        (mapping(SQUARE), ["area 1"]),
        ({"type": "Feature", "properties": None, "geometry": mapping(SQUARE)}, ["area 1"]),
        ({"type": "Feature", "properties": {"name": "<b>"}, "geometry": mapping(SQUARE)}, ["<b>"]),
        (
            {
                "type": "FeatureCollection",
                "features": [
                    {"type": "Feature", "properties": {"name": n}, "geometry": mapping(SQUARE)} for n in ("a", 7)
                ],
            },
            ["a", "7"],
        ),
    ],
)
def test_geojson_of_any_kind(told, names):
    found = _read(told)
    assert list(found["name"]) == names
    assert found.geometry.iloc[0].equals(SQUARE)


def test_files_come_to_degrees(tmp_path):
    table = gpd.GeoDataFrame({"title": ["north", "south"]}, geometry=[SQUARE, box(9, 46, 9.5, 46.2)], crs=4326)
    table.to_crs(32632).to_file(tmp_path / "x.gpkg")
    found = _read((tmp_path / "x.gpkg").read_bytes())
    assert list(found["name"]) == ["north", "south"]
    assert found.total_bounds == pytest.approx([9, 46, 9.5, 47.25], abs=1e-6)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no JSON"),
        (b"<OGRVRTDataSource/>", "no JSON"),
        (b"[" * 100_000, "no JSON"),
        (b"[]", "no JSON object"),
        ({"type": "Point", "coordinates": [1, 2]}, "no polygons"),
        ({"type": "Polygon", "coordinates": "x"}, "no GeoJSON"),
        ({"type": "Polygon", "coordinates": [[[1, 2], [3, 4]]]}, "no GeoJSON"),
        ({"type": "FeatureCollection", "features": {}}, "no list"),
        ({"type": "FeatureCollection", "features": []}, "no shape"),
        ({"type": "Elsewhere"}, "no GeoJSON"),
        ({"type": "Polygon", "coordinates": []}, "hold no point"),
        (b"PK\3\4" + bytes(100), "does not read"),
        (_zip(a_txt="x"), "holds 0 shapefiles"),
        (_zip(a_shp=b"", b_shp=b""), "holds 2 shapefiles"),
        (_zip(a_shp=b"<OGRVRTDataSource/>"), "is no shapefile"),
        (_zip(a_shp=b"\x00\x00\x27\x0a" + bytes(96)), "does not"),
        (b"SQLite format 3\0" + bytes(200), "no GeoPackage"),
        (b"SQLite format 3\0" + bytes(52) + b"GPKG" + bytes(1000), "does not read"),
    ],
)
@pytest.mark.filterwarnings("ignore:GPKG", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_what_is_no_polygon_is_refused(data, words):
    with pytest.raises(Problem, match=words) as refusal:
        _read(data)
    assert 400 <= refusal.value.status_code < 500


def test_places_that_are_none_are_refused():
    with pytest.raises(Problem, match=r"^422: its coordinates are no longitudes"):
        _read(mapping(box(600_000, 5_000_000, 600_100, 5_000_100)))


def test_a_database_of_another_kind_is_not_opened(tmp_path):
    base = sqlite3.connect(tmp_path / "x.gpkg")
    base.execute("create table secrets (a)")
    base.commit()
    base.close()
    with pytest.raises(Problem, match="no GeoPackage"):
        _read((tmp_path / "x.gpkg").read_bytes())


def test_more_than_can_be_counted_is_refused():
    point = {"type": "Feature", "properties": {}, "geometry": mapping(Point(1, 2))}
    with pytest.raises(Problem, match="at most 1000") as refusal:
        _read({"type": "FeatureCollection", "features": [point] * 1001})
    assert refusal.value.status_code == 413
    angles = np.linspace(0, 2 * np.pi, 200_002)
    ring = np.stack([9 + np.cos(angles), 47 + np.sin(angles)], axis=1)
    with pytest.raises(Problem, match="200,000 points"):
        _read(mapping(Polygon(ring)))


@pytest.mark.parametrize(
    ("told", "shown", "kept"),
    [
        ("S2A_X.SAFE.zip", "S2A_X.SAFE.zip", "S2A_X.SAFE.zip"),
        ("../../etc/passwd", "passwd", "scene-1.tif"),
        ("..\\..\\x.tif", "x.tif", "x.tif"),
        (".hidden.tif", ".hidden.tif", "hidden.tif"),
        ("a\nb\x00.tif", "a?b?.tif", "a_b_.tif"),
        ("übersicht (1).tif", "übersicht (1).tif", "bersicht_1_.tif"),
        ("", "scene-1.tif", "scene-1.tif"),
        (None, "scene-1.tif", "scene-1.tif"),
        ("...", "...", "scene-1.tif"),
        ("x" * 500 + ".tif", "x" * 120, "scene-1.tif"),
    ],
)
def test_names_of_uploads(told, shown, kept):
    assert shown_name(told, "scene-1.tif") == shown
    assert file_name(told, "scene-1.tif") == kept
