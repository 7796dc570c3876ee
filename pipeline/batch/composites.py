"""Periods -> composites: which are done already, and the work of one, from finished results of scenes alone."""

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime, time
from pathlib import Path
from time import monotonic
from typing import Any

import geopandas as gpd
import shapely
from shapely.geometry import shape

from pipeline import __version__
from pipeline.batch.composite_looks import Gathered, gather, looks_in
from pipeline.batch.composite_rasters import CompositeCover, clearest_pictures
from pipeline.batch.fingerprint import FINGERPRINT, finished
from pipeline.batch.products.landcover import names_file, tile_window, write_landcover, write_tile_raster
from pipeline.batch.products.protocol import SceneFile
from pipeline.batch.products.scene_item import write_item
from pipeline.batch.work import counted, explained, record_of
from pipeline.composite.pool import COVER_DEPENDENCE, TILE_DEPENDENCE
from pipeline.composite.tile_pool import Answer, TilePool
from pipeline.errors import BadPeriod, OutputError
from pipeline.files import write_text
from pipeline.legend import Legend
from pipeline.results.class_raster import raster_fields
from pipeline.results.folder import ResultsFolder
from pipeline.results.layout import ITEM, LANDCOVER, LOOKS, PERIOD, TABLE, SceneStatus
from pipeline.results.period import Period
from pipeline.results.record import SceneRecord
from pipeline.results.staging import staged_folder
from pipeline.results.table import read_legend, read_metadata, read_table, with_columns, write_table
from pipeline.scenes.scene import Level, Radiometry, Refusal, Scene
from pipeline.smoothing import smooth

_log = logging.getLogger(__name__)

LAYOUT = "composite"
# What the table's metadata say of the cover, by the name of its product.
_COVER_FACTS = "pixel_cover"


def make_composites(
    periods: Iterable[Period], records: Sequence[SceneRecord], results: ResultsFolder, force: bool = False
) -> list[SceneRecord]:
    """Makes the composites of periods from the finished results of scenes; a record each, and one of a period without.

    Whatever is wrong with one costs neither the others nor the scenes.

    Raises:
        OutputError: a composite cannot be written; an earlier one stays as it was.
    """
    made = []
    for period in periods:
        looks = looks_in(period, records)
        if not looks:
            reason = f"{period}: no mapped scene lies in it; look at the dates with: python -m pipeline scenes"
            made.append(_refused(period, Refusal(period.name, BadPeriod.__name__, reason)))
            continue
        try:
            places = gather(period, looks, results.path)
        except Exception as error:  # a period can never cost the scenes
            made.append(_refused(period, explained(period.name, error)))
            continue
        made += [_made(place, results, force) for place in places]
    return made


def _refused(period: Period, told: Refusal) -> SceneRecord:
    return replace(SceneRecord.refused(told), period=str(period))


def _made(gathered: Gathered, results: ResultsFolder, force: bool) -> SceneRecord:
    """One composite, made or found done."""
    started = monotonic()
    try:
        mark = gathered.fingerprint()
        with results.working(gathered.id, fresh=force) as here:
            final = here.scene(gathered.id)
            hashes = None if force or not final.exists() else finished(final, mark)
            status = SceneStatus.DONE if hashes is None else SceneStatus.CACHED
            if hashes is None:
                with staged_folder(final) as staging:
                    _write(gathered, staging, mark)
                hashes = finished(final, mark)
                if hashes is None:
                    raise OutputError(f"{final}: the outputs do not read back as written; check the disk")
            scene = _scene(gathered)
            record = replace(record_of(scene, gathered.ground.grid, final, hashes), status=status)
            if status is SceneStatus.DONE:
                results.deliver(here, gathered.id)
        results.fetch_scene(gathered.id, hashes)
    except OutputError:
        raise
    except Exception as error:  # one composite can never cost the run
        return _refused(gathered.period, explained(gathered.id, error))
    looks = tuple(look.id for look in gathered.looks)
    seconds = round(monotonic() - started, 2)
    return replace(record, period=str(gathered.period), looks=looks, seconds=seconds)


def _write(gathered: Gathered, folder: Path, mark: str) -> None:
    """All files of a composite."""
    first = gathered.looks[0].folder / TABLE
    told, legend = read_metadata(first), read_legend(first)
    answer = _pooled(gathered, legend)
    table = answer.table
    files: list[SceneFile] = []
    cover = CompositeCover(gathered, answer.spoken, folder)
    facts: dict[str, Any] = {}
    if cover.looks:
        more, files_of_cover = cover.write()
        table = with_columns(table, more)
        files += files_of_cover
        facts[_COVER_FACTS] = read_metadata(cover.looks[0].folder / TABLE).get(_COVER_FACTS, {})
        if len(cover.looks) < len(gathered.looks):
            _log.warning("%s: its cover is of %d of %d looks", gathered.id, len(cover.looks), len(gathered.looks))
    if told["options"].get("smooth"):
        table = smooth(table, legend)
    files += clearest_pictures(gathered, table, folder, told["sensor"])
    files += _tile_files(gathered, table, legend, folder)
    scene = _scene(gathered)
    write_table(table, folder / TABLE, _metadata(gathered, told, scene) | facts)
    files.append(SceneFile(TABLE, "application/vnd.apache.parquet", ("data",)))
    listed = {
        "period": str(gathered.period),
        "looks": {look.id: look.acquired.isoformat() for look in gathered.looks},
    }
    write_text(folder / PERIOD, json.dumps(listed, indent=1) + "\n")
    files.append(SceneFile(PERIOD, "application/json", ("metadata",)))
    write_item(scene, gathered.ground.grid, folder, files, _provenance(gathered, told, table, mark))


def _pooled(gathered: Gathered, legend: Legend) -> Answer:
    pool = TilePool(gathered.ground, legend)
    for looks in gathered.passes():
        pool.add([read_table(look.folder / TABLE) for look in looks])
    return pool.answer(gathered.id, gathered.period.middle)


def _tile_files(gathered: Gathered, table: gpd.GeoDataFrame, legend: Legend, folder: Path) -> list[SceneFile]:
    """The rasters on the tile grid: class and confidence as a scene has them; looks and disagreement."""
    import pystac
    from pystac.extensions.classification import ClassificationExtension
    from pystac.extensions.raster import RasterExtension

    grid = gathered.ground.grid
    write_landcover(table, grid, legend, folder / LANDCOVER)
    clear = table[table["looks"] > 0]
    bands = {
        "clear looks": clear["looks"].clip(upper=254),
        "disagreement in percent": (clear["disagreement"] * 100).round(),
    }
    write_tile_raster(clear, tile_window(table), grid, bands, folder / LOOKS)
    extensions = (ClassificationExtension.get_schema_uri(), RasterExtension.get_schema_uri())
    return [
        SceneFile(LANDCOVER, pystac.MediaType.COG, ("data",), raster_fields(legend, grid.edge), extensions),
        names_file(folder, LANDCOVER, dict(enumerate(legend.labels))),
        SceneFile(LOOKS, pystac.MediaType.COG, ("data",)),
    ]


def _scene(gathered: Gathered) -> Scene:
    """What records and Items tell of a composite, in the form of a scene; it has no pixels of its own."""
    items = [json.loads((look.folder / ITEM).read_text(encoding="utf-8")) for look in gathered.looks]
    levels = [str(item["properties"]["atlas:level"]) for item in items]
    # The commonest level; of two as common the one with more done to its pixels.
    level = max(sorted(set(levels), reverse=True), key=levels.count)
    warnings = () if len(set(levels)) == 1 else (f"its looks are of different levels: {', '.join(levels)}",)
    ground = gathered.ground
    (west, east), (south, north) = (
        (line.start * ground.grid.edge, line.stop * ground.grid.edge) for line in (ground.columns, ground.rows)
    )
    return Scene(
        id=gathered.id,
        acquired=gathered.period.middle,
        level=Level(level),
        epsg=ground.grid.epsg,
        bounds=(west, south, east, north),
        footprint=shapely.union_all([shape(item["geometry"]) for item in items]),
        assets={},
        layout=LAYOUT,
        radiometry=Radiometry(),
        warnings=warnings,
        sensor=str(items[0]["properties"]["atlas:sensor"]),
    )


def _metadata(gathered: Gathered, told: Mapping[str, Any], scene: Scene) -> dict[str, Any]:
    """What the table's metadata say: as of its first look, but for what is the composite's own."""
    shared = ("model", "legend", "grid", "sensor", "attribution", "options")
    return {name: told[name] for name in shared} | {
        "software": f"landcover-atlas {__version__}",
        "level": str(scene.level),
        "radiometry": asdict(scene.radiometry),
        "warnings": list(scene.warnings),
        "period": str(gathered.period),
        "looks": [look.id for look in gathered.looks],
        "dependence": {"tiles": TILE_DEPENDENCE, "cover": COVER_DEPENDENCE},
    }


def _provenance(gathered: Gathered, told: Mapping[str, Any], table: gpd.GeoDataFrame, mark: str) -> dict[str, Any]:
    """What the Item says besides: the span, the looks, the model."""
    start, end = (
        datetime.combine(day, edge, UTC)
        for day, edge in zip(
            (gathered.period.start, gathered.period.end), (time.min, time.max.replace(microsecond=0)), strict=True
        )
    )
    return {
        "start_datetime": f"{start:%Y-%m-%dT%H:%M:%SZ}",
        "end_datetime": f"{end:%Y-%m-%dT%H:%M:%SZ}",
        "processing:lineage": f"{len(gathered.looks)} looks of {gathered.period} pooled, each classified by "
        f"{told['model']['name']}",
        FINGERPRINT: mark,
        "atlas:looks": [look.id for look in gathered.looks],
        "atlas:model": told["model"]["name"],
        "atlas:model_card_sha256": told["model"]["card_sha256"],
        "atlas:sources": [],
        **counted(table),
    }
