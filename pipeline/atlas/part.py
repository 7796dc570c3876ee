"""What the page is made of: parts that register themselves by being there.

A part is a file in `parts/` whose `contribute(world)` adds to what the page knows, a script in `static/parts/` that
calls `Atlas.part(order, make)`, or both. Adding one touches no other file.
"""

import base64
import json
import re
import zlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib import import_module, resources
from pkgutil import iter_modules
from typing import Any

from pipeline.atlas.collect import AtlasInput
from pipeline.atlas.payload import Payload
from pipeline.legend import Legend


@dataclass(frozen=True, slots=True)
class AtlasOptions:
    """What the page holds besides the tiles; budgets in bytes."""

    title: str | None = None
    """Its heading; None names the place."""
    chips: str = "auto"
    """Tile pictures: none, changed, all, or auto."""
    chip_budget: int = 8_000_000
    """Of tile pictures."""
    quicklook_budget: int = 3_000_000
    """Of quicklooks."""
    share_budget: int = 150_000
    """Of all classes' probabilities."""
    cover_budget: int = 3_000_000
    """Of the cover."""
    heat_budget: int = 500_000
    """Of what the pixels of changes say."""
    online_basemaps: bool = True
    """Whether maps from the network are offered."""
    mode: str = "map"
    """What it opens on: map, swipe or change."""


@dataclass(frozen=True, slots=True)
class World:
    """What a part may look at."""

    collected: AtlasInput
    """The tables as they were read."""
    legend: Legend
    """The classes."""
    payload: Payload
    """The same tiles as bytes on planes, one layer a plane and date."""
    options: AtlasOptions
    """What the page was asked to hold."""


@dataclass(frozen=True, slots=True)
class Contribution:
    """What a part adds."""

    meta: Mapping[str, Any] = field(default_factory=dict)
    """Keys of the record that the scripts are started with."""
    texts: Mapping[str, str] = field(default_factory=dict)
    """Texts by element id, read when a script first asks for them."""


def contributions(world: World) -> Contribution:
    """All parts' contributions as one, whatever the order in which they were ready.

    Raises:
        TileTableError: a file that a part reads is damaged.
    """
    package = import_module("pipeline.atlas.parts")
    names = sorted(module.name for module in iter_modules(package.__path__))
    # Parts spend their time in decoders and encoders, which work side by side.
    with ThreadPoolExecutor(2, thread_name_prefix="parts") as pool:
        made = [pool.submit(import_module(f"{package.__name__}.{name}").contribute, world) for name in names]
    meta: dict[str, Any] = {}
    texts: dict[str, str] = {}
    for one in made:
        found: Contribution = one.result()
        meta.update(found.meta)
        texts.update(found.texts)
    return Contribution(json.loads(json.dumps(meta, default=str)), texts)


def packed(content: bytes) -> str:
    """Bytes as base64 of zlib, as the scripts inflate them."""
    return base64.b64encode(zlib.compress(content, 9)).decode("ascii")


def static(name: str) -> str:
    """A file of the page's own, as text."""
    return resources.files("pipeline.atlas").joinpath("static", name).read_text(encoding="utf-8")


def slim(text: str) -> str:
    """A script or style without what no browser reads: comments in blocks and lines, indentation, empty lines."""
    return re.sub(r"\n\s+", "\n", re.sub(r"/\*[\s\S]*?\*/|^\s*//.*$", "", text, flags=re.MULTILINE))


def part_files(suffix: str) -> list[str]:
    """Names of the parts' scripts (".js") or styles (".css")."""
    folder = resources.files("pipeline.atlas").joinpath("static", "parts")
    return sorted(f"parts/{entry.name}" for entry in folder.iterdir() if entry.name.endswith(suffix))
