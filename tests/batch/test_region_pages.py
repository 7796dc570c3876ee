"""Pages by region: one each where it belongs, made anywhere, and one that lists them."""

import json

import geopandas as gpd
import pytest
import shapely
from click.testing import CliRunner

from pipeline.atlas.index_page import read_facts
from pipeline.batch import region_pages
from pipeline.batch.executors import Cluster, Processes, Serial
from pipeline.batch.region_pages import write_region_pages
from pipeline.cli import main
from pipeline.errors import OutputError, TileTableError
from pipeline.outlines import Outline, read_outlines
from tests.atlas import worlds
from tests.runs import folder_bytes


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiles") / "made"
    worlds.write_world(folder, dates=2, granules=4, size=(12, 10), clouds=False, pictures=False)
    return folder


@pytest.fixture
def regions(made):
    """West and east of the map's middle, and one far away."""
    tables = [gpd.read_parquet(path).to_crs(4326) for path in made.glob("*/tiles.parquet")]
    west, south, east, north = shapely.union_all([shapely.box(*table.total_bounds) for table in tables]).bounds
    middle = (west + east) / 2
    return (
        Outline("West/../<b>", shapely.box(west - 1, south - 1, middle, north + 1)),
        Outline("Östlich", shapely.box(middle, south - 1, east + 1, north + 1)),
        Outline("Nowhere", shapely.box(-60, -30, -59, -29)),
    )


def test_every_region_has_a_page_and_the_list_names_them(made, regions, tmp_path):
    found = write_region_pages(made, regions, tmp_path / "maps", Serial())
    assert found.empty == ("Nowhere",)
    assert [page.relative_to(tmp_path / "maps").as_posix() for page in found.pages] == [
        "west-b/atlas.html",
        "östlich/atlas.html",
    ]
    assert [read_facts(page)["title"] for page in found.pages] == ["Land cover West/../<b>", "Land cover Östlich"]
    listing = found.listing.read_text(encoding="utf-8")
    assert "2 land-cover atlases" in listing and "<b>" not in listing


def test_processes_make_the_same_pages(made, regions, tmp_path):
    write_region_pages(made, regions, tmp_path / "one", Serial())
    write_region_pages(made, regions, tmp_path / "two", Processes(2))
    assert folder_bytes(tmp_path / "one") == folder_bytes(tmp_path / "two")


@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_cluster_makes_the_same_pages(made, regions, cluster, tmp_path, monkeypatch):
    write_region_pages(made, regions, tmp_path / "here", Serial())
    monkeypatch.setattr(region_pages, "cut", None)  # the workers have it; who cuts here fails
    write_region_pages(made, regions, tmp_path / "there", Cluster(cluster.scheduler_address))
    assert folder_bytes(tmp_path / "here") == folder_bytes(tmp_path / "there")


def test_outlines_of_one_name_are_one_region_and_names_alike_stay_apart(made, regions, tmp_path):
    west, east, _ = (region.shape for region in regions)
    found = write_region_pages(
        made, [Outline("A", west), Outline("A", east), Outline("a?", west)], tmp_path / "maps", Serial()
    )
    assert [page.parent.name for page in found.pages] == ["a", "a-2"]
    whole, part = (read_facts(page)["bounds"] for page in found.pages)
    assert whole[1][1] > part[1][1]


def test_a_page_that_cannot_be_made_costs_itself_alone(made, regions, tmp_path, caplog):
    (tmp_path / "maps").mkdir()
    (tmp_path / "maps" / "west-b").write_text("a file in the way")
    found = write_region_pages(made, regions, tmp_path / "maps", Serial())
    assert [page.parent.name for page in found.pages] == ["östlich"]
    assert "West" in caplog.text and "no page" in caplog.text
    (tmp_path / "maps" / "east").write_text("another")
    with pytest.raises(OutputError, match="no region's page"):
        write_region_pages(made, [regions[0], Outline("East", regions[1].shape)], tmp_path / "maps", Serial())


def test_scenes_far_from_a_region_are_not_read(made, regions, tmp_path, monkeypatch):
    asked = []
    collect = region_pages.collect
    monkeypatch.setattr(region_pages, "collect", lambda folder, only: asked.append(only) or collect(folder, only=only))
    for item in made.glob("*/scene.json"):
        told = json.loads(item.read_text())
        bounds = gpd.read_parquet(item.with_name("tiles.parquet")).to_crs(4326).total_bounds
        told["bbox"] = [*bounds.tolist()]
        item.write_text(json.dumps(told))
    west, south, _, north = shapely.union_all([one.shape for one in regions[:2]]).bounds
    corner = shapely.box(west, south, west + 1.001, north)
    write_region_pages(made, [Outline("Corner", corner)], tmp_path / "maps", Serial())
    (names,) = asked
    assert {name[-3:] for name in names} == {"TPT", "TPU"}  # the western scenes, by the names of their granules


def test_nothing_anywhere_says_so(made, regions, tmp_path):
    with pytest.raises(TileTableError, match="check the coordinates"):
        write_region_pages(made, regions[2:], tmp_path / "maps", Serial())


def test_the_verb(made, regions, tmp_path):
    file = tmp_path / "regions.geojson"
    gpd.GeoDataFrame(
        {"name": [one.name for one in regions]}, geometry=[one.shape for one in regions], crs=4326
    ).to_file(file)
    assert len(read_outlines(file)) == 3
    arguments = ["atlas", str(made.parent), "--regions", str(file), "--maps", str(tmp_path / "maps")]
    told = CliRunner().invoke(main, arguments)
    assert told.exit_code == 0, told.output
    assert "2 pages" in told.output and "Nowhere" in told.output
    wrong = CliRunner().invoke(main, ["atlas", str(made.parent), "--workers", "2"])
    assert wrong.exit_code == 2 and "give --regions" in wrong.output
