"""Change and smoothing on simulated places with known truth, through the package's own functions.

    python benchmarks/change_simulation.py

Each place has one of ten classes; each date shows a calibrated classifier's probabilities for it (softmax of Gaussian
scores, so a probability of 0.9 is right nine times in ten), rounded to four decimals as tables store them. 2 % of the
places change. With correlated errors, part of the noise belongs to the place and is the same at every date, as a
wrongly labelled orchard stays wrongly labelled; the model does not know that.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter
from scipy.optimize import brentq

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipeline.change import ChangeOptions
from pipeline.change.chain import class_change, emissions
from pipeline.change.options import class_rates
from pipeline.change.table import within_bound
from pipeline.legend import EUROSAT
from pipeline.smoothing import smoothed_probabilities

CLASSES = len(EUROSAT.labels)
CHANGE = 0.02
PLAIN = ChangeOptions(confusable=1.0, unsealing=1.0, afforestation=1.0, drying=1.0)


def signal(accuracy):
    """How far the true class's score must stand out for this accuracy."""
    noise = np.random.default_rng(1).standard_normal((200_000, CLASSES))
    return brentq(
        lambda size: ((noise + size * np.eye(CLASSES)[0]).argmax(axis=1) == 0).mean() - accuracy, 1, 6, xtol=1e-3
    )


def histories(places, dates, rates, rng, when=None):
    """Classes (places, dates).

    `CHANGE` of the places change, between every two dates or once between `when` and the next.
    """
    classes = np.empty((places, dates), int)
    classes[:, 0] = rng.integers(0, CLASSES, places)
    for at in range(1, dates):
        classes[:, at] = classes[:, at - 1]
        moving = (rng.random(places) < CHANGE) & (when is None or at == when)
        share = np.cumsum(rates / rates.sum(axis=1, keepdims=True), axis=1)
        classes[moving, at] = (rng.random((moving.sum(), 1)) > share[classes[moving, at - 1]]).sum(axis=1)
    return classes


def seen(classes, accuracy, correlation, rng):
    """Calibrated probabilities (..., dates, classes) of what is shown."""
    size = signal(accuracy)
    own = rng.standard_normal((*classes.shape, CLASSES))
    lasting = rng.standard_normal((*classes.shape[:-1], 1, CLASSES))
    score = np.sqrt(1 - correlation) * own + np.sqrt(correlation) * lasting + size * np.eye(CLASSES)[classes]
    likely = np.exp(size * (score - score.max(axis=-1, keepdims=True)))
    return np.round(likely / likely.sum(axis=-1, keepdims=True), 4)


def rates_of(claimed, true):
    return f"{(claimed & true).sum() / max(claimed.sum(), 1):.3f} / {(claimed & true).sum() / true.sum():.3f}"


def at_recall(p, true, recall):
    """Precision of the likeliest that hold this share of the true changes."""
    found = true.ravel()[np.argsort(-p.ravel(), kind="stable")]
    number = np.searchsorted(np.cumsum(found), recall * true.sum()) + 1
    return found[:number].mean()


def one(accuracy, correlation, dates, when, options, world, places, rng):
    """Precision / recall of several rules."""
    classes = histories(places, dates, class_rates(EUROSAT, world), rng, when)
    p = seen(classes, accuracy, correlation, rng)
    true = classes[:, 1:] != classes[:, :-1]
    change = class_change(emissions(p), np.full(places, dates), class_rates(EUROSAT, options))
    label = p.argmax(axis=-1)
    claimed = np.stack([within_bound(change[:, at], options) for at in range(dates - 1)], axis=1)
    return {
        "single-date accuracy": f"{(label == classes).mean():.3f}",
        "labels differ": rates_of(label[:, 1:] != label[:, :-1], true),
        "p > 0.5": rates_of(change > 0.5, true),
        "precision at recall 0.6": f"{at_recall(change, true, 0.6):.3f}",
        "claimed": rates_of(claimed, true),
        "claimed, by place": rates_of(claimed.any(axis=1), true.any(axis=1)),
        "expected false / false": f"{(1 - change[claimed]).sum():.0f} / {(claimed & ~true).sum()}",
    }


def changes():
    rng = np.random.default_rng(0)
    rows = {}
    cases = [
        (2, None, "2 dates"),
        (6, 3, "6 dates, changed between the third and the fourth"),
        (6, None, "6 dates, 2 % between any two"),
    ]
    for accuracy in (0.95, 0.91):
        for correlation in (0.0, 0.4):
            for dates, when, title in cases:
                prior = CHANGE if when is None else CHANGE / (dates - 1)
                for name, world in (("any to any", PLAIN), ("as the model assumes", ChangeOptions())):
                    options = ChangeOptions(prior=prior)
                    places = 200_000 if dates == 2 else 60_000
                    rows[f"{title}; {accuracy}, correlation {correlation}; {name}"] = one(
                        accuracy, correlation, dates, when, options, world, places, rng
                    )
    print(pd.DataFrame(rows).T.to_string())


def smoothing():
    """A landscape of patches a few tiles wide, one date."""
    rng = np.random.default_rng(4)
    rows = {}
    for width in (1.0, 2.0, 4.0):
        fields = np.stack([gaussian_filter(rng.standard_normal((300, 240)), width) for _ in range(CLASSES)], axis=-1)
        classes = fields.argmax(axis=-1)
        alike = (classes[1:] == classes[:-1]).mean()
        for accuracy in (0.95, 0.85):
            p = seen(classes[..., None], accuracy, 0.0, rng)[..., 0, :]
            row = {"neighbours alike": f"{alike:.2f}", "plain": f"{(p.argmax(axis=-1) == classes).mean():.4f}"}
            for smoothness in (2.0, 5.0, 20.0):
                better = smoothed_probabilities(p, smoothness, 3, 0.5)
                row[f"3 x 3, {smoothness:g}"] = f"{(better.argmax(axis=-1) == classes).mean():.4f}"
            row["5 x 5, 20"] = f"{(smoothed_probabilities(p, 20.0, 5, 0.5).argmax(axis=-1) == classes).mean():.4f}"
            rows[f"patches {width:g}, accuracy {accuracy}"] = row
    print(pd.DataFrame(rows).T.to_string())


if __name__ == "__main__":
    changes()
    smoothing()
