"""What every call may answer besides its own: refusals, as OpenAPI tells them."""

from typing import Any, Final

from pipeline.web.answers import ProblemDocument
from pipeline.web.problems import MEDIA_TYPE

Responses = dict[int | str, dict[str, Any]]

_WORDS: Final = {
    400: "The request is broken.",
    401: "The token is missing or wrong.",
    404: "There is no such thing.",
    409: "Its state does not allow it.",
    413: "Too much for one request.",
    415: "Another media type is needed.",
    422: "What was sent cannot be used; the detail says why.",
    429: "Too busy; Retry-After says when to ask again.",
    507: "The disk or the quota is full.",
}


def refusals(*statuses: int) -> Responses:
    """The problem documents of these statuses."""
    content = {MEDIA_TYPE: {"schema": ProblemDocument.model_json_schema()}}
    return {status: {"description": _WORDS[status], "content": content} for status in statuses}
