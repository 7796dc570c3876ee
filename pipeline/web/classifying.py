"""Pictures to answers: read within limits, cut into patches, asked together, told as `classify --json` tells them."""

import asyncio
import json
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from pipeline.datasets.pictures import picture_size
from pipeline.errors import ModelError
from pipeline.models import store
from pipeline.models.answers import picture_answers
from pipeline.models.card import TILE, ModelCard
from pipeline.models.from_pictures import patches_of
from pipeline.web.batching import Batcher
from pipeline.web.meters import Meters
from pipeline.web.problems import Problem
from pipeline.web.settings import Limits, Settings
from pipeline.web.uploads import Upload

# Models in memory; the one asked longest ago goes.
_LOADED: Final = 2
# Pixels that are decoded between two events; a thread would cost more than a chip.
_QUICK_PIXELS: Final = 128 * 128


@dataclass(frozen=True, slots=True)
class Desk:
    """A loaded model that answers requests."""

    card: ModelCard
    """What the model is."""
    engine: str
    """Name of what runs it."""
    batcher: Batcher
    """Gathers requests to one prediction."""


class Desks:
    """The loaded models, each with one engine; the first is loaded when the server starts."""

    def __init__(self, settings: Settings, meters: Meters) -> None:
        self._settings, self._meters = settings, meters
        self._loaded: OrderedDict[str, Desk] = OrderedDict()
        self._loading = asyncio.Lock()

    @property
    def ready(self) -> bool:
        """Whether the usual model can answer at once."""
        return self._settings.model in self._loaded

    @property
    def waiting(self) -> int:
        """Patches that wait for an engine."""
        return sum(desk.batcher.waiting for desk in self._loaded.values())

    def names(self) -> tuple[str, ...]:
        """The stored models."""
        return store.names(self._settings.models)

    def card(self, name: str) -> dict[str, Any]:
        """A stored model's card as it is written.

        Raises:
            Problem: there is no such model (404).
        """
        path = store.locate(self._known(name), self._settings.models) / "card.json"
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found

    async def get(self, name: str | None = None) -> Desk:
        """The desk of a model, loaded if need be.

        Raises:
            Problem: there is no such model (404), or it takes no pictures (422).
            ModelError: its files are not what its card says.
        """
        chosen = name or self._settings.model
        if chosen not in self._loaded:
            self._known(chosen)
            async with self._loading:
                if chosen not in self._loaded:
                    await self._load(chosen)
        self._loaded.move_to_end(chosen)
        return self._loaded[chosen]

    async def close(self) -> None:
        """Ends all engines' threads."""
        for desk in self._loaded.values():
            await desk.batcher.close()

    def _known(self, name: str) -> str:
        # Only names of the stored models: `locate` takes folders too, and a request must not name one.
        if name not in self.names() and name != self._settings.model:
            raise Problem(404, f"no model of this name; there are: {', '.join(self.names())}")
        return name

    async def _load(self, name: str) -> None:
        card = store.card(name, self._settings.models)
        if not takes_pictures(card):
            raise Problem(
                422, f"{name} does not label pictures; it takes {' '.join(card.input.bands)}, answers by {card.kind}"
            )
        settings = self._settings
        engine = await asyncio.to_thread(store.load, name, engine=settings.engine, folder=settings.models, batch=1)

        def seen(size: int) -> None:
            self._meters.batches.observe(size)
            self._meters.patches.labels(name).inc(size)

        self._loaded[name] = Desk(engine.card, engine.engine, Batcher(engine.judge, self._settings.limits, seen))
        while len(self._loaded) > _LOADED:
            _, old = self._loaded.popitem(last=False)
            await old.batcher.close()


def takes_pictures(card: ModelCard) -> bool:
    """Whether a model reads plain colour pictures."""
    return card.kind == TILE and len(card.input.bands) == 3 and card.input.dtype == np.uint8


async def classify(uploads: Sequence[Upload], desk: Desk, limits: Limits) -> list[dict[str, Any]]:
    """Answers of `classify --json` for pictures, with the model's name; a bad picture's entry has `error` instead.

    Raises:
        Problem: all together have too many pixels (413), none can be read (422), or the model is busy (429).
    """
    pixels = [width * height for width, height in (picture_size(upload.data) for upload in uploads)]
    most = limits.patches * desk.card.input.size**2
    if sum(pixels) > most:
        detail = f"{sum(pixels):,} pixels in one request; send at most {most:,}, or map larger ones as a scene"
        raise Problem(413, detail)
    if sum(pixels) <= _QUICK_PIXELS:
        cuts = [_patches(upload, desk.card) for upload in uploads]
    else:
        cuts = await asyncio.to_thread(lambda: [_patches(upload, desk.card) for upload in uploads])
    good = [patches for _, patches, error in cuts if error is None]
    if not good:
        errors = [str(error) for _, _, error in cuts]
        raise Problem(422, errors[0], errors=errors)
    found = await desk.batcher.judge(np.concatenate(good))
    entries: list[dict[str, Any]] = []
    at = 0
    for upload, (places, _, error) in zip(uploads, cuts, strict=True):
        if error is not None:
            entries.append({"image": upload.name, "error": error, "model": desk.card.name})
            continue
        part = slice(at, at + len(places))
        at = part.stop
        answers = picture_answers(
            upload.name, places, type(found)(found.probabilities[part], found.unfamiliar[part]), desk.card.legend.labels
        )
        entries += [{**answer, "model": desk.card.name} for answer in answers]
    return entries


Cut = tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8], str | None]


def _patches(upload: Upload, card: ModelCard) -> Cut:
    """Places and patches of a picture, or what is wrong with it."""
    try:
        return (*patches_of(upload.data, upload.name, card), None)
    except ModelError as error:
        size = card.input.size
        return np.empty((0, 2), np.int64), np.empty((0, size, size, 3), np.uint8), str(error)
