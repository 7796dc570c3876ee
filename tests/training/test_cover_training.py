"""What a cover network learns from, its losses, and a run from polygons to a stored model."""

import json

import geopandas as gpd
import numpy as np
import pytest
from click.testing import CliRunner
from shapely.geometry import box

from pipeline.cli import main
from pipeline.datasets.masks import IGNORED, Truth
from pipeline.datasets.weak import OTHERS, ClassCovers
from pipeline.errors import ModelError
from pipeline.models.pixels import load_pixels
from pipeline.training.cover import pixel_loss, share_loss
from pipeline.training.cover_batches import CropMaker, Mixture, WeakPatches, soft_targets
from tests.builders import write_tif

COVERS = ("water", "grass", "crops")


def test_soft_targets_hedge_as_the_labels_do():
    codes = np.array([[0, 1, IGNORED]], np.uint8)
    sure = np.array([[100, 60, 0]], np.uint8)
    second = np.array([[IGNORED, 2, IGNORED]], np.uint8)
    found = soft_targets(codes, sure, second, 3)
    rest = 0.4
    np.testing.assert_allclose(found[0, 0], [1, 0, 0], atol=1e-6)
    np.testing.assert_allclose(
        found[0, 1], [rest * 0.35 / 3, 0.6 + rest * 0.35 / 3, rest * (0.65 + 0.35 / 3)], atol=1e-6
    )
    assert (found[0, 2] == 0).all()


def test_pixel_loss_is_cross_entropy_where_known_and_fitness_where_weak():
    likely = np.array([[[[0.7, 0.2, 0.1], [0.5, 0.25, 0.25]]]], np.float32)
    truth = np.zeros((1, 1, 2, 7), np.float32)
    truth[0, 0, 0, 0] = 2.0  # a weight of two
    truth[0, 0, 1, 3:6], truth[0, 0, 1, 6] = [0.0, 1.0, 0.2], 1.0
    found = float(np.asarray(pixel_loss(3)(truth, np.log(likely)))[0])
    expected = (-2 * np.log(0.7) - np.log(0.25 + 0.2 * 0.25)) / 2
    assert found == pytest.approx(expected, abs=1e-4)


def test_share_loss_asks_nothing_where_nothing_is_expected():
    shares = np.array([[[[0.5, 0.3, 0.2]]]], np.float32)
    assert float(np.asarray(share_loss(np.zeros_like(shares), shares))[0]) == 0
    wanted = np.array([[[[0.0, 1.0, 0.0]]]], np.float32)
    assert float(np.asarray(share_loss(wanted, shares))[0]) == pytest.approx(-np.log(0.3), abs=1e-3)


def test_picture_classes_tell_what_lies_in_them():
    said = ClassCovers.of(("AnnualCrop", "SeaLake", "River"), COVERS)
    np.testing.assert_allclose(said.shares.sum(axis=1), 1)
    assert said.fit[0].tolist() == [0, np.float32(OTHERS), 1]
    assert said.fit[1].tolist() == [1, 0, 0]
    assert said.main()[2].all()
    with pytest.raises(ModelError, match="Airport"):
        ClassCovers.of(("Airport",), COVERS)


@pytest.fixture
def crops():
    rng = np.random.default_rng(1)
    codes = np.arange(90 * 70).reshape(90, 70) % 3
    codes[:, :5] = IGNORED
    light = rng.uniform(0.02, 0.4, (90, 70, 4)).astype(np.float32)
    light[:, :5] = -1
    every = np.full((90, 70), 90, np.uint8)
    none = np.full((90, 70), IGNORED, np.uint8)
    truth = Truth("a", "a", COVERS, light, codes.astype(np.uint8), every, none, (0, 0, 700, 900), 32632)
    pictures = rng.uniform(0.02, 0.4, (6, 32, 32, 4)).astype(np.float32)
    pictures[..., 3] = -1
    weak = WeakPatches(pictures, np.array([0, 1] * 3), ClassCovers.of(("AnnualCrop", "SeaLake"), COVERS))
    return CropMaker(COVERS, Mixture(size=32, scenes=3, weak=4), [truth], None, weak)


def test_crops_are_drawn_alike_for_a_seed_and_tell_what_they_know(crops):
    pixels, known, shares = crops.draw([1, 2])
    again = crops.draw([1, 2])
    np.testing.assert_array_equal(pixels, again[0])
    assert pixels.shape == (7, 32, 32, 4)
    assert known.shape == (7, 32, 32, 7)
    assert shares.shape == (7, 1, 1, 3)
    assert (known[:3, ..., 6] == 0).all()
    assert (known[3:, ..., 6] == 1).all()
    unmeasured = pixels[:3, ..., 0] < 0
    assert (known[:3, ..., :3].sum(axis=-1) > 0)[~unmeasured].all()
    assert (known[:3, ..., :3].sum(axis=-1) == 0)[unmeasured].all()
    assert (pixels[3:, ..., 3] == -1).all()
    np.testing.assert_allclose(shares[3:].sum(axis=-1), 1, atol=1e-5)
    assert not shares[:3].any()


@pytest.fixture
def landscape(tmp_path):
    """Two scenes of water beside fields, with the polygons of both."""
    shapes, names = [], []
    for at, (left, name) in enumerate(((640_000, "west"), (660_000, "east"))):
        field = (np.mgrid[0:96, 0:96][1] + 8 * at) // 48 % 2
        light = np.stack([0.05 + 0.06 * field, 0.05 + 0.05 * field, 0.04 + 0.08 * field, 0.02 + 0.3 * field])
        place = {"west": left, "north": 5_000_320.0, "names": ["B02", "B03", "B04", "B08"]}
        write_tif(tmp_path / "scenes" / f"{name}_20220612.tif", np.rint(light * 10_000).astype(np.uint16), **place)
        edge = left + 10 * (48 - 8 * at)
        shapes += [box(left, 4_999_400, edge, 5_000_320), box(edge, 4_999_400, edge + 480, 5_000_320)]
        names += ["water", "crops"]
    drawn = tmp_path / "drawn.gpkg"
    gpd.GeoDataFrame({"class": names}, geometry=shapes, crs=32632).to_file(drawn)
    return tmp_path


@pytest.mark.filterwarnings("ignore")
def test_from_polygons_to_a_stored_network_that_goes_on_after_a_kill(landscape):
    asked = ["train-cover", "--scenes", str(landscape / "scenes"), "--truth", str(landscape / "drawn.gpkg")]
    asked += ["--out", str(landscape / "models"), "--run", str(landscape / "run"), "--name", "fields"]
    asked += ["--hold-out", "east_20220612"]
    first = CliRunner().invoke(main, [*asked, "--steps", "2"], catch_exceptions=False)
    assert first.exit_code == 0, first.output
    again = CliRunner().invoke(main, [*asked, "--steps", "3"], catch_exceptions=False)
    assert "goes on after step 2" in again.output
    assert "step 3 of 3" in again.output
    other = CliRunner().invoke(main, [*asked, "--steps", "4", "--seed", "9"])
    assert "was fitted with other seed; give another run folder" in " ".join(other.output.split())
    report = landscape / "models" / "fields" / "report"
    assert {path.name for path in report.iterdir()} == {
        "README.md",
        "confusion.png",
        "curves.png",
        "reliability.png",
        "scores.json",
    }
    assert "| crops |" in (report / "README.md").read_text()
    assert [row["step"] for row in json.loads((report / "scores.json").read_text())["history"]] == [2, 3]
    card = json.loads((landscape / "models" / "fields" / "card.json").read_text())
    assert card["kind"] == "cover"
    assert [entry["label"] for entry in card["legend"]["classes"]] == ["water", "crops"]
    assert card["trained_on"]["held_out"] == ["east_20220612"]
    network = load_pixels("fields", "openvino-f32", folder=landscape / "models")
    answer = network.predict(np.full((16, 24, 4), 0.1, np.float32))
    assert answer.shape == (16, 24, 2)
    np.testing.assert_allclose(answer.sum(axis=-1), 1, atol=1e-4)
    reference = load_pixels("fields", "keras", folder=landscape / "models")
    np.testing.assert_allclose(reference.predict(np.full((16, 24, 4), 0.1, np.float32)), answer, atol=0.01)
