"""Polygons of OpenStreetMap: asked for once, kept with their licence; errors, limits and broken rings told."""

import json
import re
import threading

import geopandas as gpd
import numpy as np
import pytest
from click.testing import CliRunner
from pyproj import Transformer

from pipeline.cli import main
from pipeline.datasets import overpass
from pipeline.datasets.masks import COVERS, read_truth
from pipeline.datasets.overpass import Overpass, fetch_polygons, outline_of, question
from pipeline.errors import ModelError
from tests.builders import scene_on_disk, write_tif
from tests.overpasses import OverpassService

LEFT, TOP = 674_560.0, 5_155_200.0


@pytest.fixture
def service():
    made = OverpassService()
    thread = threading.Thread(target=made.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture
def scene(tmp_path):
    (tmp_path / "scenes").mkdir()
    pixels = np.random.default_rng(8).integers(200, 2700, (3, 40, 70), dtype=np.uint16)
    return scene_on_disk(tmp_path / "scenes", pixels, LEFT, TOP, "here")


def nodes(*places):
    """Geometry as a service gives it, of places in metres east and south of the scene's corner."""
    back = Transformer.from_crs(32632, 4326, always_xy=True)
    at = [back.transform(LEFT + x, TOP - y) for x, y in places]
    return [{"lon": lon, "lat": lat} for lon, lat in at]


def way(number, *places, **tags):
    return {"type": "way", "id": number, "tags": tags, "geometry": nodes(*places)}


def ring(x, y, size):
    return (x, y), (x + size, y), (x + size, y + size), (x, y + size), (x, y)


def relation(number, *members, **tags):
    told = [{"type": "way", "role": role, "geometry": nodes(*places)} for role, places in members]
    return {"type": "relation", "id": number, "tags": {"type": "multipolygon", **tags}, "members": told}


FIELD = way(1, *ring(0, 0, 200), landuse="farmland", name="<b>field</b>")
# A wood whose outer ring lies in two pieces, drawn in two directions, with a glade.
WOOD = relation(
    2,
    ("outer", ((200, 0), (400, 0), (400, 200))),
    ("outer", ((200, 0), (200, 200), (400, 200))),
    ("inner", ring(250, 50, 50)),
    landuse="forest",
)
OPEN = way(3, (0, 0), (100, 0), (100, 100), natural="wood")
TORN = relation(4, ("outer", ((0, 0), (50, 0), (50, 50))), landuse="meadow")


def test_polygons_are_asked_for_once_and_kept_with_their_licence(service, scene, tmp_path, caplog):
    service.elements = [FIELD, WOOD, OPEN, TORN]
    paths = fetch_polygons(Overpass(service.url), [scene], tmp_path / "truth")
    assert len(service.asked) == 1
    assert "2 ways or relations of OpenStreetMap do not close" in caplog.text
    told = json.loads(paths[0].read_text())
    assert told["license"] == "ODbL-1.0"
    assert "OpenStreetMap contributors" in told["attribution"]
    assert "<b>" not in paths[0].read_text()
    table = gpd.read_file(paths[0]).to_crs(32632)
    assert dict(zip(table["element"], table.area.round(-2), strict=True)) == {"way/1": 40_000, "relation/2": 37_500}
    (truth,) = read_truth([scene], tmp_path / "truth", ("B04", "B03"), "osm")
    counts = {COVERS[code]: int((truth.codes == code).sum()) for code in np.unique(truth.codes) if code < 255}
    assert counts == {"crops": 400, "trees": 375}

    assert fetch_polygons(Overpass(service.url), [scene], tmp_path / "truth") == paths
    assert len(service.asked) == 1, "what is kept is not asked again"


def test_the_question_names_the_scenes_extent_and_the_tables_tags(service, scene, tmp_path):
    service.elements = [FIELD]
    fetch_polygons(Overpass(service.url), [scene], tmp_path / "truth")
    (asked,) = service.asked
    assert "farmland|" in asked and 'relation["type"="multipolygon"]["natural"' in asked
    assert asked.endswith("out geom;")
    south, west, north, east = (float(text) for text in re.search(r"\(([\d.,]+)\)", asked)[1].split(","))
    there = nodes((0, 0), (700, 400))
    least = 2e-6  # degrees are told in a decimetre's steps
    assert west - least <= there[0]["lon"] < there[1]["lon"] <= east + least
    assert south - least <= there[1]["lat"] < there[0]["lat"] <= north + least


def test_a_wide_extent_is_asked_for_in_pieces_and_each_polygon_kept_once(service, scene, tmp_path, monkeypatch):
    monkeypatch.setattr(overpass, "_PIECE", 0.005)
    service.elements = [FIELD]
    (path,) = fetch_polygons(Overpass(service.url), [scene], tmp_path / "truth")
    assert len(service.asked) == len(set(service.asked)) == 2
    assert len(json.loads(path.read_text())["features"]) == 1
    monkeypatch.setattr(overpass, "_PIECE", 0.0002)
    with pytest.raises(ModelError, match="too large to ask for"):
        fetch_polygons(Overpass(service.url), [scene], tmp_path / "other")


@pytest.mark.parametrize(("status", "told", "waited"), [(429, "7", 7.0), (504, None, 5.0), (503, "soon", 5.0)])
def test_a_busy_service_is_asked_again_when_it_says(service, scene, tmp_path, status, told, waited):
    service.elements = [FIELD]
    service.first = [(status, b"busy", {} if told is None else {"Retry-After": told})]
    waits = []
    fetch_polygons(Overpass(service.url, waits.append), [scene], tmp_path / "truth")
    assert waits == [waited]
    assert len(service.asked) == 2


@pytest.mark.parametrize(
    ("first", "said"),
    [
        ([(429, b"", {"Retry-After": "900"})] * 4, "answers 429 .*busy, try again later"),
        ([(400, b"parse error", {})], "answers 400 .*check the address"),
        ([(200, b"<html>welcome</html>", {})], "none of an Overpass service"),
        ([(200, b'{"elements": [], "remark": "runtime error: Query timed out"}', {})], "gave up .runtime error"),
        ([(200, b'{"elements": []}', {})], "knows no polygon of the tags"),
    ],
)
def test_what_cannot_be_used_is_told_and_nothing_is_kept(service, scene, tmp_path, first, said):
    service.first, waits = list(first), []
    with pytest.raises(ModelError, match=said):
        fetch_polygons(Overpass(service.url, waits.append), [scene], tmp_path / "truth")
    assert max(waits, default=0) <= 120
    kept = [json.loads(path.read_text())["features"] for path in (tmp_path / "truth").glob("*")]
    assert not any(kept)


def test_an_address_shows_no_password_and_must_be_one(scene, tmp_path):
    with pytest.raises(ModelError, match="gives no answer") as told:
        fetch_polygons(Overpass("http://me:secret@127.0.0.1:9/api?key=secret"), [scene], tmp_path / "truth")
    assert "secret" not in str(told.value)
    for address in ("file:///etc/passwd", "/etc/passwd", "s3://bucket/key"):
        with pytest.raises(ModelError, match="no address of an Overpass service"):
            fetch_polygons(Overpass(address), [scene], tmp_path / "truth")
    with pytest.raises(ModelError, match="link-local"):
        fetch_polygons(Overpass("http://169.254.169.254/api"), [scene], tmp_path / "truth")


@pytest.mark.parametrize(
    "element",
    [
        OPEN,
        TORN,
        {"type": "way", "id": 5},
        {"type": "way", "id": 6, "geometry": [None, None, None, None]},
        {"type": "relation", "id": 7, "members": [{"type": "way", "role": "outer", "geometry": None}]},
        {"type": "relation", "id": 8, "members": []},
        {"type": "node", "id": 9},
        relation(10, ("outer", ring(0, 0, 90)), ("inner", ((10, 10), (20, 10), (20, 20)))),
    ],
)
def test_rings_that_do_not_close_are_none(element):
    assert outline_of(element) is None


def test_the_command_fetches_only_when_asked(service, tmp_path):
    service.elements = [FIELD, WOOD]
    pixels = np.full((4, 40, 70), 900, np.uint16)
    place = {"west": LEFT, "north": TOP, "names": ["B02", "B03", "B04", "B08"]}
    write_tif(tmp_path / "scenes" / "here_20220612.tif", pixels, **place)
    asked = ["train-cover", "--scenes", str(tmp_path / "scenes"), "--truth", str(tmp_path / "truth")]
    plain = CliRunner().invoke(main, asked)
    assert plain.exit_code == 1 and "no masks or polygons there" in plain.output
    assert not service.asked
    fetched = CliRunner().invoke(main, [*asked, "--osm", service.url])
    assert "OpenStreetMap contributors (ODbL-1.0)" in fetched.output
    assert "1 place(s) cannot be split" in fetched.output, "one scene is one place"
    assert (tmp_path / "truth" / "here_20220612.geojson").is_file()


def test_every_cover_of_the_table_is_asked_for():
    assert set(re.findall(r'way\["(\w+)"', question((11.0, 46.0, 11.1, 46.1)))) == {
        "natural", "waterway", "landuse", "leisure", "aeroway", "amenity",
    }  # fmt: skip
