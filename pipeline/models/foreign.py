"""Networks that others published (TensorFlow SavedModel, ONNX), behind a card that says what they take and answer."""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.errors import ModelError
from pipeline.files import digest
from pipeline.legend import known_legend, make_legend
from pipeline.models.card import COVER, TILE, ModelCard
from pipeline.models.engines import Outputs, Patches
from pipeline.models.input import CODE, REFLECTANCE, ModelInput
from pipeline.scenes.radiometry import Stretch

Floats = npt.NDArray[np.float32]
# (n, y, x, bands) to (n, y, x, classes) or (n, classes).
Function = Callable[[Floats], Floats]

SAVED_MODEL, ONNX = "savedmodel", "onnx"
# Where a card keeps what a window's margin must be.
HALO = "halo"
_DEFAULT_HALO = 64
_STEPS: Mapping[str, Callable[[Floats, Floats], Floats]] = {
    "multiply": np.multiply,
    "add": np.add,
    "log1p": lambda pixels, factor: np.log1p(pixels * factor),
    "sigmoid": lambda pixels, factor: 1.0 / (1.0 + np.exp(-pixels * factor)),
}
_ANSWERS = ("logits", "probabilities")
_BATCH = 16


def add(source: Path, card: Path, folder: Path) -> ModelCard:
    """Copies a network with its notices to `folder/<name>` and stores its card with digests.

    The card's JSON has name, kind ("cover" or "tile"), classes (labels in order of the outputs), bands; and where they
    differ from the defaults: units ("reflectance"), size (64), gsd (10), halo (64: pixels beside a pixel that bear on
    its answer), answers ("logits" or "probabilities"), channels_first (false), licence, and normalisation: steps such
    as {"multiply": 10000}, {"add": ...}, {"log1p": 0.005}, {"sigmoid": 1} with a number or one for each band.

    Raises:
        ModelError: the card is wrong, the source is neither a SavedModel nor ONNX, or the name is taken.
        OSError: the folder cannot be written.
    """
    told = _told(card)
    engine, place = _engine_of(source), folder / str(told["name"])
    if place.exists():
        raise ModelError(f"{place}: is there already; choose another name in {card} or remove that model")
    made = _card(told, engine, card)
    part = folder / f".{made.name}.part"
    shutil.rmtree(part, ignore_errors=True)
    try:
        (part / engine).mkdir(parents=True)
        if engine == ONNX:
            shutil.copyfile(source, part / str(made.engines[engine]["file"]))
        else:
            shutil.copytree(source, part / engine, dirs_exist_ok=True)
        marks = {path.relative_to(part).as_posix(): digest(path) for path in sorted(part.rglob("*")) if path.is_file()}
        made = replace(made, sha256=marks)
        made.write(part / "card.json")
        _try(made, part)
        part.rename(place)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return made


def normalised(pixels: npt.NDArray[Any], steps: Sequence[Mapping[str, Any]]) -> Floats:
    """Pixels (..., bands) as a network takes them; what was not measured counts as 0."""
    found = np.maximum(pixels.astype(np.float32), 0.0)
    for step in steps:
        ((name, value),) = step.items()
        found = _STEPS[name](found, np.asarray(value, np.float32))
    return np.asarray(found, np.float32)


class ForeignNetwork:
    """A function of arrays with the card's normalisation before it and probabilities behind it."""

    def __init__(self, card: ModelCard, engine: str, function: Function) -> None:
        self._told, self._function = card.engines[engine], function
        self._card = card

    def __call__(self, pixels: npt.NDArray[Any]) -> Floats:
        """Probabilities (n, ..., classes) of pixels (n, y, x, bands).

        Raises:
            ModelError: the network does not take them, or answers something else than the card says.
        """
        given = normalised(pixels, self._told["normalisation"])
        first = self._told["channels_first"]
        try:
            answers = self._function(np.moveaxis(given, -1, 1) if first else given)
        except (ValueError, RuntimeError, TypeError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise ModelError(
                f"{self._card.name}: does not take pixels {given.shape} ({reason}); correct its card"
            ) from error
        if first and answers.ndim == 4:
            answers = np.moveaxis(answers, 1, -1)
        shape = (*pixels.shape[: 3 if self._card.kind == COVER else 1], len(self._card.legend.classes))
        if answers.shape != shape:
            raise ModelError(
                f"{self._card.name}: answers {answers.shape}, its card says {shape}; correct classes or kind there"
            )
        if self._told["answers"] == "probabilities":
            return np.ascontiguousarray(answers, np.float32)
        grown = np.exp((answers - answers.max(axis=-1, keepdims=True)) / self._card.temperature)
        return np.asarray(grown / grown.sum(axis=-1, keepdims=True), np.float32)


class OfCard:
    """What every network for pixels tells of itself."""

    def __init__(self, card: ModelCard) -> None:
        self._card = card

    @property
    def card(self) -> ModelCard:
        """What the model is and what input it takes."""
        return self._card

    @property
    def halo(self) -> int:
        """How many pixels beside a pixel its answer depends on, as its card says."""
        return int(self._card.metrics[HALO])


class ForeignPixels(OfCard):
    """A foreign network that answers for every pixel."""

    def __init__(self, card: ModelCard, engine: str, function: Function) -> None:
        super().__init__(card)
        self._network, self.engine = ForeignNetwork(card, engine, function), engine

    def predict(self, pixels: Floats) -> Floats:
        """Probabilities (y, x, classes) of reflectances (y, x, bands).

        Raises:
            ModelError: the network does not take them.
        """
        answers: Floats = self._network(pixels[None])[0]
        return answers


class ForeignRunner:
    """A foreign network that answers for patches; it gives no features."""

    def __init__(self, card: ModelCard, engine: str, function: Function, batch: int | None) -> None:
        self._network, self._batch = ForeignNetwork(card, engine, function), batch or _BATCH
        self._classes = len(card.legend.classes)

    def __call__(self, patches: Patches) -> Outputs:
        """Answers for patches (n, size, size, bands)."""
        parts = [self._network(patches[at : at + self._batch]) for at in range(0, len(patches), self._batch)]
        found = np.concatenate(parts) if parts else np.empty((0, self._classes), np.float32)
        return Outputs(found, np.empty((len(found), 0), np.float32))


def _told(path: Path) -> dict[str, Any]:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path}: no card in JSON ({error}); docs/cover.md shows one") from error
    needed = {"name", "kind", "classes", "bands"}
    if not isinstance(told, dict) or (lacking := needed - set(told)):
        raise ModelError(f"{path}: lacks {', '.join(sorted(needed if type(told) is not dict else lacking))}; add it")
    name = told["name"]
    if not isinstance(name, str) or not name or name.startswith(".") or not set("/\\,+").isdisjoint(name):
        raise ModelError(f"{path}: {name!r} is no name for a model; use letters, digits and hyphens")
    return told


def _engine_of(source: Path) -> str:
    if (source / "saved_model.pb").is_file():
        return SAVED_MODEL
    if source.is_file() and source.suffix.lower() == ".onnx":
        return ONNX
    raise ModelError(f"{source}: neither a TensorFlow SavedModel (a folder with saved_model.pb) nor a file .onnx")


def _card(told: Mapping[str, Any], engine: str, path: Path) -> ModelCard:
    bands, steps, answers = told["bands"], told.get("normalisation", []), told.get("answers", _ANSWERS[0])
    if answers not in _ANSWERS:
        raise ModelError(f"{path}: answers are {answers!r}; say one of {', '.join(_ANSWERS)}")
    for step in steps:
        if len(step) != 1 or (name := next(iter(step))) not in _STEPS:
            raise ModelError(f"{path}: a step of normalisation is {step!r}; known are {', '.join(_STEPS)}")
        if np.size(step[name]) not in (1, len(bands)):
            raise ModelError(f"{path}: {name} has {np.size(step[name])} numbers for {len(bands)} bands; give one each")
    units = told.get("units", REFLECTANCE)
    taken = ModelInput(
        bands=tuple(bands),
        units=units,
        size=told.get("size", 64),
        gsd=told.get("gsd", 10.0),
        stretch=Stretch() if units == CODE else None,
    )
    if told["kind"] == COVER and units != REFLECTANCE:
        raise ModelError(f"{path}: a cover takes reflectance, not {units}; let its normalisation begin there")
    labels = tuple(told["classes"])
    return ModelCard(
        told["name"],
        known_legend(labels) or make_legend(told["name"], labels),
        taken,
        told["kind"],
        architecture=engine,
        engines={
            engine: {
                "file": engine if engine == SAVED_MODEL else f"{engine}/model.onnx",
                "normalisation": list(steps),
                "answers": answers,
                "channels_first": bool(told.get("channels_first", False)),
            }
        },
        trained_on={"by": "others; see its own documentation", "licence": told.get("licence", "not told")},
        metrics={HALO: int(told.get(HALO, _DEFAULT_HALO))} if told["kind"] == COVER else {},
    )


def _try(card: ModelCard, folder: Path) -> None:
    """One answer, so that a wrong card is told now and not in the middle of a run."""
    from pipeline.models import engines

    engine = next(iter(card.engines))
    module, precision = engines.find(engine)
    if not module.available(precision):
        return
    runner = module.load(folder / card.engines[engine]["file"], card, precision, None, 1)
    side = card.input.size if card.kind == TILE else 64 + 2 * int(card.metrics[HALO])
    runner(np.full((1, side, side, len(card.input.bands)), 0.1).astype(card.input.dtype))
