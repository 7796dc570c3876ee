"""The clearest look at a place: which of several scenes speaks for a tile on one day."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Shares = npt.NDArray[Any]

# A satellite crosses a granule and its neighbours within 15 minutes; the next orbit comes 100 minutes later.
PASS = timedelta(minutes=30)


def passes(acquired: pd.Series) -> pd.Series:
    """When the pass began that each moment (UTC) belongs to; neighbouring granules share one."""
    moments = acquired.drop_duplicates().sort_values().reset_index(drop=True)
    starts = moments[moments.diff().isna() | (moments.diff() > PASS)].reset_index(drop=True)
    found = starts.iloc[starts.searchsorted(acquired, side="right") - 1]
    return found.set_axis(acquired.index)


def days(acquired: pd.Series) -> pd.Series:
    """The UTC day of each moment's pass: midnight parts no pass, and two orbits of a day share it."""
    return passes(acquired).dt.date


def clearest(rows: pd.DataFrame, by: Sequence[str]) -> pd.DataFrame:
    """One row for each value of the columns `by`, in their order: the clearest look.

    That is the highest valid_fraction, then the lowest cloud_fraction, then the first scene id.
    """
    order = [*by, "valid_fraction", "cloud_fraction", "scene"]
    ascending = [*(True for _ in by), False, True, True]
    return rows.sort_values(order, ascending=ascending, kind="stable").drop_duplicates([*by])


def clearer(
    valid: Shares,
    cloud: Shares,
    valid_before: Shares,
    cloud_before: Shares,
) -> npt.NDArray[np.bool_]:
    """Where a look with these shares, valid and cloudy, is clearer than the one before; the same rule, for planes."""
    return np.asarray((valid > valid_before) | ((valid == valid_before) & (cloud < cloud_before)))
