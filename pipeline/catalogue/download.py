"""Files by address: downloads that go on where a cut line or an earlier call stopped, and answers in JSON."""

import hashlib
import json
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from typing import Any, Self
from urllib.error import HTTPError
from urllib.parse import urlsplit

from pipeline.errors import CorruptScene, NotAScene, OutputError, UnsafeInput
from pipeline.scenes.safety.address import SCHEMES, RemoteError, ask, base_name, explained, redacted
from pipeline.scenes.safety.guard import printable

_TRIES = 4
_CHUNK = 1 << 20
MAX_ANSWER = 64 << 20
# Multihash prefixes (code and length) of `file:checksum`, the STAC file extension's field.
_HASHES = {"1220": "sha256", "1340": "sha512", "1620": "sha3_256", "d50110": "md5", "1114": "sha1"}

Progress = Callable[[int], None]


def file_name(href: str) -> str:
    """The name under which an address is stored.

    Raises:
        UnsafeInput: it has none that is safe.
    """
    name = base_name(href)
    if not name or name.startswith(".") or "/" in name or "\\" in name or not name.isprintable():
        raise UnsafeInput(f"{shown(href)}: the address ends in no file name; download the file yourself")
    return name


def fetch(href: str, path: Path, checksum: str | None = None, progress: Progress = lambda _: None) -> None:
    """Downloads a file, continuing what an earlier call left, and compares the whole with its multihash.

    Raises:
        UnsafeInput: the address is neither http, https nor s3.
        NotAScene: the server does not give the file.
        CorruptScene: the bytes are not what the checksum or the server says.
        OutputError: the file cannot be written.
    """
    if path.exists() and (checksum is None or _agrees(path, checksum)):
        return
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(path, error) from error
    for attempt in range(_TRIES):
        try:
            if _continue(href, part, checksum is not None, progress):
                break
        except (HTTPException, OSError) as error:
            if isinstance(error, RemoteError) or (isinstance(error, HTTPError) and error.code < 500):
                raise NotAScene(f"{shown(href)}: {printable(explained(error))}; check the address") from error
            if attempt == _TRIES - 1:
                raise NotAScene(
                    f"{shown(href)}: cannot be downloaded ({printable(explained(error))}); run the same command "
                    f"again to go on"
                ) from error
            time.sleep(0.5 * 2**attempt)
    else:
        raise CorruptScene(f"{shown(href)}: the connection was cut {_TRIES} times; run the same command again to go on")
    if checksum is not None and not _agrees(part, checksum):
        _forget(part)
        raise CorruptScene(
            f"{shown(href)}: the bytes differ from the catalogue's checksum; try again or choose another --collection"
        )
    part.replace(path)
    _forget(part)


@dataclass(frozen=True, slots=True)
class _Version:
    """Which version of a file a first part is of."""

    mark: str | None = None
    """What `If-Range` takes: a strong ETag, else the date of the last change."""
    total: int | None = None
    """The file's bytes."""

    @classmethod
    def kept(cls, part: Path) -> Self:
        """What was kept beside a first part; nothing where it is missing or damaged."""
        try:
            mark, total = json.loads(_beside(part).read_text(encoding="utf-8"))
        except (OSError, ValueError, TypeError):
            return cls()
        return cls(mark if isinstance(mark, str) else None, total if isinstance(total, int) else None)

    @classmethod
    def told(cls, headers: Message, total: int | None) -> Self:
        """What an answer's headers tell."""
        mark = headers.get("ETag") or ""
        return cls(mark if mark.startswith('"') else headers.get("Last-Modified"), total)

    def keep(self, part: Path) -> None:
        _beside(part).write_text(json.dumps([self.mark, self.total]), encoding="utf-8")

    def follows(self, other: Self) -> bool:
        """Whether nothing speaks against both being one version."""
        pairs = ((self.mark, other.mark), (self.total, other.total))
        return all(one is None or two is None or one == two for one, two in pairs)


def _beside(part: Path) -> Path:
    return part.with_suffix(".version")


def _forget(part: Path) -> None:
    part.unlink(missing_ok=True)
    _beside(part).unlink(missing_ok=True)


def _continue(href: str, part: Path, checked: bool, progress: Progress) -> bool:
    """Takes a file on from where its first part ends; whether it is whole now.

    A first part is kept only where a later part of another version would show: by the server's mark of the version, or
    by a checksum of the whole (`checked`).
    """
    kept = _Version.kept(part)
    if kept.mark is None and not checked:
        _forget(part)
    have = part.stat().st_size if part.exists() else 0
    wish = {"Range": f"bytes={have}-"} | ({"If-Range": kept.mark} if kept.mark else {}) if have else {}
    try:
        answer = _open(href, wish)
    except HTTPError as error:
        if error.code != 416:
            raise
        # Nothing is left behind what is here, or the file became shorter.
        now = _Version.told(error.headers, _number(error.headers.get("Content-Range", "").rpartition("/")[2]))
        if now.total == have and now.follows(kept):
            return True
        _forget(part)
        return False
    with answer:
        length = _number(answer.headers.get("Content-Length"))
        start, total = 0, length
        if answer.status == 206:
            start, total = _span(answer.headers.get("Content-Range"))
            now = _Version.told(answer.headers, total)
            if start != have or not now.follows(kept):
                _forget(part)
                return False
        if length is not None and length > shutil.disk_usage(part.parent).free:
            raise OutputError(
                f"{part.parent}: {length / 1e6:,.0f} MB do not fit on the disk; free space or choose another folder"
            )
        with _writable(part, "ab" if start else "wb") as target:
            if not start:
                _Version.told(answer.headers, total).keep(part)
            while chunk := answer.read(_CHUNK):
                try:
                    target.write(chunk)
                except OSError as error:
                    raise unwritable(part, error) from error
                progress(len(chunk))
    return total is None or part.stat().st_size == total


def _span(told: str | None) -> tuple[int, int | None]:
    """First byte and the whole file's bytes of a Content-Range; the first is -1 where it tells none."""
    given, _, total = (told or "").removeprefix("bytes ").partition("/")
    first = _number(given.partition("-")[0])
    return -1 if first is None else first, _number(total)


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.strip().isdecimal() else None


def _writable(path: Path, mode: str) -> Any:  # noqa: ANN401 - a binary file
    try:
        return path.open(mode)
    except OSError as error:
        raise unwritable(path, error) from error


def unwritable(path: Path, error: OSError) -> OutputError:
    """The error of a file that the disk refuses."""
    return OutputError(f"{path}: cannot be written ({error.strerror or error}); free space or choose another folder")


def _agrees(path: Path, checksum: str) -> bool:
    """Whether a file has a multihash; kinds that are not known pass."""
    for prefix, name in _HASHES.items():
        if checksum.lower().startswith(prefix):
            with path.open("rb") as stream:
                return hashlib.file_digest(stream, name).hexdigest() == checksum.lower().removeprefix(prefix)
    return True


def json_at(url: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
    """The JSON object at an address, asked for by POST where there is a `body`.

    Raises:
        UnsafeInput: the address is neither http, https nor s3.
        NotAScene: there is no answer, or no JSON object.
    """
    data = None if body is None else json.dumps(body).encode()
    try:
        with _open(
            url,
            {"Accept": "application/geo+json, application/json"}
            | ({"Content-Type": "application/json"} if data else {}),
            data,
        ) as answer:
            found = json.loads(answer.read(MAX_ANSWER))
    except (HTTPException, OSError, ValueError, RecursionError) as error:
        raise NotAScene(
            f"{shown(url)}: no usable answer ({printable(explained(error))}); check the address and the query"
        ) from error
    if not isinstance(found, dict):
        raise NotAScene(f"{shown(url)}: answers something other than STAC; check the address")
    return found


def links_of(answer: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The links of an Item or a page, whatever else stands among them."""
    told = answer.get("links")
    return [link for link in told if isinstance(link, dict)] if isinstance(told, list) else []


def _open(url: str, headers: Mapping[str, str], data: bytes | None = None) -> HTTPResponse:
    if urlsplit(url).scheme not in SCHEMES:
        raise UnsafeInput(f"{shown(url)}: only http, https and s3 addresses are fetched; download the file yourself")
    return ask(url, headers, data)


def shown(href: str) -> str:
    """An address for people: printable, not too long, without what signs it."""
    return printable(redacted(href))[:160]
