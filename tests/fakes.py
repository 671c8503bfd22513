"""Channels and clocks for tests, handed in through `notifier.app.build`; nothing is patched."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from notifier.domain.delivery import BatchOutcome, Outcome, Repeated, Retry, Sent
from notifier.domain.health import Rate
from notifier.domain.message import Mail, Recipient


class FakePosts:
    """A post channel that remembers. `answers` are given first, then `Sent`.

    With `refuses_repeats` a text that was sent already is `Repeated`. It finds what it sent,
    unless `found` has something else to say, one outcome a look.
    """

    limit = 280

    def __init__(
        self,
        name: str = "x",
        answers: Sequence[Outcome] = (),
        *,
        found: Sequence[Outcome] = (),
        refuses_repeats: bool = False,
    ) -> None:
        self.name = name
        self.rate: Rate | None = None
        self.refuses_repeats = refuses_repeats
        self.looked_for: list[str] = []
        self.found = list(found)
        self.sent: list[str] = []
        self.tried: list[str] = []
        self.answers = list(answers)
        self._changed = threading.Condition()

    def measure(self, text: str) -> int:
        return len(text)

    def send(self, text: str) -> Outcome:
        with self._changed:
            self.tried.append(text)
            outcome = self.answers.pop(0) if self.answers else self._take(text)
            if isinstance(outcome, Sent):
                self.sent.append(text)
            self._changed.notify_all()
        return outcome

    def find(self, text: str) -> Outcome:
        with self._changed:
            self.looked_for.append(text)
            if self.found:
                return self.found.pop(0)
            if text in self.sent:
                return Sent(str(1000 + self.sent.index(text)))
        return Retry("the fake has no such post")

    def _take(self, text: str) -> Outcome:
        if self.refuses_repeats and text in self.sent:
            return Repeated("the fake has this post already")
        return Sent(str(1000 + len(self.sent)))

    def link(self, reference: str) -> str:
        return f"https://posts.example/{reference}"

    def wait_for(self, count: int, seconds: float = 5.0) -> bool:
        """Whether `count` posts were sent within `seconds`."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self.sent) >= count, seconds)


class FakeMail:
    """A mail channel that remembers who got what.

    `answer` is asked for the outcome of each batch.
    """

    def __init__(
        self,
        name: str = "fakemail",
        batch_size: int = 10,
        answer: Callable[[Sequence[Recipient]], BatchOutcome] | None = None,
    ) -> None:
        self.name = name
        self.batch_size = batch_size
        self.rate: Rate | None = None
        self.prepared: list[Mail] = []
        self.batches: list[list[Recipient]] = []
        self.sent: list[tuple[Recipient, Mail]] = []
        self._answer = answer or (lambda _recipients: BatchOutcome(Sent("batch")))
        self._changed = threading.Condition()

    def prepare(self, mail: Mail) -> _FakePrepared:
        self.prepared.append(mail)
        return _FakePrepared(self, mail)

    def take(self, recipients: Sequence[Recipient], mail: Mail) -> BatchOutcome:
        outcome = self._answer(recipients)
        with self._changed:
            self.batches.append(list(recipients))
            for index, recipient in enumerate(recipients):
                if isinstance(outcome.each.get(index, outcome.rest), Sent):
                    self.sent.append((recipient, mail))
            self._changed.notify_all()
        return outcome

    @property
    def addresses(self) -> list[str]:
        """Who got a mail, in the order of sending, repetitions included."""
        return [recipient.address for recipient, _ in self.sent]

    def wait_for(self, count: int, seconds: float = 5.0) -> bool:
        """Whether `count` mails were sent within `seconds`."""
        with self._changed:
            return self._changed.wait_for(lambda: len(self.sent) >= count, seconds)


class _FakePrepared:
    def __init__(self, channel: FakeMail, mail: Mail) -> None:
        self._channel = channel
        self._mail = mail

    def send(self, recipients: Sequence[Recipient]) -> BatchOutcome:
        return self._channel.take(recipients, self._mail)


class FakeClock:
    """A clock that stands until it is moved."""

    def __init__(self, now: datetime = datetime(2026, 11, 22, 8, 12, tzinfo=UTC)) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def move(self, **delta: float) -> datetime:
        """Move by `timedelta(**delta)`; the new time."""
        self.now += timedelta(**delta)
        return self.now
