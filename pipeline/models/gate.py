"""The gate: a fast engine is used only where it answers as the float32 Keras model does."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.models.calibration import calibration_error

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Gate:
    """One engine against the reference.

    Shares of equal top classes, loss of accuracy (points), change of calibration error.
    """

    agreement: float
    agreement_elsewhere: float
    accuracy_loss: float
    ece_change: float

    @property
    def passed(self) -> bool:
        """At least 99.5 % agreement on both sets, at most 0.2 points and 0.005 apart."""
        return (
            min(self.agreement, self.agreement_elsewhere) >= 0.995
            and self.accuracy_loss <= 0.2
            and abs(self.ece_change) <= 0.005
        )

    def as_json(self) -> dict[str, Any]:
        """Plain values and the verdict."""
        return {**asdict(self), "passed": self.passed}


def compare(
    reference: Floats,
    found: Floats,
    labels: npt.NDArray[np.integer],
    reference_elsewhere: Floats,
    found_elsewhere: Floats,
) -> Gate:
    """An engine's probabilities against the reference's, on labelled patches and on patches of other scenes."""
    truth, answer = reference.argmax(axis=1), found.argmax(axis=1)
    return Gate(
        agreement=float((truth == answer).mean()),
        agreement_elsewhere=float((reference_elsewhere.argmax(axis=1) == found_elsewhere.argmax(axis=1)).mean()),
        accuracy_loss=100 * float((truth == labels).mean() - (answer == labels).mean()),
        ece_change=calibration_error(found, labels) - calibration_error(reference, labels),
    )
