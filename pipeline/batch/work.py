"""The work of one scene: decide whether it is done already, classify it, let every product write its files."""

import json
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any, TypeVar

import geopandas as gpd
from threadpoolctl import ThreadpoolController

from pipeline.bands import SENSORS
from pipeline.batch.fingerprint import FINGERPRINT, fingerprint, finished, sources
from pipeline.batch.loaded import classifier, give_memory_back, keep_no_freed_arrays
from pipeline.batch.products import planned_products, read_bands, wanted_bands
from pipeline.batch.products.protocol import Outcome, Product, SceneJob
from pipeline.batch.products.scene_item import write_item
from pipeline.batch.task import SceneTask
from pipeline.classify import ClassifiedBlock, classify_scene
from pipeline.errors import CorruptScene, EmptyScene, ModelError, OutputError, PipelineError
from pipeline.grid import TileGrid
from pipeline.models.classifier import TileClassifier
from pipeline.results.layout import ITEM, SceneStatus
from pipeline.results.record import SceneRecord
from pipeline.results.staging import staged_folder
from pipeline.results.table import with_columns
from pipeline.scenes.reading.inspect import check_files, inspect_pixels
from pipeline.scenes.safety.guard import one_line, printable
from pipeline.scenes.scene import Refusal, Scene
from pipeline.smoothing import smooth
from pipeline.tiling import grid_for, refuse_unfit

Watch = Callable[[ClassifiedBlock], Any]
Products = Mapping[str, Product]
Answer = TypeVar("Answer")

_COUNTS, _CLASSIFIED = "atlas:counts", "atlas:classified"

_log = logging.getLogger(__name__)


def process(task: SceneTask, watch: Watch | None = None) -> SceneRecord:
    """Classifies one scene, or finds it done; whatever is wrong with the scene is an answer, not an exception.

    Raises:
        ModelError: the model cannot be used.
        OutputError: the outputs cannot be written.
    """
    started = time.monotonic()
    keep_no_freed_arrays()
    model = classifier(task.model)
    try:
        # BLAS threads that wait for more of the abstention score's products would hold the cores from the engine.
        with _blas().limit(limits=1), task.results.working(task.scene.id, fresh=task.force) as here:
            record = _processed(replace(task, results=here), model, watch)
            if record.status is SceneStatus.DONE:
                task.results.deliver(here, task.scene.id)
    except (ModelError, OutputError):
        raise
    except Exception as error:  # one scene can never cost the run
        record = refusal(task.scene, error)
    return replace(record, seconds=round(time.monotonic() - started, 2))


@cache
def _blas() -> ThreadpoolController:
    """NumPy's BLAS, which is looked for once: that takes as long as reading a small scene."""
    return ThreadpoolController().select(user_api="blas")


def refusal(scene: Scene, error: Exception) -> SceneRecord:
    """The record of a scene that an exception ended, whether or not the exception is one that is raised on purpose."""
    told = explained(scene.id, error)
    return replace(SceneRecord.described(scene, SceneStatus.REFUSED), error=told.error, reason=printable(told.reason))


def explained(name: str, error: Exception) -> Refusal:
    """What a person is told of the exception that ended the work on a scene or period of this name."""
    _log.debug("%s refused", name, exc_info=error)
    kind, reason = type(error).__name__, str(error) or type(error).__name__
    if isinstance(error, (OSError, MemoryError)):
        kind = CorruptScene.__name__
    elif not isinstance(error, PipelineError):
        reason = f"{name}: ended by an error that nobody foresaw ({kind}: {reason}); run again with -v and report it"
        kind = PipelineError.__name__
    return Refusal(name, kind, reason)


def _processed(task: SceneTask, model: TileClassifier, watch: Watch | None) -> SceneRecord:
    grid, products = grid_for(model.card, task.scene.epsg), planned_products(task, model.card)
    final = task.results.scene(task.scene.id)
    # The inputs are hashed and compared with their checksums while they are classified; only where results lie
    # already must the digest come first.
    with ThreadPoolExecutor(2, thread_name_prefix="digest") as aside:
        mark = aside.submit(_read_whole, task.scene, partial(fingerprint, task, model.card, grid, products))
        hashes = None if task.force or not final.exists() else finished(final, mark.result())
        if hashes is not None:
            return replace(record_of(task.scene, grid, final, hashes), status=SceneStatus.CACHED)
        refuse_unfit(model.card, task.scene)
        checked = partial(check_files, task.scene, read_bands(model.card, products))
        whole = aside.submit(_read_whole, task.scene, checked)
        scene = inspect_pixels(task.scene, needed=())
        with staged_folder(final) as staging:
            job = SceneJob(task, scene, model.card, grid, wanted_bands(products), staging)
            _write(job, model, products, mark, watch)
            whole.result()
    give_memory_back()
    hashes = finished(final, mark.result())
    if hashes is None:
        raise OutputError(f"{final}: the outputs do not read back as written; check the disk")
    return record_of(scene, grid, final, hashes)


def _read_whole(scene: Scene, read: Callable[[], Answer]) -> Answer:
    """What `read` says of a scene's files; one that went meanwhile is the scene's fault, and not the outputs'."""
    try:
        return read()
    except OSError as error:
        raise CorruptScene(f"{scene.id}: a file cannot be read to its end ({one_line(error)}); get it again") from error


def _write(job: SceneJob, model: TileClassifier, products: Products, mark: Future[str], watch: Watch | None) -> None:
    """Classifies a scene and lets every product see every block, then the tiles."""
    with ExitStack() as stack:
        for product in products.values():
            stack.callback(product.close)
            product.begin(job)
        aside = stack.enter_context(_Aside(products))

        def see(classified: ClassifiedBlock) -> None:
            aside.add(classified)
            if watch is not None:
                watch(classified)

        table = classify_scene(job.scene, model, job.grid, job.task.classify, see, job.wanted)
        aside.wait()
        give_memory_back()  # what the files' readers held, before pictures are encoded
        if job.task.smooth:
            table = smooth(table, job.card.legend)
        for product in products.values():
            table = with_columns(table, product.columns())
        outcome = Outcome(table, {name: facts for name, product in products.items() if (facts := product.facts())})
        # Encoders and compressors work side by side.
        writers = stack.enter_context(ThreadPoolExecutor(2, thread_name_prefix="write"))
        written = [writers.submit(product.finish, outcome) for product in products.values()]
        files = [file for product in written for file in product.result()]
    scene, sensor = job.scene, SENSORS[job.scene.sensor]
    provenance = {
        "processing:lineage": f"{sensor.title} ({scene.level}) tiled into {job.grid.edge:g} m tiles and classified by "
        f"{job.card.name}",
        FINGERPRINT: mark.result(),
        "atlas:model": job.card.name,
        "atlas:model_card_sha256": job.task.model.card_digest,
        "atlas:sources": sources(scene, read_bands(job.card, products)),
        **counted(table),
    }
    write_item(scene, job.grid, job.folder, files, provenance)


class _Aside(ExitStack):
    """Shows blocks to all products on a thread of its own, while the caller goes on with the next block."""

    def __init__(self, products: Products) -> None:
        super().__init__()
        self._products = products
        self._thread = self.enter_context(ThreadPoolExecutor(1, thread_name_prefix="products"))
        self._under_way: Future[None] | None = None

    def add(self, classified: ClassifiedBlock) -> None:
        """Waits until the block before is through, then shows this one."""
        self.wait()
        self._under_way = self._thread.submit(self._show, classified)

    def wait(self) -> None:
        """Until the last block is through."""
        if self._under_way is not None:
            self._under_way.result()
            self._under_way = None

    def _show(self, classified: ClassifiedBlock) -> None:
        for product in self._products.values():
            product.add(classified)


def counted(table: gpd.GeoDataFrame) -> dict[str, Any]:
    """What an Item tells of how many tiles carry each label, and how many a class."""
    counts = {str(label): int(count) for label, count in sorted(table["label"].value_counts().items()) if count}
    return {_COUNTS: counts, _CLASSIFIED: int((table["code"] >= 0).sum())}


def record_of(scene: Scene, grid: TileGrid, folder: Path, hashes: Mapping[str, str]) -> SceneRecord:
    """The record of a scene or composite whose results lie in `folder`, as its Item tells."""
    item = json.loads((folder / ITEM).read_text(encoding="utf-8"))["properties"]
    counts = item[_COUNTS]
    record = replace(
        SceneRecord.described(scene),
        counts=counts,
        tile_hectares=grid.hectares,
        classified=item[_CLASSIFIED],
        hashes=hashes,
        warnings=tuple(item["atlas:warnings"]),
        radiometry=item["atlas:radiometry"],
    )
    if record.classified:
        return record
    seen = ", ".join(f"{count} {label}" for label, count in counts.items()) or "no tile at all"
    return replace(
        record,
        error=EmptyScene.__name__,
        reason=f"no tile of {scene.id} carries a class ({seen}); choose a clearer or larger scene",
    )
