"""Jobs: scenes in, an atlas out."""

import shutil
import tempfile
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import APIRouter, Request
from fastapi import Path as InPath
from fastapi.responses import Response, StreamingResponse
from pydantic import ValidationError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from pipeline.models import store
from pipeline.models.card import COVER, TILE
from pipeline.scenes.safety.guard import printable
from pipeline.web.answers import JobAnswer, JobQuestion
from pipeline.web.house import House, Parts, house_of
from pipeline.web.job_list import OPEN, Job, JobRequest, JobState
from pipeline.web.problems import Problem, busy
from pipeline.web.routes.documents import refusals
from pipeline.web.uploads import file_name, read_form, read_json, shown_name

router = APIRouter(tags=["jobs"])

JobName = Annotated[str, InPath(max_length=40, pattern="^[0-9a-f]+$", examples=["3f2a91c4d07b"])]
_FILES: Final = 200
_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": JobQuestion.model_json_schema()},
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["files"],
                    "properties": {
                        "files": {"type": "array", "items": {"type": "string", "format": "binary"}},
                        **{name: {"type": "string"} for name in JobQuestion.model_fields if name != "folder"},
                    },
                }
            },
        },
    }
}


@router.post(
    "/jobs",
    summary="Map scenes",
    status_code=202,
    response_model=JobAnswer,
    responses=refusals(400, 404, 413, 415, 422, 429, 507),
    openapi_extra=_BODY,
)
async def post_jobs(request: Request, response: Response) -> JobAnswer:
    """Maps uploaded scenes (GeoTIFF, zipped SAFE, band files), or those in a folder below an allowed root.

    The options are those of `run`. The job waits in the queue; its address is in `Location`.
    """
    house = house_of(request)
    told = int(request.headers.get("content-length") or 0)
    await run_in_threadpool(house.jobs.check_room, told)
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        job = await _uploaded(request, house)
    elif kind == "application/json":
        asked = _question(read_json(await request.body()))
        folder = await run_in_threadpool(_allowed, asked.folder, house.settings.roots)
        title = asked.title or folder.name
        job = house.jobs.submit(_title(title), _request(asked, house, str(folder)))
    else:
        raise Problem(415, "send JSON that names a folder, or files as multipart/form-data")
    response.headers["Location"] = f"/jobs/{job.id}"
    return _told(house, job)


async def _uploaded(request: Request, house: House) -> Job:
    files, fields = await read_form(request, _FILES)
    asked = _question({name: text for name, text in fields.items() if text != ""})
    if asked.folder is not None:
        raise Problem(400, "give files or a folder, not both")
    if not files:
        raise Problem(400, "the request holds no file; send scenes in the field files")
    job_request = _request(asked, house)
    staged = Path(tempfile.mkdtemp(prefix="upload-", dir=house.settings.own))
    try:
        await run_in_threadpool(_keep, files, staged)
        title = asked.title or shown_name(files[0].filename, "uploaded scenes")
        return house.jobs.submit(_title(title), job_request, staged)
    finally:
        shutil.rmtree(staged, ignore_errors=True)
        for entry in files:
            await entry.close()


def _title(told: str) -> str:
    return printable(told)[:120].strip() or "job"


def _keep(files: list[UploadFile], folder: Path) -> None:
    for at, entry in enumerate(files, 1):
        name = file_name(entry.filename, f"scene-{at}.tif")
        path = folder / name if not (folder / name).exists() else folder / f"{at}-{name}"
        with path.open("xb") as target:
            shutil.copyfileobj(entry.file, target, 1 << 20)


def _question(told: dict[str, Any]) -> JobQuestion:
    try:
        return JobQuestion.model_validate(told)
    except ValidationError as error:
        first = error.errors()[0]
        raise Problem(422, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def _request(asked: JobQuestion, house: House, folder: str | None = None) -> JobRequest:
    model = _stored(asked.model or house.settings.model, TILE, house)
    cover = asked.cover if asked.cover == store.NO_COVER else _stored(asked.cover, COVER, house)
    bands = tuple(band.strip().upper() for band in asked.bands.split(",") if band.strip())
    return JobRequest(
        model=model,
        cover=cover,
        folder=folder,
        bands=bands,
        offset=asked.offset,
        tci_max=asked.tci_max,
        assume_crs=asked.assume_crs,
        min_valid=asked.min_valid,
        smooth=asked.smooth,
        prior=asked.prior,
    )


def _stored(name: str, kind: str, house: House) -> str:
    """The name of a stored model, or of several with commas between them, each of this kind.

    Raises:
        Problem: there is no such model (404): a name is never a path.
    """
    of_kind = [known for known in house.desks.names() if store.card(known, house.settings.models).kind == kind]
    parts = store.members(name)
    if not set(parts) <= set(of_kind):
        raise Problem(404, f"no {kind} model of this name; there are: {', '.join(of_kind)}")
    return ",".join(parts)


def _allowed(told: str | None, roots: tuple[Path, ...]) -> Path:
    """The folder or file that a request names, where it lies below an allowed root, links followed.

    Raises:
        Problem: it does not, or there is none (404): the answer is the same, so that nobody can search the disk.
    """
    if not told:
        raise Problem(422, "folder: name a folder of scenes, or send files")
    for root in roots:
        whole = root.resolve()
        try:
            path = (whole / told).resolve()
            if path.is_relative_to(whole) and path.exists():
                return path
        except (OSError, ValueError, RuntimeError):
            continue
    raise Problem(404, "no such folder below those that this server may read (its option --scenes)")


@router.get("/jobs", summary="All jobs", response_model=list[JobAnswer])
async def get_jobs(parts: Parts) -> list[JobAnswer]:
    """Every job, the newest first."""
    return await run_in_threadpool(lambda: [_told(parts, job) for job in reversed(parts.jobs.list.all())])


@router.get("/jobs/{job}", summary="One job", response_model=JobAnswer, responses=refusals(404))
async def get_job(job: JobName, parts: Parts) -> JobAnswer:
    """How a job stands, with the last event of each kind and, when it has ended, what came of it."""
    return await run_in_threadpool(lambda: _told(parts, parts.jobs.get(job)))


@router.get(
    "/jobs/{job}/events",
    summary="A job's progress as it goes",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}}, **refusals(404, 429)},
)
async def get_events(request: Request, job: JobName, parts: Parts) -> StreamingResponse:
    """Server-sent events: `progress` (the numbers of `run`) and `state`; ends with the job.

    `Last-Event-ID` goes on after an event.
    """
    parts.jobs.get(job)
    if parts.jobs.streams >= parts.settings.limits.streams:
        raise busy("too many streams are open", 10)
    told = request.headers.get("last-event-id", "0")
    after = int(told) if told.isdecimal() and len(told) < 12 else 0

    async def stream() -> Any:  # noqa: ANN401 - an async generator of text
        parts.jobs.streams += 1
        try:
            async for text in parts.jobs.events(job, after):
                yield text
        finally:
            parts.jobs.streams -= 1

    headers = {"X-Accel-Buffering": "no", "Cache-Control": "no-store"}
    return StreamingResponse(stream(), media_type="text/event-stream", headers=headers)


@router.delete("/jobs/{job}", summary="Cancel or forget", response_model=JobAnswer, responses=refusals(404))
async def delete_job(job: JobName, parts: Parts) -> JobAnswer:
    """Cancels a job that waits or runs; an ended one is forgotten, with its scenes and its atlas."""
    found = parts.jobs.get(job)
    if found.state in OPEN:
        return _told(parts, await parts.jobs.cancel(job))
    told = _told(parts, found)
    await run_in_threadpool(parts.jobs.remove, job)
    return told


@router.post("/jobs/{job}/resume", summary="Go on", response_model=JobAnswer, responses=refusals(404, 409, 429))
async def resume_job(job: JobName, parts: Parts) -> JobAnswer:
    """Puts an interrupted or failed job in the queue again; its finished scenes are kept."""
    return _told(parts, parts.jobs.resume(job))


def _told(house: House, job: Job) -> JobAnswer:
    return JobAnswer(
        id=job.id,
        title=job.title,
        state=job.state.value,
        reason=job.reason,
        created=job.created,
        changed=job.changed,
        attempts=job.attempts,
        atlas=f"job-{job.id}" if job.state == JobState.DONE else None,
        progress=house.jobs.progress(job.id),
        result=dict(job.result),
    )
