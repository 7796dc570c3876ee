"""Results in another legend: a folder that lasts as long as it is needed, and that every reader of results takes."""

import json
import logging
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import rasterio
from rasterio.errors import RasterioError
from rasterio.windows import Window

from pipeline.change.dates import compare_dates, kept_evidence, level_of, options_of, write_comparison
from pipeline.crosswalk.correspondence import Crosswalk
from pipeline.crosswalk.translation import Translation, refuse_strange, translated_table, translation
from pipeline.errors import CrosswalkError, TileTableError
from pipeline.files import write_text
from pipeline.legend import COVER_STATE_LABELS, Legend
from pipeline.results.class_raster import BLOCK, pixel_names, read_class_legend, write_colours
from pipeline.results.layout import (
    ASSESSMENT,
    CHANGES,
    COVER,
    COVER_LOOKS,
    EVIDENCE,
    ITEM,
    LOOKS,
    OVERVIEW,
    PERIOD,
    QUICKLOOK,
    RUN_REPORT,
    TABLE,
    TRUE_COLOUR,
    in_legend,
    scene_folders,
)
from pipeline.results.table import CROSSWALK, LEGEND, read_legend, read_metadata, read_table, write_table

log = logging.getLogger(__name__)

_CLASSES = "classification:classes"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of the results is asked for; what is not is not worth its time."""

    tiles: bool = True
    """Whether the tiles' classes must be in the table of correspondences."""
    cover: bool = False
    """Whether the cover's classes must be."""
    rasters: bool = False
    """Whether `cover.tif` is looked at."""
    changes: bool = False
    """Whether the table of changes is looked at."""


@contextmanager
def in_other_legend(
    folder: Path, crosswalk: Crosswalk, wanted: Wanted = Wanted(), scenes: Sequence[Path] | None = None
) -> Iterator[Path]:
    """A model's folder of results with other classes, in a temporary place; `folder` stays as it is.

    Probabilities and shares are summed over merged classes, labels are the most likely merged class, and changes are
    weighed anew from them. A pixel of the cover has no probabilities to sum: it becomes what its class becomes, at
    least as sure as it was. What `assess --legend` found comes along. `scenes` are those that speak, or the given ones.

    Raises:
        CrosswalkError: the table of correspondences has holes, or knows nothing of what is asked for.
        TileTableError: a table or raster is damaged.
    """
    scenes = scene_folders(folder) if scenes is None else scenes
    if not scenes:
        raise TileTableError(f"{folder}: holds no finished scene; run the pipeline on a folder of scenes first")
    own = read_legend(scenes[0] / TABLE)
    covers = {scene: read_class_legend(scene / COVER) if (scene / COVER).is_file() else None for scene in scenes}
    refuse_strange(crosswalk, [own, *(legend for legend in covers.values() if legend is not None)])
    tiles = translation(crosswalk, own)
    if tiles is None and wanted.tiles:
        raise CrosswalkError(
            f"legend {crosswalk.name}: has no row for any class of {own.name} ({', '.join(own.labels)}); write a CSV "
            f"that has one for each, see docs/legends.md"
        )
    with tempfile.TemporaryDirectory(prefix="landcover-legend-") as place:
        view = Path(place) / folder.name
        for scene in scenes:
            named = covers[scene]
            cover = None if named is None else translation(crosswalk, named)
            if named is not None and cover is None:
                _without_cover(crosswalk, scene, wanted)
            _write_scene(scene, view / scene.name, crosswalk, (tiles, cover), wanted)
        _link(folder / RUN_REPORT, view / RUN_REPORT)
        _link(folder / EVIDENCE, view / EVIDENCE)
        _link(in_legend(folder / ASSESSMENT, crosswalk.name), view / ASSESSMENT)
        if wanted.changes and tiles is not None and (folder / CHANGES).is_file():
            _write_changes(folder, view, tiles.target)
        yield view


def _without_cover(crosswalk: Crosswalk, scene: Path, wanted: Wanted) -> None:
    if wanted.cover:
        raise CrosswalkError(
            f"legend {crosswalk.name}: has no row for any class of the cover; write a CSV that has one for each, see "
            f"docs/legends.md"
        )
    log.warning("%s: legend %s knows nothing of the cover, so it is left out", scene.name, crosswalk.name)


def _write_scene(
    scene: Path, place: Path, crosswalk: Crosswalk, into: tuple[Translation | None, Translation | None], wanted: Wanted
) -> None:
    """One scene's table, pictures, Item and cover in other classes."""
    tiles, cover = into
    place.mkdir(parents=True)
    metadata = read_metadata(scene / TABLE)
    if tiles is not None:
        metadata[LEGEND] = asdict(tiles.target)
    metadata[CROSSWALK] = _told(crosswalk, into)
    write_table(translated_table(read_table(scene / TABLE), tiles, cover), place / TABLE, metadata)
    for name in (OVERVIEW, QUICKLOOK, TRUE_COLOUR, PERIOD, LOOKS, COVER_LOOKS):
        _link(scene / name, place / name)
    if (scene / ITEM).is_file():
        write_text(place / ITEM, json.dumps(_translated_item(_item(scene / ITEM), cover)))
    if cover is not None and wanted.rasters:
        _translate_raster(scene / COVER, place / COVER, cover)


def _told(crosswalk: Crosswalk, into: tuple[Translation | None, Translation | None]) -> dict[str, Any]:
    """What a reader of the view must know of its classes."""
    known = [each for each in into if each is not None]
    labels = [label for each in known for label in each.source.labels]
    return {
        "name": crosswalk.name,
        "title": crosswalk.title,
        "source": crosswalk.source,
        "classes_of": [each.source.name for each in known],
        "notes": list(crosswalk.notes(labels)),
    }


def _item(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TileTableError(f"{path}: not a STAC Item ({error}); run the pipeline on its scene again") from error
    return found


def _translated_item(item: dict[str, Any], cover: Translation | None) -> dict[str, Any]:
    """The Item with the cover's classes translated; without that asset where they are not."""
    assets: dict[str, Any] = item.get("assets", {})
    key = Path(COVER).stem
    if cover is None:
        return item | {"assets": {name: asset for name, asset in assets.items() if name != key}}
    if key not in assets:
        return item
    states = [one for one in assets[key].get(_CLASSES, []) if int(one["value"]) in COVER_STATE_LABELS]
    classes = [
        {"value": code, "name": entry.label, "description": entry.title, "color_hint": entry.colour[1:].upper()}
        for code, entry in enumerate(cover.target.classes)
    ]
    return item | {"assets": assets | {key: assets[key] | {_CLASSES: [*classes, *states]}}}


def _translate_raster(source: Path, target: Path, cover: Translation) -> None:
    """A raster of classes with other codes, its second band as it is; a few rows of blocks at a time."""
    codes = cover.codes()
    try:
        with rasterio.open(source) as raster:
            profile = raster.profile | {
                "driver": "GTiff",
                "tiled": True,
                "blockxsize": BLOCK,
                "blockysize": BLOCK,
                "interleave": "band",
                "compress": "deflate",
                "zlevel": 1,
                "photometric": "minisblack",
                "num_threads": 2,
            }
            with rasterio.open(target, "w", **profile) as written:
                write_colours(written, cover.target, pixel_names(cover.target))
                for top in range(0, raster.height, BLOCK):
                    window = Window(0, top, raster.width, min(BLOCK, raster.height - top))
                    planes = raster.read(window=window)
                    planes[0] = np.take(codes, planes[0])
                    written.write(planes, window=window)
    except RasterioError as error:
        raise TileTableError(f"{source}: cannot be read ({error}); run the pipeline on its scene again") from error


def _write_changes(folder: Path, view: Path, legend: Legend) -> None:
    """The changes between the same scenes, weighed by the other classes."""
    stored = pq.read_table(folder / CHANGES, columns=["before", "after"]).to_pandas()
    names = {str(name) for column in ("before", "after") for name in stored[column].unique()}
    scenes = [view / name for name in sorted(names) if (view / name / TABLE).is_file()]
    if len(scenes) < 2:
        return
    levels = {scene.name: level_of(scene) for scene in scenes}
    options = options_of(folder)
    tables = [read_table(scene / TABLE) for scene in scenes]
    if found := compare_dates(tables, levels, kept_evidence([folder]), legend, options):
        write_comparison(found, view, names, options)


def _link(source: Path, target: Path) -> None:
    if source.exists():
        target.symlink_to(source.resolve(), target_is_directory=source.is_dir())
