"""Every call of the app, asked of a real server process."""

import base64
import io
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyogrio
import pystac
import pytest
import rasterio
from PIL import Image
from pyproj import Transformer
from shapely.geometry import box, mapping

from pipeline.models import store

NAMES = ["S2A_MSIL2A_20210701T101559_field", "S2A_MSIL2A_20230701T101559_field"]
KEYS = ["image", "x", "y", "label", "best_class", "confidence", "unfamiliar", "probabilities", "model"]


def files(*entries):
    return [("files", (name, data, "application/octet-stream")) for name, data in entries]


@pytest.fixture
def ground(results):
    """The table of the first scene, and its western half in degrees: whole tiles."""
    table = gpd.read_parquet(next(results.tiles.glob(f"*/{NAMES[0]}/tiles.parquet")))
    west, south, east, north = table.total_bounds
    half = gpd.GeoSeries([box(west, south, (west + east) / 2, north).segmentize(100)], crs=table.crs).to_crs(4326)
    return table, half.iloc[0]


def test_classify_says_what_the_command_line_says(server, make_picture, tmp_path):
    chip, large = make_picture(), make_picture((130, 200), seed=1)
    (tmp_path / "chip.png").write_bytes(chip)
    (tmp_path / "large.png").write_bytes(large)
    command = [sys.executable, "-m", "pipeline", "classify", "chip.png", "large.png", "--json"]
    root = Path(__file__).resolve().parents[2]
    told = subprocess.run(command, cwd=tmp_path, env={"PYTHONPATH": str(root)}, capture_output=True, check=True)
    expected = [{**entry, "model": store.DEFAULT} for entry in json.loads(told.stdout)]
    answer = server.client.post("/classify", files=files(("chip.png", chip), ("large.png", large)))
    assert answer.status_code == 200
    assert answer.json() == expected
    assert [list(entry) for entry in answer.json()] == [KEYS] * 7
    assert [(entry["x"], entry["y"]) for entry in answer.json()[1:]] == [(x, y) for y in (0, 64, 128) for x in (0, 64)]
    encoded = {"images": [{"name": "chip.png", "data": base64.b64encode(chip).decode()}]}
    assert server.client.post("/classify", json=encoded).json() == expected[:1]
    named = server.client.post("/classify", params={"model": store.DEFAULT}, files=files(("chip.png", chip)))
    assert named.json() == expected[:1]


def test_a_model_of_aerial_pictures_takes_small_ones_whole_and_cuts_large_ones(server, make_picture):
    model = "ucmerced-efficientnet-lite"
    if model not in store.names():
        pytest.skip(f"{model} is not stored here")
    sent = files(("small.png", make_picture((90, 120))), ("large.png", make_picture((520, 270), seed=1)))
    answer = server.client.post("/classify", params={"model": model}, files=sent)
    assert answer.status_code == 200, answer.text
    assert [(entry["image"], entry["x"], entry["y"]) for entry in answer.json()] == [
        ("small.png", 0, 0),
        ("large.png", 0, 0),
        ("large.png", 256, 0),
    ]
    assert all(len(entry["probabilities"]) == 21 and entry["model"] == model for entry in answer.json())


def test_one_bad_picture_among_good_ones_is_told(server, make_picture):
    answer = server.client.post("/classify", files=files(("bad.jpg", b"nothing"), ("good.png", make_picture())))
    bad, good = answer.json()
    assert bad == {"image": "bad.jpg", "error": bad["error"], "model": store.DEFAULT}
    assert "no readable picture" in bad["error"]
    assert good["image"] == "good.png"
    alone = server.client.post("/classify", files=files(("bad.jpg", b"nothing")))
    assert alone.status_code == 422
    assert alone.headers["content-type"] == "application/problem+json"
    assert alone.json()["title"].startswith("Unprocessable")  # RFC 9110 has renamed it
    assert "bad.jpg: no readable picture" in alone.json()["detail"]


def test_classify_of_an_unknown_model_names_those_that_are_there(server, make_picture):
    answer = server.client.post("/classify", params={"model": "../../etc"}, files=files(("a.png", make_picture())))
    assert answer.status_code == 404
    assert store.DEFAULT in answer.json()["detail"]


def test_the_cards(server):
    cards = server.client.get("/models").json()
    assert [card["name"] for card in cards] == list(store.names())
    stored = json.loads((store.locate(store.DEFAULT) / "card.json").read_text())
    assert server.client.get(f"/models/{store.DEFAULT}").json() == stored
    assert server.client.get("/models/absent").status_code == 404


def test_atlases_and_their_page(server, results):
    (atlas,) = server.client.get("/atlases").json()
    assert (atlas["id"], atlas["scenes"], atlas["dates"]) == (store.DEFAULT, NAMES, ["2021-07-01", "2023-07-01"])
    assert {"landcover", "confidence", "truecolour"} <= set(atlas["layers"])
    page = server.client.get(atlas["page"])
    assert page.content == (results.maps / "atlas.html").read_bytes()
    assert page.headers["content-security-policy"].startswith("sandbox allow-scripts")
    assert server.client.get("/atlases/absent/page").status_code == 404


def test_scenes_are_items(server):
    answer = server.client.get("/scenes").json()
    assert [feature["id"] for feature in answer["features"]] == NAMES
    for feature in answer["features"]:
        pystac.Item.from_dict(feature)
        for asset in feature["assets"].values():
            assert server.client.get(asset["href"]).status_code == 200
    one = server.client.get(f"/scenes/{NAMES[0]}").json()
    assert one == answer["features"][0]
    after = server.client.get("/scenes", params={"datetime": "2022-01-01T00:00:00Z/.."}).json()
    assert [feature["id"] for feature in after["features"]] == NAMES[1:]
    west = one["bbox"][0] - 1
    away = server.client.get("/scenes", params={"bbox": f"{west - 1},40,{west},50"}).json()
    assert away["features"] == []
    assert server.client.get("/scenes", params={"bbox": "1,2,3"}).status_code == 400
    assert server.client.get("/scenes", params={"datetime": "yesterday"}).status_code == 400
    page = server.client.get("/scenes", params={"limit": 1}).json()
    (next_page,) = [link["href"] for link in page["links"] if link["rel"] == "next"]
    assert [feature["id"] for feature in server.client.get(next_page).json()["features"]] == NAMES[1:]


def test_files_come_whole_and_in_ranges(server, results):
    stored = next(results.tiles.glob(f"*/{NAMES[0]}/landcover.tif")).read_bytes()
    place = f"/scenes/{NAMES[0]}/files/landcover.tif"
    assert server.client.get(place).content == stored
    part = server.client.get(place, headers={"Range": "bytes=4-19"})
    assert (part.status_code, part.content) == (206, stored[4:20])
    assert server.client.get(f"/scenes/{NAMES[0]}/files/run.json").status_code == 404


def test_head_answers_as_get_without_a_body(server):
    for path in ("/", "/health", f"/scenes/{NAMES[0]}", f"/scenes/{NAMES[0]}/files/landcover.tif", "/absent"):
        head, whole = server.client.head(path), server.client.get(path)
        assert (head.status_code, head.content) == (whole.status_code, b"")
        assert head.headers["content-length"] == str(len(whole.content))
        assert head.headers["content-type"] == whole.headers["content-type"]
    assert server.client.head("/classify").status_code == 405


def test_a_raster_opens_at_its_address(server, results):
    stored = next(results.tiles.glob(f"*/{NAMES[0]}/landcover.tif"))
    with (
        rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"),
        rasterio.open(f"{server.url}/scenes/{NAMES[0]}/files/landcover.tif") as far,
        rasterio.open(stored) as near,
    ):
        assert np.array_equal(far.read(), near.read()) and far.transform == near.transform


def test_what_is_nowhere_says_where_to_look(server):
    for told in (server.client.get("/absent"), server.client.put("/classify")):
        assert "GET /docs lists the calls" in told.json()["detail"]


def test_tiles_as_geojson_and_geoparquet(server, ground):
    table, half = ground
    place = f"/scenes/{NAMES[0]}/tiles"
    whole = server.client.get(place)
    assert whole.headers["content-type"] == "application/geo+json"
    told = gpd.read_file(io.BytesIO(whole.content), engine="pyogrio")
    assert list(told.tile_id) == list(table.tile_id)
    probabilities = [name for name in table.columns if name.startswith("p_")]
    known = table.code.to_numpy() >= 0
    assert np.allclose(told.loc[known, probabilities].astype(float), table.loc[known, probabilities], atol=1e-6)
    west, south, east, north = half.bounds
    inset = 0.001  # off the edges, where a neighbour touches
    asked = {"bbox": f"{west + inset},{south + inset},{east - inset},{north - inset}"}
    parquet = server.client.get(place, params=asked, headers={"Accept": "application/vnd.apache.parquet"})
    assert parquet.headers["content-type"] == "application/vnd.apache.parquet"
    found = gpd.read_parquet(io.BytesIO(parquet.content))
    assert found.crs == table.crs
    assert 0 < len(found) < len(table)
    assert set(found.tile_id) < set(table.tile_id)
    assert list(found.columns) == list(table.columns)


def _pixel(data: bytes, x: float, y: float) -> tuple[int, ...]:
    with Image.open(io.BytesIO(data)) as image:
        assert image.size == (256, 256)
        return image.convert("RGBA").getpixel((int(x), int(y)))


def _in_tile(longitude: float, latitude: float, zoom: int) -> tuple[int, int, float, float]:
    """Column and row of the map tile that holds a place, and the pixel in it (the usual slippy map formula)."""
    span = 2 * 20037508.342789244
    x, y = Transformer.from_crs(4326, 3857, always_xy=True).transform(longitude, latitude)
    column, row = (x / span + 0.5) * 2**zoom, (0.5 - y / span) * 2**zoom
    return int(column), int(row), (column % 1) * 256, (row % 1) * 256


def test_map_tiles_show_the_legends_colours(server, ground, results):
    table, _ = ground
    legend = {entry["label"]: entry["colour"] for entry in server.client.get("/atlases").json()[0]["legend"]}
    centres = table.geometry.centroid.to_crs(4326)
    seen = 0
    for label, place in zip(table.label, centres, strict=True):
        x, y, at_x, at_y = _in_tile(place.x, place.y, 14)
        colour = _pixel(server.client.get(f"/map/{NAMES[0]}/landcover/14/{x}/{y}.png").content, at_x, at_y)
        expected = (*bytes.fromhex(legend[label][1:]), 255) if label in legend else (0, 0, 0, 0)
        assert colour[3] == expected[3] and (not expected[3] or colour == expected)
        seen += label in legend
    assert seen > 5
    path = next(results.tiles.glob(f"*/{NAMES[0]}/truecolour.tif"))
    with rasterio.open(path) as source:
        middle = centres.iloc[len(centres) // 2]
        point = Transformer.from_crs(4326, source.crs, always_xy=True).transform(middle.x, middle.y)
        row, column = source.index(*point)
        around = source.read(window=((row - 8, row + 8), (column - 8, column + 8))).mean(axis=(1, 2))
    x, y, at_x, at_y = _in_tile(middle.x, middle.y, 14)
    with Image.open(io.BytesIO(server.client.get(f"/map/{NAMES[0]}/truecolour/14/{x}/{y}.png").content)) as image:
        shown = np.asarray(image.convert("RGB"), float)[int(at_y) - 8 : int(at_y) + 8, int(at_x) - 8 : int(at_x) + 8]
    assert np.allclose(shown.mean(axis=(0, 1)), around, atol=12)
    x, y, at_x, at_y = _in_tile(middle.x, middle.y, 9)  # from the quicklook
    assert _pixel(server.client.get(f"/map/{NAMES[0]}/truecolour/9/{x}/{y}.png").content, at_x, at_y)[3] == 255
    assert server.client.get(f"/map/{NAMES[0]}/confidence/9/{x}/{y}.png").status_code == 200


def test_map_tiles_of_a_cover_show_every_pixels_class(serve, make_scene, tmp_path):
    scene = make_scene(tmp_path / "in", shape=(192, 320), bands=("B02", "B03", "B04", "B08"))
    server = serve("--scenes", str(tmp_path))
    job = server.client.post("/jobs", json={"folder": "in", "offset": 0}).json()["id"]
    assert server.settled(job)["state"] == "done"
    told = server.client.get(f"/map/{scene.stem}/cover/tilejson.json").json()
    colours = {entry["code"]: (*bytes.fromhex(entry["colour"][1:]), 255) for entry in told["legend"]}
    stored = server.client.get(f"/scenes/{scene.stem}/files/cover.tif").content
    with rasterio.MemoryFile(stored) as memory, memory.open() as source:
        classes, crs, transform = source.read(1), source.crs, source.transform
    assert len(set(classes.ravel().tolist())) > 1
    to_degrees, shown = Transformer.from_crs(crs, 4326, always_xy=True), {}
    for row, column in np.argwhere(classes[5:-5, 5:-5] != 255)[::97] + 5:
        longitude, latitude = to_degrees.transform(*(transform @ (column + 0.5, row + 0.5)))
        x, y, at_x, at_y = _in_tile(longitude, latitude, 16)
        if (x, y) not in shown:
            shown[x, y] = server.client.get(f"/map/{scene.stem}/cover/16/{x}/{y}.png").content
        assert _pixel(shown[x, y], at_x, at_y) == colours[classes[row, column]], (row, column)
    assert len(shown) > 5


def test_map_tiles_beside_the_scene_are_clear_and_beyond_the_world_absent(server):
    clear = server.client.get(f"/map/{NAMES[0]}/landcover/8/3/3.png")
    assert clear.status_code == 200 and _pixel(clear.content, 9, 9)[3] == 0
    assert server.client.get(f"/map/{NAMES[0]}/landcover/3/8/0.png").status_code == 404
    assert server.client.get(f"/map/{NAMES[0]}/landcover/25/8/0.png").status_code == 404
    assert server.client.get(f"/map/{NAMES[0]}/cover/8/3/3.png").status_code == 404
    assert server.client.get(f"/map/{NAMES[0]}/elsewhere/8/3/3.png").status_code == 422
    assert server.client.get("/map/absent/landcover/8/3/3.png").status_code == 404


def test_tilejson_leads_to_tiles(server, ground):
    _, half = ground
    told = server.client.get(f"/map/{NAMES[0]}/landcover/tilejson.json").json()
    west, south, east, north = told["bounds"]
    assert box(west, south, east, north).buffer(1e-6).covers(half)
    x, y, _, _ = _in_tile((west + east) / 2, (south + north) / 2, 13)
    address = told["tiles"][0].replace("{z}", "13").replace("{x}", str(x)).replace("{y}", str(y))
    assert server.client.get(address).headers["content-type"] == "image/png"
    assert len(told["legend"]) == 10


def _expected(table, shape):
    centres = table.geometry.centroid.to_crs(4326)
    inside = table[centres.within(shape).to_numpy() & (table.code.to_numpy() != -1)]
    return inside.groupby("label", observed=True).size().mul(40.96).to_dict()


def test_areas_of_a_polygon(server, ground):
    table, half = ground
    answer = server.client.post("/areas", json={"polygon": mapping(half), "dates": ["2021-07-01"]})
    rows = answer.json()["rows"]
    told = {row["label"]: row["hectares"] for row in rows if row["hectares"] > 0.1}  # without slivers of rounding
    assert told == pytest.approx(_expected(table, half), rel=1e-3)
    assert sum(row["share"] for row in rows) == pytest.approx(1, abs=1e-4)
    assert {row["date"] for row in rows} == {"2021-07-01"}
    assert all(row["adjusted_hectares"] is None for row in rows)
    both = server.client.post("/areas", json={"polygon": mapping(half)}).json()["rows"]
    assert {row["date"] for row in both} == {"2021-07-01", "2023-07-01"}
    bare = server.client.post("/areas", json={"type": "Feature", "properties": {}, "geometry": mapping(half)})
    assert bare.json()["rows"] == both
    assert server.client.post("/areas", json={"polygon": mapping(half), "dates": ["1999-01-01"]}).status_code == 404


def _plain(rows):
    """What rows tell besides their region's name, without slivers of rounding."""
    return [(row["date"], row["label"], round(row["hectares"])) for row in rows if row["hectares"] > 0.1]


def test_areas_of_files(server, ground, tmp_path):
    _, half = ground
    shapes = gpd.GeoDataFrame({"name": ["west"]}, geometry=[half], crs=4326).to_crs(32632)
    expected = server.client.post("/areas", json={"polygon": mapping(half)}).json()["rows"]
    shapes.to_file(tmp_path / "west.gpkg")
    (tmp_path / "shp").mkdir()
    shapes.to_file(tmp_path / "shp" / "west.shp")
    with zipfile.ZipFile(tmp_path / "west.zip", "w") as bundle:
        for path in (tmp_path / "shp").iterdir():
            bundle.write(path, f"folder/{path.name}")
    shapes.to_crs(4326).to_file(tmp_path / "west.geojson", driver="GeoJSON")
    for name in ("west.gpkg", "west.zip", "west.geojson"):
        answer = server.client.post("/areas", files={"file": (name, (tmp_path / name).read_bytes())})
        assert answer.status_code == 200, answer.text
        assert _plain(answer.json()["rows"]) == _plain(expected)
        assert {row["region"] for row in answer.json()["rows"]} == {"west"}
    assert pyogrio.list_layers(tmp_path / "west.gpkg")[0][0] == "west"


def test_areas_have_intervals_where_a_sample_was_labelled(results, serve, tmp_path, ground):
    table, half = ground

    shutil.copytree(results.tiles, tmp_path / "tiles", ignore=shutil.ignore_patterns(".app"))
    labels = sorted(set(table.label[table.code >= 0]))
    counts = [[40 if row == column else 5 for column in labels] for row in labels]
    sample = {"accuracy": 0.8, "accuracy_ci": 0.1, "labels": labels, "counts": counts, "classes": []}
    (tmp_path / "tiles" / store.DEFAULT / "assessment.json").write_text(json.dumps(sample))
    rows = serve().client.post("/areas", json={"polygon": mapping(half)}).json()["rows"]
    for row in rows:
        assert (row["adjusted_ci"] is not None) == (row["label"] in labels)
    assert any(row["adjusted_ci"] is not None for row in rows)


def test_places_without_a_network(server):
    def find(text):
        return server.client.get("/places", params={"q": text}).json()

    (point,) = find("47.7, 9.25")
    assert point["bbox"] == pytest.approx([9.23, 47.68, 9.27, 47.72])
    assert find("33.5 S, 70.6 W")[0]["bbox"] == pytest.approx([-70.62, -33.52, -70.58, -33.48])
    assert [place["name"] for place in find("20230701")] == NAMES[1:]
    assert find("austria")[0]["kind"] == "country"
    assert find("32632_937_7960")[0]["kind"] == "tile"
    assert find("<script>") == find("1_2_3_4") == find("32632_99999999999999999999_1") == []


def test_health_and_metrics(server):
    told = server.client.get("/health").json()
    assert (told["status"], told["model"]) == ("ready", store.DEFAULT)
    server.client.get("/absent")
    text = server.client.get("/metrics").text
    assert 'atlas_requests_total{method="GET",route="none",status="404"}' in text
    assert 'route="/health"' in text and "atlas_patches_waiting 0.0" in text
    assert "process_resident_memory_bytes" in text
    assert "absent" not in text


def test_tensorflow_stays_out_of_the_server(server):
    assert server.client.get("/health").json()["engine"].startswith("openvino")
    libraries = Path(f"/proc/{server.process.pid}/maps").read_text()
    assert "openvino" in libraries
    assert "site-packages/tensorflow" not in libraries and "site-packages/torch" not in libraries


def test_documents_work_without_a_network(server):
    page = server.client.get("/docs").text
    assert "http://" not in page and "https://" not in page
    for address in ("/static/swagger/swagger-ui-bundle.js", "/static/swagger/swagger-ui.css", "/static/app/docs.js"):
        assert address in page
        assert server.client.get(address).status_code == 200
    told = server.client.get("/openapi.json").json()
    assert told["openapi"].startswith("3.1")
    assert "/classify" in told["paths"]


def test_the_reference_is_that_of_the_code():
    from pipeline.web.reference import reference

    written = (Path(__file__).resolve().parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
    assert written == reference(), "run: python -m pipeline.web.reference > docs/api.md"
