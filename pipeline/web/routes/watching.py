"""Health, metrics, sessions, documentation and the person's page."""

from importlib import resources
from pathlib import Path
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Request
from fastapi import Path as InPath
from fastapi.responses import FileResponse, HTMLResponse, Response

from pipeline import __version__
from pipeline.areas import COUNTRIES
from pipeline.web.answers import Health, Token
from pipeline.web.gatekeeping import COOKIE, token_shown
from pipeline.web.house import Parts
from pipeline.web.meters import MEDIA_TYPE
from pipeline.web.problems import Problem
from pipeline.web.routes.documents import refusals

router = APIRouter(tags=["server"])

_OWN: Final = Path(__file__).resolve().parents[1] / "static"
# Served under one address; each folder holds files that everybody may read.
_FOLDERS: Final = {
    "app": _OWN,
    "vendor": Path(str(resources.files("pipeline.atlas"))) / "static" / "vendor",
    "swagger": Path(str(resources.files("fastapi_offline"))) / "static",
}
_TYPES: Final = {".js": "text/javascript", ".css": "text/css", ".png": "image/png", ".svg": "image/svg+xml"}
_FRESH: Final = {"Cache-Control": "no-cache"}


@router.get("/health", summary="Ready?", response_model=Health)
async def get_health(parts: Parts, response: Response) -> Health:
    """200 when the usual model can answer, 503 before and where it cannot be loaded."""
    ready = parts.desks.ready
    response.status_code = 200 if ready else 503
    engine = (await parts.desks.get()).engine if ready else None
    status: Literal["ready", "failing", "starting"] = "failing" if parts.failure else "starting"
    status = "ready" if ready else status
    return Health(status=status, version=__version__, model=parts.settings.model, engine=engine, reason=parts.failure)


@router.get("/metrics", summary="Prometheus text", response_class=Response)
async def get_metrics(parts: Parts) -> Response:
    """Requests by route and status, times, batches, queue, jobs, memory."""
    return Response(parts.meters.text(), media_type=MEDIA_TYPE)


@router.post("/session", summary="Show the token once", status_code=204, responses=refusals(401))
async def post_session(request: Request, told: Token, parts: Parts) -> Response:
    """Begins a browser's session, since pictures and event streams cannot carry the token.

    The cookie is one that scripts cannot read and other sites cannot send.
    """
    if parts.settings.token:
        headers = request.headers.mutablecopy()
        headers["authorization"] = f"Bearer {told.token}"
        if not told.token.isascii() or not token_shown(headers, parts.settings.token):
            raise Problem(401, "this is not the token that the server was started with")
    response = Response(status_code=204)
    secure = request.url.scheme == "https"
    response.set_cookie(COOKIE, parts.sessions.begin(), httponly=True, samesite="strict", secure=secure)
    return response


@router.get("/", include_in_schema=False)
async def get_start() -> FileResponse:
    """The person's page."""
    return FileResponse(_OWN / "index.html", headers=_FRESH)


@router.get("/docs", include_in_schema=False)
async def get_docs() -> HTMLResponse:
    """The calls to read and try."""
    return HTMLResponse((_OWN / "docs.html").read_text(encoding="utf-8"))


@router.get("/favicon.ico", include_in_schema=False)
async def get_icon() -> FileResponse:
    """The page's icon."""
    return FileResponse(_OWN / "icon.svg", media_type="image/svg+xml")


@router.get("/static/countries.geojson", include_in_schema=False)
async def get_countries() -> FileResponse:
    """Borders for the map's background."""
    return FileResponse(COUNTRIES, media_type="application/geo+json", headers=_FRESH)


@router.get("/static/{folder}/{name}", include_in_schema=False)
async def get_static(
    folder: str, name: Annotated[str, InPath(pattern=r"^[a-z0-9.-]+$", max_length=60)]
) -> FileResponse:
    """A script, style sheet or picture."""
    path = _FOLDERS.get(folder, _OWN) / name
    if folder not in _FOLDERS or path.suffix not in _TYPES or not path.is_file():
        raise Problem(404, "no such file")
    return FileResponse(path, media_type=_TYPES[path.suffix], headers=_FRESH)
