"""Searching, resuming, checking."""

import hashlib
import json

import numpy as np
import pytest
from click.testing import CliRunner
from rich.console import Console

from pipeline.catalogue import Query, Wish, clearest, download, download_item, fetch, file_name, search, seasons, wanted
from pipeline.cli import main
from pipeline.errors import CorruptScene, NotAScene, OutputError, UnsafeInput
from pipeline.scenes.finding.find import find_scenes
from pipeline.scenes.scene import Scene
from tests.builders import scene_on_disk
from tests.catalogues import Handler


def multihash(data: bytes) -> str:
    return "1220" + hashlib.sha256(data).hexdigest()


@pytest.fixture
def stocked(catalogue, tmp_path):
    """Three Items of one place, the second cloudy, with one GeoTIFF a band."""
    rng = np.random.default_rng(1)
    for number, cloud in enumerate((5, 80, 12)):
        assets = {}
        for key, band in (("red", "B04"), ("green", "B03"), ("blue", "B02")):
            made = scene_on_disk(
                tmp_path,
                rng.integers(300, 2500, (1, 130, 200), dtype=np.uint16),
                640_000,
                5_120_000,
                f"{number}-{band}",
            )
            data = made.files[0].read_bytes()
            catalogue.files[f"/{number}/{band}.tif"] = data
            entry = {"name": band, "raster:scale": 1e-4, "raster:offset": 0, "nodata": 0}
            assets[key] = {
                "href": f"{catalogue.url}/{number}/{band}.tif",
                "roles": ["data"],
                "bands": [entry],
                "file:checksum": multihash(data),
            }
            assets[f"{key}-jp2"] = {"href": f"s3://bucket/{number}/{band}.jp2", "roles": ["data"]}
        assets["thumbnail"] = {"href": f"{catalogue.url}/{number}/thumb.tif", "roles": ["thumbnail"]}
        catalogue.items.append(
            {
                "type": "Feature",
                "stac_version": "1.1.0",
                "id": f"S2A_32TPS_2024060{number + 1}_0_L1C",
                "geometry": None,
                "bbox": [11, 46, 12, 47],
                "properties": {
                    "datetime": f"2024-06-0{number + 1}T10:00:00Z",
                    "eo:cloud_cover": cloud,
                    "processing:level": "L1",
                },
                "links": [],
                "assets": assets,
            }
        )
    return catalogue


QUERY = Query((11.0, 46.0, 12.0, 47.0), "2024-06-01/2024-06-30")
BANDS = ("B04", "B03", "B02")


def test_search_follows_pages_and_leaves_clouds_out(stocked):
    assert [item["id"][10:18] for item in search(stocked.url, QUERY)] == ["20240601", "20240602", "20240603"]
    assert [item["id"][10:18] for item in search(stocked.url, Query(QUERY.bbox, QUERY.dates, max_cloud=20))] == [
        "20240601",
        "20240603",
    ]
    assert len(list(search(stocked.url, Query(QUERY.bbox, QUERY.dates, limit=1)))) == 1
    body = json.loads(stocked.asked[0][1])
    assert body == {
        "bbox": [11, 46, 12, 47],
        "datetime": "2024-06-01T00:00:00Z/2024-06-30T23:59:59Z",
        "collections": ["sentinel-2-l2a"],
        "limit": 100,
    }


@pytest.mark.parametrize("items", [0, 3])
def test_pages_without_end_are_told(stocked, monkeypatch, items):
    """Every page has a next one: always the same, always another without an Item, always another with the same."""
    del stocked.items[items:]
    monkeypatch.setattr("pipeline.catalogue.query._MOST_PAGES", 50)
    link = {"rel": "next", "href": f"{stocked.url}/search", "method": "POST", "merge": True}
    for endless in (link, link | {"merge": False}):
        stocked.endless = endless
        with pytest.raises(NotAScene, match="do not end; narrow --bbox"):
            list(search(stocked.url, Query(QUERY.bbox, QUERY.dates, max_cloud=1)))
    if items:  # an end that the caller sets comes first
        assert len(list(search(stocked.url, Query(QUERY.bbox, QUERY.dates, limit=5)))) == 5


def listed(catalogue, *more):
    command = ["search", "--bbox", "11,46,12,47", "--dates", "2024-06-01/2024-06-30", "--api", catalogue.url, *more]
    return CliRunner().invoke(main, command)


def test_strange_items_are_listed_and_told(stocked, tmp_path):
    """What a catalogue leaves out, or says in another type, ends nothing; the good Item beside it comes home."""
    good = stocked.items[0]
    stocked.items[:] = [
        {"id": "no-assets", "properties": None},
        {"id": "null-assets", "assets": None, "properties": {"eo:cloud_cover": "much", "datetime": None}},
        {"assets": {"red": None, "green": {"href": None}, "blue": {"href": 3, "roles": 4}}, "links": [None, "self"]},
        "no item",
        {"id": ["a"], "assets": {"red": {"href": "r.tif", "roles": [{}]}}, "links": {"rel": "self"}},
        good,
    ]
    answer = listed(stocked, "--download", str(tmp_path / "new"))
    assert answer.exit_code == 3, answer.output
    assert "5 scenes, 1 in" in answer.output
    assert answer.output.count("names no file for B04") == 3 and "null-assets  None  cloud unknown" in answer.output
    assert [path.name for path in (tmp_path / "new").iterdir() if (path / "item.json").exists()] == [good["id"]]


def test_an_id_can_neither_steer_the_terminal_nor_the_console(stocked, tmp_path, monkeypatch):
    from pipeline.cli import search as command

    stocked.items[:] = [stocked.items[0] | {"id": "[/red]\x1b[2J\x9b31m\r[bold]evil"}]
    monkeypatch.setattr(command, "ERRORS", Console(stderr=True, force_terminal=True, color_system=None))
    answer = listed(stocked, "--download", str(tmp_path / "new"))
    assert answer.exit_code == 0, answer.output
    assert "[/red]?[2J?31m?[bold]evil" in answer.stdout
    assert "\x1b[2J" not in answer.output and "\x9b" not in answer.output and "\r[bold]" not in answer.output


def test_the_command_downloads_scenes_that_run_takes(stocked, tmp_path):
    command = ["search", "--bbox", "11,46,12,47", "--dates", "2024-06-01/2024-06-30", "--api", stocked.url]
    command += ["--max-cloud", "20", "--download", str(tmp_path / "new")]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    assert "2 scenes, 2 in" in result.output
    found = list(find_scenes(tmp_path / "new"))
    assert [(type(scene), scene.acquired.day, scene.layout) for scene in found] == [
        (Scene, 1, "STAC"),
        (Scene, 3, "STAC"),
    ]
    before = len(stocked.asked)
    assert CliRunner().invoke(main, command).exit_code == 0
    assert all(path == "/search" for path, _ in stocked.asked[before:])  # nothing is downloaded twice


def test_a_cut_connection_goes_on_where_it_stopped(stocked, tmp_path):
    data = stocked.files["/0/B04.tif"]
    stocked.cut = len(data) // 3 + 1
    seen = []
    fetch(f"{stocked.url}/0/B04.tif", tmp_path / "x" / "B04.tif", multihash(data), seen.append)
    assert (tmp_path / "x" / "B04.tif").read_bytes() == data
    assert [wish for path, wish in stocked.asked] == [None, f"bytes={stocked.cut}-", f"bytes={2 * stocked.cut}-"]
    assert sum(seen) == len(data)


OLD, NEW = b"o" * 4000, b"n" * 4000


@pytest.mark.parametrize("honest", [True, False])
@pytest.mark.parametrize(("before", "after"), [('"1"', '"2"'), ('"1"', None), (None, '"2"'), (None, None)])
def test_versions_of_a_file_are_never_mixed(catalogue, tmp_path, before, after, honest):
    """A file changed between two calls: the second takes all of the new one, whatever the server tells and heeds."""
    catalogue.files["/x.tif"], catalogue.mark, catalogue.cut, catalogue.honest = OLD, before, 400, honest
    with pytest.raises((CorruptScene, NotAScene)):
        fetch(f"{catalogue.url}/x.tif", tmp_path / "x.tif")
    left = (tmp_path / ".x.tif.part").stat().st_size
    assert left == (1600 if before else 400)  # without a mark no part can be trusted
    changed = NEW if after or not before else NEW + b"n"
    catalogue.files["/x.tif"], catalogue.mark, catalogue.cut = changed, after, None
    asked = len(catalogue.asked)
    fetch(f"{catalogue.url}/x.tif", tmp_path / "x.tif")
    assert (tmp_path / "x.tif").read_bytes() == changed
    assert len(catalogue.asked) - asked == (2 if before and not honest else 1)  # one that heeds If-Range is asked once
    assert [path.name for path in tmp_path.iterdir()] == ["x.tif"]


def test_a_marked_file_goes_on_without_a_checksum(catalogue, tmp_path):
    catalogue.files["/x.tif"], catalogue.mark, catalogue.cut = bytes(range(256)) * 10, '"1"', 1000
    fetch(f"{catalogue.url}/x.tif", tmp_path / "x.tif")
    assert (tmp_path / "x.tif").read_bytes() == catalogue.files["/x.tif"]
    assert [wish for _, wish in catalogue.asked] == [None, "bytes=1000-", "bytes=2000-"]


@pytest.mark.parametrize("told", ["bytes 0-99/4000", "bytes 400-3999/5000", "none", None])
def test_a_part_from_another_place_than_asked_is_not_kept(catalogue, tmp_path, monkeypatch, told):
    """The server answers 206, but with other bytes than were asked for."""
    catalogue.files["/x.tif"], catalogue.mark, catalogue.cut = OLD, '"1"', 400
    with pytest.raises((CorruptScene, NotAScene)):
        fetch(f"{catalogue.url}/x.tif", tmp_path / "x.tif")
    catalogue.cut, answer = None, Handler.answer

    def lying(self, status, data, **headers):
        if status == 206:
            data, headers = NEW[:100], {"Content_Range": told} if told else {}
        answer(self, status, data, **headers)

    monkeypatch.setattr(Handler, "answer", lying)
    fetch(f"{catalogue.url}/x.tif", tmp_path / "x.tif")
    assert (tmp_path / "x.tif").read_bytes() == OLD


def test_a_second_call_goes_on_after_the_first_gave_up(stocked, tmp_path):
    data = stocked.files["/0/B04.tif"]
    stocked.cut = 1000
    with pytest.raises((CorruptScene, NotAScene), match="run the same command again"):
        fetch(f"{stocked.url}/0/B04.tif", tmp_path / "B04.tif", multihash(data))
    assert [path.name for path in tmp_path.glob(".*.part")] == [".B04.tif.part"] and not (tmp_path / "B04.tif").exists()
    stocked.cut = None
    fetch(f"{stocked.url}/0/B04.tif", tmp_path / "B04.tif", multihash(data))
    assert (tmp_path / "B04.tif").read_bytes() == data and stocked.asked[-1][1] == "bytes=4000-"


def test_a_part_that_was_complete_is_only_renamed(stocked, tmp_path):
    data = stocked.files["/0/B04.tif"]
    (tmp_path / ".B04.tif.part").write_bytes(data)
    fetch(f"{stocked.url}/0/B04.tif", tmp_path / "B04.tif", multihash(data))
    assert (tmp_path / "B04.tif").read_bytes() == data


def test_wrong_bytes_are_refused_and_not_kept(stocked, tmp_path):
    with pytest.raises(CorruptScene, match="differ from the catalogue's checksum"):
        fetch(f"{stocked.url}/0/B04.tif", tmp_path / "new" / "B04.tif", multihash(b"other"))
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.parametrize("href", ["file:///etc/passwd", "ftp://127.0.0.1/x.tif", "/vsicurl/http://127.0.0.1/x.tif"])
def test_other_protocols_are_refused(href, tmp_path):
    with pytest.raises(UnsafeInput, match="only http, https and s3"):
        fetch(href, tmp_path / "x.tif")


def test_a_redirect_to_another_protocol_is_not_followed(stocked, tmp_path):
    with pytest.raises(NotAScene):
        fetch(f"{stocked.url}/away", tmp_path / "x.tif")
    assert not (tmp_path / "x.tif").exists()


@pytest.mark.parametrize(
    "href", ["http://a/", "http://a/..", "http://a/%2e%2e%2fx.tif", "http://a/.hidden", "http://a/x%0ay.tif"]
)
def test_addresses_without_a_safe_name_are_refused(href):
    with pytest.raises(UnsafeInput, match="no file name"):
        file_name(href)


def test_missing_bands_and_files_are_told(stocked, tmp_path):
    item = stocked.items[0]
    with pytest.raises(NotAScene, match="names no file for B08"):
        wanted(item, (*BANDS, "B08"))
    del stocked.files["/0/B03.tif"]
    with pytest.raises(NotAScene, match="404"):
        download_item(item, tmp_path, Wish(BANDS))
    assert list(tmp_path.rglob("item.json")) == []
    with pytest.raises(NotAScene, match="no usable answer"):
        list(search(stocked.url + "/nowhere\n", QUERY))


def test_what_does_not_fit_is_told_before_it_is_written(stocked, tmp_path, monkeypatch):
    class Full:
        free = 10

    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: Full)
    with pytest.raises(OutputError, match="do not fit"):
        fetch(f"{stocked.url}/0/B04.tif", tmp_path / "B04.tif")


def test_run_fetches_only_when_allowed(stocked, tmp_path, monkeypatch):
    from pipeline.cli import run as command

    monkeypatch.chdir(tmp_path)
    address = f"{stocked.url}/item"
    relative = json.loads(json.dumps(stocked.items[0]))
    for asset in relative["assets"].values():
        asset["href"] = asset["href"].removeprefix(stocked.url).removeprefix("/")
    stocked.files["/item"] = json.dumps(relative).encode()
    result = CliRunner().invoke(main, ["run", address])
    assert result.exit_code == 2 and "--allow-remote" in result.output and stocked.asked == []
    place, far = command._reached(address, True, "eurosat-resnet50")
    assert place.parent == tmp_path / "remote-scenes" and far == {}
    assert [type(scene) for scene in find_scenes(place)] == [Scene]
    (place / "B04.tif").unlink()
    assert command._reached(str(place), True, "eurosat-resnet50") == (place, {}) and (place / "B04.tif").exists()
    raster, _ = command._reached(f"{stocked.url}/1/B02.tif", True, "eurosat-resnet50")
    assert (raster / "B02.tif").read_bytes() == stocked.files["/1/B02.tif"]


def test_a_season_of_each_year_may_pass_its_end():
    assert seasons([2024, 2018, 2018], "06-01:08-31") == ["2018-06-01/2018-08-31", "2024-06-01/2024-08-31"]
    assert seasons([2020], "12-01:02-28") == ["2020-12-01/2021-02-28"]
    for wrong in ("summer", "06-01/08-31", "13-01:14-01"):
        with pytest.raises(ValueError):
            seasons([2020], wrong)


def test_the_clearest_item_of_every_granule_is_chosen():
    def item(name, granule, cloud, day=1):
        cover = {} if cloud is None else {"eo:cloud_cover": cloud}
        return {"id": name, "properties": {"grid:code": granule, "datetime": f"2024-06-0{day}", **cover}}

    found = clearest(
        [item("a", "T1", 9), item("b", "T1", 3, day=2), item("c", "T1", 3), item("d", "T2", None), item("e", "T2", 60)]
    )
    assert [one["id"] for one in found] == ["c", "e"]
    assert [one["id"] for one in clearest([{"id": "strange", "properties": None}])] == ["strange"]


def test_an_area_and_years_are_asked_for_and_the_cost_is_told_first(stocked, tmp_path):
    stocked.items[:] = [
        one | {"properties": one["properties"] | {"grid:code": "MGRS-32TPT"}} for one in stocked.items if one["assets"]
    ]
    area = tmp_path / "district.kml"
    area.write_text(
        '<kml xmlns="http://www.opengis.net/kml/2.2"><Placemark><Polygon><outerBoundaryIs><LinearRing><coordinates>'
        "11,46 12,46 12,47 11,46</coordinates></LinearRing></outerBoundaryIs></Polygon></Placemark></kml>"
    )
    command = ["search", "--area", str(area), "--api", stocked.url]
    answer = CliRunner().invoke(main, [*command, "--years", "2018,2024", "--clearest"])
    assert answer.exit_code == 0, answer.output
    assert answer.output.splitlines()[-1] == "2 scenes"  # one a year, from a catalogue that knows no dates
    assert "to bring home:" in answer.output and "on two cores" in answer.output
    for words, missing in ((["--clearest"], "--dates or --years"), (["--years", "2018", "--season", "x"], "--season")):
        answer = CliRunner().invoke(main, [*command, *words])
        assert answer.exit_code == 2 and missing in answer.output
    answer = CliRunner().invoke(main, ["search", "--years", "2024", "--api", stocked.url])
    assert answer.exit_code == 2 and "--bbox or --area" in answer.output
