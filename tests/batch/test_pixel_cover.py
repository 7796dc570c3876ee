"""The cover as a product of a run: raster, shares, states, one reading of every band."""

import json
import os
import signal
import time
from dataclasses import replace

import geopandas as gpd
import numpy as np
import pytest
import rasterio

from pipeline.bands import SceneClass
from pipeline.batch.main_job import run
from pipeline.batch.products import pixel_cover
from pipeline.batch.products.pixel_cover import pixel_states, scene_light
from pipeline.cover import light_codes
from pipeline.errors import OutputError
from pipeline.legend import CoverState
from pipeline.models.input import REFLECTANCE, ModelInput, network_input
from pipeline.scenes.radiometry import Harmonisation
from tests.builders import scene_on_disk
from tests.fakes import BrightPixels
from tests.runs import LEFT, TOP, in_a_child, on, outputs


@pytest.fixture
def pixels():
    return np.random.default_rng(8).integers(200, 2700, (3, 530, 210), dtype=np.uint16)


def test_raster_and_shares_tell_the_same_of_the_ground(options, tmp_path, pixels, cover):
    scene = scene_on_disk(tmp_path, pixels, LEFT, TOP, "scene")
    report = run([scene], replace(options, cover=cover))
    folder = report.folder / "scene"
    with rasterio.open(folder / "cover.tif") as raster:
        classes, sure = raster.read()
        transform, colours, names = raster.transform, raster.colormap(1), raster.tags(1)
        assert raster.overviews(1) or max(raster.shape) <= 512
    left, top = round((LEFT - transform.c) / 10), round((transform.f - TOP) / 10)
    inside = slice(top, top + pixels.shape[1]), slice(left, left + pixels.shape[2])
    truth = np.digitize(pixels[1] / np.float32(10_000), [0.1, 0.2])
    np.testing.assert_array_equal(classes[inside], truth)
    assert (sure[inside] == 80).all()
    outside = np.ones(classes.shape, np.bool_)
    outside[inside] = False
    assert (classes[outside] == CoverState.NO_DATA).all()
    assert colours[1][:3] == tuple(bytes.fromhex(BrightPixels.card.legend.classes[1].colour[1:]))
    assert names["CLASS_2"] == BrightPixels.card.legend.labels[2]
    assert transform.c % 640 == 0
    assert transform.f % 640 == 0

    table = gpd.read_parquet(folder / "tiles.parquet")
    shares = table[[f"cover_{label}" for label in BrightPixels.card.legend.labels]].to_numpy()
    for row, found in zip(table.itertuples(), shares, strict=True):
        y, x = round((transform.f - row.geometry.bounds[3]) / 10), round((row.geometry.bounds[0] - transform.c) / 10)
        tile = classes[y : y + 64, x : x + 64]
        counted = np.array([(tile == code).sum() for code in range(3)])
        np.testing.assert_allclose(found, counted / counted.sum(), atol=1e-6)
    np.testing.assert_allclose(table["purity"], shares.max(axis=1))

    asset = json.loads((folder / "scene.json").read_text())["assets"]["cover"]
    told = {entry["value"]: entry["name"] for entry in asset["classification:classes"]}
    assert told == {0: "water", 1: "trees", 2: "grass", 253: "unfamiliar", 254: "cloud", 255: "no_data"}
    assert not list(folder.glob(".cover*"))


def test_without_cover_the_table_is_as_before(options, tmp_path, pixels, cover):
    scene = scene_on_disk(tmp_path, pixels, LEFT, TOP, "scene")
    plain = gpd.read_parquet(run([scene], options).folder / "scene" / "tiles.parquet")
    more = run([scene], replace(options, cover=cover, tiles=tmp_path / "more"))
    table = gpd.read_parquet(more.folder / "scene" / "tiles.parquet")
    added = ["cover_water", "cover_trees", "cover_grass", "purity"]
    assert set(table.columns) - set(plain.columns) == set(added)
    assert table.drop(columns=added).equals(plain)


def test_a_scene_without_the_bands_gets_no_cover_and_a_line(options, tmp_path, pixels, cover, monkeypatch, caplog):
    taken = replace(BrightPixels.card.input, bands=("B03", "B08"))
    card = replace(BrightPixels.card, input=taken)
    monkeypatch.setattr(pixel_cover, "verified_card", lambda choice: card)
    scene = scene_on_disk(tmp_path, pixels, LEFT, TOP, "scene")
    report = run([scene], replace(options, cover=cover))
    assert report.exit_code == 0
    assert not (report.folder / "scene" / "cover.tif").exists()
    assert "scene: no cover, bright needs B08" in caplog.text


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_stored_numbers_become_light_whatever_their_type(tmp_path, dtype):
    """Small whole numbers go through a table; it says what the arithmetic says."""
    stored = np.random.default_rng(4).integers(0, 120, (2, 5, 7)).astype(dtype)
    scene = scene_on_disk(tmp_path, np.full((3, 64, 64), 500, np.uint16), LEFT, TOP, "scene")
    lines = {"L1C": Harmonisation((0.9, 1.1), (0.01, -0.005)), "L2A": Harmonisation((0.9, 1.1), (0.01, -0.005))}
    taken = ModelInput(bands=("B03", "B04"), units=REFLECTANCE, harmonisation=lines)
    found = scene_light(list(stored), scene, taken)
    np.testing.assert_array_equal(found, light_codes(network_input(stored, scene, taken)))
    assert found.dtype == np.uint16


def test_another_network_makes_results_anew(options, tmp_path, pixels, cover, monkeypatch):
    scene = scene_on_disk(tmp_path, pixels, LEFT, TOP, "scene")
    asked = replace(options, cover=cover)
    run([scene], asked)
    assert run([scene], asked).records[0].status == "cached"
    other = replace(BrightPixels.card, sha256={"model.keras": "1"})
    monkeypatch.setattr(pixel_cover, "verified_card", lambda choice: other)
    assert run([scene], asked).records[0].status == "done"


def test_clouds_snow_and_gaps_are_states():
    quality = np.array([[SceneClass.CLOUD_HIGH, SceneClass.SNOW, SceneClass.VEGETATION, SceneClass.CLOUD_HIGH]])
    valid = np.array([[True, True, True, False]])
    states = pixel_states(valid, quality.astype(np.uint8))
    assert states.tolist() == [[CoverState.CLOUD, CoverState.UNFAMILIAR, 0, CoverState.NO_DATA]]
    assert pixel_states(valid, None).tolist() == [[0, 0, 0, CoverState.NO_DATA]]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the run is killed in a forked child")
def test_killed_while_writing_cover_a_run_ends_like_an_undisturbed_one(options, dates, tmp_path, cover):
    asked = replace(options, cover=cover)
    calm = replace(asked, tiles=tmp_path / "calm" / "tiles", maps=tmp_path / "calm" / "maps")
    began = time.monotonic()
    run(dates, calm)
    seconds = time.monotonic() - began
    killed = 0
    for part in (0.1, 0.3, 0.5, 0.7):
        child = in_a_child(asked, dates)
        time.sleep(part * seconds)
        os.kill(child, signal.SIGKILL)
        killed += os.WIFSIGNALED(os.waitpid(child, 0)[1])
    assert killed >= 2
    assert run(dates, asked).exit_code == 0
    assert outputs(asked) == outputs(calm)
    assert len(list(asked.tiles.rglob("cover.tif"))) == len(dates)
    assert not list(asked.tiles.rglob(".cover*"))


def test_a_disk_that_is_full_of_cover_leaves_earlier_outputs(options, dates, small_disk, cover):
    place = on(small_disk, replace(options, cover=cover))
    run(dates[:1], place)
    before = outputs(place)
    (small_disk / "ballast").write_bytes(
        bytes(os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_frsize - 9000)
    )
    with pytest.raises(OutputError, match=r"cannot be written|reads? back|space"):
        run(dates[:2], place)
    assert {name: data for name, data in outputs(place).items() if name in before} == before
    assert sorted(path.parent.name for path in place.tiles.rglob("cover.tif")) == ["scene-0"]
