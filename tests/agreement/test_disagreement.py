"""Quantity and allocation disagreement: by hand, and in every matrix they add up."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.agreement.disagreement import disagreement


def framed(cells):
    names = [f"c{at}" for at in range(len(cells))]
    return pd.DataFrame(np.array(cells, float), index=names, columns=names)


def test_by_hand():
    # Of 100 ha: the map has 50/30/20, the reference 60/25/15, 75 ha alike.
    found = disagreement(framed([[45, 3, 2], [10, 18, 2], [5, 4, 11]]))
    assert found.hectares == 100 and found.agreement == pytest.approx(0.74)
    assert found.quantity == pytest.approx((10 + 5 + 5) / 200)
    assert found.allocation == pytest.approx(2 * (5 + 7 + 4) / 200)
    assert found.classes.loc["c0", ["of_map", "of_reference"]].tolist() == [pytest.approx(0.9), pytest.approx(0.75)]


def test_a_swap_of_places_is_allocation_and_a_surplus_is_quantity():
    assert disagreement(framed([[40, 10], [10, 40]])).quantity == 0
    assert disagreement(framed([[40, 10], [10, 40]])).allocation == pytest.approx(0.2)
    assert disagreement(framed([[40, 20], [0, 40]])).allocation == 0
    assert disagreement(framed([[40, 20], [0, 40]])).quantity == pytest.approx(0.2)


def test_a_class_of_one_map_alone_has_no_share_of_the_other():
    found = disagreement(framed([[5, 0, 0], [3, 0, 0], [0, 0, 0]]))
    assert list(found.classes.index) == ["c0", "c1"]
    told = {row["label"]: row for row in found.as_json()["classes"]}
    assert told["c1"]["of_reference"] is None and told["c1"]["of_map"] == 0


@given(
    st.integers(2, 6).flatmap(
        lambda n: st.lists(st.lists(st.integers(0, 99), min_size=n, max_size=n), min_size=n, max_size=n)
    )
)
def test_the_three_shares_add_up(cells):
    if not np.any(cells):
        cells[0][0] = 1
    found = disagreement(framed(cells))
    assert found.agreement + found.quantity + found.allocation == pytest.approx(1)
    turned = disagreement(framed(np.array(cells).T))
    assert (turned.quantity, turned.allocation) == (pytest.approx(found.quantity), pytest.approx(found.allocation))
