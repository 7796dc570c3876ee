"""Puts the server together: parts, gates, calls."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

from pipeline import __version__
from pipeline.errors import PipelineError
from pipeline.web import problems
from pipeline.web.bodies import BodyLimit
from pipeline.web.connections import HeadAsGet
from pipeline.web.gatekeeping import Gate
from pipeline.web.house import House
from pipeline.web.meters import Measured
from pipeline.web.problems import Problem
from pipeline.web.routes import asking, cataloguing, maps, measuring, results, running, watching
from pipeline.web.routes.documents import refusals
from pipeline.web.settings import Settings

_DESCRIPTION: Final = """Land cover by REST: label pictures, look at atlases, count hectares, map scenes.

The answers are those of the command line, from the same functions. Refusals are problem documents (RFC 9457).
Where the server was started with a token, send `Authorization: Bearer TOKEN`."""
_ROUTERS: Final = (asking, results, maps, measuring, running, cataloguing, watching)


def build(settings: Settings) -> FastAPI:
    """The app for one folder of results; its lifespan takes up jobs and loads the usual model."""
    house = House(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        settings.own.mkdir(parents=True, exist_ok=True)
        # Large uploads wait beside the jobs, on a disk that is watched, not in memory or a small /tmp.
        before, tempfile.tempdir = tempfile.tempdir, str(settings.own)
        house.open()
        loading = asyncio.get_running_loop().create_task(_load(house), name="model")
        yield
        loading.cancel()
        await house.close()
        tempfile.tempdir = before

    app = FastAPI(
        title="Land-cover atlas",
        version=__version__,
        description=_DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        responses=refusals(422),
    )
    app.state.house = house
    problems.install(app)
    for module in _ROUTERS:
        app.include_router(module.router)
    app.add_middleware(Measured, meters=house.meters)
    app.add_middleware(BodyLimit, limits=settings.limits, larger={"/jobs": settings.limits.scene_bytes})
    app.add_middleware(HeadAsGet)
    app.add_middleware(Gate, settings=settings, sessions=house.sessions)
    if settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.origins,
            allow_methods=("GET", "POST", "DELETE"),
            allow_headers=("Authorization", "Content-Type"),
        )
    return app


async def _load(house: House) -> None:
    """Loads the usual model, so that the first request need not wait; health tells where it cannot."""
    try:
        await house.desks.get()
    except (PipelineError, Problem) as error:
        house.failure = error.detail if isinstance(error, Problem) else str(error)
