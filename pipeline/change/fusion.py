"""How much the pixels' evidence speaks for change: a small calibrated model over `evidence`."""

import numpy as np
import numpy.typing as npt
import pandas as pd

Array = npt.NDArray[np.float64]


def likelihood_ratio(_measured: pd.DataFrame, cloud_fraction: npt.NDArray[np.floating]) -> Array:
    """How many times likelier the evidence is where the land changed than where it did not; NaN where none is known."""
    return np.full(len(cloud_fraction), np.nan)


def change_vector(ratio: Array, prior: float) -> Array:
    """Probability (0..1) that the land changed, from the pixels' evidence and the prior alone."""
    return ratio * prior / (1.0 - prior + ratio * prior)
