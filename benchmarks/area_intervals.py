"""How often the intervals of areas hold the truth, at the defaults of `sample`: 300 tiles, at least 20 of every class.

    python benchmarks/area_intervals.py

A map of 20,000 tiles in ten classes, from 40 % to 0.3 % of the land; a mistake goes to any other class by its share.
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from pipeline.assessment import error_adjusted, sample

SHARES = np.array([0.40, 0.22, 0.14, 0.09, 0.06, 0.04, 0.025, 0.015, 0.007, 0.003])
TILES, DRAWS = 20_000, 400


def paper_half_width(counts, mapped):
    """The half width of equation 10 of Olofsson et al. (2014), which the intervals in use replace."""
    n, weight = counts.sum(axis=1)[:, None], (mapped / mapped.sum())[:, None]
    share = counts / n
    return 1.96 * np.sqrt((weight**2 * share * (1 - share) / (n - 1)).sum(axis=0)) * mapped.sum()


def coverage(accuracy, rng):
    """Shares of draws whose interval holds the truth, and mean half widths, a row a class."""
    truth = rng.choice(len(SHARES), TILES, p=SHARES)
    mapped = np.where(rng.random(TILES) < accuracy, truth, rng.choice(len(SHARES), TILES, p=SHARES))
    sizes = np.bincount(mapped, minlength=len(SHARES)).astype(float)
    real = np.bincount(truth, minlength=len(SHARES))
    right = np.array([(truth[mapped == label] == label).mean() for label in range(len(SHARES))])
    found = np.array([(mapped[truth == label] == label).mean() for label in range(len(SHARES))])
    ids = [f"32632_{at % 200}_{at // 200}" for at in range(TILES)]
    table, place = pd.DataFrame({"tile_id": ids, "label": mapped}), {name: at for at, name in enumerate(ids)}
    held = np.zeros((4, len(SHARES)))
    for draw in range(DRAWS):
        at = sample(table, 300, seed=draw)["tile_id"].map(place).to_numpy()
        counts = np.zeros((len(SHARES), len(SHARES)), int)
        np.add.at(counts, (mapped[at], truth[at]), 1)
        rows = error_adjusted(pd.DataFrame(counts), pd.Series(sizes)).classes
        ha = rows["adjusted_ha"].to_numpy()
        held[0] += abs(ha - real) <= paper_half_width(counts, sizes)
        held[1] += (rows["adjusted_low"] <= real) & (real <= rows["adjusted_high"])
        held[2] += abs(rows["users_accuracy"] - right) <= rows["users_ci"]
        held[3] += abs(rows["producers_accuracy"] - found) <= rows["producers_ci"]
    return held / DRAWS


def main():
    rng = np.random.default_rng(5)
    names = ("area, the paper's interval", "area", "user's accuracy", "producer's accuracy")
    for accuracy in (0.95, 0.85):
        print(f"\nright {accuracy:.0%}\n\n| share of the land | " + " | ".join(f"{one:.1%}" for one in SHARES) + " |")
        print("|---" * (len(SHARES) + 1) + "|")
        for name, row in zip(names, coverage(accuracy, rng), strict=True):
            print(f"| {name} | " + " | ".join(f"{one:.2f}" for one in row) + " |")


if __name__ == "__main__":
    main()
