"""What results say of the sensor whose pixels they come from."""

import json
from dataclasses import replace

import numpy as np
import pystac
import pytest

from pipeline.atlas.page import AtlasOptions
from pipeline.bands import AERIAL, SENTINEL_2
from pipeline.batch.main_job import RunOptions, run
from pipeline.models.input import ModelInput
from pipeline.results.table import read_metadata
from pipeline.scenes.finding.find import find_scenes
from pipeline.scenes.scene import Level, ReadOptions
from tests.atlas.reading import meta_of
from tests.builders import scene_on_disk, write_tif
from tests.fakes import CARD, fake_model
from tests.runs import LEFT, TOP

COPERNICUS = SENTINEL_2.attribution


@pytest.fixture
def mapped(tmp_path, monkeypatch):
    """Maps scenes by a fake model that takes this input: folder of the first scene's results, text of the page."""

    def made(scenes, asked=CARD.input):
        choice, _ = fake_model(tmp_path, monkeypatch, replace(CARD, input=asked))
        options = RunOptions(tmp_path / "tiles", tmp_path / "maps", choice, page=AtlasOptions(chips="none"))
        report = run(scenes, options)
        assert report.exit_code == 0, report.records
        return options.tiles / "fake" / scenes[0].id, report.page.read_text(encoding="utf-8")

    return made


def test_pictures_from_the_air_are_no_copernicus_data(mapped, tmp_path):
    pixels = np.random.default_rng(1).integers(20, 200, (3, 130, 200)).astype(np.uint8)
    write_tif(tmp_path / "in" / "roofs.tif", pixels, gsd=0.3, photometric="RGB")
    scenes = list(find_scenes(tmp_path / "in", ReadOptions(sensor="aerial", gsd=0.3)))
    folder, page = mapped(scenes, ModelInput(sensor="aerial", units="dn", gsd=0.3))
    item = pystac.Item.from_file(folder / "scene.json")
    assert not {"constellation", "platform", "processing:level"} & item.properties.keys()
    assert (item.properties["atlas:sensor"], item.properties["atlas:attribution"]) == ("aerial", "")
    assert "Sentinel" not in json.dumps(item.to_dict())
    told = read_metadata(folder / "tiles.parquet")
    assert (told["sensor"], told["attribution"]) == ("aerial", "")
    meta = meta_of(page)
    assert (meta["attribution"], meta["tile"]) == (AERIAL.title, pytest.approx(64 * 0.3))
    (west, south, east, north), bounds = scenes[0].footprint.bounds, meta["bounds"]
    assert np.allclose(bounds, [[south, west], [north, east]], atol=0.0004)  # two tiles


@pytest.mark.parametrize(("level", "platform", "told"), [(Level.L2A, "sentinel-2b", "L2"), (Level.RGB, None, None)])
def test_scenes_of_sentinel_2_say_so(mapped, tmp_path, level, platform, told):
    pixels = np.random.default_rng(1).integers(200, 2700, (3, 200, 330), dtype=np.uint16)
    scene = replace(scene_on_disk(tmp_path, pixels, LEFT, TOP), level=level, platform=platform)
    folder, page = mapped([scene])
    facts = pystac.Item.from_file(folder / "scene.json").properties
    assert (facts["constellation"], facts.get("platform"), facts.get("processing:level")) == (
        "sentinel-2",
        platform,
        told,
    )
    assert facts["atlas:attribution"] == read_metadata(folder / "tiles.parquet")["attribution"] == COPERNICUS
    assert meta_of(page)["attribution"] == COPERNICUS
