"""The work of one job, in a process of its own: `python -m pipeline.web.job_work FOLDER`.

Tells how it goes in `events.jsonl`, one JSON object a line, and what came of it in `result.json`, whole or not at all.
Ends when its standard input closes, that is with the server that started it.
"""

import json
import logging
import os
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from pipeline.batch.main_job import RunOptions, Watcher, run, tiles_in
from pipeline.batch.task import ModelChoice
from pipeline.change import ChangeOptions
from pipeline.classify import ClassifyOptions
from pipeline.errors import PipelineError
from pipeline.files import write_text
from pipeline.models import store
from pipeline.models.card import ModelCard
from pipeline.results.record import SceneRecord
from pipeline.scenes.finding.find import find_scenes
from pipeline.scenes.scene import Scene

REQUEST, EVENTS, RESULT, LOG = "request.json", "events.jsonl", "result.json", "log.txt"
SCENES, TILES, MAPS = "scenes", "tiles", "maps"
# Seconds between two reports of tiles; a granule has a block several times a second.
_PACE: Final = 0.2


class EventFile:
    """Appends events; the half line of a killed process goes first."""

    def __init__(self, path: Path) -> None:
        known = path.read_bytes() if path.is_file() else b""
        whole = known[: known.rfind(b"\n") + 1]
        if whole != known:
            path.write_bytes(whole)
        self._stream = path.open("a", encoding="utf-8")

    def tell(self, event: str, **facts: Any) -> None:  # noqa: ANN401 - any JSON
        """One more event."""
        self._stream.write(json.dumps({"event": event, "at": round(time.time(), 3), **facts}) + "\n")
        self._stream.flush()

    def close(self) -> None:
        """Closes the file."""
        self._stream.close()


class Telling(Watcher):
    """Hears how a run goes and writes it down."""

    def __init__(self, events: EventFile, card: ModelCard) -> None:
        self._events, self._card, self._began, self._told = events, card, time.monotonic(), 0.0
        self._expected: dict[str, int] = {}
        self._seen: dict[str, int] = {}

    def begin(self, scenes: Sequence[Scene]) -> None:
        """The scenes that will be worked on."""
        self._expected = {scene.id: tiles_in(scene, self._card) for scene in scenes}
        self._began = time.monotonic()
        self._events.tell("begin", scenes=list(self._expected), tiles=sum(self._expected.values()))

    def tiles(self, scene: str, count: int) -> None:
        """More tiles of a scene are through."""
        self._seen[scene] = self._seen.get(scene, 0) + count
        if time.monotonic() - self._told > _PACE:
            self._tell_tiles(scene)

    def scene(self, record: SceneRecord) -> None:
        """A scene has ended: what remains of its tiles counts as done."""
        if record.id in self._expected:
            self._seen[record.id] = self._expected[record.id]
            self._tell_tiles(record.id)
        facts = {"error": record.error, "reason": record.reason} if record.error else {}
        warnings = list(record.warnings)
        self._events.tell(
            "scene", scene=record.id, status=record.status, seconds=record.seconds, warnings=warnings, **facts
        )

    def stage(self, name: str) -> None:
        """The work after the scenes."""
        self._events.tell("stage", stage=name)

    def _tell_tiles(self, scene: str) -> None:
        self._told = time.monotonic()
        done, seconds = sum(self._seen.values()), max(self._told - self._began, 1e-6)
        total = sum(self._expected.values())
        self._events.tell("tiles", scene=scene, done=done, of=total, per_second=round(done / seconds, 1))


def work(folder: Path) -> dict[str, Any]:
    """Runs what `request.json` asks for and answers what came of it."""
    asked = json.loads((folder / REQUEST).read_text(encoding="utf-8"))
    with closing(EventFile(folder / EVENTS)) as events:
        return _work(asked, folder, events)


def _work(asked: dict[str, Any], folder: Path, events: EventFile) -> dict[str, Any]:
    source = Path(asked["source"])
    model = ModelChoice(asked["model"], Path(asked["models"]), asked["engine"], asked["threads"])
    cover = None if asked["cover"] == store.NO_COVER else replace(model, name=asked["cover"], engine=store.AUTO)
    card = store.card(model.name, model.folder)
    told = {name: asked[name] for name in ("offset", "tci_max", "assume_crs")}
    reading = card.input.reading(bands=tuple(asked["bands"]), **told)
    options = RunOptions(
        tiles=folder / TILES,
        maps=folder / MAPS,
        model=model,
        cover=cover,
        classify=ClassifyOptions(min_valid=asked["min_valid"]),
        smooth=asked["smooth"],
        change=ChangeOptions(prior=asked["prior"]),
        inputs=source,
    )
    try:
        report = run(find_scenes(source, reading), options, _executor(asked), Telling(events, card))
    except PipelineError as error:
        events.tell("end", state="failed", reason=f"{type(error).__name__}: {error}")
        return {"exit_code": 1, "reason": f"{type(error).__name__}: {error}"}
    mapped = [record.id for record in report.records if record.mapped]
    refused = {record.id: f"{record.error}: {record.reason}" for record in report.records if record.error}
    events.tell("end", state="done" if report.exit_code != 1 else "failed", mapped=len(mapped), refused=len(refused))
    return {"exit_code": report.exit_code, "mapped": mapped, "refused": refused, "seconds": report.seconds}


def _executor(asked: dict[str, Any]) -> Any:  # noqa: ANN401 - an executor, or None for this process
    from pipeline.batch.executors import Cluster, Processes

    if asked["scheduler"]:
        return Cluster(asked["scheduler"])
    return Processes(asked["workers"]) if asked["workers"] > 1 else None


def _end_with_server() -> None:
    sys.stdin.buffer.read()
    os._exit(1)


def main(folder: Path) -> None:
    """The process."""
    threading.Thread(target=_end_with_server, name="server", daemon=True).start()
    with suppress(OSError, AttributeError):
        os.nice(5)  # people who wait for an answer go first
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("rasterio").setLevel(logging.ERROR)
    write_text(folder / RESULT, json.dumps(work(folder), indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
