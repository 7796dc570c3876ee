"""The list of jobs in SQLite: what was asked, how it stands; it survives restarts."""

import json
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from pipeline.change import ChangeOptions
from pipeline.errors import OutputError
from pipeline.models import store

_SCHEMA: Final = """
create table if not exists jobs (
    id text primary key, title text not null, state text not null, request text not null, created text not null,
    changed text not null, attempts integer not null default 0, reason text, result text
)
"""


class JobState(StrEnum):
    """How a job stands."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"


OPEN: Final = (JobState.QUEUED, JobState.RUNNING)


@dataclass(frozen=True, slots=True)
class JobRequest:
    """What a person asked for, as `run` of the command line takes it."""

    model: str
    """Name of the stored model."""
    cover: str = store.DEFAULT_COVER
    """Names of the stored networks of the cover, or `none`."""
    folder: str | None = None
    """A folder or file of scenes below an allowed root; None where they were uploaded."""
    bands: tuple[str, ...] = ()
    """Band names of rasters that do not name them."""
    offset: float | None = None
    """Offset in DN for scenes whose metadata does not tell it."""
    tci_max: float | None = None
    """DN that a true-colour picture's 255 stands for."""
    assume_crs: int | None = None
    """EPSG code of rasters that have none."""
    min_valid: float = 0.5
    """Share of valid pixels that a tile needs."""
    smooth: bool = False
    """Whether each tile leans on its neighbours."""
    prior: float = ChangeOptions().prior
    """Share of tiles that is expected to change their class in a year."""


@dataclass(frozen=True, slots=True)
class Job:
    """A job as the list knows it."""

    id: str
    """Its name in addresses."""
    title: str
    """What a person called it."""
    state: JobState
    """Where it stands."""
    request: JobRequest
    """What was asked for."""
    created: str
    """When it was asked for (ISO 8601, UTC)."""
    changed: str
    """When its state changed last."""
    attempts: int = 0
    """How often it was begun."""
    reason: str | None = None
    """Why it failed or ended; None where it did not."""
    result: Mapping[str, Any] = field(default_factory=dict)
    """What it answers when it is done."""


class JobList:
    """Jobs by id, oldest first; every change is on the disk when the call returns."""

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._base = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._base.row_factory = sqlite3.Row
            self._base.execute("pragma journal_mode=wal")
            self._base.execute(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise OutputError(f"{path}: the list of jobs cannot be opened ({error}); move it away") from error
        self._lock = threading.Lock()

    def add(self, title: str, request: JobRequest) -> Job:
        """A new job at the end of the queue."""
        job = Job(uuid4().hex[:12], title, JobState.QUEUED, request, created=_now(), changed=_now())
        self._run(
            "insert into jobs (id, title, state, request, created, changed) values (?, ?, ?, ?, ?, ?)",
            (job.id, title, job.state, json.dumps(asdict(request)), job.created, job.changed),
        )
        return job

    def all(self) -> list[Job]:
        """Every job, oldest first."""
        return [_job(row) for row in self._run("select * from jobs order by created, rowid")]

    def get(self, name: str) -> Job | None:
        """A job by id."""
        return next((_job(row) for row in self._run("select * from jobs where id = ?", (name,))), None)

    def next(self) -> Job | None:
        """The job that waits longest."""
        rows = self._run("select * from jobs where state = ? order by created, rowid limit 1", (JobState.QUEUED,))
        return next(map(_job, rows), None)

    def count(self, states: Sequence[JobState] = OPEN) -> int:
        """How many jobs stand so."""
        marks = ",".join("?" * len(states))
        return int(self._run(f"select count(*) from jobs where state in ({marks})", tuple(states))[0][0])

    def start(self, name: str) -> None:
        """A job begins, again or for the first time."""
        self._run(
            "update jobs set state = ?, changed = ?, attempts = attempts + 1, reason = null where id = ?",
            (JobState.RUNNING, _now(), name),
        )

    def settle(
        self, name: str, state: JobState, reason: str | None = None, result: Mapping[str, Any] | None = None
    ) -> None:
        """A job stands otherwise from now on."""
        self._run(
            "update jobs set state = ?, changed = ?, reason = ?, result = ? where id = ?",
            (state, _now(), reason, json.dumps(result or {}), name),
        )

    def remove(self, name: str) -> None:
        """Forgets a job."""
        self._run("delete from jobs where id = ?", (name,))

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._base.close()

    def _run(self, statement: str, values: Sequence[Any] = ()) -> list[sqlite3.Row]:
        with self._lock:
            return self._base.execute(statement, values).fetchall()


def _job(row: sqlite3.Row) -> Job:
    told = json.loads(row["request"])
    request = JobRequest(**{**told, "bands": tuple(told["bands"])})
    result = json.loads(row["result"] or "{}")
    state = JobState(row["state"])
    times = row["created"], row["changed"]
    return Job(row["id"], row["title"], state, request, *times, row["attempts"], row["reason"], result)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
