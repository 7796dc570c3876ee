"""The stream of windows: equal answers however a scene is cut, gaps, shares."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from pipeline import cover
from pipeline.cover import CoverStream, best, light_codes, shares
from pipeline.legend import CoverState


class Blur:
    """A network whose answer depends on all that lies within its halo, and not on the place inside the window."""

    halo = 6

    def predict(self, pixels):
        seen = pixels[..., 0]
        most = ndimage.maximum_filter(seen, 2 * self.halo + 1, mode="constant", cval=cover.UNMEASURED)
        least = ndimage.minimum_filter(seen, 2 * self.halo + 1, mode="constant", cval=cover.UNMEASURED)
        score = np.stack([seen * 3, most, 1 - least], axis=-1)
        return (np.abs(score) + 0.01) / (np.abs(score) + 0.01).sum(axis=-1, keepdims=True)


def fed(stream, pixels, states):
    """What a stream gives for reflectance (y, x, band)."""
    return list(stream.add(light_codes(np.moveaxis(pixels, -1, 0)), states))


def run(pixels, valid, cuts, columns, rows, tile):
    """Classes and confidence of a whole scene that is fed in strips of these many tile rows."""
    states = np.where(valid, 0, CoverState.NO_DATA).astype(np.uint8)
    stream = CoverStream(Blur(), columns, rows, tile)
    strips, at = [], 0
    for count in cuts:
        strips += fed(stream, pixels[at : at + count * tile], states[at : at + count * tile])
        at += count * tile
    strips += stream.finish()
    tops = [strip.top for strip in strips]
    assert tops == sorted(tops)
    return np.concatenate([strip.classes for strip in strips]), np.concatenate([strip.confidence for strip in strips])


@pytest.fixture
def small_windows(monkeypatch):
    monkeypatch.setattr(cover, "WINDOW_TILES", (2, 3))


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_answers_do_not_depend_on_the_strips(data):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cover, "WINDOW_TILES", (2, 3))
        tile, columns = 8, range(data.draw(st.integers(0, 5)), 11)
        south = data.draw(st.integers(0, 3))
        rows = range(south, south + 5)
        rng = np.random.default_rng(data.draw(st.integers(0, 99)))
        pixels = rng.random((len(rows) * tile, len(columns) * tile, 2)).astype(np.float32)
        valid = rng.random(pixels.shape[:2]) > 0.1
        cuts = data.draw(st.sampled_from([(5,), (1, 1, 1, 1, 1), (2, 3), (3, 2), (4, 1)]))
        whole = run(pixels, valid, (5,), columns, rows, tile)
        parts = run(pixels, valid, cuts, columns, rows, tile)
        np.testing.assert_array_equal(parts[0], whole[0])
        np.testing.assert_array_equal(parts[1], whole[1])
        assert ((whole[0] == CoverState.NO_DATA) == ~valid).all()


@pytest.mark.usefixtures("small_windows")
def test_the_same_ground_gets_the_same_answer_in_a_crop():
    tile, rng = 8, np.random.default_rng(3)
    pixels = rng.random((48, 72, 2)).astype(np.float32)
    valid = np.ones(pixels.shape[:2], np.bool_)
    whole, _ = run(pixels, valid, (6,), range(4, 13), range(2, 8), tile)
    part, _ = run(pixels[8:40, 16:56], valid[8:40, 16:56], (4,), range(6, 11), range(3, 7), tile)
    inside = slice(Blur.halo, -Blur.halo)
    np.testing.assert_array_equal(part[inside, inside], whole[8:40, 16:56][inside, inside])


@pytest.mark.usefixtures("small_windows")
def test_a_band_that_lacks_everywhere_reaches_the_network_as_such():
    seen = []

    class Listens(Blur):
        def predict(self, pixels):
            seen.append(pixels)
            return super().predict(pixels)

    pixels = np.full((16, 24, 2), 0.25, np.float32)
    pixels[..., 1] = -1.0
    stream = CoverStream(Listens(), range(3), range(2), 8)
    fed(stream, pixels, np.zeros((16, 24), np.uint8))
    classes = np.concatenate([strip.classes for strip in stream.finish()])
    assert (classes != CoverState.NO_DATA).all()
    halo = Blur.halo
    np.testing.assert_allclose(seen[0][halo:-halo, halo:-halo, 0], 0.25, atol=1e-4)
    assert (seen[0][..., 1] == -1).all()


@pytest.mark.usefixtures("small_windows")
def test_states_stay_and_clouds_are_seen_by_their_neighbours():
    clear = np.full((16, 24, 1), 0.2, np.float32)
    cloudy, states = clear.copy(), np.zeros((16, 24), np.uint8)
    cloudy[4, 4] = 0.9
    states[4, 4], states[9, 20] = CoverState.CLOUD, CoverState.NO_DATA
    answers = []
    for pixels in (clear, cloudy):
        stream = CoverStream(Blur(), range(3), range(2), 8)
        strips = [*fed(stream, pixels, states), *stream.finish()]
        answers.append([np.concatenate(planes) for planes in zip(*(strip[1:] for strip in strips), strict=True)])
    (classes, sure), (_, sure_beside_cloud) = answers
    assert (classes[4, 4], sure[4, 4]) == (CoverState.CLOUD, 255)
    assert (classes[9, 20], sure[9, 20]) == (CoverState.NO_DATA, 255)
    assert sure[4, 5] != sure_beside_cloud[4, 5]
    assert sure[4, 15] == sure_beside_cloud[4, 15]


@pytest.mark.usefixtures("small_windows")
def test_the_network_never_sees_where_the_data_ends():
    """Its margin beside the data was empty, and the rim of every scene became water."""
    seen = []

    class Listens(Blur):
        def predict(self, pixels):
            seen.append(pixels)
            return super().predict(pixels)

    pixels, states = np.full((16, 24, 1), 0.2, np.float32), np.zeros((16, 24), np.uint8)
    pixels[:, :6], states[:, :6] = 0.0, CoverState.NO_DATA
    stream = CoverStream(Listens(), range(3), range(2), 8)
    strips = [*fed(stream, pixels, states), *stream.finish()]
    for window in seen:
        np.testing.assert_allclose(window, 0.2, atol=1e-4)
    assert (np.concatenate([strip.classes for strip in strips])[:, :6] == CoverState.NO_DATA).all()


@pytest.mark.usefixtures("small_windows")
def test_a_network_that_names_pixels_itself_is_asked_for_names_alone():
    class Names(Blur):
        def best(self, pixels):
            return best(super().predict(pixels))

        def predict(self, pixels):
            raise AssertionError("all probabilities were handed over")

    pixels = np.random.default_rng(2).random((32, 48, 2)).astype(np.float32)
    states = np.zeros((32, 48), np.uint8)
    answers = []
    for network in (Blur(), Names()):
        stream = CoverStream(network, range(3, 9), range(2, 6), 8)
        strips = [*fed(stream, pixels, states), *stream.finish()]
        answers.append([np.concatenate(planes) for planes in zip(*(strip[1:] for strip in strips), strict=True)])
    np.testing.assert_array_equal(answers[0], answers[1])


def test_light_codes_keep_a_ten_thousandth_and_what_was_not_measured():
    pixels = np.array([0.0, 0.00004, 0.00006, 0.1234, 7.0, -1.0, -0.2], np.float32)
    assert light_codes(pixels).tolist() == [1, 1, 2, 1235, 65_535, 0, 0]


def test_best_takes_the_likeliest_and_the_first_of_equals():
    classes, sure = best(np.array([[[0.2, 0.5, 0.3], [0.4, 0.4, 0.2]]], np.float32))
    assert classes.tolist() == [[1, 0]]
    assert sure.tolist() == [[50, 40]]


def test_shares_count_only_pixels_with_a_class():
    classes = np.full((4, 6), CoverState.NO_DATA, np.uint8)
    classes[:2, :2] = [[0, 1], [1, CoverState.CLOUD]]
    classes[2:, 4:] = 2
    found = shares(classes, 3, tile=2)
    np.testing.assert_allclose(found[0], [1 / 3, 2 / 3, 0])
    np.testing.assert_allclose(found[5], [0, 0, 1])
    assert np.isnan(found[1]).all()
