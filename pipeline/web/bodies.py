"""Bodies of requests: refused by length before a byte is read, counted while they come, given up when they stall."""

import asyncio
import time
from collections.abc import Mapping
from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipeline.web.problems import Problem, problem
from pipeline.web.settings import Limits

_GRACE: Final = 60.0
# The connection goes, as the rest of the body would be read as the next request.
_CLOSE: Final = {"Connection": "close"}


class BodyLimit:
    """Keeps a body's size and time within the limits; paths in `larger` have a limit of their own."""

    def __init__(self, app: ASGIApp, limits: Limits, larger: Mapping[str, int]) -> None:
        self._app, self._limits, self._larger = app, limits, larger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._larger.get(scope["path"], self._limits.request_bytes)
        told = Headers(scope=scope).get("content-length")
        if told is not None and (not told.isdecimal() or int(told[:20]) > limit):
            await problem(413, _too_large(limit), _CLOSE)(scope, receive, send)
            return
        body = _Body(receive, limit, self._limits)
        await self._app(scope, body.receive, send)


class _Body:
    def __init__(self, receive: Receive, limit: int, limits: Limits) -> None:
        self._receive, self._limit, self._limits = receive, limit, limits
        self._began, self._bytes, self._whole = time.monotonic(), 0, False

    async def receive(self) -> Message:
        if self._whole:
            return await self._receive()  # waits for the client to leave, however long that takes
        try:
            message = await asyncio.wait_for(self._receive(), self._limits.silence)
        except TimeoutError:
            raise Problem(408, f"the body stalled for {self._limits.silence:g} s; send it again", _CLOSE) from None
        self._bytes += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        if self._bytes > self._limit:
            raise Problem(413, _too_large(self._limit), _CLOSE)
        overdue = time.monotonic() - self._began - _GRACE
        if not self._whole and self._bytes < overdue * self._limits.least_rate:
            raise Problem(408, "the body comes too slowly; send it again over a better line", _CLOSE)
        return message


def _too_large(limit: int) -> str:
    return f"the body has more than {limit:,} bytes; send less at a time"
