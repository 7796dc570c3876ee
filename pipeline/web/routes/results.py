"""Atlases and scenes: what runs have left behind."""

import io
from typing import Annotated, Any, Final

import geopandas as gpd
from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import FileResponse, Response
from shapely.geometry import box
from starlette.concurrency import run_in_threadpool

from pipeline.results.layout import LANDCOVER
from pipeline.results.table import DECIMALS
from pipeline.web import library as stored
from pipeline.web import stac_catalogue
from pipeline.web.answers import AtlasSummary
from pipeline.web.gazetteer import search
from pipeline.web.house import Parts, base_of
from pipeline.web.library import RASTERS, Atlas
from pipeline.web.problems import Problem
from pipeline.web.routes.documents import refusals

router = APIRouter(tags=["results"])

Name = Annotated[str, Path(max_length=300, examples=["S2B_L2A_T32TNT_20210723T102559"])]
AtlasName = Annotated[str | None, Query(max_length=300, description="Where several atlases hold the scene.")]
PARQUET: Final = "application/vnd.apache.parquet"
GEOJSON: Final = "application/geo+json"
_TYPES: Final = {".parquet": PARQUET, ".tif": "image/tiff; application=geotiff", ".webp": "image/webp"}
# Decimals of a degree that GeoJSON tells: 1 cm.
_DEGREE_DECIMALS: Final = 7
# The offline page brings its own scripts and its own policy, and may reach nothing here: it runs as a page of nowhere.
_PAGE_POLICY: Final = "sandbox allow-scripts allow-downloads allow-popups allow-modals; frame-ancestors 'none'"


@router.get("/atlases", summary="What can be looked at", response_model=list[AtlasSummary])
async def get_atlases(parts: Parts) -> list[AtlasSummary]:
    """Every atlas with its scenes, dates, legend and layers; those that jobs made come last."""
    return await run_in_threadpool(lambda: [_summary(atlas) for atlas in parts.library.atlases()])


def _summary(atlas: Atlas) -> AtlasSummary:
    items = [stored.item(scene) for scene in atlas.scenes]
    boxes = [entry["bbox"] for entry in items]
    files = {layer for layer, name in RASTERS.items() if any(scene.file(name) for scene in atlas.scenes)}
    around = [min(b[0] for b in boxes), min(b[1] for b in boxes), max(b[2] for b in boxes), max(b[3] for b in boxes)]
    return AtlasSummary(
        id=atlas.id,
        title=atlas.title,
        scenes=[scene.id for scene in atlas.scenes],
        dates=[str(entry["properties"]["datetime"])[:10] for entry in items],
        bbox=around,
        page=f"/atlases/{atlas.id}/page" if atlas.page else None,
        job=atlas.job,
        layers=[layer for layer in RASTERS if layer in files],
        legend=stored.classes(items[0]),
        assessed=stored.assessment(atlas) is not None,
    )


@router.get("/atlases/{name}/page", summary="The offline page", responses=refusals(404), response_class=FileResponse)
async def get_page(name: Name, parts: Parts) -> FileResponse:
    """The atlas as the one file that `run` writes; it asks nothing of this server."""
    atlas = await run_in_threadpool(parts.library.atlas, name)
    if atlas.page is None:
        raise Problem(404, f"{atlas.id} has no page; make it with: python -m pipeline atlas")
    headers = {"Content-Security-Policy": _PAGE_POLICY, "Cache-Control": "no-cache"}
    return FileResponse(atlas.page, media_type="text/html; charset=utf-8", headers=headers)


@router.get("/scenes", summary="STAC Items of all scenes", responses=refusals(400))
async def get_scenes(
    request: Request,
    parts: Parts,
    bbox: Annotated[str | None, Query(max_length=200, examples=["9.2,47.6,9.3,47.7"])] = None,
    datetime: Annotated[str | None, Query(max_length=100, examples=["2021-01-01T00:00:00Z/.."])] = None,
    atlas: AtlasName = None,
    limit: Annotated[int, Query(ge=1, le=stac_catalogue.MOST_ITEMS)] = 100,
    offset: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
) -> dict[str, Any]:
    """Scenes that touch a bbox (degrees) in an interval of time, as a FeatureCollection of STAC Items."""
    box_asked = stac_catalogue.box_of(bbox)
    scenes = await run_in_threadpool(lambda: stac_catalogue.matching(parts.library.scenes(atlas), box_asked, datetime))
    here = str(request.url.remove_query_params("offset"))
    return stac_catalogue.items(scenes, base_of(request), limit, offset, here)


@router.get("/scenes/{scene}", summary="A STAC Item", responses=refusals(404))
async def get_scene(request: Request, scene: Name, parts: Parts, atlas: AtlasName = None) -> dict[str, Any]:
    """What a scene is, from which files it was made, by which model, and where its results are."""
    found = await run_in_threadpool(parts.library.scene, scene, atlas)
    return stac_catalogue.served_item(found, base_of(request))


@router.get("/scenes/{scene}/files/{file}", summary="A file of the results", responses=refusals(404))
async def get_file(
    scene: Name,
    file: Annotated[str, Path(max_length=100, examples=[LANDCOVER])],
    parts: Parts,
    atlas: AtlasName = None,
) -> FileResponse:
    """A scene's table, raster or picture as it lies on the disk; ranges of bytes too, as GDAL and QGIS ask for them."""
    found = (await run_in_threadpool(parts.library.scene, scene, atlas)).file(file)
    if found is None:
        raise Problem(404, f"no such file; there are: {', '.join(stored.FILES)}")
    headers = {"Cache-Control": "no-cache"}
    return FileResponse(found, media_type=_TYPES.get(found.suffix, "application/json"), headers=headers)


_TABLES: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {GEOJSON: {"schema": {"type": "object"}}, PARQUET: {"schema": {"type": "string"}}}},
    **refusals(400, 404),
}


@router.get("/scenes/{scene}/tiles", summary="Tiles with all probabilities", responses=_TABLES, response_class=Response)
async def get_tiles(
    request: Request,
    scene: Name,
    parts: Parts,
    bbox: Annotated[str | None, Query(max_length=200, examples=["9.2,47.6,9.3,47.7"])] = None,
    limit: Annotated[int, Query(ge=1, le=200_000)] = 50_000,
    atlas: AtlasName = None,
) -> Response:
    """The tiles that touch a bbox, as GeoJSON in longitude and latitude.

    With `Accept: application/vnd.apache.parquet` they come as GeoParquet in the scene's own UTM zone.
    """
    found = await run_in_threadpool(parts.library.scene, scene, atlas)
    wanted = stac_catalogue.box_of(bbox)
    parquet = "parquet" in request.headers.get("accept", "")
    write = _parquet if parquet else _geojson
    body = await run_in_threadpool(lambda: write(_inside(stored.table(found), wanted).head(limit)))
    return Response(body, media_type=PARQUET if parquet else GEOJSON, headers={"Vary": "Accept"})


def _inside(table: gpd.GeoDataFrame, wanted: stac_catalogue.Bbox | None) -> gpd.GeoDataFrame:
    if wanted is None:
        return table
    west, south, east, north = wanted
    boxes = (
        [box(west, south, east, north)]
        if west <= east
        else [box(west, south, 180, north), box(-180, south, east, north)]
    )
    shapes = gpd.GeoSeries(boxes, crs=4326).to_crs(table.crs)
    hit = sorted(set(table.sindex.query(shapes, predicate="intersects")[1].tolist()))
    return table.iloc[hit]


def _parquet(table: gpd.GeoDataFrame) -> bytes:
    out = io.BytesIO()
    table.to_parquet(out, schema_version="1.1.0", index=False, compression="zstd")
    return out.getvalue()


def _geojson(table: gpd.GeoDataFrame) -> bytes:
    placed = table.to_crs(4326)
    placed = placed.set_geometry(placed.geometry.set_precision(10**-_DEGREE_DECIMALS))
    # As text float32 would show digits that the model did not give.
    digits = {name: placed[name].astype(float).round(DECIMALS) for name in placed.select_dtypes("float32")}
    return str(placed.assign(acquired=placed["acquired"].astype(str), **digits).to_json(drop_id=True)).encode()


@router.get("/places", summary="Find a place", response_model=list[dict[str, Any]])
async def get_places(
    q: Annotated[str, Query(max_length=200, examples=["47.7, 9.27"])], parts: Parts
) -> list[dict[str, Any]]:
    """Coordinates (latitude first), tile ids, scenes, countries; no network is asked."""
    return await run_in_threadpool(search, q, parts.library)
