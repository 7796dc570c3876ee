"""Several networks as one answer for every pixel, and one network in eight positions."""

from dataclasses import replace

import numpy as np
import pytest

from pipeline.errors import ModelError
from pipeline.models import store
from pipeline.models.pixel_ensemble import PixelEightfold, PixelEnsemble, keep_temperature, kept_temperature, tempered
from pipeline.models.pixels import load_pixels
from tests.fakes import BrightPixels


class Sloping(BrightPixels):
    """Its answer depends on where a pixel lies, so that a turn that is not turned back shows."""

    def predict(self, pixels):
        height, width = pixels.shape[:2]
        y, x = np.mgrid[0:height, 0:width] / np.array([height, width])[:, None, None]
        score = np.stack([0.1 + y, 0.1 + x, 0.1 + pixels[..., 0]], axis=-1).astype(np.float32)
        return score / score.sum(axis=-1, keepdims=True)


@pytest.fixture
def pixels():
    return np.random.default_rng(3).uniform(0, 0.3, (8, 12, 1)).astype(np.float32)


def named(name):
    made = BrightPixels()
    made.card = replace(BrightPixels.card, name=name, sha256={"model.keras": name * 3})
    return made


def test_the_mean_of_members_and_its_temperature(pixels):
    one, other = Sloping(), named("b")
    mean = (one.predict(pixels) + other.predict(pixels)) / 2
    np.testing.assert_allclose(PixelEnsemble.of([one, other]).predict(pixels), mean, atol=1e-6)
    warm = PixelEnsemble.of([one, other], 2.0).predict(pixels)
    np.testing.assert_allclose(warm, np.sqrt(mean) / np.sqrt(mean).sum(axis=-1, keepdims=True), atol=1e-6)
    np.testing.assert_array_equal(warm.argmax(axis=-1), mean.argmax(axis=-1))


def test_members_must_answer_the_same_question():
    other = named("b")
    other.card = replace(other.card, input=replace(other.card.input, bands=("B04",)))
    with pytest.raises(ModelError, match="differ in classes or input"):
        PixelEnsemble.of([named("a"), other])


def test_eight_positions_are_turned_back(pixels):
    found = PixelEightfold(BrightPixels()).predict(pixels)
    np.testing.assert_allclose(found, BrightPixels().predict(pixels), atol=1e-6)
    sloped = PixelEightfold(Sloping()).predict(pixels)
    # Answers that depend on the place alone are the same for mirrored pixels once they are averaged.
    flat = np.full_like(pixels, 0.2)
    even = PixelEightfold(Sloping()).predict(flat)
    np.testing.assert_allclose(even, even[::-1], atol=1e-6)
    np.testing.assert_allclose(even, even[:, ::-1], atol=1e-6)
    np.testing.assert_allclose(sloped.sum(axis=-1), 1, atol=1e-6)


def test_a_temperature_belongs_to_its_weights(tmp_path):
    joined = PixelEnsemble.of([named("a"), named("b")]).card
    assert kept_temperature(joined, tmp_path) == 1.0
    keep_temperature(joined, 1.4, tmp_path)
    assert kept_temperature(joined, tmp_path) == 1.4
    with pytest.raises(ModelError, match="fitted to other weights"):
        kept_temperature(replace(joined, sha256={"a/model.keras": "new"}), tmp_path)
    (tmp_path / "a+b.ensemble.json").write_text("{}")
    with pytest.raises(ModelError, match="tells no temperature"):
        kept_temperature(joined, tmp_path)


def test_stored_networks_take_the_temperature_of_their_names(tmp_path, pixels):
    """The shipped network under two names."""
    for name in ("one", "two"):
        card = replace(store.card("cover-10m"), name=name)
        (tmp_path / name / "openvino").mkdir(parents=True)
        for file in ("model.keras", "openvino/model.bin", "openvino/model.xml"):
            (tmp_path / name / file).symlink_to(store.FOLDER / "cover-10m" / file)
        card.write(tmp_path / name / "card.json")
    plain = load_pixels("one,two", "openvino-f32", folder=tmp_path)
    light = np.repeat(pixels, 4, axis=-1)
    keep_temperature(plain.card, 2.0, tmp_path)
    warm = load_pixels("one,two", "openvino-f32", folder=tmp_path)
    assert store.card("one,two", tmp_path).temperature == warm.card.temperature == 2.0
    np.testing.assert_allclose(warm.predict(light[:8, :8]), tempered(plain.predict(light[:8, :8]), 2.0), atol=1e-6)
