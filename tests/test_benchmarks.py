"""The granules that benchmarks measure on are products that the pipeline accepts."""

import importlib.util
from pathlib import Path

import pytest
import rasterio
from click.testing import CliRunner

from pipeline.scenes.finding.find import find_scenes
from pipeline.scenes.scene import Scene

SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks" / "make_granule.py"


@pytest.mark.parametrize(("kind", "driver"), [("jp2", "JP2OpenJPEG"), ("cog", "GTiff")])
def test_made_granules_are_scenes_with_the_offset_of_their_metadata(shared_data, tmp_path, kind, driver):
    spec = importlib.util.spec_from_file_location("make_granule", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    asked = [
        str(tmp_path),
        "--data",
        str(shared_data),
        "--format",
        kind,
        "--size",
        "640",
        "--dates",
        "2",
        "--granules",
        "2",
    ]
    result = CliRunner().invoke(script.main, asked, catch_exceptions=False)
    assert result.exit_code == 0
    scenes = list(find_scenes(tmp_path))
    assert len(scenes) == 4
    for scene in scenes:
        assert isinstance(scene, Scene)
        assert scene.warnings == ()
        assert (scene.epsg, scene.radiometry.offsets["B04"]) == (32629, -1000.0)
        assert {"B02", "B03", "B04", "B08"} <= set(scene.assets)
        with rasterio.open(scene.assets["B04"].href) as source:
            assert source.driver == driver
            assert tuple(source.bounds) == scene.bounds
            assert source.read(1).min() > 0
    assert {scene.bounds[0] for scene in scenes} == {499_980.0, 600_000.0}
    assert len({scene.acquired for scene in scenes}) == 2
