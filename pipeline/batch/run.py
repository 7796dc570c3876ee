"""A run: a folder of scenes in; tables, rasters, changes and the page out."""

import json
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pipeline import __version__
from pipeline.atlas.collect import collect
from pipeline.atlas.page import AtlasOptions, render_atlas
from pipeline.batch import outputs
from pipeline.batch.changes import CHANGES, EVIDENCE, write_changes
from pipeline.batch.executors import Executor, Serial
from pipeline.batch.files import only_run, sweep
from pipeline.batch.remote import RemoteFolder
from pipeline.batch.work import (
    DIGESTS,
    ModelChoice,
    SceneRecord,
    SceneTask,
    classifier,
    process,
    refused,
    verified_card,
)
from pipeline.classify import ClassifiedBlock, ClassifyOptions
from pipeline.errors import OutputError
from pipeline.files import digest, write_text
from pipeline.models.card import ModelCard
from pipeline.scenes.scene import Refusal, Scene
from pipeline.tiling import grid_for

RUN_REPORT, PAGE = "run.json", "atlas.html"
# A refusal of these kinds loses no data: the place is mapped by another scene, or has nothing to map.
_HARMLESS = {"SupersededScene", "EmptyScene"}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Where a run writes and how it classifies.

    `inputs` is the folder searched for scenes, which outputs must stay out of.

    With an address as `results`, workers write there, and `tiles` is a copy from which the page is made.
    """

    tiles: Path = Path("tiles")
    maps: Path = Path("maps")
    model: ModelChoice = field(default_factory=ModelChoice)
    classify: ClassifyOptions = field(default_factory=ClassifyOptions)
    page: AtlasOptions = field(default_factory=AtlasOptions)
    keep_chips: bool = False
    smooth: bool = False
    force: bool = False
    inputs: Path | None = None
    results: str | None = None


@dataclass(frozen=True, slots=True)
class RunReport:
    """What a run did: a record per scene, where the page is, how long it took.

    `results` is the address of its tables, if any.
    """

    records: tuple[SceneRecord, ...]
    page: Path | None
    folder: Path
    seconds: float
    results: str | None = None

    @property
    def exit_code(self) -> int:
        """0 all fine, 3 some scenes refused and the rest written, 1 nothing usable."""
        if not any(record.status in ("done", "cached") for record in self.records):
            return 1
        return 3 if any(record.status == "refused" and record.error not in _HARMLESS for record in self.records) else 0


class Watcher:
    """Hears how a run goes; this one stays silent."""

    def begin(self, scenes: Sequence[Scene]) -> None:
        """The scenes that will be worked on."""

    def tiles(self, scene: str, count: int) -> None:
        """`count` more tiles of a scene are through."""

    def scene(self, record: SceneRecord) -> None:
        """A scene has ended, one way or another."""

    def stage(self, name: str) -> None:
        """The work after the scenes: changes, page."""


def tiles_in(scene: Scene, card: ModelCard) -> int:
    """How many tiles of a model's grid a scene touches."""
    columns, rows = grid_for(card, scene.epsg).covering(scene.bounds)
    return len(columns) * len(rows)


def run(
    found: Iterable[Scene | Refusal],
    options: RunOptions,
    executor: Executor | None = None,
    watcher: Watcher | None = None,
) -> RunReport:
    """Classifies every scene that is not done yet, compares dates, writes the page and `run.json`.

    Raises:
        ModelError: the model is not what its card says; nothing was read.
        NotAScene: the folder holds nothing to map; nothing was written.
        OutputError: outputs are locked or cannot be written; earlier ones stay.
    """
    started = time.monotonic()
    watcher = watcher or Watcher()
    executor = executor or Serial(_watched(watcher))
    card = verified_card(options.model)
    folder = options.tiles / card.name
    with ThreadPoolExecutor(1, thread_name_prefix="model") as aside:
        # The model is made ready while the folder is searched; other executors' workers load their own.
        ready = aside.submit(classifier, options.model) if isinstance(executor, Serial) else None
        inputs = list(found)
    if ready is not None:
        ready.result()
        ready = None  # the cache alone holds the model, so that it can go before dates are compared
    scenes = [entry for entry in inputs if isinstance(entry, Scene)]
    remote = RemoteFolder(options.results) / card.name if options.results else None
    _keep_apart(scenes, options)
    with ExitStack() as stack:
        stack.enter_context(only_run(folder))
        stack.enter_context(only_run(options.maps))
        for place in (folder, folder / DIGESTS, folder / EVIDENCE, options.maps):
            sweep(place)
        if remote is not None:
            remote.check()
        records = [refused(entry) for entry in inputs if isinstance(entry, Refusal)]
        for record in records:
            watcher.scene(record)
        watcher.begin(scenes)
        for record in executor.run([_task(scene, options, folder, remote) for scene in scenes]):
            if remote is not None and record.status in ("done", "cached"):
                remote.get_scene(record.id, folder, record.hashes)
            records.append(record)
            watcher.scene(record)
        records.sort(key=lambda record: (record.acquired or "", record.id))
        kept = {record.id for record in records if record.status in ("done", "cached")}
        write_changes([scene for scene in scenes if scene.id in kept], folder, watcher.stage)
        _write_report(folder, records, options)
        if remote is not None:
            remote.put(folder / CHANGES)
            remote.put(folder / RUN_REPORT)
        page = None
        if kept:
            watcher.stage("page")
            page = render_atlas(collect(folder), card.legend, options.maps / PAGE, options.page)
    return RunReport(
        tuple(records), page, folder, round(time.monotonic() - started, 2), str(remote) if remote else None
    )


def _task(scene: Scene, options: RunOptions, folder: Path, remote: RemoteFolder | None) -> SceneTask:
    address = remote.url if remote is not None else None
    return SceneTask(
        scene, options.model, folder, options.classify, options.keep_chips, options.smooth, options.force, address
    )


def _watched(watcher: Watcher) -> Callable[[SceneTask], SceneRecord]:
    def work(task: SceneTask) -> SceneRecord:
        def see(classified: ClassifiedBlock) -> None:
            watcher.tiles(task.scene.id, len(classified.answers.codes))

        return process(task, see)

    return work


def _keep_apart(scenes: Sequence[Scene], options: RunOptions) -> None:
    """Refuses outputs that lie among the inputs, where the next run would take them for scenes."""
    inputs = {path.resolve() for scene in scenes for path in scene.files}
    written = RemoteFolder(options.results).local if options.results else None
    for target in (path.resolve() for path in (options.tiles, options.maps, written) if path is not None):
        if options.inputs is not None and options.inputs.is_dir() and target.is_relative_to(options.inputs.resolve()):
            raise OutputError(
                f"{target}: the outputs would lie inside the folder of scenes ({options.inputs}); choose another "
                f"--tiles or --maps folder"
            )
        inside = next((path for path in inputs if path.is_relative_to(target)), None)
        if inside is not None:
            raise OutputError(
                f"{target}: the outputs would lie among the scenes ({inside.name} is inside); choose another --tiles "
                f"or --maps folder"
            )


def _write_report(folder: Path, records: Sequence[SceneRecord], options: RunOptions) -> None:
    report: dict[str, Any] = {
        "software": f"landcover-atlas {__version__}",
        "model": {"name": folder.name, "card_sha256": digest(options.model.card_path)},
        "options": {**asdict(options.classify), "keep_chips": options.keep_chips, "smooth": options.smooth},
        "scenes": [asdict(record) for record in records],
    }
    write_text(folder / RUN_REPORT, json.dumps(report, indent=1, ensure_ascii=False, default=str) + "\n")


def scene_folders(folder: Path) -> list[Path]:
    """The finished scenes of a model's folder, in order of name."""
    return sorted(path.parent for path in folder.glob(f"*/{outputs.TABLE}") if not path.parent.name.startswith("."))
