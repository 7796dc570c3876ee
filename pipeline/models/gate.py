"""The gate: a fast engine is used only where it answers as the float32 Keras model does."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.models.calibration import calibration_error
from pipeline.models.classifier import Prediction

LEAST_AGREEMENT, MOST_LOSS, MOST_ECE = 0.995, 0.2, 0.005


@dataclass(frozen=True, slots=True)
class Gate:
    """One engine against the reference."""

    agreement: float
    """Share of labelled patches with the same best class."""
    agreement_elsewhere: float
    """The same on patches of other scenes."""
    verdicts: float
    """Share of labelled patches, which are like the training's, with the same verdict "unfamiliar" or not."""
    accuracy_loss: float
    """Points of accuracy that the engine loses."""
    ece_change: float
    """Change of the calibration error."""

    @property
    def passed(self) -> bool:
        """At least 99.5 % agreement everywhere, at most 0.2 points and 0.005 apart."""
        return (
            min(self.agreement, self.agreement_elsewhere, self.verdicts) >= LEAST_AGREEMENT
            and self.accuracy_loss <= MOST_LOSS
            and abs(self.ece_change) <= MOST_ECE
        )

    def as_json(self) -> dict[str, Any]:
        """Plain values and the verdict."""
        return {**asdict(self), "passed": self.passed}


def compare(
    reference: Prediction,
    found: Prediction,
    labels: npt.NDArray[np.integer],
    reference_elsewhere: Prediction,
    found_elsewhere: Prediction,
) -> Gate:
    """An engine's answers against the reference's, on labelled patches and on patches of other scenes."""
    truth, answer = (side.probabilities.argmax(axis=1) for side in (reference, found))
    return Gate(
        agreement=_agreement(reference, found),
        agreement_elsewhere=_agreement(reference_elsewhere, found_elsewhere),
        verdicts=float((reference.unfamiliar == found.unfamiliar).mean()),
        accuracy_loss=100 * float((truth == labels).mean() - (answer == labels).mean()),
        ece_change=calibration_error(found.probabilities, labels) - calibration_error(reference.probabilities, labels),
    )


def _agreement(one: Prediction, other: Prediction) -> float:
    return float((one.probabilities.argmax(axis=1) == other.probabilities.argmax(axis=1)).mean())
