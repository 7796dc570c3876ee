"""Inference in low precision, and a second opinion in float32 where it is not sure."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from pipeline.models.abstention import Abstention
from pipeline.models.card import ModelCard
from pipeline.models.classifier import Prediction
from pipeline.models.engines.checks import prediction
from pipeline.models.engines.openvino import OpenVinoClassifier

Floats = npt.NDArray[np.float32]


class CheckedClassifier:
    """A twin in bfloat16 or int8 that asks the float32 twin again about patches whose two best classes are nearly tied.

    Rounding moves probabilities a little and so turns near ties only. The card's `margin` is the distance of the two
    best probabilities below which a patch is asked again; a patch's answer depends on no other patch.
    """

    def __init__(self, card: ModelCard, folder: Path, engine: str, threads: int | None = None) -> None:
        told = card.engines[engine]
        self._card, self.engine, self._margin = card, engine, float(told["margin"])
        self._fast = OpenVinoClassifier(card, folder, folder / told["file"], engine.removeprefix("openvino-"), threads)
        self._exact: OpenVinoClassifier | None = None  # many runs start without a near tie
        self._exact_file, self._folder, self._threads = folder / card.engines["openvino-f32"]["file"], folder, threads
        self._abstention = Abstention.read(folder / card.unfamiliar["file"]) if card.unfamiliar else None

    @property
    def card(self) -> ModelCard:
        """What the model is and what input it takes."""
        return self._card

    def predict(self, patches: npt.NDArray[np.uint8] | Floats) -> Floats:
        """Calibrated probabilities (n, classes)."""
        return self.outputs(patches)[0]

    def judge(self, patches: npt.NDArray[np.uint8] | Floats) -> Prediction:
        """Probabilities and which patches are unlike the training data."""
        return prediction(*self.outputs(patches), self._abstention, self._card)

    def outputs(self, patches: npt.NDArray[np.uint8] | Floats) -> tuple[Floats, Floats]:
        """Probabilities (n, classes) and pooled features (n, f)."""
        probabilities, features = self._fast.outputs(patches)
        again = np.flatnonzero(lead(probabilities) < self._margin)
        if again.size:
            if self._exact is None:
                self._exact = OpenVinoClassifier(self._card, self._folder, self._exact_file, "f32", self._threads)
            probabilities[again], features[again] = self._exact.outputs(patches[again])
        return probabilities, features


def lead(probabilities: Floats) -> Floats:
    """How far the best class lies before the second (n,)."""
    best = np.partition(probabilities, -2, axis=1)
    return np.asarray(best[:, -1] - best[:, -2])


def supports_vnni() -> bool:
    """Whether this machine's processor multiplies int8 well (others are slower, or overflow in their sums)."""
    try:
        return "vnni" in Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
