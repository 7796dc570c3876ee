"""Files that appear whole or not at all, and their digests."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pipeline.errors import OutputError

# In front of the name, since some writers go by its ending.
PART = ".part-"


def digest(path: Path) -> str:
    """SHA-256 of a file's bytes.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def whole_file(final: Path, remedy: str = "free space or choose another folder") -> Iterator[Path]:
    """A temporary name beside `final` to write to; it takes its name when the work inside succeeds and goes when not.

    Raises:
        OutputError: the file cannot be written or renamed; an earlier `final` stays as it was.
    """
    part = final.with_name(PART + final.name)
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        yield part
        part.replace(final)
    except OSError as error:
        raise OutputError(f"{final}: cannot be written ({error.strerror or error}); {remedy}") from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes a UTF-8 text file, whole or not at all.

    Raises:
        OutputError: the folder cannot be written or the disk is full.
    """
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8", newline="\n")
