"""Where results lie: every file name, folder rule and state, once.

tiles/<model>/            the results of one model
run.json              what became of every scene
changes.parquet       one row a tile and pair of dates
heat.parquet          where in the claimed and undecided tiles of these the land looks changed
assessment.json       what a labelled sample says of the map; cover-assessment.json of the cover; with -<legend> in
                      other people's classes
<scene>/              a mapped scene: table, rasters, pictures, its STAC Item
<period>/             a composite of the scenes of a period, in the form of a scene; period.json lists its looks
maps/atlas.html           the page
"""

import json
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any

from pipeline.errors import OutputError
from pipeline.files import PART

# In a scene's folder.
TABLE = "tiles.parquet"
LANDCOVER = "landcover.tif"
COVER = "cover.tif"
# The names of a raster's values, where GDAL and QGIS look for them: GeoTIFF itself has no place for such.
LANDCOVER_NAMES = "landcover.tif.aux.xml"
COVER_NAMES = "cover.tif.aux.xml"
ITEM = "scene.json"
QUICKLOOK = "quicklook.webp"
OVERVIEW = "overview.webp"
TRUE_COLOUR = "truecolour.tif"
CHIPS = "chips"
# In a period's folder besides: which scenes it stands for, and how many looks each tile and each pixel has.
PERIOD = "period.json"
LOOKS = "looks.tif"
COVER_LOOKS = "cover-looks.tif"

# In a model's folder.
RUN_REPORT = "run.json"
CHANGES = "changes.parquet"
HEAT = "heat.parquet"
ASSESSMENT = "assessment.json"
COVER_ASSESSMENT = "cover-assessment.json"
# Hidden folders: digests that need not be computed again while a file's size and time stay, and what was measured
# between two scenes, so that a new date costs only its own comparison.
DIGESTS = ".digests"
EVIDENCE = ".evidence"
# A folder that is being replaced, until the new one is there; and what keeps a second run away.
OLD = ".old-"
LOCK = ".lock"

# In the folder of maps, and in that of a comparison.
PAGE = "atlas.html"
INDEX_PAGE = "index.html"
MATRIX = "from-to.csv"
COVER_MATRIX = "cover-from-to.csv"

# In the folder of a comparison with a reference raster.
AGREEMENT = "agreement.json"
AGREEMENT_MATRIX = "agreement-matrix.csv"
AGREEMENT_REGIONS = "agreement-regions.csv"
AGREEMENT_TILES = "agreement.gpkg"
AGREEMENT_MAP = "agreement.tif"

# No scene's id holds it, so that the names of pairs come apart again.
_PAIR = "+"


class SceneStatus(StrEnum):
    """What became of a scene in a run: mapped now, mapped by an earlier run, or not mapped."""

    DONE = "done"
    CACHED = "cached"
    REFUSED = "refused"


class ChangeState(StrEnum):
    """What is claimed of a tile between two dates, in the order of the page's codes."""

    STABLE = "stable"
    UNDECIDED = "undecided"
    CHANGED = "changed"


def scene_folder(model_folder: Path, scene: str) -> Path:
    """The folder of one scene's results.

    Raises:
        OutputError: the id is no plain name, so its results could lie anywhere.
    """
    if not scene or scene.startswith(".") or Path(scene).name != scene or not set("\\/" + _PAIR).isdisjoint(scene):
        raise OutputError(f"{scene!r}: no name for a folder of results; rename the scene's file or Item")
    return model_folder / scene


def scene_folders(model_folder: Path) -> list[Path]:
    """The finished scenes that speak in a model's folder, in order of name; hidden ones are being written.

    A period that the last run made speaks in place of the scenes that are its looks, so that no place counts twice.
    Their own folders stay; a period that the last run was not asked for says nothing.
    """
    finished = sorted(path.parent for path in model_folder.glob(f"*/{TABLE}") if not path.parent.name.startswith("."))
    periods = {folder.name: looks for folder in finished if (looks := looks_of(folder)) is not None}
    if not periods:
        return finished
    listed = _listed(model_folder)
    speaking = {name for name in periods if listed is None or name in listed}
    silent = {look for name in speaking for look in periods[name]} | (periods.keys() - speaking)
    return [folder for folder in finished if folder.name not in silent]


def looks_of(folder: Path) -> tuple[str, ...] | None:
    """The scenes that a period's folder stands for, in order of time; None where it is a scene's own."""
    told = _read_json(folder / PERIOD)
    return None if told is None else tuple(str(look) for look in told.get("looks", ()))


def _listed(model_folder: Path) -> set[str] | None:
    """What the last run lists; None where no report tells it."""
    told = _read_json(model_folder / RUN_REPORT)
    return None if told is None else {str(entry.get("id")) for entry in told.get("scenes", ())}


def _read_json(path: Path) -> Mapping[str, Any] | None:
    """A JSON object; None where there is none that can be read, of which whoever needs all of it tells."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def model_folders(tiles: Path) -> list[Path]:
    """`tiles` itself where it holds the results of one model, else its sub-folders that do, in order of name."""
    if (tiles / RUN_REPORT).is_file():
        return [tiles]
    return sorted(path.parent for path in tiles.glob(f"*/{RUN_REPORT}") if not path.parent.name.startswith("."))


def digests_file(model_folder: Path, scene: str) -> Path:
    """Where the digests of a scene's input files are remembered."""
    return model_folder / DIGESTS / f"{scene}.json"


def in_legend(path: Path, legend: str) -> Path:
    """Where the same lies of results seen in another legend: `assessment-ipcc.json` beside `assessment.json`."""
    return path.with_name(f"{path.stem}-{legend}{path.suffix}")


def evidence_file(model_folder: Path, before: str, after: str, key: str) -> Path:
    """Where what was measured between two scenes is kept; `key` tells from which bytes."""
    return model_folder / EVIDENCE / f"{before}{_PAIR}{after}.{key}.parquet"


def evidence_files(model_folder: Path) -> dict[Path, tuple[str, str]]:
    """What was measured between pairs of scenes: the files with the ids of both."""
    return {
        path: (pair[0], pair[1])
        for path in sorted((model_folder / EVIDENCE).glob("*.parquet"))
        if not path.name.startswith(PART) and len(pair := path.name.rsplit(".", 2)[0].split(_PAIR)) == 2
    }
