"""Colours that can be told apart, measured by another hand than the one that makes them."""

from itertools import combinations

import pytest

from pipeline.palette import DARK, WHITE, contrast, difference, distinct, ink
from tests.atlas import vision


def seen(colour):
    return vision.lab(vision.rgb(colour), "normal")


@pytest.mark.parametrize(("count", "least"), [(2, 50), (11, 28), (21, 19), (40, 14), (100, 9)])
def test_any_number_of_classes_gets_colours_apart(count, least):
    made = distinct(count)
    assert len(set(made)) == count
    assert min(vision.ciede2000(seen(a), seen(b)) for a, b in combinations(made, 2)) > least


def test_what_is_written_on_a_colour_can_be_read():
    for colour in distinct(60):
        assert ink(colour) in (DARK, WHITE)
        assert vision.contrast(colour, ink(colour)) >= 4.5


def test_the_measure_of_difference_is_ciede2000():
    colours = distinct(40)
    for one, two in combinations(colours, 2):
        assert difference(one, two) == pytest.approx(vision.ciede2000(seen(one), seen(two)))
        assert contrast(one, two) == pytest.approx(vision.contrast(one, two))


def test_more_colours_than_there_are_is_told():
    with pytest.raises(ValueError, match="at most"):
        distinct(100_000)
