"""A run: a folder of scenes in; tables, rasters, changes and the page out."""

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from pipeline import __version__
from pipeline.atlas.collect import collect
from pipeline.atlas.part import AtlasOptions
from pipeline.batch.composites import make_composites
from pipeline.batch.date_changes import write_changes
from pipeline.batch.executors import Executor, Serial
from pipeline.batch.loaded import classifier, verified_card
from pipeline.batch.task import ModelChoice, SceneTask
from pipeline.batch.work import process
from pipeline.change import ChangeOptions
from pipeline.classify import ClassifiedBlock, ClassifyOptions
from pipeline.errors import EmptyScene, OutputError, SupersededScene
from pipeline.models.card import ModelCard
from pipeline.results.folder import ResultsFolder
from pipeline.results.layout import CHANGES, DIGESTS, EVIDENCE, HEAT, PAGE, RUN_REPORT, SceneStatus
from pipeline.results.period import Period, apart
from pipeline.results.record import SceneRecord, write_run
from pipeline.results.staging import only_run, sweep
from pipeline.scenes.scene import UNKNOWN_DATE, Refusal, Scene
from pipeline.tiling import grid_for

# A refusal of these kinds loses no data: the place is mapped by another scene, or has nothing to map.
_HARMLESS = {error.__name__ for error in (SupersededScene, EmptyScene)}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RunOptions:
    """Where a run writes and how it classifies."""

    tiles: Path = Path("tiles")
    """Folder of results, one sub-folder a model; with an address, the copy from which the page is made."""
    maps: Path = Path("maps")
    """Folder of the page."""
    model: ModelChoice = field(default_factory=ModelChoice)
    """Which model maps the scenes."""
    cover: ModelChoice | None = None
    """Which network names every pixel; None for no cover."""
    classify: ClassifyOptions = field(default_factory=ClassifyOptions)
    """What makes a tile fit to carry a class."""
    page: AtlasOptions = field(default_factory=AtlasOptions)
    """How the page is made."""
    keep_chips: bool = False
    """Whether every patch is also written as a georeferenced TIFF."""
    smooth: bool = False
    """Whether labels lean on the neighbours'."""
    change: ChangeOptions = field(default_factory=ChangeOptions)
    """What is assumed about change between dates."""
    force: bool = False
    """Whether finished scenes are mapped again."""
    inputs: Path | None = None
    """The folder searched for scenes, which outputs must stay out of."""
    results: str | None = None
    """The address that workers write to, if any."""
    periods: tuple[Period, ...] = ()
    """Spans of days whose looks become one answer each."""

    def results_of(self, model: str) -> ResultsFolder:
        """Where the results of a model go."""
        return ResultsFolder(self.tiles / model, f"{self.results.rstrip('/')}/{model}" if self.results else None)


@dataclass(frozen=True, slots=True)
class RunReport:
    """What a run did."""

    records: tuple[SceneRecord, ...]
    """What became of every scene, by date and id."""
    page: Path | None
    """The page, None where nothing could be mapped."""
    folder: Path
    """The model's folder of results."""
    seconds: float
    """How long it took."""
    results: str | None = None
    """The address of the results, if any."""

    @property
    def exit_code(self) -> int:
        """0 all fine, 3 some scenes refused and the rest written, 1 nothing usable."""
        if not any(record.mapped for record in self.records):
            return 1
        lost = any(not record.mapped and record.error not in _HARMLESS for record in self.records)
        return 3 if lost else 0


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
        BadPeriod: two periods share days; nothing was read.
    """
    started = time.monotonic()
    options = replace(options, periods=apart(options.periods))
    watcher = watcher or Watcher()
    executor = executor or Serial(_watched(watcher))
    card = verified_card(options.model)
    results = options.results_of(card.name)
    with ThreadPoolExecutor(1, thread_name_prefix="model") as aside:
        # The model is made ready while the folder is searched; other executors' workers load their own.
        ready = aside.submit(classifier, options.model) if isinstance(executor, Serial) else None
        inputs = list(found)
    if ready is not None:
        ready.result()
        ready = None  # the cache alone holds the model, so that it can go before dates are compared
    scenes, refusals = _parted(inputs, results)
    _keep_apart(scenes, options, results)
    with ExitStack() as stack:
        stack.enter_context(only_run(results.path))
        stack.enter_context(only_run(options.maps))
        for place in (results.path, results.path / DIGESTS, results.path / EVIDENCE, options.maps):
            sweep(place)
        results.check()
        records = [SceneRecord.refused(refusal) for refusal in refusals]
        for record in records:
            watcher.scene(record)
        watcher.begin(scenes)
        for record in executor.run([_task(scene, options, results) for scene in scenes]):
            if record.mapped:
                results.fetch_scene(record.id, record.hashes)
            records.append(record)
            watcher.scene(record)
        records.sort(key=lambda record: (record.acquired or "", record.id))
        # Before periods and dates: whatever happens there, the scenes are mapped.
        _write_report(results, records, options)
        if options.periods:
            for record in _composed(records, results, options, watcher):
                records.append(record)
                watcher.scene(record)
            records.sort(key=lambda record: (record.acquired or "", record.id))
            _write_report(results, records, options)
        kept = {record.id for record in records if record.mapped}
        mapped = [scene for scene in scenes if scene.id in kept]
        write_changes(mapped, results.path, card.legend, watcher.stage, options.change, executor)
        page = None
        if kept:
            watcher.stage("page")
            from pipeline.atlas.page import render_atlas  # folium's start need not delay the scenes

            atlas = collect(results.path, tolerant=True)
            if lost := {refusal.id: refusal for refusal in atlas.refusals if refusal.id in kept and refusal.source}:
                records = [_unreadable(record, lost.get(record.id)) for record in records]
                _write_report(results, records, options)
            if atlas.scenes:
                page = render_atlas(atlas, card.legend, options.maps / PAGE, options.page)
        results.publish(CHANGES)
        results.publish(HEAT)
        results.publish(RUN_REPORT)
    return RunReport(
        tuple(records), page, results.path, round(time.monotonic() - started, 2), str(results) if results.url else None
    )


def _composed(
    records: Sequence[SceneRecord], results: ResultsFolder, options: RunOptions, watcher: Watcher
) -> Iterator[SceneRecord]:
    """The composites of the run's scenes."""
    for record in records:
        if record.mapped and record.acquired == UNKNOWN_DATE.isoformat():
            _log.warning("%s: date unknown, a look of no period", record.id)
    for period in options.periods:
        watcher.stage(f"composite of {period}")
        yield from make_composites([period], records, results, options.force)


def _unreadable(record: SceneRecord, refusal: Refusal | None) -> SceneRecord:
    """The record of a scene whose results were written and do not read back."""
    if refusal is None:
        return record
    return replace(record, status=SceneStatus.REFUSED, error=refusal.error, reason=refusal.reason)


def _parted(inputs: Iterable[Scene | Refusal], results: ResultsFolder) -> tuple[list[Scene], list[Refusal]]:
    """The scenes, each with a folder of its own, and the refusals: two scenes never write one folder."""
    scenes: dict[str, Scene] = {}
    refusals = []
    for entry in inputs:
        if isinstance(entry, Refusal):
            refusals.append(entry)
            continue
        try:
            # Some disks do not tell capitals apart.
            other = scenes.setdefault(results.scene(entry.id).name.casefold(), entry)
            if other is not entry:
                raise OutputError(
                    f"{entry.id}: another scene of this run has the name {other.id}, and with it the folder for "
                    f"results; rename one of the two"
                )
        except OutputError as error:
            refusals.append(Refusal(entry.id, type(error).__name__, str(error), next(iter(entry.files), None)))
    return list(scenes.values()), refusals


def _task(scene: Scene, options: RunOptions, results: ResultsFolder) -> SceneTask:
    asked = options.keep_chips, options.smooth, options.force, options.cover
    return SceneTask(scene, options.model, results, options.classify, *asked)


def _watched(watcher: Watcher) -> Callable[[SceneTask], SceneRecord]:
    def work(task: SceneTask) -> SceneRecord:
        def see(classified: ClassifiedBlock) -> None:
            watcher.tiles(task.scene.id, len(classified.answers.codes))

        return process(task, see)

    return work


def _keep_apart(scenes: Sequence[Scene], options: RunOptions, results: ResultsFolder) -> None:
    """Refuses outputs that lie among the inputs, where the next run would take them for scenes."""
    inputs = {path.resolve() for scene in scenes for path in scene.files}
    for target in (path.resolve() for path in (options.tiles, options.maps, results.written) if path is not None):
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


def _write_report(results: ResultsFolder, records: Sequence[SceneRecord], options: RunOptions) -> None:
    facts = {
        "software": f"landcover-atlas {__version__}",
        "model": {"name": results.path.name, "card_sha256": options.model.card_digest},
        "options": {
            **asdict(options.classify),
            "keep_chips": options.keep_chips,
            "smooth": options.smooth,
            "prior_per_year": options.change.prior,
            "max_false_share": options.change.max_false_share,
        },
    }
    write_run(results.path, facts, records)
