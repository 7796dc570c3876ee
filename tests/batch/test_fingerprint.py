"""What makes results stale."""

from dataclasses import replace

import geopandas as gpd
import numpy as np
import pytest

from pipeline.batch import fingerprint
from pipeline.batch.main_job import run
from pipeline.results.layout import SceneStatus
from tests.builders import scene_on_disk
from tests.runs import LEFT, TOP


def statuses(report):
    return [record.status for record in report.records]


@pytest.fixture
def masked(tmp_path):
    """A scene with a quality layer: a quarter of it is cloud."""
    pixels = np.random.default_rng(3).integers(200, 2700, (3, 200, 330), dtype=np.uint16)
    quality = np.full((200, 330), 4, np.uint8)
    quality[:100, :165] = 9
    return scene_on_disk(tmp_path, pixels, LEFT, TOP, "masked", quality)


def test_a_quality_layer_that_appears_later_counts(options, masked):
    run([replace(masked, quality=None)], options)
    table = options.tiles / "fake" / "masked" / "tiles.parquet"
    assert gpd.read_parquet(table)["cloud_fraction"].isna().all()
    assert statuses(run([masked], options)) == [SceneStatus.DONE]
    assert gpd.read_parquet(table)["cloud_fraction"].notna().all()
    assert statuses(run([masked], options)) == [SceneStatus.CACHED]


def test_the_meaning_of_a_mask_counts(options, masked):
    run([masked], options)
    again = replace(masked, quality=replace(masked.quality, flags=(9,)))
    assert statuses(run([again], options)) == [SceneStatus.DONE]


def test_a_release_that_changes_what_results_mean_makes_them_anew(options, scenes, monkeypatch):
    run(scenes[:1], options)
    monkeypatch.setattr(fingerprint, "DATA_VERSION", fingerprint.DATA_VERSION + 1)
    assert statuses(run(scenes[:1], options)) == [SceneStatus.DONE]


def test_a_file_of_a_band_that_nothing_reads_does_not_count(scenes, tmp_path):
    idle = tmp_path / "B08.tif"
    idle.write_bytes(b"not read")
    first = scenes[0]
    more = replace(
        first,
        files=(*first.files, idle),
        assets={**first.assets, "B08": replace(first.assets["B04"], href=str(idle))},
    )
    assert fingerprint.input_files(more, ("B04",)) == set(first.files)
    assert fingerprint.input_files(more, ("B04", "B08")) == {*first.files, idle}
    assert fingerprint.sources(more, ("B03", "B08")) == sorted(path.name for path in more.files)
