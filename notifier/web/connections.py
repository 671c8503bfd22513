"""A connection of the web server: uvicorn's own, with an end to waiting for the head of a request.

Uvicorn limits neither how long a head may take nor, with httptools, how long it may be: a sender
could hold any number of connections for ever, and 100 MB of one head were taken (uvicorn 0.54).
The bodies are `web.front`'s business.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class Connection(HttpToolsProtocol):
    """HTTP/1.1 on one socket."""

    #: From the first byte of a request, or from the opening of the connection, to its head's end.
    head_seconds = 30.0
    #: In bytes. nginx takes 32 KiB.
    head_max = 64 * 1024

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._is_in_head = True
        self._head_bytes = 0
        self._has_ended_one = False
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head."""
        super().connection_made(transport)
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Some of a request; a head that is too long is refused."""
        if self._is_in_head and self._patience is None:
            self._wait_for_head()
        self._has_ended_one = False
        super().data_received(data)
        if not self._is_in_head or self._has_ended_one:
            return  # most of it was no head
        self._head_bytes += len(data)
        if self._head_bytes > self.head_max and not self.transport.is_closing():
            self.send_400_response(f"The head of the request is longer than {self.head_max} bytes.")

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._is_in_head = False
        self._stop_waiting()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """What follows is the next head."""
        self._is_in_head, self._head_bytes, self._has_ended_one = True, 0, True
        super().on_message_complete()

    def _wait_for_head(self) -> None:
        self._patience = self.loop.call_later(self.head_seconds, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
