"""A stored network that chooses the class inside its graph says what its probabilities say."""

import numpy as np
import pytest

from pipeline.cover import NamingNetwork, best
from pipeline.errors import ModelError
from pipeline.models.pixels import load_pixels


@pytest.mark.parametrize("engine", ["openvino-f32", "openvino-bf16"])
def test_the_graph_names_pixels_as_their_probabilities_do(engine):
    network = load_pixels("cover-10m", engine)
    assert isinstance(network, NamingNetwork)
    pixels = np.random.default_rng(5).uniform(0.01, 0.4, (64, 104, 4)).astype(np.float32)
    pixels[20:40, 30:60] *= 0.2
    classes, percent = network.best(pixels)
    expected = best(network.predict(pixels))
    np.testing.assert_array_equal(classes, expected[0])
    np.testing.assert_array_equal(percent, expected[1])
    assert len(np.unique(classes)) > 1


def test_other_pixels_than_the_cards_are_refused():
    network = load_pixels("cover-10m", "openvino-f32")
    with pytest.raises(ModelError, match=r"it takes \(y, x, 4\) float32"):
        network.best(np.zeros((64, 64, 3), np.float32))
