from datetime import UTC, datetime, timedelta, timezone

import pytest

from pipeline.errors import BadPeriod
from pipeline.results.period import Period, apart
from pipeline.scenes.scene import UNKNOWN_DATE


def test_a_period_holds_its_first_and_last_day_in_utc():
    period = Period.parse("2018-05-01/2018-09-30")
    assert str(period) == "2018-05-01/2018-09-30"
    assert period.holds(datetime(2018, 5, 1, tzinfo=UTC))
    assert period.holds(datetime(2018, 9, 30, 23, 59, tzinfo=UTC))
    assert not period.holds(datetime(2018, 10, 1, tzinfo=UTC))
    # One in the morning of the first of May in Paris is still April in UTC.
    assert not period.holds(datetime(2018, 5, 1, 1, tzinfo=timezone(timedelta(hours=2))))
    assert period.middle == datetime(2018, 7, 16, 12, tzinfo=UTC)


def test_a_scene_without_a_date_is_in_no_period():
    assert not Period.parse("1969-01-01/1971-01-01").holds(UNKNOWN_DATE)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("2018", "write first and last day"),
        ("2018-05-01", "write first and last day"),
        ("2018-05-01/2018-09-31", "no period"),
        ("2018-13-01/2018-12-31", "no period"),
        ("2018-05-01/2018-09-30/2019", "write first and last day"),
        ("2018-09-30/2018-05-01", "ends before it begins; write 2018-05-01/2018-09-30"),
    ],
)
def test_what_is_no_period_is_told(text, told):
    with pytest.raises(BadPeriod, match=told):
        Period.parse(text)


def test_periods_share_no_day():
    first, second = Period.parse("2018-05-01/2018-06-30"), Period.parse("2018-07-01/2018-08-31")
    assert apart([second, first]) == (first, second)
    with pytest.raises(BadPeriod, match="share days"):
        apart([first, second, Period.parse("2018-06-30/2018-06-30")])
