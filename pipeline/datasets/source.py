"""A zip or a folder as a list of member names and their bytes; nothing is ever unpacked to disk."""

import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Self

from pipeline.errors import ModelError

MAX_MEMBER = 1 << 30


class Source:
    """A data set's container, opened as a context.

    Raises:
        ModelError: it is missing, damaged, or a zip with names that climb out of it.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._zip: zipfile.ZipFile | None = None

    def __enter__(self) -> Self:
        if self._path.is_file():
            try:
                self._zip = zipfile.ZipFile(self._path)
            except (OSError, zipfile.BadZipFile) as error:
                raise ModelError(f"{self._path}: cannot be read as a zip ({error}); download it again") from error
            for name in self._zip.namelist():
                if ".." in PurePosixPath(name.replace("\\", "/")).parts or name.startswith(("/", "\\")):
                    raise ModelError(
                        f"{self._path}: a name in this zip climbs out of it ({name!r}); such zips are not read, make "
                        f"another of the folder itself"
                    )
        elif not self._path.is_dir():
            raise ModelError(
                f"{self._path}: no such file or folder; give EuroSAT's zip or a folder with one sub-folder a class"
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self._zip is not None:
            self._zip.close()

    def names(self) -> Iterator[str]:
        """Every file's name, with forward slashes."""
        if self._zip is not None:
            yield from (entry.filename for entry in self._zip.infolist() if not entry.is_dir())
        else:
            yield from (
                path.relative_to(self._path).as_posix() for path in sorted(self._path.rglob("*")) if path.is_file()
            )

    def read(self, name: str) -> bytes:
        """A file's bytes.

        Raises:
            ModelError: it cannot be read or is larger than a gigabyte.
        """
        try:
            size = self._zip.getinfo(name).file_size if self._zip is not None else (self._path / name).stat().st_size
            if size > MAX_MEMBER:
                raise ModelError(f"{self._path}/{name}: {size:,} bytes are too many for one picture; take it out")
            return self._zip.read(name) if self._zip is not None else (self._path / name).read_bytes()
        except (OSError, zipfile.BadZipFile, RuntimeError, NotImplementedError, zlib.error) as error:
            raise ModelError(f"{self._path}/{name}: cannot be read ({error}); copy the data again") from error
