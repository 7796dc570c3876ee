"""Change and smoothing on simulated places with known truth, through the package's own functions.

    python benchmarks/change_simulation.py

Each place has one of ten classes; each date shows a calibrated classifier's probabilities for it (softmax of Gaussian
scores, so a probability of 0.9 is right nine times in ten), rounded to four decimals as tables store them. 0.2, 2 or
10 % of the places change, and the program expects 2 %. With correlated errors, part of the noise belongs to the place
and is the same at every date, as a wrongly labelled orchard stays wrongly labelled; the model does not know that.
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
from pipeline.change.table import cautious, states, within_bound
from pipeline.legend import EUROSAT
from pipeline.smoothing import smoothed_probabilities

CLASSES = len(EUROSAT.labels)
ASSUMED = 0.02
PLAIN = ChangeOptions(confusable=1.0, unsealing=1.0, afforestation=1.0, drying=1.0)


def signal(accuracy):
    """How far the true class's score must stand out for this accuracy."""
    noise = np.random.default_rng(1).standard_normal((200_000, CLASSES))
    return brentq(
        lambda size: ((noise + size * np.eye(CLASSES)[0]).argmax(axis=1) == 0).mean() - accuracy, 1, 6, xtol=1e-3
    )


def histories(places, dates, rate, rates, rng):
    """Classes (places, dates) of which a share `rate` changes between every two dates."""
    classes = np.empty((places, dates), int)
    classes[:, 0] = rng.integers(0, CLASSES, places)
    for at in range(1, dates):
        classes[:, at] = classes[:, at - 1]
        moving = rng.random(places) < rate
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


def one(accuracy, correlation, dates, true_rate, world, places, rng):
    """Precision / recall of what the product claims, with its own expectation of change, whatever the true rate is."""
    options = ChangeOptions(prior=ASSUMED, class_share=0.4)
    classes = histories(places, dates, true_rate, class_rates(EUROSAT, world), rng)
    p = seen(classes, accuracy, correlation, rng)
    true = classes[:, 1:] != classes[:, :-1]
    years = np.ones((places, dates - 1))
    found = class_change(emissions(p), np.full(places, dates), class_rates(EUROSAT, options), years)
    expected = np.full(places, options.prior)
    change = np.stack([cautious(found[:, at], expected, options) for at in range(dates - 1)], axis=1)
    label = p.argmax(axis=-1)
    claimed = np.stack([within_bound(change[:, at], options) for at in range(dates - 1)], axis=1)
    fixed = np.stack([within_bound(found[:, at], options) for at in range(dates - 1)], axis=1)
    return {
        "single-date accuracy": f"{(label == classes).mean():.3f}",
        "labels differ": rates_of(label[:, 1:] != label[:, :-1], true),
        "p > 0.5": rates_of(change > 0.5, true),
        "claimed": rates_of(claimed, true),
        "told false / false": f"{(1 - change[claimed]).sum():.0f} / {(claimed & ~true).sum()}",
        "2 % taken for granted": rates_of(fixed, true),
        "sum of p / changed": f"{change.sum() / true.sum():.2f}",
    }


def touching(true_rate, rng, wide=400):
    """The same for changes of 2 x 2 tiles of which at least two must be claimed together."""
    options = ChangeOptions(prior=ASSUMED, class_share=0.4, min_mapping_unit=2)
    block = histories(wide * wide // 4, 2, true_rate, class_rates(EUROSAT, PLAIN), rng).reshape(wide // 2, wide // 2, 2)
    classes = block.repeat(2, axis=0).repeat(2, axis=1).reshape(-1, 2)
    p = seen(classes, 0.95, 0.0, rng)
    rates = class_rates(EUROSAT, options)
    found = class_change(emissions(p), np.full(len(p), 2), rates, np.ones((len(p), 1)))[:, 0]
    change = cautious(found, np.full(len(p), options.prior), options)
    ids = np.array([f"32632_{at % wide}_{at // wide}" for at in range(len(p))], dtype=object)
    pairs = pd.DataFrame({"tile_id": ids, "p_change": change, "cross_level": False})
    claimed = states(pairs, np.zeros(len(p), np.int64), np.ones(len(p), bool), options) == "changed"
    true = classes[:, 0] != classes[:, 1]
    told = f"{(1 - change[claimed]).sum():.0f} / {(claimed & ~true).sum()}"
    return {"claimed": rates_of(claimed, true), "told false / false": told}


def changes():
    rng = np.random.default_rng(0)
    rows = {}
    for true_rate in (0.002, 0.02, 0.1):
        for accuracy, correlation in ((0.95, 0.0), (0.95, 0.4), (0.91, 0.0)):
            for dates, places in ((2, 200_000), (6, 40_000)):
                for name, world in (("any to any", PLAIN), ("as the model assumes", ChangeOptions())):
                    title = f"{true_rate:.1%} change; {dates} dates; {accuracy}, correlation {correlation}; {name}"
                    rows[title] = one(accuracy, correlation, dates, true_rate, world, places, rng)
        rows[f"{true_rate:.1%} change in 2 x 2 tiles; 2 dates; min_mapping_unit 2"] = touching(true_rate, rng)
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
