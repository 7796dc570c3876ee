"""Connections that never finish their first line are closed."""

import asyncio
from typing import Any, Final

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
