"""E-mail through any mail server that takes SMTP, as fast as one thread can hand it over."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, ConfigDict, Field, SecretStr

from notifier.channels._mime import Template, Unsendable
from notifier.channels._smtp_batch import Patience, Work, run
from notifier.channels._smtp_relay import CannotOpen, Dialer, parse_relay
from notifier.channels._smtp_session import Session
from notifier.domain.delivery import BatchOutcome, Rejected
from notifier.domain.health import Rate, rate_of
from notifier.domain.message import Mail, Recipient
from notifier.domain.verp import check_base
from notifier.ports import PreparedMail
from notifier.settings import SANDBOX_SMTP, Table

log = logging.getLogger(__name__)

NAME = "smtp"
KIND: Literal["post", "mail"] = "mail"

# The end of a letter may take this many times as long as a command, and so may the time in which
# letters of one batch are begun.
_LETTER_TIMES = 6
# A further session pays off when it has a few letters to carry.
_LETTERS_PER_SESSION = 8
# Servers close an idle session after some minutes, and firewalls forget it without a word.
_LONGEST_IDLE = 30.0
# Seconds without another try after a failure to open a session, besides a multiple of the time
# that the failure took. (After a refused log-in it is as long as the outcome says.)
_PAUSE, _PAUSE_TIMES = 0.5, 3


def _checked(url: SecretStr) -> SecretStr:
    parse_relay(url.get_secret_value())
    return url


def _checked_base(address: str) -> str:
    return check_base(address) if address else ""


class Config(Table):
    """The table `[smtp]` of the settings."""

    # pydantic would quote the URL, which holds the password, in the error about it.
    model_config = ConfigDict(hide_input_in_errors=True)

    url: Annotated[SecretStr, AfterValidator(_checked)] = SecretStr(SANDBOX_SMTP)
    #: Sessions held at the same time.
    connections: int = Field(4, ge=1, le=50)
    #: Seconds until a silent server is given up.
    timeout: float = Field(10.0, gt=0, le=300)
    #: Recipients per second; 0: only the relay's own answers hold us back.
    rate_per_second: int = Field(0, ge=0)
    #: Below it each mail gets a return path of its own (`domain.verp`), by which a bounce is
    #: matched to its reader. Mail to bounces+anything has to arrive there too. "": no VERP.
    bounce_address: Annotated[str, AfterValidator(_checked_base)] = ""


def build(config: Config) -> SmtpChannel:
    """The channel for a validated `Config`. Opens no connection."""
    dialer = Dialer(parse_relay(config.url.get_secret_value()), config.timeout)
    rate = rate_of(config.rate_per_second, per=timedelta(seconds=1))
    return SmtpChannel(dialer, connections=config.connections, rate=rate)


class SmtpChannel:
    """Mail through one relay. One batch at a time: the relay's sessions are what is scarce."""

    name = NAME
    #: The most a crash leaves unknown. With 17 KB letters to smtp-sink and the ledger, 200 in a
    #: batch are 7 % faster than 100, and more of them gain less than they put at stake.
    batch_size = 200

    def __init__(self, dialer: Dialer, *, connections: int, rate: Rate | None = None) -> None:
        self.rate = rate
        self._pool = Pool(dialer, connections)
        self._patience = Patience(dialer.timeout, dialer.timeout * _LETTER_TIMES)
        self._one_batch = threading.Lock()
        #: Ends the idle sessions; runs by itself when the channel is forgotten or Python exits.
        self.close = weakref.finalize(self, self._pool.close)

    def prepare(self, mail: Mail) -> PreparedMail:
        """Encode `mail` once for all recipients of its variant."""
        try:
            return SmtpMail(self, Template(mail, date=datetime.now(UTC)))
        except Unsendable as error:
            return RefusedMail(Rejected(str(error)))

    def deliver(self, template: Template, recipients: Sequence[Recipient]) -> BatchOutcome:
        """Hand each recipient's letter to the relay. Never raises."""
        with self._one_batch:
            work = Work(template, recipients, until=time.monotonic() + self._patience.letter)
            while letters := work.remaining():
                try:
                    sessions = self._pool.take(-(-letters // _LETTERS_PER_SESSION))
                except CannotOpen as error:
                    work.give_up(error.outcome)
                    break
                self._pool.give_back(run(sessions, work, self._patience))
        return work.outcome()


class Pool:
    """The open sessions with one relay that have nothing to do at the moment."""

    def __init__(self, dialer: Dialer, limit: int, longest_idle: float = _LONGEST_IDLE) -> None:
        self._dialer = dialer
        self._limit = limit
        self._longest_idle = longest_idle
        self._idle: list[Session] = []
        self._failure: CannotOpen | None = None
        self._paused_until = 0.0

    def take(self, wanted: int) -> list[Session]:
        """Between one and `wanted` sessions, opened where need be. Raises CannotOpen."""
        self._drop_stale()
        wanted = min(wanted, self._limit)
        taken, self._idle = self._idle[:wanted], self._idle[wanted:]
        try:
            while len(taken) < wanted and not (taken and self._is_pausing()):
                taken.append(self._open())
        except CannotOpen:
            if not taken:
                raise
            # Many relays allow fewer sessions than we would like. Those we have do the work, and
            # when they are lost a first one may be opened at once.
            self._failure = None
        return taken

    def give_back(self, sessions: Sequence[Session]) -> None:
        """Keep the sessions for the next batch."""
        for session in sessions:
            session.rest()
        self._idle.extend(sessions)

    def close(self) -> None:
        """End the idle sessions."""
        for session in self._idle:
            session.quit()
        self._idle.clear()

    def _drop_stale(self) -> None:
        usable = [session for session in self._idle if session.is_usable(self._longest_idle)]
        for session in set(self._idle).difference(usable):
            session.close()
        self._idle = usable

    def _open(self) -> Session:
        """Open a session, unless that failed a moment ago: a fan-out is thousands of batches."""
        if self._failure and self._is_pausing():
            raise self._failure
        began = time.monotonic()
        try:
            session = Session(self._dialer.open())
        except CannotOpen as error:
            log.warning("smtp: %s", error)
            self._failure = error
            self._pause(error, time.monotonic() - began)
            raise
        log.info("smtp: session opened with %s", self._dialer.relay)
        return session

    def _pause(self, error: CannotOpen, took: float) -> None:
        told = error.outcome.after
        seconds = told.total_seconds() if told else _PAUSE + _PAUSE_TIMES * took
        self._paused_until = time.monotonic() + seconds

    def _is_pausing(self) -> bool:
        return time.monotonic() < self._paused_until


class SmtpMail:
    """A mail whose encoding is done."""

    def __init__(self, channel: SmtpChannel, template: Template) -> None:
        self._channel = channel
        self._template = template

    def send(self, recipients: Sequence[Recipient]) -> BatchOutcome:
        """Hand the mail to the relay for each recipient. Never raises.

        Takes at most 18 times the `timeout` of the settings, and the time to open the sessions:
        letters are begun for 6, and the two rounds the last one needs may take 6 each.
        """
        return self._channel.deliver(self._template, recipients)


class RefusedMail:
    """A mail that no message can be made of."""

    def __init__(self, why: Rejected) -> None:
        self._why = why

    def send(self, recipients: Sequence[Recipient]) -> BatchOutcome:  # noqa: ARG002
        """Send nothing; the reason is the same for every recipient."""
        return BatchOutcome(self._why)
