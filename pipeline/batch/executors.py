"""Who does the work of the scenes: this process, several processes, or a Dask cluster."""

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from multiprocessing import get_context, parent_process
from multiprocessing.process import BaseProcess
from threading import Lock, Thread
from typing import Any, Protocol, TypeVar
from uuid import uuid4

from pipeline.batch.task import SceneTask
from pipeline.batch.work import process
from pipeline.errors import CorruptScene, OutputError
from pipeline.results.layout import SceneStatus
from pipeline.results.record import SceneRecord

_log = logging.getLogger(__name__)

Work = Callable[[SceneTask], SceneRecord]
Item = TypeVar("Item")
Found = TypeVar("Found")
_PATIENCE = "15s"
# Seconds between looks at a cluster, and without any worker until the run ends.
_LOOK, _LONELY = 0.2, 600.0


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class Executor(Protocol):
    """Runs tasks and yields one record each, in any order."""

    def run(self, tasks: Sequence[SceneTask]) -> Iterator[SceneRecord]:
        """One record per task; a lost worker costs its scene, never the run."""
        ...

    def each(self, work: Callable[[Item], Found], items: Sequence[Item]) -> Iterator[Found | None]:
        """What `work`, pickled by name, makes of each item, in order; None where a worker was lost with it."""
        ...


@dataclass(frozen=True, slots=True)
class Serial:
    """One scene after the other in this process; inside a scene all cores work."""

    work: Work = process
    """What is done with a task."""

    def run(self, tasks: Sequence[SceneTask]) -> Iterator[SceneRecord]:
        """One record per task, in order."""
        return map(self.work, tasks)

    def each(self, work: Callable[[Item], Found], items: Sequence[Item]) -> Iterator[Found | None]:
        """What `work` makes of each item, as they are asked for."""
        return map(work, items)


def _in_order(answers: Iterator[tuple[int, Found | None]]) -> Iterator[Found | None]:
    """Numbered answers by their number, each as soon as those before it are there."""
    early: dict[int, Found | None] = {}
    due = 0
    for number, found in answers:
        early[number] = found
        while due in early:
            yield early.pop(due)
            due += 1


def _lost(task: SceneTask) -> SceneRecord:
    reason = (
        f"the worker process died while it worked on {task.scene.id} (killed, or out of memory); run again with "
        f"fewer --workers"
    )
    return replace(SceneRecord.described(task.scene, SceneStatus.REFUSED), error=CorruptScene.__name__, reason=reason)


@dataclass(frozen=True, slots=True)
class Processes:
    """Scenes side by side in fresh processes."""

    workers: int
    """How many processes."""
    work: Work = process
    """What each does with a task; it is pickled by name."""

    def run(self, tasks: Sequence[SceneTask]) -> Iterator[SceneRecord]:
        """One record per task, as they finish; the one that kills its worker is refused."""
        for number, record in self._answers(self.work, tasks):
            yield record or _lost(tasks[number])

    def each(self, work: Callable[[Item], Found], items: Sequence[Item]) -> Iterator[Found | None]:
        """What `work` makes of each item, in order; None for those that kill their worker."""
        return _in_order(self._answers(work, items))

    def _answers(self, work: Callable[[Item], Found], items: Sequence[Item]) -> Iterator[tuple[int, Found | None]]:
        """Each item's number and answer, as they finish.

        A death breaks the whole pool without a word about whose it was: the items then under way run again one by one,
        and the one that dies alone has no answer.
        """
        if not items:
            return
        unfinished = dict(enumerate(items))
        try:
            with self._pool(min(self.workers, len(items))) as pool:
                futures = {pool.submit(work, item): number for number, item in unfinished.items()}
                for future in as_completed(futures):
                    found, number = future.result(), futures[future]
                    del unfinished[number]
                    yield number, found
        except BrokenProcessPool:
            _log.warning("a worker process died; what was under way runs again one by one")
            for number, item in unfinished.items():
                yield number, self._alone(work, item)

    def _alone(self, work: Callable[[Item], Found], item: Item) -> Found | None:
        try:
            with self._pool(1) as pool:
                return pool.submit(work, item).result()
        except BrokenProcessPool:
            return None

    @staticmethod
    def _pool(workers: int) -> ProcessPoolExecutor:
        # Engines and GDAL hold threads, which a forked child would inherit broken.
        return ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_end_with_parent)


def _end_with_parent() -> None:
    """Ends this worker when the run is killed: orphans would wait for ever, or write where the next run works."""
    parent = parent_process()
    if parent is not None:
        Thread(target=_wait_and_end, args=(parent,), name="parent", daemon=True).start()


def _wait_and_end(parent: BaseProcess) -> None:
    parent.join()
    os._exit(1)


# A Dask worker with several threads would share one engine among them; a scene uses all of a worker's cores anyway.
_ONE_SCENE = Lock()


def _with_all_cores(work: Callable[[Item], Found], item: Item) -> Found:
    with _ONE_SCENE:
        return work(item)


@dataclass(frozen=True, slots=True)
class Cluster:
    """Scenes on an existing Dask cluster.

    Workers need the same inputs, models and outputs folder under the same paths.
    """

    address: str
    """The scheduler's, such as `tcp://host:8786`."""
    work: Work = process
    """What a worker does with a task; it is pickled by name."""

    def run(self, tasks: Sequence[SceneTask]) -> Iterator[SceneRecord]:
        """One record per task, as they finish; a lost worker's scenes run again elsewhere.

        Raises:
            OutputError: no scheduler answers, or no worker is left.
        """
        for number, record in self._answers(self.work, tasks):
            yield record or _lost(tasks[number])

    def each(self, work: Callable[[Item], Found], items: Sequence[Item]) -> Iterator[Found | None]:
        """What `work` makes of each item, in order; None for those that kill workers.

        Raises:
            OutputError: no scheduler answers, or no worker is left.
        """
        return _in_order(self._answers(work, items))

    def _answers(self, work: Callable[[Item], Found], items: Sequence[Item]) -> Iterator[tuple[int, Found | None]]:
        """Each item's number and answer, as they finish.

        A scheduler blames all that a dying worker held. After several losses such items therefore run once more, one
        by one, and the one that kills workers alone has no answer.
        """
        from distributed import KilledWorker

        if not items:
            return
        with self._client() as client:
            _log.info("Dask dashboard: %s", client.dashboard_link)
            suspects = []
            futures = {self._submit(client, work, item): number for number, item in enumerate(items)}
            for future in self._finished(client, futures):
                try:
                    yield futures[future], future.result()
                except KilledWorker:
                    suspects.append(futures[future])
            for number in suspects:
                for future in self._finished(client, [self._submit(client, work, items[number])]):
                    try:
                        found = future.result()
                    except KilledWorker:
                        found = None
                    yield number, found

    def _client(self) -> Any:  # noqa: ANN401 - dask ships no types
        from distributed import Client

        try:
            return Client(self.address, set_as_default=False, timeout=_PATIENCE)  # type: ignore[no-untyped-call]  # dask ships no types
        except (OSError, ValueError) as error:
            raise OutputError(
                f"{self.address}: no Dask scheduler answers there ({error}); start one with: dask scheduler"
            ) from error

    def _finished(self, client: Any, futures: Iterable[Any]) -> Iterator[Any]:  # noqa: ANN401 - dask ships no types
        """The futures as they finish; without any worker Dask itself would wait for ever."""
        from distributed import as_completed as completed

        waiting: Any = completed(futures, loop=client.loop)  # type: ignore[no-untyped-call]  # dask ships no types
        lonely = time.monotonic()
        while not waiting.is_empty():
            if waiting.has_ready():
                future = next(waiting)
                if future.cancelled():
                    raise OutputError(
                        f"{self.address}: the Dask scheduler is gone; start it and run the same command again, "
                        f"finished scenes are kept"
                    )
                yield future
                continue
            time.sleep(_LOOK)
            if client.status == "running" and client.nthreads():
                lonely = time.monotonic()
            elif time.monotonic() - lonely > _LONELY:
                why = "no worker has been there for minutes; start some with: dask worker"
                raise OutputError(
                    f"{self.address}: {why} {self.address}, and run the same command again, finished scenes are kept"
                )

    @staticmethod
    def _submit(client: Any, work: Callable[[Item], Found], item: Item) -> Any:  # noqa: ANN401 - dask ships no types
        name = item.scene.id if isinstance(item, SceneTask) else work.__name__
        return client.submit(_with_all_cores, work, item, key=f"{name}-{uuid4()}")
