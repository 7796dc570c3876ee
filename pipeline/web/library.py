"""What lies in the results folders: atlases, scenes, tables, legends. Only this module knows their layout."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import geopandas as gpd

from pipeline.errors import OutputError, TileTableError
from pipeline.results.layout import (
    ASSESSMENT,
    COVER,
    COVER_NAMES,
    ITEM,
    LANDCOVER,
    LANDCOVER_NAMES,
    PAGE,
    QUICKLOOK,
    RUN_REPORT,
    TABLE,
    TRUE_COLOUR,
    model_folders,
    scene_folder,
    scene_folders,
)
from pipeline.results.record import read_records
from pipeline.results.table import read_table
from pipeline.web.problems import Problem

RASTERS: Final = {
    "landcover": LANDCOVER,
    "confidence": LANDCOVER,
    "cover": COVER,
    "truecolour": TRUE_COLOUR,
}
FILES: Final = (TABLE, LANDCOVER, LANDCOVER_NAMES, COVER, COVER_NAMES, TRUE_COLOUR, QUICKLOOK, ITEM)


@dataclass(frozen=True, slots=True)
class Place:
    """A folder of one model's results, as the library is told of it."""

    id: str
    """Its name in addresses."""
    title: str
    """What people read."""
    folder: Path
    """Where the results lie."""
    page: Path | None
    """The atlas made of them, where there is one."""
    job: str | None = None
    """The job that made it; None for the folder of the command line."""


@dataclass(frozen=True, slots=True)
class ShownScene:
    """A mapped scene."""

    id: str
    """The scene."""
    atlas: str
    """Id of the atlas that it belongs to."""
    folder: Path
    """Where its files lie."""

    def file(self, name: str) -> Path | None:
        """One of its files, where it is there."""
        path = self.folder / name
        return path if name in FILES and path.is_file() else None


@dataclass(frozen=True, slots=True)
class Atlas:
    """One model's results: what the page of one run shows."""

    id: str
    """Its name in addresses."""
    title: str
    """What people read."""
    folder: Path
    """Where the results lie."""
    page: Path | None
    """The page, where there is one."""
    scenes: tuple[ShownScene, ...]
    """Those that are mapped."""
    job: str | None = None
    """The job that made it; None for the folder of the command line."""


class Library:
    """Reads `tiles` and `maps` anew at every question, so that it shows what a run has just finished."""

    def __init__(self, tiles: Path, maps: Path, jobs: Callable[[], Sequence[Place]] = tuple) -> None:
        self._tiles, self._maps, self._jobs = tiles, maps, jobs

    def atlases(self) -> list[Atlas]:
        """All atlases with at least one mapped scene, those of jobs last."""
        found = model_folders(self._tiles)
        page = self._maps / PAGE
        newest = max(found, key=lambda folder: (folder / RUN_REPORT).stat().st_mtime_ns, default=None)
        places = [
            Place(folder.name, folder.name, folder, page if folder == newest and page.is_file() else None)
            for folder in found
        ]
        return [
            Atlas(place.id, place.title, place.folder, place.page, scenes, place.job)
            for place in (*places, *self._jobs())
            if (scenes := _scenes(place))
        ]

    def atlas(self, name: str) -> Atlas:
        """An atlas by id.

        Raises:
            Problem: there is none (404).
        """
        for atlas in self.atlases():
            if atlas.id == name:
                return atlas
        raise Problem(404, "no atlas of this name; GET /atlases lists them")

    def scenes(self, atlas: str | None = None) -> list[ShownScene]:
        """The scenes of one atlas, or of all."""
        chosen = self.atlases() if atlas is None else [self.atlas(atlas)]
        return [scene for entry in chosen for scene in entry.scenes]

    def scene(self, name: str, atlas: str | None = None) -> ShownScene:
        """A scene by id, of the first atlas that holds it where none is named.

        Raises:
            Problem: there is none (404).
        """
        for scene in self.scenes(atlas):
            if scene.id == name:
                return scene
        raise Problem(404, "no scene of this name; GET /scenes lists them")


def _scenes(place: Place) -> tuple[ShownScene, ...]:
    """The scenes and periods that the run's report calls mapped, that speak, and whose files are there."""
    found = []
    try:
        speaking = {folder.name for folder in scene_folders(place.folder)}
        for record in read_records(place.folder):
            if record.mapped and record.id in speaking:
                folder = scene_folder(place.folder, record.id)
                if all((folder / part).is_file() for part in (TABLE, ITEM)):
                    found.append(ShownScene(record.id, place.id, folder))
    except (TileTableError, OutputError):
        return ()  # not a finished run
    return tuple(found)


def item(scene: ShownScene) -> dict[str, Any]:
    """A scene's STAC Item as it is stored.

    Raises:
        TileTableError: it is damaged.
    """
    path = scene.folder / ITEM
    return dict(_item(path, *_state(path)))


def table(scene: ShownScene) -> gpd.GeoDataFrame:
    """A scene's tiles; shared between requests, so nobody changes it.

    Raises:
        TileTableError: it is damaged.
    """
    path = scene.folder / TABLE
    return _table(path, *_state(path))


def assessment(atlas: Atlas) -> dict[str, Any] | None:
    """What `assess` found on a labelled sample of the atlas, where there is one."""
    try:
        found: dict[str, Any] = json.loads((atlas.folder / ASSESSMENT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found


def classes(stored: dict[str, Any], asset: str = "landcover") -> list[dict[str, Any]]:
    """The legend of an Item's asset: code, label, title and colour of every class."""
    told = stored.get("assets", {}).get(asset, {}).get("classification:classes", [])
    return [
        {
            "code": int(entry["value"]),
            "label": str(entry.get("name", entry["value"])),
            "title": str(entry.get("description") or entry.get("name", entry["value"])),
            "colour": f"#{str(entry.get('color_hint', '888888')).lower()}",
        }
        for entry in told
    ]


def _state(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise TileTableError(f"{path.parent.name}: is gone ({error.strerror}); run the pipeline on it again") from error
    return status.st_mtime_ns, status.st_size


@lru_cache(maxsize=1024)
def _item(path: Path, modified: int, size: int) -> dict[str, Any]:  # noqa: ARG001 - part of the cache's key
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TileTableError(f"{path}: not a STAC Item ({error}); run the pipeline on its scene again") from error
    return found


@lru_cache(maxsize=8)
def _table(path: Path, modified: int, size: int) -> gpd.GeoDataFrame:  # noqa: ARG001 - part of the cache's key
    return read_table(path)
