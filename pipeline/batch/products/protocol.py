"""What a product of a scene is: told the scene, shown every block once, told the tiles, and then it writes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import geopandas as gpd
import pandas as pd

from pipeline.batch.task import SceneTask
from pipeline.classify import ClassifiedBlock
from pipeline.grid import TileGrid
from pipeline.models.card import ModelCard
from pipeline.scenes.scene import Scene


@dataclass(frozen=True, slots=True)
class SceneJob:
    """One scene under way, as every product sees it."""

    task: SceneTask
    """What was asked for."""
    scene: Scene
    """The scene, its passport completed by a look at its pixels."""
    card: ModelCard
    """The model's card."""
    grid: TileGrid
    """The grid of the scene's tiles."""
    wanted: tuple[str, ...]
    """The bands, in order, whose stored numbers the products see in `ClassifiedBlock.stored`."""
    folder: Path
    """Where outputs are written; they get their final place together."""


@dataclass(frozen=True, slots=True)
class SceneFile:
    """An output that the scene's Item lists."""

    name: str
    """Its name in the scene's folder."""
    media_type: str
    """What it is, as MIME says it."""
    roles: tuple[str, ...]
    """What it is for: data, overview, visual."""
    fields: Mapping[str, Any] = field(default_factory=dict)
    """More fields of the asset."""
    extensions: tuple[str, ...] = ()
    """Addresses of the STAC extensions that these fields belong to."""
    asset: str = ""
    """Its name in the Item; without one its name up to the first dot."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What is known when all blocks of a scene are through."""

    table: gpd.GeoDataFrame
    """Its tile table, with the columns of all products."""
    facts: Mapping[str, Mapping[str, Any]]
    """What the products say of themselves, by their names."""


class Product(Protocol):
    """One output of a scene. The defaults do nothing; a product says what it does.

    The calls come in this order: `begin`, `add` for every block from north to south, `columns`, `finish`; and `close`
    at the end, whatever happened. `add` runs on a thread of its own, beside the classifier, one block at a time.
    """

    bands: tuple[str, ...] = ()
    """Bands whose stored numbers it needs; the scene must have them, which `planned` has to look at."""

    @property
    def identity(self) -> Any:  # noqa: ANN401 - anything that JSON holds
        """What decides it besides the scene, the model and the options: another identity makes results anew."""
        return None

    def begin(self, job: SceneJob) -> None:  # noqa: ARG002 - nothing to begin
        """Work on a scene begins; nothing of it has been read yet."""
        return

    def add(self, seen: ClassifiedBlock) -> None:  # noqa: ARG002 - nothing to see
        """A block, once it is classified."""
        return

    def columns(self) -> pd.DataFrame | None:
        """What it adds to the tile table: columns by tile_id, NaN where a tile is missing."""
        return None

    def facts(self) -> Mapping[str, Any]:
        """What the tile table's metadata say of it."""
        return {}

    def finish(self, outcome: Outcome) -> tuple[SceneFile, ...]:  # noqa: ARG002 - this one writes nothing
        """Writes its files; returns what the Item lists."""
        return ()

    def close(self) -> None:
        """Lets go of what `begin` opened."""
        return
