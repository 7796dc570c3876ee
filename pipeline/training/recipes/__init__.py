"""Recipes of the systems that this product follows, one file each, found by name: what `train --recipe NAME` sets."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from pipeline.errors import ModelError


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a network was trained, as options of `train`; what the user gives goes before."""

    summary: str
    """The two rounds in a sentence."""
    options: Mapping[str, Any]
    """Values by the names of `train`'s parameters."""


def names() -> tuple[str, ...]:
    """The recipes, sorted."""
    return tuple(sorted(entry.name.replace("_", "-") for entry in iter_modules(__path__)))


def find(name: str) -> Recipe:
    """The recipe of a name.

    Raises:
        ModelError: there is none.
    """
    if name not in names():
        raise ModelError(f"{name}: no such recipe; choose one of {', '.join(names())}")
    recipe: Recipe = import_module(f"{__name__}.{name.replace('-', '_')}").RECIPE
    return recipe
