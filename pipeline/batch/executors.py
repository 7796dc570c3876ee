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
        """One record per task, as they finish.

        A death breaks the whole pool without a word about whose it was: the tasks then under way run again one by
        one, and the one that dies alone is refused.
        """
        unfinished = list(tasks)
        try:
            with self._pool(self.workers) as pool:
                futures = {pool.submit(self.work, task): task for task in tasks}
                for future in as_completed(futures):
                    record = future.result()
                    unfinished.remove(futures[future])
                    yield record
        except BrokenProcessPool:
            _log.warning("a worker process died; its scenes run again one by one")
            for task in unfinished:
                yield self._alone(task)

    def each(self, work: Callable[[Item], Found], items: Sequence[Item]) -> Iterator[Found | None]:
        """What `work` makes of each item, in order; None for those that a dying worker took along."""
        if not items:
            return
        with self._pool(min(self.workers, len(items))) as pool:
            for future in [pool.submit(work, item) for item in items]:
                try:
                    yield future.result()
                except BrokenProcessPool:
                    yield None

    def _alone(self, task: SceneTask) -> SceneRecord:
        try:
            with self._pool(1) as pool:
                return pool.submit(self.work, task).result()
        except BrokenProcessPool:
            return _lost(task)

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


def _alone(work: Callable[[Item], Found], task: Item) -> Found:
    with _ONE_SCENE:
        return work(task)


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

        A scheduler blames all that a dying worker held. After several losses such scenes therefore run once more, one
        by one, and the one that kills workers alone is refused.

        Raises:
            OutputError: no scheduler answers, or no worker is left.
        """
        from distributed import KilledWorker

        with self._client() as client:
            _log.info("Dask dashboard: %s", client.dashboard_link)
            suspects = []
            futures = {self._submit(client, task): task for task in tasks}
            for future in self._finished(client, futures):
                try:
                    yield future.result()
                except KilledWorker:
                    suspects.append(futures[future])
            for task in suspects:
                for future in self._finished(client, [self._submit(client, task)]):
                    try:
                        yield future.result()
                    except KilledWorker:
                        yield _lost(task)

    def each(self, work: Callable[[Item], Found], items: Sequence[Item]) -> Iterator[Found | None]:
        """What `work` makes of each item, in order; None for those that kill workers.

        Raises:
            OutputError: no scheduler answers, or no worker is left.
        """
        from distributed import KilledWorker

        if not items:
            return
        with self._client() as client:
            futures = [client.submit(_alone, work, item, key=f"{work.__name__}-{uuid4()}") for item in items]
            for _ in self._finished(client, futures):
                pass
            for future in futures:
                try:
                    yield future.result()
                except KilledWorker:
                    yield None

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

    def _submit(self, client: Any, task: SceneTask) -> Any:  # noqa: ANN401 - dask ships no types
        return client.submit(_alone, self.work, task, key=f"{task.scene.id}-{uuid4()}")
