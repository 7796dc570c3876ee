"""What a matrix of hectares by both maps' labels says.

Quantity disagreement is how much the two maps' areas of the classes differ, allocation disagreement what differs in
place although the areas match; both and the agreement add up to 1: Pontius and Millones (2011), Death to Kappa,
International Journal of Remote Sensing 32, 4407-4429, equations 2 to 6. Kappa is not told, for the reasons given there.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd


@dataclass(frozen=True, slots=True)
class Disagreement:
    """The figures of one matrix; shares are of the compared hectares."""

    hectares: float
    """What was compared."""
    agreement: float
    """The share that both call alike."""
    quantity: float
    """The share that differs since one map has more of a class than the other."""
    allocation: float
    """The share that differs in place alone."""
    classes: pd.DataFrame
    """One row a label: map_ha, reference_ha, same_ha, of_map and of_reference (the part of either that the other calls
    the same, NaN where it has none), quantity, allocation.
    """

    def as_json(self) -> dict[str, Any]:
        """The figures for files; NaN becomes null."""
        rows = self.classes.rename_axis("label").reset_index().astype(object)
        return {
            "hectares": self.hectares,
            "agreement": self.agreement,
            "quantity_disagreement": self.quantity,
            "allocation_disagreement": self.allocation,
            "classes": rows.where(rows.notna(), None).to_dict("records"),
        }


def disagreement(matrix: pd.DataFrame) -> Disagreement:
    """The figures of hectares by the map's label (rows) and the reference's (columns, the same labels)."""
    cells = matrix.to_numpy(np.float64)
    total = cells.sum()
    ours, theirs, same = cells.sum(axis=1), cells.sum(axis=0), np.diag(cells)
    quantity = np.abs(ours - theirs) / total
    allocation = 2.0 * np.minimum(ours - same, theirs - same) / total
    with np.errstate(invalid="ignore", divide="ignore"):
        columns = {
            "map_ha": ours,
            "reference_ha": theirs,
            "same_ha": same,
            "of_map": same / ours,
            "of_reference": same / theirs,
            "quantity": quantity,
            "allocation": allocation,
        }
    classes = pd.DataFrame(columns, index=pd.Index(matrix.index, name="label"))
    return Disagreement(
        float(total),
        float(same.sum() / total),
        float(quantity.sum() / 2.0),
        float(allocation.sum() / 2.0),
        classes[(classes["map_ha"] > 0) | (classes["reference_ha"] > 0)],
    )
