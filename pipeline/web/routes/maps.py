"""Map tiles for Leaflet, QGIS and others."""

from enum import StrEnum
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool

from pipeline.web import rasters
from pipeline.web.house import Parts, base_of
from pipeline.web.routes.documents import refusals
from pipeline.web.routes.results import AtlasName, Name

router = APIRouter(tags=["maps"])

_FRESH: Final = {"Cache-Control": "private, max-age=60"}


class Layer(StrEnum):
    """What a map tile shows."""

    LANDCOVER = "landcover"
    COVER = "cover"
    TRUECOLOUR = "truecolour"
    CONFIDENCE = "confidence"


@router.get(
    "/map/{scene}/{layer}/{z}/{x}/{y}.png",
    summary="A map tile",
    response_class=Response,
    responses={200: {"content": {"image/png": {}}}, **refusals(404)},
)
async def get_tile(
    scene: Name,
    layer: Layer,
    z: Annotated[int, Path(ge=0, le=30, examples=[12])],
    x: Annotated[int, Path(ge=0, lt=1 << 30, examples=[2153])],
    y: Annotated[int, Path(ge=0, lt=1 << 30, examples=[1427])],
    parts: Parts,
    atlas: AtlasName = None,
) -> Response:
    """A PNG of 256 x 256 pixels in Web Mercator, classes in the legend's colours; clear where the scene has nothing."""
    picture = await run_in_threadpool(lambda: rasters.tile(parts.library.scene(scene, atlas), layer, z, x, y))
    return Response(picture, media_type="image/png", headers=_FRESH)


@router.get("/map/{scene}/{layer}/tilejson.json", summary="TileJSON", responses=refusals(404))
async def get_tilejson(
    request: Request, scene: Name, layer: Layer, parts: Parts, atlas: AtlasName = None
) -> dict[str, Any]:
    """Where a layer's tiles are and what they cover (TileJSON 3.0.0), with its legend."""
    found = await run_in_threadpool(parts.library.scene, scene, atlas)
    bounds = await run_in_threadpool(rasters.bounds, found, layer)
    tiles = f"{base_of(request)}/map/{found.id}/{layer}/{{z}}/{{x}}/{{y}}.png?atlas={found.atlas}"
    return {
        "tilejson": "3.0.0",
        "name": f"{found.id} {layer}",
        "tiles": [tiles],
        "minzoom": 0,
        "maxzoom": rasters.MAX_ZOOM,
        "bounds": list(bounds),
        "center": [(bounds[0] + bounds[2]) / 2, (bounds[1] + bounds[3]) / 2, 11],
        "attribution": "Contains modified Copernicus Sentinel data",
        "legend": rasters.legend(found, layer),
    }
