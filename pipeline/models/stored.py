"""A stored model behind one of its engines: what every engine's answers go through."""

from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.errors import ModelError
from pipeline.models import engines
from pipeline.models.abstention import Abstention
from pipeline.models.card import ModelCard
from pipeline.models.classifier import Prediction
from pipeline.models.confidence import Confidence, signs
from pipeline.models.engines import Outputs, Patches, Runner

Floats = npt.NDArray[np.float32]


class StoredClassifier:
    """A tile classifier in a model folder, run by one engine. Several threads may ask it at once.

    Low precision moves probabilities a little and so turns near ties. Where the card tells an engine's `margin`, a
    patch whose two best probabilities lie closer is asked again of the card's first engine without one; so a patch's
    answer depends on no other patch.
    """

    def __init__(
        self, card: ModelCard, folder: Path, engine: str, threads: int | None = None, batch: int | None = None
    ) -> None:
        self._card, self._folder, self.engine, self._threads, self._batch = card, folder, engine, threads, batch
        self._margin = float(card.engines[engine].get("margin", 0.0))
        self._runner = self._load(engine)
        self._exact: Runner | None = None  # many runs start without a near tie
        self._loading = Lock()
        self._abstention = Abstention.read(folder / card.unfamiliar["file"]) if card.unfamiliar else None
        self._confidence = Confidence.read(folder / card.confidence["file"]) if card.confidence else None

    @property
    def card(self) -> ModelCard:
        """What the model is and what input it takes."""
        return self._card

    def predict(self, patches: Patches) -> Floats:
        """Probabilities (n, classes) of patches (n, size, size, bands) as the network gives them."""
        return self.outputs(patches).probabilities

    def judge(self, patches: Patches) -> Prediction:
        """Calibrated probabilities, and which patches are unlike the training data, in one pass."""
        probabilities, features = self.outputs(patches)
        if self._abstention is None:
            return Prediction(probabilities, np.zeros(len(probabilities), np.bool_))
        place = self._abstention.place(features)
        distance = self._abstention.distance(place)
        if self._confidence is not None:
            probabilities = self._confidence.soften(probabilities, signs(probabilities, place, distance))
        return Prediction(probabilities, distance > self._card.unfamiliar["threshold"])

    def outputs(self, patches: Patches) -> Outputs:
        """Probabilities and pooled features of patches (n, size, size, bands).

        Raises:
            ModelError: the patches are not the card's input.
        """
        self._check(patches)
        found = self._runner(patches)
        if self._margin:
            again = np.flatnonzero(lead(found.probabilities) < self._margin)
            if again.size:
                for rows, exact in zip(found, self._second_opinion()(patches[again]), strict=True):
                    rows[again] = exact
        return found

    def _second_opinion(self) -> Runner:
        with self._loading:
            if self._exact is None:
                told = self._card.engines
                self._exact = self._load(next(name for name in told if "margin" not in told[name]))
            return self._exact

    def _load(self, name: str) -> Runner:
        engine, precision = engines.find(name)
        path = self._folder / self._card.engines[name]["file"]
        return engine.load(path, self._card, precision, self._threads, self._batch)

    def _check(self, patches: npt.NDArray[Any]) -> None:
        shape, dtype = self._card.input.shape, self._card.input.dtype
        if patches.ndim != 4 or patches.shape[1:] != shape or patches.dtype != dtype:
            takes = f"(n, {', '.join(map(str, shape))}) {dtype.name}"
            raise ModelError(
                f"{self._card.name}: patches are {patches.shape} {patches.dtype}, the model takes {takes}; cut them "
                f"with pipeline.tiling"
            )


def lead(probabilities: Floats) -> Floats:
    """How far the best class lies before the second (n,).

    >>> lead(np.array([[0.5, 0.25, 0.25]], np.float32)).tolist()
    [0.25]
    """
    best = np.partition(probabilities, -2, axis=1)
    return np.asarray(best[:, -1] - best[:, -2])
