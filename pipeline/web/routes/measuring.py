"""Hectares of a polygon."""

import json
from collections.abc import Sequence
from typing import Any, Final

import geopandas as gpd
import pandas as pd
from fastapi import APIRouter, Request
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool

from pipeline.areas import ELSEWHERE, mapped_areas
from pipeline.assessment import error_adjusted
from pipeline.errors import TileTableError
from pipeline.web import library as stored
from pipeline.web.answers import AreaAnswer, AreaQuestion, AreaRow
from pipeline.web.house import House, house_of
from pipeline.web.library import Atlas
from pipeline.web.problems import Problem
from pipeline.web.routes.documents import refusals
from pipeline.web.shapes import read_shapes
from pipeline.web.uploads import Upload, read_form, read_json, shown_name

router = APIRouter(tags=["results"])

_BASIS: Final = "a labelled sample of the whole atlas; inside the polygon its errors are taken to be the same"
_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": AreaQuestion.model_json_schema()},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        "dates": {"type": "string", "description": "Days with commas between."},
                        "atlas": {"type": "string"},
                    },
                }
            },
        },
    }
}


@router.post(
    "/areas",
    summary="Hectares of a polygon",
    response_model=AreaAnswer,
    responses=refusals(400, 404, 413, 422),
    openapi_extra=_BODY,
)
async def post_areas(request: Request) -> AreaAnswer:
    """Hectares by class and day inside polygons, each place once, with 95 % intervals where a sample was labelled.

    Tiles on a border count as `areas --regions` counts them, so small polygons are rough. Files may be GeoJSON, a
    zipped shapefile or a GeoPackage.
    """
    upload, dates, atlas = await _asked(request)
    house = house_of(request)
    return await run_in_threadpool(_answer, house, upload, dates, atlas)


async def _asked(request: Request) -> tuple[Upload, list[str], str | None]:
    """The polygons' bytes, the days and the atlas that a request names."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        files, fields = await read_form(request, 1)
        if not files:
            raise Problem(400, "the request holds no file; send one in the field file")
        upload = Upload(shown_name(files[0].filename, "polygons"), await files[0].read())
        days = [day.strip() for day in fields.get("dates", "").split(",") if day.strip()]
        return upload, days, fields.get("atlas") or None
    if kind not in ("application/json", "application/geo+json"):
        raise Problem(415, "send JSON, or a file as multipart/form-data")
    body = await request.body()
    told = read_json(body)
    if "polygon" not in told:
        return Upload("polygon", body), [], None
    try:
        question = AreaQuestion.model_validate(told)
    except ValidationError as error:
        first = error.errors()[0]
        raise Problem(422, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    return Upload("polygon", json.dumps(question.polygon).encode()), question.dates, question.atlas


def _answer(house: House, upload: Upload, dates: Sequence[str], name: str | None) -> AreaAnswer:
    regions = read_shapes(upload)
    atlas = _atlas(house, name)
    counted = mapped_areas([stored.table(scene) for scene in atlas.scenes], regions)
    days = sorted({str(day) for day in counted["date"]})
    if unknown := sorted(set(dates) - set(days)):
        raise Problem(404, f"no map of {', '.join(unknown)[:100]}; there are: {', '.join(days)}")
    counted = counted[counted["region"] != ELSEWHERE]
    if dates:
        counted = counted[counted["date"].astype(str).isin(dates)]
    sample = stored.assessment(atlas)
    rows = [row for _, part in counted.groupby(["date", "region"], sort=True) for row in _rows(part, sample)]
    return AreaAnswer(atlas=atlas.id, rows=rows, assessment=_BASIS if sample and rows else None)


def _atlas(house: House, name: str | None) -> Atlas:
    if name is not None:
        return house.library.atlas(name)
    atlases = house.library.atlases()
    if not atlases:
        raise Problem(404, "there is no atlas yet; map some scenes first")
    if len(atlases) > 1:
        raise Problem(400, f"name one atlas: {', '.join(atlas.id for atlas in atlases)}")
    return atlases[0]


def _rows(part: gpd.GeoDataFrame, sample: dict[str, Any] | None) -> list[AreaRow]:
    """One region's classes on one day, with what the sample's errors make of them."""
    adjusted = _adjusted(part, sample)
    return [
        AreaRow(
            date=str(row.date),
            region=str(row.region),
            label=str(row.label),
            tiles=round(float(row.tiles), 4),
            hectares=round(float(row.hectares), 2),
            share=round(float(row.share), 6),
            adjusted_hectares=adjusted.get(str(row.label), (None, None))[0],
            adjusted_ci=adjusted.get(str(row.label), (None, None))[1],
        )
        for row in part.sort_values("hectares", ascending=False).itertuples()
    ]


def _adjusted(part: gpd.GeoDataFrame, sample: dict[str, Any] | None) -> dict[str, tuple[float, float]]:
    """Hectares and half widths of 95 % intervals by class, where the sample knows every class of the region."""
    if sample is None:
        return {}
    labels = sample["labels"]
    counts = pd.DataFrame(sample["counts"], index=labels, columns=labels)
    mapped = part.set_index(part["label"].astype(str))["hectares"]
    try:
        found = error_adjusted(counts, mapped[mapped.index.isin(labels)]).classes
    except TileTableError:
        return {}
    return {
        str(label): (round(float(row.adjusted_ha), 2), round(float(row.adjusted_ci), 2))
        for label, row in zip(found.index, found.itertuples(), strict=True)
    }
