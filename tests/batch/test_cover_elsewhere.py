"""The cover on a Dask cluster, at an address, and in files of other formats: the same as on this machine."""

import shutil
from dataclasses import replace

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from pipeline.batch.executors import Cluster
from pipeline.batch.main_job import run
from pipeline.cli import main
from tests.runs import elsewhere, folder_bytes, outputs, work_with_fake_cover

SHARES = ["cover_water", "cover_trees", "cover_grass"]


@pytest.fixture
def asked(options, cover):
    return replace(options, cover=cover)


def test_a_cluster_writes_the_same_cover(asked, dates, cluster):
    here, there = elsewhere(asked, "local"), elsewhere(asked, "cluster")
    assert run(dates, here).exit_code == 0
    report = run(dates, there, Cluster(cluster.scheduler_address, work_with_fake_cover))
    assert [record.status for record in report.records] == ["done"] * 3
    assert outputs(there) == outputs(here)
    assert len(list(there.tiles.rglob("cover.tif"))) == len(dates)


def test_the_cover_at_an_address_is_that_of_a_local_run(asked, dates, tmp_path):
    here = elsewhere(asked, "here")
    there = replace(elsewhere(asked, "copy"), results=f"file://{tmp_path}/there")
    run(dates, here)
    run(dates, there)
    assert folder_bytes(tmp_path / "there") == folder_bytes(here.tiles)
    place = tmp_path / "there" / "fake" / "scene-1"
    assert {path.name for path in place.glob("cover*")} == {"cover.tif", "cover.tif.aux.xml"}
    shutil.rmtree(there.tiles)
    assert [record.status for record in run(dates, there).records] == ["cached"] * 3
    (place / "cover.tif").write_bytes(b"damaged")
    shutil.rmtree(there.tiles)
    assert [record.status for record in run(dates, there).records] == ["cached", "done", "cached"]


@pytest.mark.parametrize("name", ["out.gpkg", "out.csv", "out.geojson"])
def test_exports_carry_the_shares(asked, dates, tmp_path, name):
    folder = run(dates[:1], asked).folder
    told = CliRunner().invoke(main, ["export", str(asked.tiles), str(tmp_path / name)])
    assert told.exit_code == 0, told.output
    stored = gpd.read_parquet(folder / "scene-0" / "tiles.parquet").set_index("tile_id")
    read = pd.read_csv if name.endswith("csv") else gpd.read_file
    exported = read(tmp_path / name).set_index("tile_id").loc[stored.index]
    columns = [*SHARES, "purity"]
    np.testing.assert_allclose(exported[columns].astype(float), stored[columns], atol=1e-5)
    assert stored["purity"].notna().any()
