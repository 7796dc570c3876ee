"""Folders that appear whole or not at all: staged, repaired after a kill, kept from a second run."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from pipeline.errors import OutputError
from pipeline.files import PART
from pipeline.results.layout import LOCK, OLD


@contextmanager
def staged_folder(final: Path) -> Iterator[Path]:
    """A temporary folder beside `final` that takes its name when the work inside succeeds.

    Raises:
        OutputError: the folder cannot be made, filled or renamed; an earlier `final` stays as it was.
    """
    staging, old = final.with_name(PART + final.name), final.with_name(OLD + final.name)
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
    for path in folder.glob(f"{OLD}*"):
        final = path.with_name(path.name.removeprefix(OLD))
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
    lock = FileLock(folder / LOCK, timeout=0)
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
