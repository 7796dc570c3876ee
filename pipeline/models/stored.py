"""A stored model behind one of its engines: what every engine's answers go through."""

from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

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


class _Answers(NamedTuple):
    """What is said of n patches."""

    probabilities: Floats
    features: Floats
    strangeness: Floats
    """Distance from the training data (n,), 1 at the threshold; 0 where nobody asked."""


class StoredClassifier:
    """A tile classifier in a model folder, run by one engine. Several threads may ask it at once.

    Low precision moves answers a little. Where the card tells an engine's `margin`, a patch whose two best
    probabilities lie closer is asked again of the next finer engine of the card that runs well here, and of the next
    until one has no margin. Where the card tells its `reach`, `judge` also asks again where the distance lies that near
    the threshold, and not where it lies so far beyond that the class will not be told. A patch's answer depends on no
    other patch.
    """

    def __init__(
        self, card: ModelCard, folder: Path, engine: str, threads: int | None = None, batch: int | None = None
    ) -> None:
        self._card, self._folder, self.engine, self._threads, self._batch = card, folder, engine, threads, batch
        self._line = _finer_and_finer(card, engine)
        self._runners = {engine: self._load(engine)}  # the others when they are first asked
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
        self._check(patches)
        found = self._asked(0, patches, self._abstention)
        probabilities = found.probabilities
        if self._abstention is not None and self._confidence is not None:
            distance = found.strangeness * np.float32(self._card.unfamiliar["threshold"])
            told = signs(probabilities, self._abstention.place(found.features), distance)
            probabilities = self._confidence.soften(probabilities, told)
        return Prediction(probabilities, found.strangeness > 1.0)

    def outputs(self, patches: Patches) -> Outputs:
        """Probabilities and pooled features of patches (n, size, size, bands).

        Raises:
            ModelError: the patches are not the card's input.
        """
        self._check(patches)
        found = self._asked(0, patches, None)
        return Outputs(found.probabilities, found.features)

    def _asked(self, at: int, patches: Patches, abstention: Abstention | None) -> _Answers:
        """What the engine of this place in the line says, or a finer one where it is in doubt."""
        probabilities, features = self._runner(self._line[at])(patches)
        strangeness = np.zeros(len(patches), np.float32)
        if abstention is not None:
            strangeness = abstention.score(features) / np.float32(self._card.unfamiliar["threshold"])
        found = _Answers(probabilities, features, strangeness)
        if at + 1 < len(self._line):
            again = np.flatnonzero(_in_doubt(found, self._card.engines[self._line[at]], abstention is not None))
            if again.size:
                for rows, finer in zip(found, self._asked(at + 1, patches[again], abstention), strict=True):
                    rows[again] = finer
        return found

    def _runner(self, name: str) -> Runner:
        with self._loading:
            if name not in self._runners:
                self._runners[name] = self._load(name)
            return self._runners[name]

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


def _finer_and_finer(card: ModelCard, engine: str) -> tuple[str, ...]:
    """The engine, and those that are asked in turn while one has a margin: of the card's later ones what runs here."""
    line, told = [engine], list(card.engines)
    while "margin" in card.engines[line[-1]]:
        later = told[told.index(line[-1]) + 1 :]
        line.append(next(name for name in later if "margin" not in card.engines[name] or engines.available(name)))
    return tuple(line)


def _in_doubt(found: _Answers, told: Mapping[str, Any], judged: bool) -> npt.NDArray[np.bool_]:
    """Which patches (n,) an engine, of which the card tells this, may have called other than a finer one would."""
    tied: npt.NDArray[np.bool_] = lead(found.probabilities) < told["margin"]
    if not judged or "reach" not in told:
        return tied
    beyond = found.strangeness - 1
    return np.asarray((tied & (beyond < told["reach"])) | (np.abs(beyond) < told["reach"]))


def lead(probabilities: Floats) -> Floats:
    """How far the best class lies before the second (n,).

    >>> lead(np.array([[0.5, 0.25, 0.25]], np.float32)).tolist()
    [0.25]
    """
    best = np.partition(probabilities, -2, axis=1)
    return np.asarray(best[:, -1] - best[:, -2])
