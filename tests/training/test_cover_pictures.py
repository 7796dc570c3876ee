"""Pictures of one class each: split by lists, named by a teacher within their class, given a likely infrared."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from pipeline.errors import ModelError
from pipeline.legend import COVER
from pipeline.models.card import COVER as COVER_KIND
from pipeline.models.card import ModelCard
from pipeline.models.input import REFLECTANCE, ModelInput
from pipeline.models.networks import cover_unet
from pipeline.models.pixels import load_pixels
from pipeline.training import cover_pictures
from pipeline.training.cover import begin_with
from pipeline.training.cover_infrared import Infrared
from pipeline.training.cover_pictures import PictureSources, read_pictures
from tests.builders import write_tif

COVERS = ("water", "trees", "grass", "crops")
BANDS = ("B02", "B03", "B04", "B08")


class Teacher:
    """Says trees in the west, water in the east, whatever it sees."""

    card = ModelCard("teacher", COVER, ModelInput(bands=("B03", "B08"), units=REFLECTANCE), COVER_KIND)
    halo = 8

    def predict(self, pixels):
        assert pixels.shape == (80, 80, 2)
        code = np.where(np.arange(80) < 40, 1, 0)[None].repeat(80, axis=0)
        return np.eye(len(COVER.classes), dtype=np.float32)[code]


@pytest.fixture
def sources(tmp_path):
    """Four patches and four pictures of two classes, half of each left out."""
    rng = np.random.default_rng(6)
    for label in ("Forest", "Pasture"):
        for number in (1, 2):
            light = rng.integers(300, 2500, (4, 64, 64), dtype=np.uint16)
            write_tif(tmp_path / "patches" / label / f"{label}_{number}.tif", light, names=list(BANDS))
            place = tmp_path / "pictures" / label
            place.mkdir(parents=True, exist_ok=True)
            codes = rng.integers(20, 200, (64, 64, 3), dtype=np.uint8)
            Image.fromarray(codes).save(place / f"{label}_{number}.png")
    lists = tmp_path / "train.txt", tmp_path / "val.txt"
    for number, path in enumerate(lists, start=1):
        path.write_text(f"Forest_{number}.png\nPasture_{number}.png\n")
    return PictureSources(tmp_path / "pictures", tmp_path / "patches", lists, tmp_path)


def test_lists_split_pictures_and_patches_alike(sources, monkeypatch):
    monkeypatch.setattr(cover_pictures, "load_pixels", lambda name: Teacher())
    found = read_pictures(sources, COVERS)
    assert found.soft.pixels.shape == (2, 64, 64, 4)
    assert found.weak.pixels.shape == (2, 64, 64, 4)
    patches, pictures = found.left_out
    assert patches.names == ("Forest_2.tif", "Pasture_2.tif")
    assert pictures.names == ("Forest_2.png", "Pasture_2.png")
    assert (pictures.patches[..., 3] == -1).all()
    assert patches.patches.min() > 0


def test_a_teacher_is_overruled_where_it_leaves_the_class(sources, monkeypatch):
    monkeypatch.setattr(cover_pictures, "load_pixels", lambda name: Teacher())
    forest, pasture = read_pictures(sources, COVERS).soft.targets
    np.testing.assert_allclose(forest.sum(axis=-1), 1, atol=1e-5)
    assert (forest.argmax(axis=-1) == COVERS.index("trees")).all(), "there is no water in a forest"
    assert (pasture[:, :32].argmax(axis=-1) == COVERS.index("trees")).all(), "a pasture may have trees"
    assert (pasture[:, 32:].argmax(axis=-1) == COVERS.index("grass")).all()


def test_without_a_teacher_patches_are_weak(sources):
    found = read_pictures(replace(sources, pictures=None, teacher=None), COVERS)
    assert found.soft is None
    assert (found.weak.pixels[..., 3] > 0).all()
    with pytest.raises(ModelError, match="lists none of the 4 pictures"):
        sources.split[0].write_text("Airport_1.png\n")
        read_pictures(replace(sources, pictures=None, teacher=None), COVERS)


def test_infrared_follows_colour_and_class_as_far_as_patches_do():
    rng = np.random.default_rng(1)
    labels = np.arange(40) % 2
    light = rng.uniform(0.03, 0.12, (40, 1, 1, 3)) * rng.uniform(0.9, 1.1, (40, 16, 16, 3))
    shift = np.where(labels == 0, 0.0, 1.0)[:, None, None] + rng.normal(0, 0.1, (40, 1, 1))
    infrared = np.exp(np.log(light[..., 1]) + shift)
    patches = np.concatenate([light, infrared[..., None]], axis=-1).astype(np.float32)
    found = Infrared.fitted(patches, labels, 2)
    assert 0.05 < found.whole < 0.3
    assert found.single < 0.05
    drawn = [found.drawn(patches[0, ..., :3], kind, np.random.default_rng(seed)) for kind in (0, 1) for seed in (1, 2)]
    ratios = [np.log(one / patches[0, ..., 1]).mean() for one in drawn]
    np.testing.assert_allclose(ratios, [0, 0, 1, 1], atol=0.35)
    assert ratios[0] != ratios[1]
    np.testing.assert_array_equal(drawn[0], found.drawn(patches[0, ..., :3], 0, np.random.default_rng(1)))


@pytest.mark.filterwarnings("ignore")
def test_a_run_begins_with_the_weights_of_a_stored_network():
    stored = load_pixels("cover-10m", "keras")
    known = stored.card.legend.labels
    network = cover_unet.unet(len(known), 4)
    begin_with(network, known, "cover-10m")
    pixels = np.random.default_rng(2).uniform(0.02, 0.4, (32, 40, 4)).astype(np.float32)
    logits = np.asarray(network.predict_on_batch(pixels[None])[0], np.float64) / stored.card.temperature
    likely = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(likely, stored.predict(pixels), atol=1e-4)

    mine = ("crops", "vineyard", "water")
    own = cover_unet.unet(3, 4)
    anew = own.get_layer("logits").get_weights()[0][..., 1].copy()
    begin_with(own, mine, "cover-10m")
    kernel, theirs = own.get_layer("logits").get_weights()[0], network.get_layer("logits").get_weights()[0]
    np.testing.assert_array_equal(kernel[..., 0], theirs[..., known.index("crops")])
    np.testing.assert_array_equal(kernel[..., 2], theirs[..., known.index("water")])
    np.testing.assert_array_equal(kernel[..., 1], anew)


def test_a_network_of_another_form_is_none_to_begin_with():
    with pytest.raises(ModelError, match=r"another form|no Keras model"):
        begin_with(cover_unet.unet(2, 4), ("water", "trees"), "eurosat-resnet50")
