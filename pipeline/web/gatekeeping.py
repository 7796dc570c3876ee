"""Who may come in and what a browser may do with the answers: hosts, origins, token, rate, headers."""

import hmac
import secrets
import time
from collections import OrderedDict
from http.cookies import CookieError, SimpleCookie
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.web.problems import problem
from pipeline.web.settings import LOOPBACK, Settings

COOKIE: Final = "atlas_session"
# The page itself holds no data and asks for the token; a load balancer asks for health.
OPEN: Final = ("/", "/health", "/session", "/favicon.ico")
_OPEN_FOLDER: Final = "/static/"
_SAFE: Final = ("GET", "HEAD", "OPTIONS")
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_HEADER_BYTES: Final = 32_768
_CLIENTS: Final = 10_000
_SESSIONS: Final = 1_000


class Sessions:
    """Sessions of browsers that showed the token, since pictures and event streams cannot carry a header."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, None] = OrderedDict()

    def begin(self) -> str:
        """A new session's secret."""
        secret = secrets.token_urlsafe(32)
        self._known[secret] = None
        while len(self._known) > _SESSIONS:
            self._known.popitem(last=False)
        return secret

    def holds(self, cookies: str) -> bool:
        """Whether a request's cookies name a session."""
        try:
            shown = SimpleCookie(cookies).get(COOKIE)
        except CookieError:
            return False
        if shown is None:
            return False
        return any(_same(shown.value, secret) for secret in self._known)


def _same(shown: str, secret: str) -> bool:
    """Compares in a time that tells nothing about how much is right."""
    return hmac.compare_digest(shown.encode("utf-8", "surrogateescape"), secret.encode())


def token_shown(headers: Headers, token: str) -> bool:
    """Whether a request shows the bearer token."""
    scheme, _, shown = headers.get("authorization", "").partition(" ")
    return _same(shown.strip(), token) and scheme.lower() == "bearer"


class Buckets:
    """So many requests a second for each client address, twice as many at once."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, client: str) -> float:
        """Seconds until this client may ask, 0 where it may now."""
        if not self._rate:
            return 0.0
        now, most = time.monotonic(), max(1.0, 2 * self._rate)
        left, then = self._left.pop(client, (most, now))
        left = min(most, left + (now - then) * self._rate)
        self._left[client] = (left - 1 if left >= 1 else left, now)
        if len(self._left) > _CLIENTS:
            self._left.popitem(last=False)
        return 0.0 if left >= 1 else (1 - left) / self._rate


class Gate:
    """Lets a request through to the app, or tells why not."""

    def __init__(self, app: ASGIApp, settings: Settings, sessions: Sessions) -> None:
        self._app, self._settings, self._sessions = app, settings, sessions
        self._buckets = Buckets(settings.limits.rate)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        refusal = self._refusal(scope)
        await (refusal or self._app)(scope, receive, guarded)

    def _refusal(self, scope: Scope) -> ASGIApp | None:
        if sum(len(name) + len(value) for name, value in scope["headers"]) > _HEADER_BYTES:
            return problem(431, f"more than {_HEADER_BYTES:,} bytes of headers")
        headers, path = Headers(scope=scope), scope["path"]
        host = host_of(headers.get("host", ""))
        if not self._settings.token and host not in LOOPBACK:
            # A name that an attacker's page made to point here (DNS rebinding).
            return problem(421, f"this server answers as {', '.join(LOOPBACK)} only; behind another name give --token")
        if (origin := headers.get("origin")) and scope["method"] not in _SAFE and not self._known(origin, headers):
            return problem(403, "requests of web pages from elsewhere are refused")
        if self._settings.token and not self._trusted(path, headers):
            return problem(
                401,
                "this server asks for its token: Authorization: Bearer TOKEN",
                {"WWW-Authenticate": 'Bearer realm="atlas"'},
            )
        client = scope.get("client")
        if wait := self._buckets.wait(client[0] if client else ""):
            return problem(
                429,
                f"more than {self._settings.limits.rate:g} requests a second",
                {"Retry-After": str(max(1, round(wait)))},
            )
        return None

    def _known(self, origin: str, headers: Headers) -> bool:
        return origin in self._settings.origins or urlsplit(origin).netloc == headers.get("host")

    def _trusted(self, path: str, headers: Headers) -> bool:
        if path in OPEN or path.startswith(_OPEN_FOLDER):
            return True
        return token_shown(headers, self._settings.token or "") or self._sessions.holds(headers.get("cookie", ""))


def host_of(header: str) -> str:
    """The name in a Host header, without port and brackets."""
    try:
        return (urlsplit(f"//{header}").hostname or "").lower()
    except ValueError:
        return ""
