"""HTTP itself: connections that never finish their first line are closed, HEAD is answered as GET."""

import asyncio
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

# Seconds until a new connection must have sent the head of a request.
HEAD_SECONDS: Final = 10.0


class PromptProtocol(H11Protocol):
    """HTTP/1.1 with a time limit on the head of a connection's first request, which uvicorn leaves open."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in the base class
        """Starts the clock."""
        super().connection_made(transport)
        self.loop.call_later(HEAD_SECONDS, self._close_if_silent)

    def _close_if_silent(self) -> None:
        cycle: Any = self.cycle
        if cycle is None and not self.transport.is_closing():
            self.transport.close()


class HeadAsGet:
    """Answers HEAD like GET, without the body (RFC 9110, 9.3.2): what readers of remote rasters ask first."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def headed(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body", "body": b""})  # streams of events end here too

        await self._app({**scope, "method": "GET"}, receive, headed)
