"""How the answers of several looks become one: their mean, sharpened by as many looks as they are worth.

The mean of the looks' probabilities (the linear opinion pool: Stone 1961, Annals of Mathematical Statistics 32,
1339-1342) takes no look for certain: one that haze spoils, and that is sure of itself, cannot outvote the others as it
does in a product of likelihoods. But where looks err apart, their mean is less sure than it is right (Ranjan and
Gneiting 2010, Journal of the Royal Statistical Society B 72, 71-91). So it is raised to the power of the looks' number
of independent ones and made to sum to 1 again,

    p(class) ~ (mean of p_look(class)) ** (n / (1 + (n - 1) r)),

where r is the part of the looks' errors that belongs to the place (the design effect: Kish 1965, Survey Sampling): the
same orchard looks like the same vineyard every time. r = 1 leaves the mean as it is, r = 0 counts every look fully, one
look alone stays what it says. `benchmarks/composite_series.py` measures r on made seasons and compares the rules.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]

# Measured on half of the made places, checked on the others.
TILE_DEPENDENCE, COVER_DEPENDENCE = 0.72, 0.74
# Tables store four decimals.
_SMALLEST = 2e-5


def independent(count: npt.NDArray[np.integer], dependence: float) -> npt.NDArray[np.float64]:
    """How many independent looks `count` looks are worth; 0 of none."""
    number = np.asarray(count, np.float64)
    return np.asarray(number / (1.0 + np.maximum(number - 1.0, 0.0) * dependence))


def pooled(total: Floats, count: npt.NDArray[np.integer], dependence: float) -> npt.NDArray[np.float32]:
    """Probabilities (n, classes) of n places, from the sums of their looks' probabilities.

    `count` (n,) says of how many looks each sum is; without any every class is as likely as another.
    """
    mean = total / np.maximum(count, 1)[:, None].astype(total.dtype)
    scores = np.log(np.maximum(mean, _SMALLEST, out=mean), out=mean)
    scores *= independent(count, dependence)[:, None].astype(scores.dtype)
    scores -= scores.max(axis=1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=1, keepdims=True)
    return np.asarray(scores, np.float32)
