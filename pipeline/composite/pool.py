"""How the answers of several looks become one: a discounted product of likelihoods, or logarithmic opinion pool.

Looks of one season share errors: the same orchard looks like the same vineyard every time. Let the scores of n looks
scatter about the truth with noise of which a share r belongs to the place and 1 - r to each look alone (equally
correlated normal errors: Winkler 1981, Management Science 27, 479-488). Their mean is then as good as
n / (1 + (n - 1) r) independent looks (the design effect: Kish 1965, Survey Sampling), and the posterior of equally
frequent classes is

    log p(class) = sum of log p_look(class) / (1 + (n - 1) r) + constant,

a logarithmic opinion pool with equal weights (Genest and Zidek 1986, Statistical Science 1, 114-135). r = 0 is the
product of independent looks, r = 1 their geometric mean; one look alone is left as it is.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating]

TILE_DEPENDENCE = 0.5
COVER_DEPENDENCE = 0.5


def weight(count: Floats | npt.NDArray[np.integer], dependence: float) -> npt.NDArray[np.float64]:
    """What each of `count` looks counts of an independent one."""
    return np.asarray(1.0 / (1.0 + np.maximum(np.asarray(count, np.float64) - 1.0, 0.0) * dependence))


def pooled(evidence: Floats, count: npt.NDArray[np.integer], dependence: float) -> npt.NDArray[np.float32]:
    """Probabilities (n, classes) of n places, from the sums of their looks' log probabilities.

    `count` (n,) says of how many looks each sum is; without any every class is as likely as another.
    """
    scores = evidence * weight(count, dependence)[:, None].astype(evidence.dtype)
    scores -= scores.max(axis=1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=1, keepdims=True)
    return np.asarray(scores, np.float32)
