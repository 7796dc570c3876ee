"""Refusals as problem documents (RFC 9457): one table from error to status."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from pipeline.errors import ModelError, OutputError, PipelineError, TileTableError

MEDIA_TYPE: Final = "application/problem+json"
# Looked up by the most special class first; what a client sent wrong is its error, what lies wrong here is not.
STATUS: Final[Mapping[type[PipelineError], int]] = {
    ModelError: 422,
    OutputError: 503,
    TileTableError: 422,
    PipelineError: 422,
}
# Where nobody who refused said more than the status.
_UNSAID: Final = {
    404: "nothing is at this address; GET /docs lists the calls",
    405: "this address takes other methods, which Allow names; GET /docs lists the calls",
}

_log = logging.getLogger(__name__)


class Problem(HTTPException):
    """A refusal with its status, a sentence for the person and fields for the program."""

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None, **extra: Any) -> None:  # noqa: ANN401 - any JSON
        super().__init__(status, detail, dict(headers or {}))
        self.extra = extra


class ProblemResponse(JSONResponse):
    """A problem document."""

    media_type = MEDIA_TYPE


def problem(status: int, detail: str, headers: Mapping[str, str] | None = None, **extra: Any) -> ProblemResponse:  # noqa: ANN401 - any JSON
    """The answer that tells a refusal."""
    content = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail, **extra}
    return ProblemResponse(content, status, headers)


def busy(detail: str, seconds: float) -> Problem:
    """A refusal of something that would work later."""
    return Problem(429, detail, {"Retry-After": str(max(1, round(seconds)))})


def install(app: FastAPI) -> None:
    """Answers every kind of error with a problem document, never with a traceback."""

    async def refused(request: Request, error: Exception) -> ProblemResponse:  # noqa: ARG001 - FastAPI's signature
        assert isinstance(error, HTTPException)
        extra = error.extra if isinstance(error, Problem) else {}
        said = error.detail != HTTPStatus(error.status_code).phrase
        detail = str(error.detail) if said else _UNSAID.get(error.status_code, str(error.detail))
        return problem(error.status_code, detail, error.headers, **extra)

    async def wrong(request: Request, error: Exception) -> ProblemResponse:  # noqa: ARG001 - FastAPI's signature
        assert isinstance(error, RequestValidationError)
        told = [{"where": list(map(str, entry["loc"])), "what": entry["msg"]} for entry in error.errors()]
        first = told[0]
        return problem(422, f"{'.'.join(first['where'][1:]) or 'the request'}: {first['what']}", errors=told[:20])

    async def declined(request: Request, error: Exception) -> ProblemResponse:
        assert isinstance(error, PipelineError)
        status = next(code for kind, code in STATUS.items() if isinstance(error, kind))
        return problem(status, within(request, str(error)), error=type(error).__name__)

    async def failed(request: Request, error: Exception) -> ProblemResponse:
        _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return problem(500, "the server failed at this request; its log says why")

    app.add_exception_handler(HTTPException, refused)
    app.add_exception_handler(RequestValidationError, wrong)
    app.add_exception_handler(PipelineError, declined)
    app.add_exception_handler(Exception, failed)


def within(request: Request, text: str) -> str:
    """A message without the folders of the server."""
    settings = request.app.state.house.settings
    for folder in (settings.own, settings.tiles, settings.maps):
        text = text.replace(f"{folder.resolve()}/", "").replace(f"{folder}/", "")
    return text
