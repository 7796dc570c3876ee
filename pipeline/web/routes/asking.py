"""Pictures and models."""

import json
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from pipeline.web.answers import Answer, BadPicture
from pipeline.web.classifying import classify
from pipeline.web.house import Parts, house_of
from pipeline.web.routes.documents import refusals
from pipeline.web.uploads import read_pictures

router = APIRouter(tags=["pictures"])

_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["files"],
                    "properties": {
                        "files": {"type": "array", "items": {"type": "string", "format": "binary"}, "maxItems": 50}
                    },
                }
            },
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["images"],
                    "properties": {
                        "images": {
                            "type": "array",
                            "maxItems": 50,
                            "items": {
                                "type": "object",
                                "required": ["data"],
                                "properties": {
                                    "name": {"type": "string"},
                                    "data": {"type": "string", "contentEncoding": "base64"},
                                },
                            },
                        }
                    },
                },
                "example": {"images": [{"name": "forest.png", "data": "iVBORw0KGgo..."}]},
            },
        },
    }
}


@router.post(
    "/classify",
    summary="Label pictures",
    response_model=list[Answer | BadPicture],
    responses=refusals(400, 413, 415, 422, 429),
    openapi_extra=_BODY,
)
async def post_classify(
    request: Request, model: Annotated[str | None, Query(max_length=200, examples=["eurosat-resnet50"])] = None
) -> Response:
    """Labels 64 x 64 pixel pictures at 10 m a pixel, and larger ones patch by patch.

    The list has the keys of `classify --json` and the model's name. A picture that cannot be read has `error` instead;
    when none can, the answer is 422.
    """
    house = house_of(request)
    uploads = await read_pictures(request, house.settings.limits)
    entries = await classify(uploads, await house.desks.get(model), house.settings.limits)
    return Response(json.dumps(entries, ensure_ascii=False), media_type="application/json")


@router.get("/models", summary="The stored models", responses=refusals(422))
async def get_models(parts: Parts) -> list[dict[str, Any]]:
    """The cards of the stored models: classes, input, accuracy, what they were trained on."""
    return [parts.desks.card(name) for name in parts.desks.names()]


@router.get("/models/{name}", summary="One model's card", responses=refusals(404))
async def get_model(name: str, parts: Parts) -> dict[str, Any]:
    """A model's card as it lies beside its weights."""
    return parts.desks.card(name)
