"""The STAC API."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from pipeline.web import stac_catalogue as catalogue
from pipeline.web.house import House, Parts, base_of
from pipeline.web.problems import Problem
from pipeline.web.routes.documents import refusals
from pipeline.web.routes.results import GEOJSON, Name
from pipeline.web.uploads import read_json

router = APIRouter(prefix="/stac", tags=["catalogue"])

Limit = Annotated[int, Query(ge=1, le=catalogue.MOST_ITEMS)]
Offset = Annotated[int, Query(ge=0, le=10_000_000)]
Text = Annotated[str | None, Query(max_length=2000)]


@router.get("", summary="The catalogue")
async def get_catalogue(request: Request, parts: Parts) -> dict[str, Any]:
    """A STAC API (1.0.0) that pystac-client, STAC Browser and QGIS open; every atlas is a collection."""
    return await run_in_threadpool(catalogue.landing, parts.library, base_of(request))


@router.get("/conformance", summary="What it conforms to")
async def get_conformance() -> dict[str, Any]:
    """The conformance classes of the catalogue."""
    return {"conformsTo": list(catalogue.CONFORMS)}


@router.get("/collections", summary="All collections")
async def get_collections(request: Request, parts: Parts) -> dict[str, Any]:
    """Every atlas as a Collection."""
    base = base_of(request)
    found = await run_in_threadpool(lambda: [catalogue.collection(atlas, base) for atlas in parts.library.atlases()])
    links = [catalogue.link("self", f"{base}/stac/collections"), catalogue.link("root", f"{base}/stac")]
    return {"collections": found, "links": links}


@router.get("/collections/{name}", summary="One collection", responses=refusals(404))
async def get_collection(request: Request, name: Name, parts: Parts) -> dict[str, Any]:
    """An atlas as a Collection."""
    return await run_in_threadpool(lambda: catalogue.collection(parts.library.atlas(name), base_of(request)))


@router.get("/collections/{name}/items", summary="Its items", responses=refusals(400, 404))
async def get_items(
    request: Request,
    name: Name,
    parts: Parts,
    bbox: Text = None,
    datetime: Text = None,
    limit: Limit = 100,
    offset: Offset = 0,
) -> JSONResponse:
    """The scenes of an atlas as STAC Items."""
    scenes = (await run_in_threadpool(parts.library.atlas, name)).scenes
    found = catalogue.matching(scenes, catalogue.box_of(bbox), datetime)
    here = str(request.url.remove_query_params("offset"))
    return JSONResponse(catalogue.items(found, base_of(request), limit, offset, here), media_type=GEOJSON)


@router.get("/collections/{name}/items/{scene}", summary="One item", responses=refusals(404))
async def get_item(request: Request, name: Name, scene: Name, parts: Parts) -> JSONResponse:
    """A scene of an atlas as a STAC Item."""
    found = await run_in_threadpool(parts.library.scene, scene, name)
    return JSONResponse(catalogue.served_item(found, base_of(request)), media_type=GEOJSON)


@router.get("/search", summary="Search", responses=refusals(400))
async def get_search(
    request: Request,
    parts: Parts,
    bbox: Text = None,
    datetime: Text = None,
    ids: Text = None,
    collections: Text = None,
    limit: Limit = 100,
    offset: Offset = 0,
) -> JSONResponse:
    """Scenes by bbox, time, id and atlas."""
    asked = {"bbox": bbox, "datetime": datetime, "ids": ids, "collections": collections}
    here = str(request.url.remove_query_params("offset"))
    return await _found(request, parts, asked, (limit, offset), here)


@router.post("/search", summary="Search", responses=refusals(400))
async def post_search(request: Request, parts: Parts) -> JSONResponse:
    """Scenes by bbox, time, id and atlas, asked with JSON."""
    asked = read_json(await request.body())
    limit, offset = (asked.get(name, usual) for name, usual in (("limit", 100), ("offset", 0)))
    if not (isinstance(limit, int) and isinstance(offset, int) and 1 <= limit <= catalogue.MOST_ITEMS and offset >= 0):
        raise Problem(400, f"limit: give a number from 1 to {catalogue.MOST_ITEMS}")
    here = f"{base_of(request)}/stac/search"
    return await _found(request, parts, asked, (limit, offset), here)


async def _found(
    request: Request, parts: House, asked: dict[str, Any], page: tuple[int, int], here: str
) -> JSONResponse:
    scenes = await run_in_threadpool(catalogue.searched, parts.library, asked)
    return JSONResponse(catalogue.items(scenes, base_of(request), *page, here), media_type=GEOJSON)
