"""A run's results at an address: any place that fsspec reaches, such as `s3://bucket/prefix` or `file:///shared/tiles`."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pipeline.errors import OutputError
from pipeline.files import digest, whole_file
from pipeline.results.layout import ITEM
from pipeline.results.staging import staged_folder

_EXTRAS = {
    "s3": "s3fs",
    "s3a": "s3fs",
    "gs": "gcsfs",
    "gcs": "gcsfs",
    "abfs": "adlfs",
    "abfss": "adlfs",
    "az": "adlfs",
    "sftp": "paramiko",
    "ssh": "paramiko",
}
# Addresses that only read, and one that no other process sees.
_UNFIT = ("http", "https", "data", "memory", "zip", "tar")


@dataclass(frozen=True)
class RemoteFolder:
    """A folder at an address. A scene in it counts from the moment when its Item, written last, is there."""

    url: str
    """Anything that fsspec writes to, such as `s3://bucket/maps`."""

    def __truediv__(self, name: str) -> "RemoteFolder":
        return RemoteFolder(f"{self.url.rstrip('/')}/{name}")

    def __str__(self) -> str:
        """The address without passwords, for people."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    @property
    def local(self) -> Path | None:
        """The folder of this machine that a `file:` address means."""
        return Path(urlsplit(self.url).path) if urlsplit(self.url).scheme in ("file", "local") else None

    @cached_property
    def _at(self) -> tuple[Any, str]:
        """The file system and the folder's path in it."""
        scheme = urlsplit(self.url).scheme
        if scheme in _UNFIT:
            raise OutputError(
                f"{self}: results cannot be written to a {scheme} address; name a folder or an address such as "
                f"s3://bucket/prefix"
            )
        try:
            import fsspec

            system, path = fsspec.core.url_to_fs(self.url, use_listings_cache=False)
        except ImportError as error:
            package = _EXTRAS.get(scheme, "fsspec")
            raise OutputError(
                f"{self}: addresses of {scheme} need the package {package} on every machine; install it with: pip "
                f"install {package}"
            ) from error
        except ValueError as error:
            raise OutputError(
                f"{self}: no address that fsspec knows ({error}); name a folder or an address such as "
                f"s3://bucket/prefix"
            ) from error
        return system, str(path).rstrip("/")

    @contextmanager
    def _reached(self) -> Iterator[tuple[Any, str]]:
        try:
            yield self._at
        except OutputError:
            raise
        except Exception as error:  # each kind of store has exceptions of its own
            reason = " ".join(str(error).split())[:200] or type(error).__name__
            raise OutputError(
                f"{self}: cannot be reached or written ({reason}); check the address, the credentials and the "
                f"space left"
            ) from error

    def check(self) -> None:
        """Writes and removes a tiny file, so that a wrong address ends a run before its work and not after.

        Raises:
            OutputError: the address cannot be written.
        """
        with self._reached() as (system, path):
            system.makedirs(path, exist_ok=True)
            system.pipe_file(f"{path}/.written", b"")
            system.rm_file(f"{path}/.written")

    def put_scene(self, folder: Path) -> None:
        """Uploads a finished scene's folder under its own name, its Item last.

        What was there before stops counting first.

        Raises:
            OutputError: it cannot be written, or is not there afterwards.
        """
        files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
        with self._reached() as (system, root):
            home = f"{root}/{folder.name}"
            earlier = self._sizes(folder.name)
            if ITEM in earlier:
                system.rm_file(f"{home}/{ITEM}")
            for name in sorted(files, key=lambda name: (name == ITEM, name)):
                if name == ITEM:
                    for stale in sorted(earlier.keys() - files.keys()):
                        system.rm_file(f"{home}/{stale}")
                system.makedirs(f"{home}/{name}".rpartition("/")[0], exist_ok=True)
                system.put_file(str(files[name]), f"{home}/{name}")
            if self._sizes(folder.name) != {name: path.stat().st_size for name, path in files.items()}:
                raise OutputError(
                    f"{self}/{folder.name}: does not list the files that were written; check the store and run again"
                )

    def get_scene(self, name: str, into: Path, expected: Mapping[str, str] | None = None) -> bool:
        """Brings a scene's folder to `into`.

        Whether there was a finished one. Nothing is read where `into` has the `expected` digests.

        Raises:
            OutputError: it cannot be read, or has other bytes than `expected` says.
        """
        place = into / name
        if expected and _has(place, expected):
            return True
        with self._reached() as (system, root):
            found = self._sizes(name)
            if ITEM not in found:
                return False
            with staged_folder(place) as staging:
                for file in found:
                    target = staging / file
                    target.parent.mkdir(parents=True, exist_ok=True)
                    system.get_file(f"{root}/{name}/{file}", str(target))
        if expected and not _has(place, expected):
            shutil.rmtree(place, ignore_errors=True)
            raise OutputError(
                f"{self}/{name}: reads back other than it was written; is another run writing there? run again"
            )
        return True

    def put(self, path: Path) -> None:
        """Uploads one file under its own name; a file that is not there goes there, too.

        Raises:
            OutputError: it cannot be written.
        """
        with self._reached() as (system, root):
            if path.exists():
                system.makedirs(root, exist_ok=True)
                system.put_file(str(path), f"{root}/{path.name}")
            elif system.exists(f"{root}/{path.name}"):
                system.rm_file(f"{root}/{path.name}")

    def get(self, path: Path) -> bool:
        """Brings one file of this name to `path`; whether it was there.

        Raises:
            OutputError: it cannot be read.
        """
        with self._reached() as (system, root):
            if not system.exists(f"{root}/{path.name}"):
                return False
            with whole_file(path) as part:
                system.get_file(f"{root}/{path.name}", str(part))
        return True

    def _sizes(self, name: str) -> dict[str, int]:
        """Files of a scene, by their path within it, and their bytes."""
        system, root = self._at
        system.invalidate_cache()
        home = f"{root}/{name}/"
        found = system.find(home, detail=True) if system.exists(home) else {}
        return {
            path.partition(home)[2]: int(facts["size"])
            for path, facts in sorted(found.items())
            if path.partition(home)[2]
        }


def _has(folder: Path, expected: Mapping[str, str]) -> bool:
    try:
        return all(digest(folder / name) == mark for name, mark in expected.items())
    except OSError:
        return False


def mirror(url: str, home: Path) -> Path:
    """The folder below `home` that holds this machine's copy of what lies at an address."""
    folder = RemoteFolder(url)
    return (
        home / f"{Path(urlsplit(url).path).name or urlsplit(url).netloc}-{sha256(str(folder).encode()).hexdigest()[:8]}"
    )
