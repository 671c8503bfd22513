"""Which requests the providers were asked, whether or not anything was accepted."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import asdict, dataclass
from typing import Any

KEPT = 10_000


@dataclass(slots=True)
class Entry:
    """One request (HTTP) or transaction (SMTP).

    `answer` is the status, "fault NAME", or "" while it is under way. Requests with the same
    `peer` came over one connection.
    """

    request: int
    service: str
    line: str
    received_ns: int
    peer: int
    answer: str = ""


class Traffic:
    """Numbers the requests and remembers the last 10,000. Thread-safe."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=KEPT)
        self._count = 0
        self._lock = threading.Lock()

    def begin(self, service: str, line: str, received_ns: int, peer: int) -> Entry:
        """A request has arrived; the caller fills in the answer."""
        with self._lock:
            self._count += 1
            entry = Entry(self._count, service, line, received_ns, peer)
            self._entries.append(entry)
        return entry

    def remembered(self, service: str = "") -> list[dict[str, Any]]:
        """The requests, oldest first; of one service, if it is named."""
        with self._lock:
            return [asdict(e) for e in self._entries if service in ("", e.service)]
