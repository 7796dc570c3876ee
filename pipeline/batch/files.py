"""The folders of a run: staged, repaired after a kill, kept from a second run; digests remembered."""

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from pipeline.errors import OutputError
from pipeline.files import PART, digest, write_text

_OLD = ".old-"


def known_digests(paths: Sequence[Path], memory: Path) -> list[str]:
    """SHA-256 of each file; what the JSON file `memory` holds for a file of the same size and time is taken from there.

    Raises:
        OSError: a file cannot be read.
    """
    try:
        known = json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}

    def look(path: Path) -> list[Any]:
        status = path.stat()
        entry = known.get(str(path))
        if isinstance(entry, list) and entry[:2] == [status.st_size, status.st_mtime_ns]:
            return entry
        return [status.st_size, status.st_mtime_ns, digest(path)]

    found = {str(path): look(path) for path in paths}
    if found != known:
        with suppress(OutputError):  # only a saving of time
            write_text(memory, json.dumps(found))
    return [str(found[str(path)][2]) for path in paths]


@contextmanager
def staged_folder(final: Path) -> Iterator[Path]:
    """A temporary folder beside `final` that takes its name when the work inside succeeds.

    Raises:
        OutputError: the folder cannot be made, filled or renamed; an earlier `final` stays as it was.
    """
    staging, old = final.with_name(PART + final.name), final.with_name(_OLD + final.name)
    try:
        shutil.rmtree(staging, ignore_errors=True)
        staging.mkdir(parents=True)
        yield staging
        if final.exists():
            shutil.rmtree(old, ignore_errors=True)
            final.replace(old)
        staging.replace(final)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise OutputError(
            f"{final}: cannot be written ({error.strerror or error}); free space or choose another --tiles folder"
        ) from error
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Repairs what a killed run left in `folder`.

    Unfinished work goes, a folder set aside during its replacement returns.
    """
    for path in folder.glob(f"{_OLD}*"):
        final = path.with_name(path.name.removeprefix(_OLD))
        if not final.exists():
            path.replace(final)
        else:
            shutil.rmtree(path, ignore_errors=True)
    for path in folder.glob(f"{PART}*"):
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


@contextmanager
def only_run(folder: Path) -> Iterator[None]:
    """Keeps a second run away from the same outputs; the operating system frees the lock of a killed run.

    Raises:
        OutputError: another run holds the folder, or it cannot be written.
    """
    lock = FileLock(folder / ".lock", timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        raise OutputError(f"{folder}: another run is writing here; wait for it or choose another folder") from None
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written ({error.strerror or error}); choose another folder") from error
    try:
        yield
    finally:
        lock.release()
