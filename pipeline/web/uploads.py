"""Pictures and files that arrive in a request's body."""

import base64
import binascii
import json
import re
from dataclasses import dataclass
from typing import Any, Final

from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request

from pipeline.scenes.safety.guard import printable
from pipeline.web.problems import Problem
from pipeline.web.settings import Limits

_NAME_LENGTH: Final = 120
_FIELDS: Final = 40
_FIELD_BYTES: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Upload:
    """A file as it came."""

    name: str
    """What a person calls it."""
    data: bytes
    """Its bytes."""


def shown_name(told: str | None, otherwise: str) -> str:
    """The last part of an upload's name, printable: for people to read, never a path."""
    last = re.split(r"[\\/]", told or "")[-1]
    return printable(last)[:_NAME_LENGTH].strip() or otherwise


def file_name(told: str | None, otherwise: str) -> str:
    """A name under which an upload may lie in a folder of its own: letters, digits, and `._-` not in front."""
    kept = re.sub(r"[^A-Za-z0-9._-]+", "_", shown_name(told, otherwise)).lstrip("._-")
    stem, dot, ending = kept.rpartition(".")
    return f"{stem[: _NAME_LENGTH - 10]}{dot}{ending[:9]}" if stem and ending else otherwise


async def read_form(request: Request, files: int) -> tuple[list[UploadFile], dict[str, str]]:
    """The files and the text fields of a multipart body.

    Raises:
        Problem: it is broken, or holds more than `files` files.
    """
    try:
        form = await request.form(max_files=files, max_fields=_FIELDS, max_part_size=_FIELD_BYTES)
    except Problem:
        raise
    except HTTPException as error:
        status = 413 if "Too many" in str(error.detail) or "exceeded" in str(error.detail) else 400
        raise Problem(status, f"multipart body: {error.detail}") from error
    entries = form.multi_items()
    came = [entry for _, entry in entries if isinstance(entry, UploadFile)]
    return came, {name: entry for name, entry in entries if isinstance(entry, str)}


async def read_pictures(request: Request, limits: Limits) -> list[Upload]:
    """The pictures of a request: multipart files, or JSON with base64.

    Raises:
        Problem: there are none or too many, or the body is broken.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        came, _ = await read_form(request, limits.pictures)
        found = [
            Upload(shown_name(entry.filename, f"picture-{at}"), await entry.read()) for at, entry in enumerate(came, 1)
        ]
        for entry in came:
            await entry.close()
    elif kind == "application/json":
        found = _decoded(await request.body(), limits.pictures)
    else:
        raise Problem(415, "send pictures as multipart/form-data (field files) or as JSON with base64")
    if not found:
        raise Problem(400, "the request holds no picture; send files in the field files")
    return found


def _decoded(body: bytes, most: int) -> list[Upload]:
    """Pictures in JSON: {"images": [{"name": ..., "data": base64}]}."""
    entries = read_json(body).get("images")
    if not isinstance(entries, list):
        raise Problem(400, 'the JSON lacks the list "images" of {"name": ..., "data": base64}')
    if len(entries) > most:
        raise Problem(413, f"{len(entries)} pictures in one request; send at most {most}")
    found = []
    for at, entry in enumerate(entries, 1):
        if not isinstance(entry, dict) or not isinstance(entry.get("data"), str):
            raise Problem(400, f"images[{at - 1}] is no object with the text data (base64)")
        name = entry.get("name")
        told = re.sub(r"^data:[^,]{0,100},", "", entry["data"])
        try:
            data = base64.b64decode(told, validate=True)
        except (binascii.Error, ValueError) as error:
            raise Problem(400, f"images[{at - 1}].data is no base64 ({error})") from error
        found.append(Upload(shown_name(name if isinstance(name, str) else None, f"picture-{at}"), data))
    return found


def read_json(body: bytes) -> dict[str, Any]:
    """A JSON object.

    Raises:
        Problem: the body is something else.
    """
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Problem(400, f"the body is no JSON ({' '.join(str(error).split())[:120]})") from error
    if not isinstance(found, dict):
        raise Problem(400, "the body is no JSON object")
    return found
