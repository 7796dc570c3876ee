"""The parts of one server, made when it starts."""

from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from pipeline.web.classifying import Desks
from pipeline.web.gatekeeping import Sessions
from pipeline.web.job_runner import JobRunner
from pipeline.web.library import Library
from pipeline.web.meters import Meters
from pipeline.web.settings import Settings


@dataclass(slots=True)
class House:
    """What the routes work with; `desks` and `jobs` live as long as the event loop."""

    settings: Settings
    meters: Meters = field(default_factory=Meters)
    sessions: Sessions = field(default_factory=Sessions)
    desks: Desks = field(init=False)
    jobs: JobRunner = field(init=False)
    library: Library = field(init=False)
    failure: str | None = None
    """Why the usual model does not answer, where it does not."""

    def open(self) -> None:
        """Takes up the jobs and makes ready to load models; called inside the event loop."""
        self.desks = Desks(self.settings, self.meters)
        self.jobs = JobRunner(self.settings)
        self.library = Library(self.settings.tiles, self.settings.maps, self.jobs.atlases)
        self.meters.gauge("atlas_patches_waiting", "Patches that wait for an engine.", lambda: self.desks.waiting)
        self.meters.gauge("atlas_jobs_open", "Jobs that wait or run.", lambda: self.jobs.list.count())
        self.meters.gauge("atlas_job_bytes", "Bytes on the disk of all jobs.", lambda: self.jobs.bytes_kept())

    async def close(self) -> None:
        """Ends threads and processes."""
        await self.jobs.close()
        await self.desks.close()


def house_of(request: Request) -> House:
    """The server's parts, for a route."""
    house: House = request.app.state.house
    return house


Parts = Annotated[House, Depends(house_of)]


def base_of(request: Request) -> str:
    """The address under which the client reached this server, without a slash at its end."""
    return str(request.base_url).rstrip("/")
