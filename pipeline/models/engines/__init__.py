"""One inference engine a file. An engine is called `<file>` or `<file>-<precision>`, and is found by that name."""

import pkgutil
import sys
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast

import numpy as np
import numpy.typing as npt

from pipeline.errors import ModelError
from pipeline.models.card import ModelCard

# OpenVINO reports each import and conversion to its maker over the network, unless this package of its is absent.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

Patches = npt.NDArray[np.uint8] | npt.NDArray[np.float32]


class Outputs(NamedTuple):
    """What a network says of n patches."""

    probabilities: npt.NDArray[np.float32]
    """(n, classes), rows sum to 1."""
    features: npt.NDArray[np.float32]
    """(n, f): pooled features, which tell the unfamiliar; f is 0 where a network gives none."""


class Runner(Protocol):
    """A loaded network. Several threads may ask it at once, and a patch gets the same answer in any company."""

    def __call__(self, patches: Patches) -> Outputs:
        """Answers for patches (n, size, size, bands) of the card's input."""
        ...


class Engine(Protocol):
    """What a file of this folder offers. It imports the package that it stands on inside its functions only."""

    PRECISIONS: tuple[str, ...]
    """The kinds of arithmetic it has, each part of an engine's name; empty where it has one."""

    def available(self, precision: str) -> bool:
        """Whether its package is installed and this machine computes well in `precision`."""
        ...

    def load(
        self, path: Path, card: ModelCard, precision: str, threads: int | None, batch: int | None = None
    ) -> Runner:
        """The network in a file whose digest was checked; `threads` limits the cores used.

        `batch` is how many patches go through it at once; None is the engine's choice, which suits many patches.

        Raises:
            ModelError: the file does not load, or is another network than the card says.
        """
        ...


def names() -> tuple[str, ...]:
    """Every engine with every precision, sorted."""
    known = sorted(entry.name for entry in pkgutil.iter_modules(__path__))
    return tuple(name for file in known for name in _names_of(file))


def find(name: str) -> tuple[Engine, str]:
    """The engine of this name and the precision that the name asks for.

    Raises:
        ModelError: there is no such engine.
    """
    if name not in names():
        raise ModelError(f"{name}: no such engine; choose auto or one of {', '.join(names())}")
    file, _, precision = name.partition("-")
    return _module(file), precision


def available(name: str) -> bool:
    """Whether an engine runs well on this machine.

    Raises:
        ModelError: there is no such engine.
    """
    engine, precision = find(name)
    return engine.available(precision)


def _names_of(file: str) -> list[str]:
    return [f"{file}-{precision}" for precision in _module(file).PRECISIONS] or [file]


def _module(file: str) -> Engine:
    module: Any = import_module(f"{__name__}.{file}")
    return cast(Engine, module)


def padded(piece: npt.NDArray[Any], count: int) -> npt.NDArray[Any]:
    """At most `count` patches, made `count` by repeating the last: batches of one size give the same answers."""
    if len(piece) == count:
        return np.ascontiguousarray(piece)
    return np.concatenate([piece, np.repeat(piece[-1:], count - len(piece), axis=0)])
