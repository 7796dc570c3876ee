"""Where in a tile the land looks changed: what every pixel says by itself, in sixteen steps.

A pixel's step is the evidence that the tile would have if all its pixels were like this one (`fusion`), so a tile's
heat and its probability come from one formula: that of a change of a part of the tile, or that of a change of its class
where the classes make that likelier.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipeline.change.fusion import WEIGHTS, FusionWeights, part_evidence, whole_evidence
from pipeline.change.score import Differences
from pipeline.change.surprise import surroundings
from pipeline.results.layout import ChangeState
from pipeline.tiling import cut

Floats = npt.NDArray[np.float32]
Steps = npt.NDArray[np.uint8]

# Of the most that the pixels may say; step 0 says nothing, or speaks against a change.
STEPS = 15
# What is measured of every tile, and what is kept of the claimed and the undecided ones.
MEASURED = ("heat_part", "heat_whole")
COLUMNS = ("tile_id", "before", "after", "heat")
_SHOWN = (ChangeState.CHANGED, ChangeState.UNDECIDED)


def heat(found: Differences, surprise: Floats, weights: FusionWeights = WEIGHTS) -> tuple[Steps, Steps]:
    """The steps (y, x) of pixels for a change of a part and of the whole tile; 0 where they are unknown (NaN)."""
    part = part_evidence(found.score, surprise, weights) / weights.limit
    # A single pixel of the plain difference is noise; the median of a tile is not.
    whole = whole_evidence(surroundings(np.nan_to_num(found.plain)), weights) / weights.class_limit
    part, whole = (np.rint(STEPS * np.clip(np.nan_to_num(one), 0, 1)).astype(np.uint8) for one in (part, whole))
    whole[np.isnan(found.plain)] = 0
    return part, whole


def heat_of_tiles(steps: Steps, size: int) -> list[bytes]:
    """Every tile's `size` x `size` steps in rows from the north, as bytes; none for a tile where nothing stands out."""
    return [tile.tobytes() if tile.any() else b"" for tile in cut(steps, size).reshape(-1, size * size)]


def heat_table(changes: pd.DataFrame, evidence: Mapping[tuple[str, str], pd.DataFrame]) -> pd.DataFrame:
    """The heat of the claimed and the undecided tiles of a table of changes where something stands out (`COLUMNS`).

    `evidence` holds the measurements by tile_id of pairs of scene ids.
    """
    shown = changes.loc[changes["state"].isin(_SHOWN), [*COLUMNS[:3], "p_change", "change_vector"]]
    shown = pd.DataFrame(shown).astype(dict.fromkeys(COLUMNS[:3], str))
    parts = [
        rows.assign(heat=_told(rows, evidence[pair]))
        for pair, rows in shown.groupby(["before", "after"], sort=False)
        if pair in evidence and set(MEASURED) <= set(evidence[pair])
    ]
    table = pd.concat(parts).sort_index() if parts else pd.DataFrame(columns=COLUMNS, dtype=object)
    return table.loc[table["heat"].str.len() > 0, list(COLUMNS)].reset_index(drop=True)


def _told(rows: pd.DataFrame, measured: pd.DataFrame) -> npt.NDArray[np.object_]:
    """The heat of every row: of the whole tile where its classes doubled the odds of a change, else of a part."""
    part, whole = (measured[name].reindex(rows["tile_id"]).to_numpy(object) for name in MEASURED)
    fused, alone = (rows[name].to_numpy(np.float64) for name in ("p_change", "change_vector"))
    return np.asarray(np.where(fused * (1.0 - alone) >= 2.0 * alone * (1.0 - fused), whole, part))
