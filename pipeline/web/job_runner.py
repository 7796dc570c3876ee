"""Runs the jobs of the list one after the other, each in a process that can be ended at any moment."""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from pipeline.batch.executors import cores
from pipeline.files import write_text
from pipeline.results.layout import PAGE, model_folders
from pipeline.web import job_work
from pipeline.web.job_list import OPEN, Job, JobList, JobRequest, JobState
from pipeline.web.library import Place
from pipeline.web.problems import Problem, busy
from pipeline.web.settings import Settings

JOBS: Final = "jobs.sqlite"
# A job that dies twice would die a third time.
_ATTEMPTS: Final = 2
_LOOK, _HEARTBEAT = 0.2, 15.0
# Free bytes that the disk keeps.
_RESERVE: Final = 500_000_000


class JobRunner:
    """The queue's only worker. Jobs lie under `<tiles>/.app/jobs/<id>/`: request, scenes, events, results."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._folder = settings.own / "jobs"
        self._folder.mkdir(parents=True, exist_ok=True)
        self.list = JobList(settings.own / JOBS)
        self.streams = 0
        self._came = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._running: str | None = None
        self._cancelled: set[str] = set()
        self._take_up()
        self._task = asyncio.get_running_loop().create_task(self._work(), name="jobs")

    def folder(self, name: str) -> Path:
        """Where a job's files lie."""
        return self._folder / name

    def bytes_kept(self) -> int:
        """Bytes on the disk of all jobs."""
        return sum(path.stat().st_size for path in self._folder.rglob("*") if path.is_file())

    def check_room(self, expected: int = 0) -> None:
        """Refuses a job that has no room in the queue or on the disk.

        Raises:
            Problem: the queue is full (429), or the disk or the quota is (507).
        """
        limits = self._settings.limits
        if self.list.count() >= limits.jobs:
            raise busy(f"{limits.jobs} jobs are waiting already", 60)
        if self.bytes_kept() + expected > limits.quota:
            raise Problem(507, f"the jobs would keep more than {limits.quota:,} bytes; delete finished ones first")
        if shutil.disk_usage(self._folder).free < expected + _RESERVE:
            raise Problem(507, "the server's disk is full; delete finished jobs first")

    def submit(self, title: str, request: JobRequest, staged: Path | None = None) -> Job:
        """Adds a job; `staged` is a folder of its scenes, which moves to its place."""
        job = self.list.add(title, request)
        folder = self.folder(job.id)
        folder.mkdir(parents=True, exist_ok=True)
        if staged is not None:
            staged.replace(folder / job_work.SCENES)
        self._came.set()
        return job

    def get(self, name: str) -> Job:
        """A job by id.

        Raises:
            Problem: there is none (404).
        """
        job = self.list.get(name)
        if job is None:
            raise Problem(404, "no job of this name; GET /jobs lists them")
        return job

    async def cancel(self, name: str) -> Job:
        """Ends a job that waits or runs; what it had written goes."""
        job = self.get(name)
        if job.state not in OPEN:
            raise Problem(409, f"the job is {job.state}")
        self._cancelled.add(name)
        if self._running == name and self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
        self.list.settle(name, JobState.CANCELLED, "cancelled")
        self._sweep(name)
        self._came.set()
        return self.get(name)

    def resume(self, name: str) -> Job:
        """Puts an interrupted or failed job in the queue again; finished scenes are kept.

        Raises:
            Problem: it is of another state (409).
        """
        job = self.get(name)
        if job.state not in (JobState.INTERRUPTED, JobState.FAILED):
            raise Problem(409, f"the job is {job.state}")
        self.list.settle(name, JobState.QUEUED)
        self._came.set()
        return self.get(name)

    def remove(self, name: str) -> None:
        """Forgets an ended job with its scenes and results."""
        self.get(name)
        self.list.remove(name)
        shutil.rmtree(self.folder(name), ignore_errors=True)

    def atlases(self) -> list[Place]:
        """The results of finished jobs."""
        return [
            Place(f"job-{job.id}", job.title, folder, page if page.is_file() else None, job.id)
            for job in self.list.all()
            if job.state == JobState.DONE
            for folder in model_folders(self.folder(job.id) / job_work.TILES)
            for page in [self.folder(job.id) / job_work.MAPS / PAGE]
        ]

    async def events(self, name: str, after: int = 0) -> AsyncIterator[str]:
        """A job's events as server-sent events, from the one after number `after` until the job has ended."""
        path, at, number, quiet, known = self.folder(name) / job_work.EVENTS, 0, 0, 0.0, ""
        yield "retry: 2000\n\n"
        while True:
            job = self.list.get(name)
            lines, at = await asyncio.to_thread(_whole_lines, path, at)
            for line in lines:
                number += 1
                if number > after:
                    yield f"id: {number}\nevent: progress\ndata: {line}\n\n"
                    quiet = 0.0
            state = "gone" if job is None else json.dumps({"state": job.state, "reason": job.reason})
            if state != known:
                yield f"event: state\ndata: {state}\n\n"
                known = state
            if job is None or job.state not in OPEN:
                return
            await asyncio.sleep(_LOOK)
            quiet += _LOOK
            if quiet >= _HEARTBEAT:
                yield ": still here\n\n"
                quiet = 0.0

    def progress(self, name: str) -> dict[str, Any]:
        """The last of a job's events of each kind."""
        told: dict[str, Any] = {}
        for line in _whole_lines(self.folder(name) / job_work.EVENTS)[0]:
            event = json.loads(line)
            told[event["event"]] = event
        return told

    async def close(self) -> None:
        """Ends with the running job's process; the next server takes the job up again."""
        self._task.cancel()
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        with suppress(asyncio.CancelledError):
            await self._task
        self.list.close()

    def _take_up(self) -> None:
        """After a restart: jobs that were running go on, those that were dying say so; leftovers go."""
        for job in self.list.all():
            if job.state == JobState.RUNNING:
                self._again(job)
            if job.state == JobState.CANCELLED:
                self._sweep(job.id)
        known = {job.id for job in self.list.all()}
        for path in self._folder.iterdir():
            if path.name not in known:
                shutil.rmtree(path, ignore_errors=True)

    def _again(self, job: Job) -> None:
        if job.attempts < _ATTEMPTS:
            self.list.settle(job.id, JobState.QUEUED, "interrupted; it goes on where it was")
        else:
            reason = (
                f"its process ended {job.attempts} times without a word (killed, or out of memory); resume or delete it"
            )
            self.list.settle(job.id, JobState.INTERRUPTED, reason)

    async def _work(self) -> None:
        while True:
            self._came.clear()
            job = self.list.next()
            if job is None:
                await self._came.wait()
                continue
            await self._run(job)

    async def _run(self, job: Job) -> None:
        folder = self.folder(job.id)
        (folder / job_work.RESULT).unlink(missing_ok=True)
        write_text(folder / job_work.REQUEST, json.dumps(self._order(job)))
        self.list.start(job.id)
        self._running, self._process = job.id, None
        with (folder / job_work.LOG).open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                job_work.__name__,
                str(folder),
                stdin=asyncio.subprocess.PIPE,  # it ends when this closes, even when this server is killed
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
            )
            if job.id in self._cancelled:  # while the process was being made
                self._process.kill()
            await self._process.wait()
        self._running = None
        if job.id in self._cancelled:
            self._cancelled.discard(job.id)
            return
        self._settle(job.id, folder)

    def _settle(self, name: str, folder: Path) -> None:
        try:
            result = json.loads((folder / job_work.RESULT).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            job = self.list.get(name)
            if job is not None:
                self._again(job)
            return
        if result["exit_code"] == 1:
            told = [str(result.get("reason", "")), *result.get("refused", {}).values()]
            reason = "; ".join(filter(None, told)) or "no scene was usable"
            self.list.settle(name, JobState.FAILED, reason.replace(f"{folder}/", ""), result)
        else:
            self.list.settle(name, JobState.DONE, None, result)

    def _order(self, job: Job) -> dict[str, Any]:
        settings = self._settings
        source = job.request.folder or str(self.folder(job.id) / job_work.SCENES)
        return {
            **asdict(job.request),
            "source": source,
            "models": str(settings.models),
            "engine": settings.engine,
            "workers": settings.workers,
            "scheduler": settings.scheduler,
            "threads": None if settings.workers == 1 else max(1, cores() // settings.workers),
        }

    def _sweep(self, name: str) -> None:
        """A cancelled job keeps its line in the list, and nothing else."""
        shutil.rmtree(self.folder(name), ignore_errors=True)


def _whole_lines(path: Path, start: int = 0) -> tuple[list[str], int]:
    """The finished lines of a growing file from byte `start`, and where the next one begins."""
    try:
        with path.open("rb") as stream:
            stream.seek(start)
            data = stream.read()
    except OSError:
        return [], start
    whole = data[: data.rfind(b"\n") + 1]
    return whole.decode("utf-8").splitlines(), start + len(whole)
