"""Models that stay loaded from scene to scene, and memory that goes back when they are done."""

import ctypes
from contextlib import suppress
from functools import lru_cache

from pipeline.batch.task import ModelChoice
from pipeline.models import store
from pipeline.models.card import ModelCard
from pipeline.models.classifier import PixelClassifier, TileClassifier
from pipeline.models.pixels import load_pixels

# What glibc's malloc.h calls M_MMAP_THRESHOLD.
_MMAP_THRESHOLD = -3


def classifier(choice: ModelChoice) -> TileClassifier:
    """The loaded model; a worker process loads each once."""
    return _loaded(choice)


@lru_cache(maxsize=2)
def _loaded(choice: ModelChoice) -> TileClassifier:
    return store.load(choice.name, engine=choice.engine, threads=choice.threads, folder=choice.folder)


def pixel_classifier(choice: ModelChoice) -> PixelClassifier:
    """The loaded network that answers per pixel; a worker process loads each once."""
    return _loaded_pixels(choice)


@lru_cache(maxsize=2)
def _loaded_pixels(choice: ModelChoice) -> PixelClassifier:
    return load_pixels(choice.name, engine=choice.engine, threads=choice.threads, folder=choice.folder)


def let_models_go() -> None:
    """Frees the memory of loaded models, which the work after the scenes can use better."""
    _loaded.cache_clear()
    _loaded_pixels.cache_clear()
    give_memory_back()


def give_memory_back() -> None:
    """Returns freed memory to the system: glibc keeps what the reading threads freed, scene after scene.

    Elsewhere nothing happens.
    """
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def keep_no_freed_arrays() -> None:
    """Makes every array of a megabyte and more go back to the system as soon as it is freed.

    glibc learns from the first large array that is freed to keep the following ones: strips of a granule then left it
    hundreds of megabytes in pieces. Elsewhere nothing happens.
    """
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, 1 << 20)


def verified_card(choice: ModelChoice) -> ModelCard:
    """The card of a model whose files are what it says.

    Raises:
        ModelError: they are not, or there is no such model.
    """
    return store.card(choice.name, choice.folder, verified=True)
