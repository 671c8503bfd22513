"""Whether a channel may be called now, which provider carries mail, and what each call taught us.

`admit`, `route`, `record` and `release` run inside the caller's transaction. Between calls the
only state is the database's, so all workers and all restarts agree. PostgreSQL locks rows in the
order they are touched: call `record` before anything else that locks, and `admit` or `route`
before claiming.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from notifier.domain.delivery import Outcome
from notifier.domain.failover import (
    QUARTER,
    SLOW_SECONDS,
    Account,
    Minute,
    Record,
    choose,
    last_minute,
    last_quarter,
    move_points,
    start_of_minute,
    weight_at,
)
from notifier.domain.health import (
    Breaker,
    Health,
    Rate,
    Sign,
    is_blocked,
    learn,
    needs_attention,
    read_sign,
    unblock,
)
from notifier.domain.health import admit as let_through
from notifier.domain.health import release as take_back
from notifier.domain.health import settle as settle_payment
from notifier.domain.message import Mail
from notifier.domain.plan import Lane
from notifier.ports import MailChannel, Notifier, PostChannel, PreparedMail
from notifier.store import health as store
from notifier.store import silence

#: Readers in the page that finds out whether a provider works again. Not one, because one may be
#: refused for a reason of its own; not a page, because the answer may be lost for all of it.
PROBE_READERS = 10

#: A mail of which its provider tells nothing for so long may be lost: SendGrid tells within seconds
#: that it begins to deliver.
SILENT_AFTER = timedelta(minutes=15)
#: Nobody has to know of a mail's silence for ever: SendGrid posts its events for a day.
_SILENT_FOR = timedelta(days=1)

#: How long calls are remembered by the minute.
_KEPT = timedelta(hours=1)


class NoSuchChannel(LookupError):
    """No channel of this name is in use."""


class ProbingMail:
    """A mail provider of which nobody knows whether it works again: little is put at stake."""

    def __init__(self, channel: MailChannel) -> None:
        self.name, self.rate = channel.name, channel.rate
        self.batch_size = min(channel.batch_size, PROBE_READERS)
        self._channel = channel

    def prepare(self, mail: Mail) -> PreparedMail:
        """Encode `mail` as the provider itself does."""
        return self._channel.prepare(mail)


def admit(
    connection: Connection, n: Notifier, channel: str, *, now: datetime, cost: int = 1
) -> datetime | None:
    """None: the call may be made now, and is paid for. Else when to ask again.

    For posts; mail goes through `route`. When the breaker was open, this call is the probe, and
    nobody else may go before its outcome is recorded. A call that is then not made is given
    back by `release`.
    """
    rate = _channel(n, channel).rate
    found = store.find(connection, channel) or Health()
    answer = let_through(found, now=now, rate=rate, cost=cost)
    if isinstance(answer, datetime):
        return answer
    if answer is found:
        return None
    locked = store.lock(connection, [channel], now=now)[channel]
    answer = let_through(locked, now=now, rate=rate, cost=cost)
    if isinstance(answer, datetime):
        return answer
    _keep(connection, channel, locked, answer, now)
    return None


def route(
    connection: Connection,
    n: Notifier,
    *,
    now: datetime,
    roll: Callable[[], float] = random.random,
) -> MailChannel | datetime:
    """Which provider carries the next page of mail, or when to ask again.

    A page of `page_size` is paid for; `record` settles the difference to what was sent, and
    `release` all of it when nothing was. `roll` gives a number in [0, 1), by which the providers'
    weights decide.
    """
    channels = list(n.mail_channels.values())
    names = [channel.name for channel in channels]
    rolled = roll()
    found = store.find_all(connection, names)
    answer = choose(_accounts(n, channels, found), roll=rolled, now=now)
    if isinstance(answer, datetime):
        return answer
    if answer[1] is not found[names[answer[0]]]:
        found = store.lock(connection, names, now=now)
        answer = choose(_accounts(n, channels, found), roll=rolled, now=now)
        if isinstance(answer, datetime):
            return answer
    index, admitted = answer
    _keep(connection, names[index], found[names[index]], admitted, now)
    chosen = channels[index]
    return ProbingMail(chosen) if admitted.breaker is Breaker.HALF_OPEN else chosen


def page_size(n: Notifier, channel: MailChannel) -> int:  # noqa: ARG001 (the caller's contract)
    """The most readers of a page for this provider: a batch, or what one second pays for."""
    rate = channel.rate
    return min(channel.batch_size, rate.per_second) if rate else channel.batch_size


def record(
    connection: Connection,
    n: Notifier,
    channel: str,
    outcome: Outcome,
    *,
    now: datetime,
    seconds: float,
    cost: int = 1,
) -> None:
    """Write down what a call taught about the channel's account; of a batch, its `rest`.

    `seconds` is how long the call took, `cost` its number of messages. A post that went well
    usually writes nothing.
    """
    found = store.find(connection, channel) or Health()
    if _learn(n, channel, found, outcome, now, cost) is not found:
        found = _lock(connection, n, channel, now)
        _keep(connection, channel, found, _learn(n, channel, found, outcome, now, cost), now)
    failed = read_sign(outcome) in (Sign.FAILS, Sign.REFUSED)
    if failed or channel in n.mail_channels:
        slow = seconds > SLOW_SECONDS
        store.count_call(
            connection,
            channel,
            worker=n.node,
            now=now,
            failed=failed,
            slow=slow,
            seconds=seconds,
        )


def release(
    connection: Connection, n: Notifier, channel: str, *, now: datetime, cost: int = 1
) -> None:
    """Take back an `admit` (with the same `cost`) or a `route` after which no call was made."""
    found = store.find(connection, channel) or Health()
    if _give_back(n, channel, found, now, cost) is found:
        return
    locked = _lock(connection, n, channel, now)
    _keep(connection, channel, locked, _give_back(n, channel, locked, now, cost), now)


def balance(n: Notifier) -> None:
    """Move points from the first mail provider to its backup, if it is time; forget old minutes.

    Any number of nodes may call it at any time: a move is made once.
    """
    now = n.clock()
    with n.db.read() as connection:
        oldest = store.first_minute(connection)
        found = store.find_all(connection, list(n.mail_channels))
        moves = _moved(connection, n, found, now) is not found[n.mail.name]
    forgets = oldest is not None and oldest < now - 2 * _KEPT
    if not moves and not forgets:
        return
    with n.db.transaction() as connection:
        found = store.lock(connection, list(n.mail_channels), now=now)
        moved = _moved(connection, n, found, now)
        _keep(connection, n.mail.name, found[n.mail.name], moved, now)
        store.forget_minutes(connection, now - _KEPT)


@dataclass(frozen=True, slots=True)
class ChannelReport:
    """How one channel does. Calls are those of the last 15 minutes, this one included."""

    name: str
    lane: Lane
    breaker: Breaker
    #: Since when the breaker has not been closed.
    troubled_since: datetime | None
    #: What the provider said when it last went wrong; "" while all is well.
    reason: str
    #: When the next call may be made, where that is not now.
    blocked_until: datetime | None
    #: Its share of mail in percent; None for a channel that shares nothing.
    weight: int | None
    #: None for posts, of which only failures are counted.
    calls: int | None
    failures: int
    slow: int
    #: Mails of the last day that it took more than 15 minutes ago and of which nothing is told
    #: since. None where nobody tells us.
    silent: int | None
    rate: Rate | None

    #: Whether an operator should know: messages wait, or leave by another way.
    needs_attention: bool

    @property
    def silence(self) -> str:
        """What is to be said of mail that nothing is told of; "" when there is none."""
        if not self.silent:
            return ""
        return (
            f"no event has come for {self.silent:,} {'mail' if self.silent == 1 else 'mails'}"
            " accepted more than 15 minutes ago: look for them in the provider's own log, and"
            " check that its events reach us"
        )


def report(connection: Connection, n: Notifier, now: datetime) -> list[ChannelReport]:
    """How every channel does: posts first, then mail, the usual provider before its backup."""
    channels: dict[str, PostChannel | MailChannel] = {**n.posts, **n.mail_channels}
    found = store.find_all(connection, list(channels))
    since = start_of_minute(now) - QUARTER
    minutes = store.minutes_since(connection, list(channels), since)
    weights = _weights(n, found, now)
    silent = _count_silent(connection, n, now)
    return [
        replace(
            _report(channel, found[name], minutes[name], weights.get(name), name in n.posts, now),
            silent=silent.get(name),
        )
        for name, channel in channels.items()
    ]


def _count_silent(connection: Connection, n: Notifier, now: datetime) -> dict[str, int]:
    """By channel, for those mail providers in use that tell us what became of it."""
    since, until = now - _SILENT_FOR, now - SILENT_AFTER
    return {
        name: silence.count_silent(connection, name, since=since, until=until)
        for name in n.mail_channels
        if name in n.event_readers and n.event_readers[name].listens
    }


def in_trouble(n: Notifier) -> list[str]:
    """The channels that need attention, for a line on every page: one look at the database."""
    now = n.clock()
    with n.db.read() as connection:
        found = store.find_all(connection, [*n.posts, *n.mail_channels])
    return [name for name, health in found.items() if needs_attention(health, now)]


def try_again(n: Notifier, channel: str) -> None:
    """Let the next message to a channel go at once; where its breaker is open, as the probe.

    Raises NoSuchChannel.
    """
    lane = channel if channel in n.posts else "mail"
    if lane == "mail" and channel not in n.mail_channels:
        raise NoSuchChannel(f"there is no channel {channel!r} in use")
    now = n.clock()
    with n.db.transaction() as connection:
        locked = _lock(connection, n, channel, now)
        _keep(connection, channel, locked, unblock(locked, now=now), now)
    n.doorbell.ring(lane)


def _channel(n: Notifier, name: str) -> PostChannel | MailChannel:
    return n.posts[name] if name in n.posts else n.mail_channels[name]


def _accounts(
    n: Notifier, channels: Iterable[MailChannel], found: dict[str, Health]
) -> list[Account]:
    return [Account(found[c.name], c.rate, page_size(n, c)) for c in channels]


def _lock(connection: Connection, n: Notifier, channel: str, now: datetime) -> Health:
    """The locked health of a channel. Of mail's providers all are locked, since `route` would
    lock the other one later: two workers could wait for each other."""
    names = [channel] if channel in n.posts else list(n.mail_channels)
    return store.lock(connection, names, now=now)[channel]


def _keep(
    connection: Connection, channel: str, before: Health, after: Health, now: datetime
) -> None:
    if after is not before:
        store.write(connection, channel, after, now=now)


def _learn(
    n: Notifier, channel: str, health: Health, outcome: Outcome, now: datetime, cost: int
) -> Health:
    learned = learn(health, outcome, now=now)
    mail = n.mail_channels.get(channel)
    if mail is None or mail.rate is None:
        return learned
    return settle_payment(learned, rate=mail.rate, paid=page_size(n, mail), cost=cost)


def _give_back(n: Notifier, channel: str, health: Health, now: datetime, cost: int) -> Health:
    taken_back = take_back(health, now=now)
    mail = n.mail_channels.get(channel)
    rate = mail.rate if mail else n.posts[channel].rate
    if rate is None:
        return taken_back
    paid = page_size(n, mail) if mail else cost
    return settle_payment(taken_back, rate=rate, paid=paid, cost=0)


def _moved(connection: Connection, n: Notifier, found: dict[str, Health], now: datetime) -> Health:
    """The first mail provider's health after a move of points; the same object without one."""
    if n.backup is None:
        return found[n.mail.name]
    since = start_of_minute(now) - QUARTER
    minutes = store.minutes_since(connection, list(n.mail_channels), since)
    primary, backup = (
        Record(
            found[name],
            last_minute(minutes[name], now=now),
            last_quarter(minutes[name], now=now),
        )
        for name in n.mail_channels
    )
    return move_points(primary, backup, now=now)


def _weights(n: Notifier, found: dict[str, Health], now: datetime) -> dict[str, int]:
    if n.backup is None:
        return {}
    weight = weight_at(found[n.mail.name], now)
    return {n.mail.name: weight, n.backup.name: 100 - weight}


def _report(
    channel: PostChannel | MailChannel,
    health: Health,
    minutes: list[Minute],
    weight: int | None,
    is_post: bool,
    now: datetime,
) -> ChannelReport:
    load = last_quarter(minutes, now=now)
    return ChannelReport(
        name=channel.name,
        lane="post" if is_post else "mail",
        breaker=health.breaker,
        troubled_since=health.opened_at,
        reason=health.reason,
        blocked_until=health.blocked_until if is_blocked(health, now) else None,
        weight=weight,
        calls=None if is_post else int(load.calls),
        failures=int(load.failures),
        slow=int(load.slow),
        silent=None,
        rate=channel.rate,
        needs_attention=needs_attention(health, now),
    )
