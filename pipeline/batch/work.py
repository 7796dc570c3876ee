"""The work of one scene: decide whether it is done already, classify it, write its files."""

import ctypes
import hashlib
import json
import logging
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import geopandas as gpd

from pipeline import __version__
from pipeline.batch import outputs
from pipeline.batch.files import known_digests, staged_folder
from pipeline.batch.remote import RemoteFolder
from pipeline.classify import ClassifiedBlock, ClassifyOptions, classify_scene
from pipeline.errors import CorruptScene, OutputError, PipelineError
from pipeline.files import digest
from pipeline.grid import TileGrid
from pipeline.legend import STATE_LABELS
from pipeline.models import store
from pipeline.models.card import ModelCard
from pipeline.models.classifier import Classifier
from pipeline.scenes.inspect import check_files, inspect_pixels
from pipeline.scenes.remote import RemoteError, base_name, is_remote, probe
from pipeline.scenes.scene import Refusal, Scene
from pipeline.smoothing import smooth
from pipeline.tiles import write_table
from pipeline.tiling import grid_for, refuse_unfit

# Part of every fingerprint: raise it when the meaning of an output changes, so that older results are made anew.
SCHEMA = 1
# Hidden folder of digests that need not be computed again while a file's size and time stay.
DIGESTS = ".digests"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """Which trained model runs, where it is stored, on which engine, with how many threads (None: all cores)."""

    name: str = "eurosat-resnet50"
    folder: Path = store.FOLDER
    engine: str = "auto"
    threads: int | None = None

    @property
    def card_path(self) -> Path:
        """The model's `card.json`."""
        return store.locate(self.name, self.folder) / "card.json"


@dataclass(frozen=True, slots=True)
class SceneTask:
    """Everything a worker needs for one scene; small, so that it travels to processes and clusters.

    Results go into `folder`, or to the address `remote`, where it is given; `folder` is then the client's copy, which
    workers leave alone.
    """

    scene: Scene = field(repr=False)  # Dask logs tasks that fail, and a scene's addresses may be signed
    model: ModelChoice
    folder: Path
    classify: ClassifyOptions = field(default_factory=ClassifyOptions)
    keep_chips: bool = False
    smooth: bool = False
    force: bool = False
    remote: str | None = None


@dataclass(frozen=True, slots=True)
class SceneRecord:
    """One scene's line in `run.json`. `counts` are tiles by label, `hashes` SHA-256 of the outputs."""

    id: str
    status: str
    error: str | None = None
    reason: str | None = None
    acquired: str | None = None
    level: str | None = None
    layout: str | None = None
    counts: Mapping[str, int] = field(default_factory=dict)
    hashes: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()
    radiometry: Mapping[str, Any] = field(default_factory=dict)


def classifier(choice: ModelChoice) -> Classifier:
    """The loaded model; a worker process loads each once."""
    return _loaded(choice)


def let_models_go() -> None:
    """Frees the memory of loaded models, which the work after the scenes can use better."""
    _loaded.cache_clear()
    give_memory_back()


@lru_cache(maxsize=2)
def _loaded(choice: ModelChoice) -> Classifier:
    return store.load(choice.name, engine=choice.engine, threads=choice.threads, folder=choice.folder)


def verified_card(choice: ModelChoice) -> ModelCard:
    """The card of a model whose files are what it says.

    Raises:
        ModelError: they are not, or there is no such model.
    """
    card = ModelCard.read(choice.card_path)
    card.verify(choice.card_path.parent)
    return card


def fingerprint(task: SceneTask, card: ModelCard, grid: TileGrid) -> str:
    """A digest of all that decides a scene's outputs: input bytes, reading, model, grid, options, schema.

    File times and folder names are left out: a copied scene gives the same answer. A file at an address counts by the
    mark that its server gives.
    """
    scene = task.scene
    files = sorted(_inputs(scene, card.input.bands))
    digests = known_digests(files, task.folder / DIGESTS / f"{scene.id}.json")
    facts = {
        "schema": SCHEMA,
        "files": sorted(
            [(path.name, path.stat().st_size, mark) for path, mark in zip(files, digests, strict=True)]
            + _marks(scene, card.input.bands)
        ),
        "reading": _reading(scene),
        "model": [asdict(card), task.model.engine],
        "grid": asdict(grid),
        "options": [asdict(task.classify), task.keep_chips, task.smooth],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()


def _reading(scene: Scene) -> list[Any]:
    return [
        scene.id,
        scene.acquired.isoformat(),
        scene.level,
        scene.epsg,
        scene.bounds,
        {
            band: [base_name(asset.href), asset.index, asset.scale, asset.offset, asset.nodata]
            for band, asset in sorted(scene.assets.items())
        },
        dict(scene.radiometry.offsets),
        scene.warnings,
        [_reading(overlay) for overlay in scene.overlays],
    ]


def _inputs(scene: Scene, bands: Sequence[str]) -> set[Path]:
    """The files that decide a scene's results: all but those of bands that the model does not read."""
    read = {asset.href for band, asset in scene.assets.items() if band in bands}
    idle = {Path(asset.href) for asset in scene.assets.values() if asset.href not in read}
    return {path for path in scene.files if path not in idle}.union(
        *(_inputs(overlay, bands) for overlay in scene.overlays)
    )


def _addresses(scene: Scene, bands: Sequence[str]) -> set[str]:
    """The files at addresses that decide a scene's results."""
    read = {asset.href for band, asset in scene.assets.items() if band in bands} | (
        {scene.quality.href} if scene.quality else set()
    )
    return {href for href in read if is_remote(href)}.union(*(_addresses(overlay, bands) for overlay in scene.overlays))


def _marks(scene: Scene, bands: Sequence[str]) -> list[tuple[str, int, str]]:
    """Name, size and mark of every file at an address, as its server tells them now."""
    found = []
    for href in sorted(_addresses(scene, bands)):
        try:
            remote = probe(href)
        except RemoteError as error:
            raise CorruptScene(
                f"{base_name(href)}: cannot be read at its address ({error}); run again, or download the file"
            ) from error
        if remote is None:
            raise CorruptScene(f"{base_name(href)}: its server gives no parts of it any more; download the file")
        found.append((base_name(href), remote.size, remote.mark))
    return found


def finished(folder: Path, expected: str) -> dict[str, str] | None:
    """Digests of the outputs in `folder` when they carry this fingerprint and are whole, else None."""
    try:
        item = json.loads((folder / outputs.ITEM).read_text(encoding="utf-8"))
        if item["properties"]["atlas:fingerprint"] != expected:
            return None
        stored = {
            Path(asset["href"]).name: asset["file:checksum"].removeprefix("1220") for asset in item["assets"].values()
        }
        if any(digest(folder / name) != checksum for name, checksum in stored.items()):
            return None
    except (OSError, ValueError, KeyError):
        return None
    return {**stored, outputs.ITEM: digest(folder / outputs.ITEM)}


def process(task: SceneTask, watch: Callable[[ClassifiedBlock], Any] | None = None) -> SceneRecord:
    """Classifies one scene, or finds it done; a refusal of the scene is an answer, not an exception.

    Raises:
        ModelError: the model cannot be used.
        OutputError: the outputs cannot be written.
    """
    if task.remote is None:
        return _process(task, watch)
    store, name = RemoteFolder(task.remote), task.scene.id
    with tempfile.TemporaryDirectory(prefix="landcover-") as place:
        folder = Path(place)
        known = folder / DIGESTS / f"{name}.json"
        if not task.force and store.get_scene(name, folder):
            (store / DIGESTS).get(known)
        record = _process(replace(task, folder=folder, remote=None), watch)
        if record.status == "done":
            store.put_scene(folder / name)
            (store / DIGESTS).put(known)
    return record


def _process(task: SceneTask, watch: Callable[[ClassifiedBlock], Any] | None) -> SceneRecord:
    started = time.monotonic()
    model = classifier(task.model)
    grid = grid_for(model.card, task.scene.epsg)
    final = task.folder / task.scene.id
    try:
        # The inputs are hashed and compared with their checksums while they are classified; only where results lie
        # already must the digest come first.
        with ThreadPoolExecutor(2, thread_name_prefix="digest") as aside:
            mark = aside.submit(fingerprint, task, model.card, grid)
            hashes = None if task.force or not final.exists() else finished(final, mark.result())
            if hashes is not None:
                return replace(
                    _record(task.scene, final, hashes), status="cached", seconds=round(time.monotonic() - started, 2)
                )
            whole = aside.submit(check_files, task.scene, model.card.input.bands)
            refuse_unfit(model.card, task.scene)
            scene = inspect_pixels(task.scene, needed=())
            with staged_folder(final) as staging:
                _write(replace(task, scene=scene), model, grid, staging, mark, watch)
                whole.result()
        give_memory_back()
        hashes = finished(final, mark.result())
        if hashes is None:
            raise OutputError(f"{final}: the outputs do not read back as written; check the disk")
        return replace(_record(scene, final, hashes), seconds=round(time.monotonic() - started, 2))
    except OutputError:
        raise
    except (PipelineError, OSError, MemoryError) as error:
        _log.debug("scene %s refused", task.scene.id, exc_info=error)
        name = type(error).__name__ if isinstance(error, PipelineError) else "CorruptScene"
        reason = str(error) or name
        return replace(
            describe(task.scene),
            status="refused",
            error=name,
            reason=reason,
            seconds=round(time.monotonic() - started, 2),
        )


def _write(
    task: SceneTask,
    model: Classifier,
    grid: TileGrid,
    folder: Path,
    mark: Future[str],
    watch: Callable[[ClassifiedBlock], Any] | None,
) -> None:
    scene, card = task.scene, model.card
    with outputs.Pictures(folder, scene, grid, card, task.keep_chips) as pictures:

        def see(classified: ClassifiedBlock) -> None:
            pictures.add(classified)
            if watch is not None:
                watch(classified)

        table = classify_scene(scene, model, grid, task.classify, see)
    if task.smooth:
        table = smooth(table, card.legend)
    bounds = pictures.write_quicklook()
    card_digest = digest(task.model.card_path)
    metadata = {
        "software": f"landcover-atlas {__version__}",
        "model": {
            "name": card.name,
            "architecture": card.architecture,
            "card_sha256": card_digest,
            "temperature": card.temperature,
            "metrics": card.metrics,
            "trained_on": card.trained_on,
        },
        "grid": asdict(grid),
        "level": str(scene.level),
        "radiometry": asdict(scene.radiometry),
        "warnings": list(scene.warnings),
        "options": {**asdict(task.classify), "smooth": task.smooth},
    }
    write_table(table, folder / outputs.TABLE, metadata)
    outputs.write_landcover(table, grid, card.legend, folder / outputs.LANDCOVER)
    provenance = {
        "atlas:fingerprint": mark.result(),
        "atlas:model": card.name,
        "atlas:model_card_sha256": card_digest,
        "atlas:sources": sorted(
            [path.name for path in _inputs(scene, card.input.bands)]
            + [base_name(href) for href in _addresses(scene, card.input.bands)]
        ),
        "atlas:counts": _counts(table),
    }
    outputs.write_item(folder, scene, grid, card, bounds, provenance)


def give_memory_back() -> None:
    """Returns freed memory to the system: glibc keeps what the reading threads freed, scene after scene.

    Elsewhere nothing happens.
    """
    with suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def _counts(table: gpd.GeoDataFrame) -> dict[str, int]:
    return {str(label): int(count) for label, count in sorted(table["label"].value_counts().items()) if count}


def describe(scene: Scene) -> SceneRecord:
    """What is known of a scene before its pixels are read."""
    return SceneRecord(
        id=scene.id,
        status="done",
        acquired=scene.acquired.isoformat(),
        level=str(scene.level),
        layout=scene.layout,
        warnings=scene.warnings,
        radiometry=asdict(scene.radiometry),
    )


def _record(scene: Scene, folder: Path, hashes: Mapping[str, str]) -> SceneRecord:
    item = json.loads((folder / outputs.ITEM).read_text(encoding="utf-8"))["properties"]
    counts = item["atlas:counts"]
    record = replace(
        describe(scene),
        counts=counts,
        hashes=hashes,
        warnings=tuple(item["atlas:warnings"]),
        radiometry=item["atlas:radiometry"],
    )
    if set(counts) <= {*STATE_LABELS.values()}:
        seen = ", ".join(f"{count} {label}" for label, count in counts.items()) or "no tile at all"
        record = replace(
            record,
            error="EmptyScene",
            reason=f"no tile of {scene.id} carries a class ({seen}); choose a clearer or larger scene",
        )
    return record


def refused(refusal: Refusal) -> SceneRecord:
    """A refused input as a line of the run's report."""
    return SceneRecord(id=refusal.id, status="refused", error=refusal.error, reason=refusal.reason)
