"""Smoothing a map by its neighbourhood: empirical Bayes on the logits, as the sits system does it.

Camara et al. (2024), Bayesian inference for post-processing of remote-sensing image classification, Remote Sensing
16, 4572: each class's logit is a noisy look at a value whose prior is the mean and the variance of the neighbours'.
"""

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.legend import Legend
from pipeline.results.table import probability_columns, with_columns

Floats = npt.NDArray[np.float64]

_SMALLEST = 1e-4


def smooth(
    table: gpd.GeoDataFrame, legend: Legend, smoothness: float = 20.0, window: int = 3, share: float = 0.5
) -> gpd.GeoDataFrame:
    """A tile table whose labels lean on the neighbours'; tiles without a class neither give nor take.

    `code` and `label` are the smoothed answer, `confidence` is the model's probability of that label; `code_raw` and
    `label_raw` stand beside them and say what the model alone would call the tile. Probabilities stay the model's own:
    they are calibrated, and what reads them as evidence of one tile (change) must not count the neighbours again.

    `smoothness` is the variance of a single look's logit (larger trusts the neighbours more), `window` the side of
    the neighbourhood in tiles (odd), `share` (0..1) the share of the neighbours with the highest probability of a
    class that its prior is taken from, which keeps the borders of fields sharp.

    Raises:
        ValueError: `window` is even, or a value lies outside its range.
    """
    if window % 2 == 0 or window < 3 or smoothness <= 0 or not 0 < share <= 1:
        raise ValueError(
            f"window {window} must be odd and at least 3, smoothness {smoothness} above 0, share {share} above 0 and "
            f"at most 1"
        )
    columns = probability_columns(legend.labels)
    known = (table["code"] >= 0).to_numpy()
    raw = pd.DataFrame({"code_raw": table["code"], "label_raw": table["label"]}).set_axis(table["tile_id"])
    out = with_columns(table, raw)
    if not known.any():
        return out
    col, row = table["col"].to_numpy(), table["row"].to_numpy()
    at = row[known] - row.min(), col[known] - col.min()
    picture = np.full((row.max() - row.min() + 1, col.max() - col.min() + 1, len(columns)), np.nan)
    probabilities = table.loc[known, columns].to_numpy()
    picture[at] = probabilities
    codes = smoothed_probabilities(picture, smoothness, window, share)[at].argmax(axis=1)
    out["label"] = out["label"].astype(object)
    out.loc[known, "code"] = codes.astype(np.int8)
    out.loc[known, "label"] = np.array(legend.labels, dtype=object)[codes]
    out.loc[known, "confidence"] = probabilities[np.arange(len(codes)), codes]
    out["label"] = pd.Categorical(out["label"])
    return out


def smoothed_probabilities(picture: Floats, smoothness: float, window: int, share: float) -> Floats:
    """Smoothed probabilities (y, x, classes); NaN where a tile has no class."""
    p = np.clip(picture, _SMALLEST, 1.0 - _SMALLEST)
    logit = np.log(p / (1.0 - p))
    reach = window // 2
    padded = np.pad(logit, ((reach, reach), (reach, reach), (0, 0)), constant_values=np.nan)
    height, width = picture.shape[:2]
    around = np.stack([padded[y : y + height, x : x + width] for y in range(window) for x in range(window)])
    around = np.sort(around, axis=0)  # NaN last
    count = (~np.isnan(around)).sum(axis=0)
    first = count - np.maximum(np.ceil(count * share), 1).astype(int)
    place = np.arange(len(around))[:, None, None, None]
    used = np.where((place >= first) & (place < count), around, np.nan)
    number = np.maximum(count - first, 1)
    mean = np.nansum(used, axis=0) / number
    variance = np.nansum((used - mean) ** 2, axis=0) / np.maximum(number - 1, 1)
    posterior = (variance * logit + smoothness * mean) / (variance + smoothness)
    likely = 1.0 / (1.0 + np.exp(-posterior))
    return np.asarray(np.where(np.isnan(picture), np.nan, likely / likely.sum(axis=-1, keepdims=True)))
