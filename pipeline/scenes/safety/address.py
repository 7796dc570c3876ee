"""Files at http, https and s3 addresses.

Asking for them, whole or in parts, and showing their addresses without secrets.
"""

import ipaddress
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage, HTTPResponse, InvalidURL
from pathlib import PurePosixPath
from typing import IO
from urllib.error import HTTPError
from urllib.parse import quote, unquote, urlsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
)

from pipeline import __version__

SCHEMES = ("http", "https", "s3")
_TIMEOUT = 60.0
_TRIES = 4
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
# Where machines of Amazon (by IPv6), Alibaba and Oracle ask for their own passwords; others use link-local addresses.
_CLOUD_SECRETS = {ipaddress.ip_address(text) for text in ("fd00:ec2::254", "100.100.100.200", "192.0.0.192")}
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
# Buckets of other clouds than Amazon's, by whose names anyone could open one there.
_ELSEWHERE = {"eodata": "Copernicus Data Space, which wants an account: download from dataspace.copernicus.eu"}
# What an address may hold besides letters and digits (RFC 3986), and control characters, for which it is refused as a
# whole; the rest is escaped before it is asked for.
_ADDRESS_MARKS = "%/:=&?~#+!$,;'@()*[]-._" + "".join(map(chr, range(32)))
# The first piece of a file: holds the directories of any cloud-optimised granule.
_HEAD = 128 << 10


class RemoteError(OSError):
    """A server did not give what was asked for; the text carries no secret."""


@dataclass(frozen=True, slots=True)
class Remote:
    """A file at an address."""

    href: str
    """Its address."""
    size: int
    """Bytes."""
    mark: str
    """ETag or time by which a change of it shows."""


def is_remote(href: str) -> bool:
    """Whether something is an address and not a path."""
    return urlsplit(href).scheme in SCHEMES if "://" in href else False


def base_name(href: str) -> str:
    """The last part of a path or address, without what follows a question mark in an address."""
    return unquote(PurePosixPath(urlsplit(href).path).name) if is_remote(href) else PurePosixPath(href).name


def redacted(href: str) -> str:
    """An address without password and query, which may hold a signature that opens the file to anyone."""
    if "://" not in href:
        return href
    scheme, _, rest = href.partition("://")
    place, cut, _ = rest.partition("?")
    host, slash, path = place.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path.partition('#')[0]}{'?...' if cut else ''}"


class _Redirects(HTTPRedirectHandler):
    """Follows a redirect unless it leads from a public server into a private network, or from https to http."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        """The request to the new address.

        Raises:
            RemoteError: it must not be followed.
        """
        fp.close()  # whatever it says beside
        old, new = urlsplit(req.full_url), urlsplit(newurl)
        if old.scheme == "https" and new.scheme != "https":
            raise RemoteError("the server sends from https to an open line")
        if _private(new.hostname) and not _private(old.hostname):
            raise RemoteError("the server sends into a private network")
        _refuse_link_local(new.hostname)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _addresses(host: str | None) -> list[Address]:
    try:
        entries = socket.getaddrinfo(host, None)
        return [_inner(ipaddress.ip_address(str(entry[4][0]).partition("%")[0])) for entry in entries]
    except (OSError, UnicodeError, ValueError):  # unknown here; a proxy may know it
        return []


def _inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for (mapped, NAT64, 6to4), else the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def _private(host: str | None) -> bool:
    return any(not address.is_global for address in _addresses(host))


def _refuse_link_local(host: str | None) -> None:
    """Machines of a cloud give their own passwords at such addresses."""
    if any(address.is_link_local or address in _CLOUD_SECRETS for address in _addresses(host)):
        raise RemoteError("an address of the machine's own surroundings (link-local) is not fetched")


def ask(href: str, headers: Mapping[str, str], data: bytes | None = None) -> HTTPResponse:
    """A server's answer over http or https, and nothing else: no local files, no other protocol behind a redirect.

    Raises:
        ValueError: the address is of another kind.
        RemoteError: it leads where nothing must be asked, or is of a cloud that wants an account.
        OSError, HTTPException: there is no answer, or one that says no.
    """
    parts = urlsplit(href)
    if parts.scheme not in SCHEMES:
        raise ValueError("only http, https and s3 addresses are fetched")
    if parts.scheme == "s3" and parts.netloc in _ELSEWHERE:
        raise RemoteError(f"the bucket {parts.netloc} is of {_ELSEWHERE[parts.netloc]}")
    # Public buckets; those that want credentials are not read.
    url = f"https://{parts.netloc}.s3.amazonaws.com{parts.path}" if parts.scheme == "s3" else href
    url = quote(url, safe=_ADDRESS_MARKS)
    _refuse_link_local(urlsplit(url).hostname)
    opener = OpenerDirector()
    for handler in (
        ProxyHandler(),
        HTTPHandler(),
        HTTPSHandler(),
        _Redirects(),
        HTTPErrorProcessor(),
        HTTPDefaultErrorHandler(),
    ):
        opener.add_handler(handler)
    agent = {"User-Agent": f"landcover-atlas/{__version__}", "Accept-Encoding": "identity"}
    try:
        answer: HTTPResponse = opener.open(Request(url, data, {**agent, **headers}), timeout=_TIMEOUT)
    except HTTPError as error:
        error.close()
        raise
    return answer


def probe(href: str) -> Remote | None:
    """What a server says of a file; None where it gives no parts of it, or nothing by which a change would show.

    Raises:
        RemoteError: it does not give the file at all.
    """
    return begin(href)[0]


def begin(href: str) -> tuple[Remote | None, bytes]:
    """What a server says of a file as `probe` does, and its first piece; asked once more where the line breaks.

    Raises:
        RemoteError: it does not give the file at all.
    """
    for last in (False, True):
        try:
            with ask(href, {"Range": f"bytes=0-{_HEAD - 1}"}) as answer:
                total, mark = _total(answer, 0), _mark(answer)
                if total is None or not mark:
                    return None, b""
                head = answer.read(_HEAD + 1)
            if len(head) == min(total, _HEAD):
                return Remote(href, total, mark), head
            why: Exception = RemoteError(f"the server gave {len(head)} of {min(total, _HEAD)} bytes")
        except (HTTPException, OSError, ValueError) as error:
            why = error
            if last or isinstance(error, RemoteError) or (isinstance(error, HTTPError) and error.code < 500):
                break
            time.sleep(0.5)
    raise RemoteError(explained(why)) from why


def explained(error: BaseException) -> str:
    """Why a server gave nothing, in one line without addresses."""
    if isinstance(error, HTTPError):
        hint = "; a signed address expires: search again" if error.code in (401, 403) else ""
        return f"the server answers {error.code} {' '.join(str(error.reason).split())[:60]}{hint}"
    if isinstance(error, InvalidURL):  # its text holds the address, and with it a signature
        return "the address is none that can be asked for"
    reason = getattr(error, "reason", None)
    return " ".join(str(reason if reason is not None else error).split())[:120] or type(error).__name__


def _total(answer: HTTPResponse, start: int) -> int | None:
    """The size of the whole file, where the answer is its part from `start`."""
    unit, _, rest = answer.headers.get("Content-Range", "").partition(" ")
    span, _, total = rest.partition("/")
    fits = answer.status == 206 and unit == "bytes" and span.partition("-")[0] == str(start) and total.isdecimal()
    return int(total) if fits else None


def _mark(answer: HTTPResponse) -> str:
    found = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
    return found.strip()[:200]


def fetch_range(remote: Remote, start: int, end: int) -> bytes:
    """The bytes of a file from `start` up to `end`, asked for again when the line breaks.

    Raises:
        RemoteError: the server does not give them, or they are another file's.
    """
    why = ""
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(0.5 * 2**attempt)
        try:
            with ask(remote.href, {"Range": f"bytes={start}-{end - 1}"}) as answer:
                if _mark(answer) != remote.mark or _total(answer, start) != remote.size:
                    raise RemoteError("the file changed on the server while it was read, or it stopped serving parts")
                data = answer.read(end - start + 1)
            if len(data) == end - start:
                return data
            why = f"the server gave {len(data)} of {end - start} bytes"
        except RemoteError:
            raise
        except (HTTPException, OSError, ValueError) as error:
            why = explained(error)
            if isinstance(error, HTTPError) and error.code < 500:
                break
    raise RemoteError(why)
