"""Which look speaks for a place."""

from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pytest

from pipeline.results.looks import clearer, clearest, days, passes


def moments(*texts):
    return pd.Series(pd.to_datetime(list(texts), utc=True))


def test_granules_of_a_pass_share_it_and_the_next_orbit_does_not():
    acquired = moments("2021-06-01T12:40:00", "2021-06-01T10:10:00", "2021-06-01T10:00:00", "2021-06-01T10:35:00")
    assert [moment.strftime("%H:%M") for moment in passes(acquired)] == ["12:40", "10:00", "10:00", "10:00"]


def test_a_day_is_that_of_its_pass():
    acquired = moments("2021-06-01T23:50:00", "2021-06-02T00:05:00", "2021-06-02T01:40:00", "2021-06-01T10:00:00")
    assert days(acquired).tolist() == [date(2021, 6, 1), date(2021, 6, 1), date(2021, 6, 2), date(2021, 6, 1)]


LOOKS = pd.DataFrame(
    {
        "tile_id": ["b", "a", "a", "b", "a", "b"],
        "scene": ["1", "1", "2", "2", "3", "3"],
        "valid_fraction": [0.5, 0.9, 1.0, 1.0, 1.0, 1.0],
        "cloud_fraction": [0.0, 0.0, 0.2, np.nan, 0.1, np.nan],
    }
)


def test_the_clearest_look_is_the_fullest_then_the_least_cloudy_then_the_first():
    assert clearest(LOOKS, ["tile_id"])[["tile_id", "scene"]].to_numpy().tolist() == [["a", "3"], ["b", "2"]]


@pytest.mark.parametrize("seed", range(3))
def test_order_of_rows_does_not_matter(seed):
    shuffled = LOOKS.sample(frac=1, random_state=seed)
    assert clearest(shuffled, ["tile_id"])["scene"].tolist() == ["3", "2"]


def test_the_rule_for_planes_is_the_rule_for_rows():
    rng = np.random.default_rng(5)
    valid, cloud = rng.integers(0, 3, (2, 4, 7)), rng.integers(0, 3, (2, 4, 7))
    second = clearer(valid[1], cloud[1], valid[0], cloud[0])
    rows = pd.DataFrame(
        {
            "place": np.tile(np.arange(28), 2),
            "scene": np.repeat(["1", "2"], 28),
            "valid_fraction": valid.ravel(),
            "cloud_fraction": cloud.ravel(),
        }
    )
    chosen = clearest(rows, ["place"])["scene"].to_numpy()
    assert (np.where(second.ravel(), "2", "1") == chosen).all() and 0 < second.sum() < second.size


def test_moments_keep_their_rows():
    acquired = moments("2021-06-01T10:10:00", "2021-06-03T10:00:00").set_axis([7, 3])
    assert passes(acquired).loc[7] == datetime(2021, 6, 1, 10, 10, tzinfo=UTC)
