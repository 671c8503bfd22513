"""SendGrid's Event Webhook: posts what became of accepted mail, signed, until it is taken.

As the real one: a JSON array of events, its body ending in CRLF, of at most 768 KB; what is not
answered with 2xx is posted again for 24 hours; nothing promises an order or that an event comes
once. Unlike the real one it waits a moment for more events and not half a minute, and between
two tries at most half a minute.
"""

from __future__ import annotations

import heapq
import random
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import urllib3
from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import to_json

from notifier.sandbox.event_key import EventKey
from notifier.sandbox.events import list_events
from notifier.settings import HttpUrl

BATCH_BYTES = 768 * 1024
GIVE_UP_SECONDS = 24 * 3600
#: How long the first event of a batch waits for others.
_GATHER_SECONDS = 0.02
_FIRST_WAIT, _LONGEST_WAIT = 0.25, 30.0
_PATIENCE = urllib3.Timeout(connect=3, read=10)


class EventOrder(BaseModel):
    """Where events go, and what goes wrong on the way. What an order leaves out stays as it is."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    #: None: nowhere; what waits is forgotten, and of mail accepted meanwhile nothing is told.
    url: HttpUrl | None = None
    #: Seconds that a batch waits before it is posted.
    delay: float = Field(0, ge=0, le=86400)
    #: How many times more a batch is posted though it was taken.
    repeat: int = Field(0, ge=0, le=100)
    #: Events leave in no order at all, within a batch and across batches.
    shuffle: bool = False
    #: By how many seconds the signed timestamp is too old.
    age: int = Field(0, ge=-86400, le=30 * 86400)


@dataclass(order=True, slots=True)
class _Batch:
    due: float
    number: int
    events: int = field(compare=False)
    body: bytes = field(compare=False)
    #: How many times more it is posted once it was taken.
    repeat: int = field(compare=False)
    first_due: float = field(compare=False)
    attempt: int = field(default=0, compare=False)


class Webhook:
    """Posts events in a thread of its own from `start` to `stop`. Times are monotonic seconds."""

    def __init__(self, key: EventKey, order: EventOrder) -> None:
        self._key = key
        self._order = order
        self._mails: list[tuple[Mapping[str, Any], str, int]] = []
        self._batches: list[_Batch] = []
        self._made = self._flying = self._posted = self._failures = 0
        self._last_failure = ""
        self._stopping = False
        self._changed = threading.Condition()
        self._pool = urllib3.PoolManager(num_pools=1, maxsize=1, retries=False, timeout=_PATIENCE)
        self._thread = threading.Thread(target=self._run, daemon=True, name="event webhook")

    @property
    def public_key(self) -> str:
        """With which a receiver verifies: base64 of DER."""
        return self._key.public

    def start(self) -> None:
        """Post from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Post no more; what waits is forgotten."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join(timeout=1)  # it may be waiting for an answer
        self._pool.clear()

    def take(self, mail: Mapping[str, Any], message_id: str) -> None:
        """A mail was accepted: tell what becomes of it."""
        with self._changed:
            if self._order.url is not None:
                self._mails.append((mail, message_id, int(time.time())))
                self._changed.notify()

    def change(self, order: EventOrder) -> None:
        """Obey what is given in `order` from now on."""
        with self._changed:
            self._order = self._order.model_copy(update=order.model_dump(exclude_unset=True))
            if self._order.url is None:
                self._batches.clear()
            self._changed.notify()

    def describe(self) -> dict[str, Any]:
        """The order in force, the public key, and how many events wait and were taken so far.

        `posted` counts repeated events as often as they were taken, `failures` the posts that
        were not taken.
        """
        with self._changed:
            return {
                **self._order.model_dump(),
                "public_key": self.public_key,
                "mails_waiting": len(self._mails),
                "waiting": self._flying + sum(batch.events for batch in self._batches),
                "posted": self._posted,
                "failures": self._failures,
                "last_failure": self._last_failure,
            }

    def _run(self) -> None:
        while self._wait():
            self._make_batches()
            self._post_due()

    def _wait(self) -> bool:
        """Until there is something to do; False when it is time to end."""
        with self._changed:
            while not self._stopping and not self._mails:
                seconds = self._batches[0].due - time.monotonic() if self._batches else None
                if seconds is not None and seconds <= 0:
                    return True
                self._changed.wait(seconds)
        time.sleep(_GATHER_SECONDS)
        return not self._stopping

    def _make_batches(self) -> None:
        with self._changed:
            mails, order = list(self._mails), self._order
        events = [to_json(event) for mail in mails for event in list_events(*mail)]
        if order.shuffle:
            random.shuffle(events)
        batches = list(_cut(events))
        due = time.monotonic() + order.delay
        with self._changed:
            del self._mails[: len(mails)]
            for batch in batches if self._order.url else ():
                self._made += 1
                body = b"[%b]\r\n" % b",".join(batch)
                made = _Batch(due, self._made, len(batch), body, order.repeat, due)
                heapq.heappush(self._batches, made)

    def _post_due(self) -> None:
        while (due := self._pop_due()) is not None:
            batch, order = due
            failure = self._post(str(order.url), batch.body, order.age)
            with self._changed:
                self._flying = 0
                self._settle(batch, failure)

    def _pop_due(self) -> tuple[_Batch, EventOrder] | None:
        with self._changed:
            if self._stopping or not self._batches or self._batches[0].due > time.monotonic():
                return None
            self._flying = self._batches[0].events
            return heapq.heappop(self._batches), self._order

    def _settle(self, batch: _Batch, failure: str) -> None:
        """Count a post, and let its batch wait again if it is not done."""
        if failure:
            self._failures += 1
            self._last_failure = failure
            batch.due = time.monotonic() + _wait_after(batch.attempt)
            batch.attempt += 1
            again = batch.due < batch.first_due + GIVE_UP_SECONDS
        else:
            self._posted += batch.events
            again = batch.repeat > 0
            batch.repeat -= 1
        if again and self._order.url:
            heapq.heappush(self._batches, batch)

    def _post(self, url: str, body: bytes, age: int) -> str:
        """Why it was not taken; "" when it was."""
        timestamp = str(int(time.time()) - age)
        headers = {
            "Content-Type": "application/json;charset=utf-8",
            "User-Agent": "SendGrid Event API",
            "X-Twilio-Email-Event-Webhook-Signature": self._key.sign(timestamp, body),
            "X-Twilio-Email-Event-Webhook-Timestamp": timestamp,
        }
        try:
            answer = self._pool.request("POST", url, body=body, headers=headers, redirect=False)
        except urllib3.exceptions.HTTPError as error:
            return f"{type(error).__name__}: {error}"
        return "" if 200 <= answer.status < 300 else f"answered {answer.status}"


def _wait_after(attempt: int) -> float:
    return min(_LONGEST_WAIT, _FIRST_WAIT * (1 << min(attempt, 16)))


def _cut(events: Sequence[bytes]) -> Iterator[list[bytes]]:
    """Pieces that fit into a batch each."""
    batch: list[bytes] = []
    size = 0
    for event in events:
        if batch and size + len(event) > BATCH_BYTES - 8:
            yield batch
            batch, size = [], 0
        batch.append(event)
        size += len(event) + 1
    if batch:
        yield batch
