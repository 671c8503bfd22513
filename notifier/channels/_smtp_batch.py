"""One batch over several sessions: what each letter's replies mean, and who is asked next.

Where the server offers PIPELINING (RFC 2920) a letter costs one round trip: its content goes out
together with MAIL, RCPT and DATA of the next one (section 3.1 allows exactly this grouping).
One thread serves all sessions: threads get a third of the throughput under the interpreter lock.
"""

from __future__ import annotations

import logging
import selectors
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from notifier.channels._mime import Letter, Template, Unsendable
from notifier.channels._smtp_relay import REFUSED_FOR, readable
from notifier.channels._smtp_session import Lost, Reply, Session
from notifier.domain.delivery import BatchOutcome, Outcome, Rejected, Retry, Sent, Unknown
from notifier.domain.message import Recipient

log = logging.getLogger(__name__)

# The server's own id of a message is not kept: the Message-ID holds our delivery id, and mail
# servers log it, so a letter is found there by our id. One reference for all keeps a batch one
# statement in the ledger.
_SENT = Sent("")
_NOT_BEGUN = Retry("the mail server was too slow: this letter's turn did not come")
_IN_DOUBT = Unknown("the letter was on its way to the mail server when the sending ended")

# What ends a transaction in place of a letter: an empty one, where DATA was granted although the
# recipient was not (RFC 2920 section 3.1), and a fresh start where DATA was not granted.
_EMPTY_LETTER = b".\r\n"
_RESET = b"RSET\r\n"


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds to wait for a server, by what it has to do."""

    command: float
    #: The end of a letter: giving up too early makes it unknown (RFC 5321 section 4.5.3.2.6).
    letter: float


class Work:
    """The letters of one batch. At every moment `results` is what would be true if all ended now.

    A letter that was certainly not sent is tried again, at the front of the queue so that it
    starts a session of its own: some servers end every session after a letter or a few.
    """

    def __init__(self, template: Template, recipients: Sequence[Recipient], until: float) -> None:
        """No letter is begun after `until` (time.monotonic)."""
        self._template = template
        self._recipients = recipients
        self._until = until
        self._queue = deque(range(len(recipients)))
        self._tried: set[int] = set()
        self.results: list[Outcome] = [_NOT_BEGUN] * len(recipients)

    def remaining(self) -> int:
        """The number of letters that can be begun now; 0 when time is up."""
        return len(self._queue) if time.monotonic() < self._until else 0

    def take(self, *, smtputf8: bool) -> tuple[int, Letter] | None:
        """The next letter and its index, or None when there is none to begin."""
        while self.remaining():
            index = self._queue.popleft()
            try:
                letter = self._template.letter(self._recipients[index])
            except Unsendable as error:
                self.results[index] = Rejected(str(error))
                continue
            if smtputf8 or not letter.utf8:
                return index, letter
            self.results[index] = Rejected(
                "the mail server takes no address with letters outside ASCII before the @"
                " (it does not offer SMTPUTF8)"
            )
        return None

    def give_back(self, index: int, why: str, *, was_tried: bool) -> None:
        """The letter was certainly not sent. It is tried twice."""
        self.results[index] = Retry(why)
        if index not in self._tried:
            self._queue.appendleft(index)
        if was_tried:
            self._tried.add(index)

    def give_up(self, outcome: Retry) -> None:
        """Nothing can be sent any more, and this is why."""
        for index in self._queue:
            self.results[index] = outcome
        self._queue.clear()

    def outcome(self) -> BatchOutcome:
        """The results, with the one that most readers of a healthy batch share as the rest."""
        results = self.results
        rest = _SENT if _SENT in results or not results else results[0]
        return BatchOutcome(rest, {i: r for i, r in enumerate(results) if r is not rest})


class Talk:
    """One session at work. It proceeds in rounds: the end of one letter, the start of the next."""

    def __init__(self, session: Session, work: Work, patience: Patience) -> None:
        self.session = session
        self._work = work
        self._patience = patience
        #: Ends the transaction that is open; the server gives it one reply.
        self._closing = b""
        #: The letter whose content is in `_closing`.
        self._ending: int | None = None
        #: The letter whose MAIL, RCPT and DATA are in this round.
        self._starting: tuple[int, Letter] | None = None
        self._commands: deque[bytes] = deque()
        self._out = memoryview(b"")
        self._sent = 0
        self._expected = 0
        self._replies: list[Reply] = []
        self.deadline = 0.0
        self.is_lost = False

    @property
    def is_over(self) -> bool:
        """Nothing is under way and nothing is left to begin."""
        return self.is_lost or not self._expected

    @property
    def events(self) -> int:
        """What the talk waits for, as the selectors module counts it."""
        return selectors.EVENT_READ | (selectors.EVENT_WRITE if self._out else 0)

    def begin(self) -> None:
        """Start the first round. Like `proceed`, never raises: a lost session ends its talk."""
        try:
            self._start_round()
        except Lost as lost:
            self.end(str(lost))

    def proceed(self, events: int) -> None:
        """Do what the connection is ready for."""
        try:
            if events & selectors.EVENT_READ:
                self._read()
            if events & selectors.EVENT_WRITE:
                self._flush()
        except Lost as lost:
            self.end(str(lost))

    def end(self, why: str) -> None:
        """The session is lost: settle what is known, give back what was certainly not sent."""
        log.info("smtp: session lost: %s", why)
        self.is_lost = True
        self.session.close()
        replies = iter(self._replies)
        last = next(replies, None) if self._closing else None
        if self._ending is not None:
            self._settle_lost(self._ending, last, why)
        if self._starting:
            index, refusal = self._starting[0], _find_refusal(replies)
            if refusal and not refusal.startswith(b"421"):
                self._work.results[index] = _judge(refusal)
            else:
                # Behind the end of another letter, the loss may have had to do with that one.
                self._work.give_back(index, why, was_tried=not self._closing)

    def _settle_lost(self, index: int, reply: Reply | None, why: str) -> None:
        if self._sent < len(self._closing) and not _find_refusal([reply or b""]):
            self._work.give_back(index, why, was_tried=True)
        elif reply:
            self._work.results[index] = _judge(reply)
        else:
            self._work.results[index] = Unknown(f"{why}, after the whole letter was sent")

    def _start_round(self) -> None:
        """Send the end of the open transaction and the start of the next letter."""
        self._starting = self._work.take(smtputf8=self.session.smtputf8)
        commands = [self._closing] if self._closing else []
        if self._starting:
            commands += self._envelope(self._starting[1])
        self._replies, self._expected, self._sent = [], len(commands), 0
        patience = self._patience.command
        if self._ending is not None:
            patience = self._patience.letter
            self._work.results[self._ending] = _IN_DOUBT
        self.deadline = time.monotonic() + patience
        self._commands.extend([b"".join(commands)] if self.session.pipelining else commands)
        self._say_next()

    def _envelope(self, letter: Letter) -> tuple[bytes, bytes, bytes]:
        options = b" BODY=8BITMIME SMTPUTF8" if letter.utf8 else b""
        if self.session.size:
            # So that a letter too large is refused before it is sent (RFC 1870 section 6).
            options += b" SIZE=%d" % len(letter.content)
        return (
            b"MAIL FROM:<%b>%b\r\n" % (letter.sender, options),
            b"RCPT TO:<%b>\r\n" % letter.address,
            b"DATA\r\n",
        )

    def _say_next(self) -> None:
        """Send the next of the commands: the whole round, where the server takes it as one."""
        if self._commands:
            # Something is left only where the server replied early; else a copy is saved.
            unsent, following = self._out, self._commands.popleft()
            self._out = memoryview(bytes(unsent) + following if unsent else following)
            self._flush()

    def _flush(self) -> None:
        while self._out:
            sent = self.session.send(self._out)
            if not sent:
                return
            self._sent += sent
            self._out = self._out[sent:]

    def _read(self) -> None:
        for reply in self.session.receive():
            self._take_in(reply)
        if len(self._replies) == self._expected:
            if self._out:
                raise Lost("the mail server replied to what it had not been sent yet")
            self._finish_round()
            self._start_round()

    def _take_in(self, reply: Reply) -> None:
        closes = reply.startswith(b"421")
        if len(self._replies) < self._expected:
            self._replies.append(reply)
        elif not closes:
            raise Lost("the mail server replied to something nobody had said")
        if closes:
            raise Lost(f"the mail server ended the session ({readable(reply)})")
        if self._closing is _RESET and len(self._replies) == 1 and not reply.startswith(b"2"):
            raise Lost(f"the mail server refused to begin anew ({readable(reply)})")
        self._say_next()

    def _finish_round(self) -> None:
        replies = iter(self._replies)
        if self._closing:
            reply = next(replies)
            if self._ending is not None:
                self._work.results[self._ending] = _judge(reply)
        following: tuple[bytes, int | None] = b"", None
        if self._starting:
            following = self._follow_up(*self._starting, *replies)
        self._closing, self._ending = following
        self._starting = None

    def _follow_up(
        self, index: int, letter: Letter, mail: Reply, rcpt: Reply, data: Reply
    ) -> tuple[bytes, int | None]:
        """What follows MAIL, RCPT and DATA: the letter itself, or what ends a refused one."""
        refusal = _find_refusal((mail, rcpt, data))
        if refusal:
            self._work.results[index] = _judge(refusal)
            return (_EMPTY_LETTER if data.startswith(b"3") else _RESET), None
        if mail[:1] + rcpt[:1] + data[:1] != b"223":
            raise Lost("the mail server sent its replies in an impossible order")
        return letter.content, index


def run(sessions: Sequence[Session], work: Work, patience: Patience) -> list[Session]:
    """Send until nothing is left to begin or every session is lost; the sessions still good."""
    talks = [Talk(session, work, patience) for session in sessions]
    with selectors.DefaultSelector() as selector:
        for talk in talks:
            selector.register(talk.session.sock, selectors.EVENT_READ, talk)
            talk.begin()
        busy = [talk for talk in talks if _is_busy(talk, selector)]
        while busy:
            soonest = min(talk.deadline for talk in busy)
            for key, events in selector.select(max(0.0, soonest - time.monotonic())):
                key.data.proceed(events)
            busy = [talk for talk in busy if _is_busy(talk, selector)]
    return [talk.session for talk in talks if not talk.is_lost]


def _is_busy(talk: Talk, selector: selectors.BaseSelector) -> bool:
    """Whether the talk goes on; if so the selector waits for what it waits for."""
    if not talk.is_over and time.monotonic() >= talk.deadline:
        talk.end("the mail server did not answer in time")
    if talk.is_over:
        selector.unregister(talk.session.sock)
        return False
    if selector.get_key(talk.session.sock).events != talk.events:
        selector.modify(talk.session.sock, talk.events, talk)
    return True


def _find_refusal(replies: Iterable[Reply]) -> Reply | None:
    return next((reply for reply in replies if reply[:1] in (b"4", b"5")), None)


def _judge(reply: Reply) -> Outcome:
    """What the reply to a letter, or the first refusal before it, means for its reader."""
    if reply.startswith(b"450"):  # this mailbox is busy, which says nothing of the server
        return Retry(readable(reply), timedelta(0))
    if reply.startswith(b"530"):  # without a log-in it takes no letter (RFC 4954 section 6)
        return Retry(readable(reply), REFUSED_FOR, account=True)
    match reply[:1]:
        case b"2":
            return _SENT
        case b"4":
            return Retry(readable(reply))
        case b"5":
            return Rejected(readable(reply))
    return Unknown(f"the mail server answered a whole letter with: {readable(reply)}")
