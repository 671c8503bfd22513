"""Delivering mail: claim a page of readers, send, write down what became of each.

As with posts, the claim is committed before the call and the outcome after it, and the database
connection is never held during the call.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from time import monotonic
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from notifier.domain.delivery import BatchOutcome, Outcome, Retry, State
from notifier.domain.message import Recipient
from notifier.domain.verp import verp_signer
from notifier.ports import Notifier, PreparedMail
from notifier.services import health
from notifier.services.incidents import announcement
from notifier.services.judging import Verdict, judge
from notifier.services.leases import LEASE, is_too_late_to_start, look_at_mail
from notifier.services.unsubscribing import unsubscribe_links
from notifier.store import fanout, finishing, incidents, ledger, outbox, people, retries
from notifier.store.batches import Claim, ClaimedBatch, Unrendered

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Sent:
    """A batch, what the provider said to it, and after how long; None: no call was made."""

    batch: ClaimedBatch
    outcome: BatchOutcome
    seconds: float | None


class MailRun:
    """One worker's fan-out of mail. Keeps the encoded variants it used last."""

    _VARIANTS_KEPT = 64

    def __init__(
        self,
        n: Notifier,
        *,
        goes_on: Callable[[], bool] = lambda: True,
        more: Callable[[], None] = lambda: None,
    ) -> None:
        """`goes_on` is asked between two batches; a fan-out that is left goes on at the start.

        `more` is called once in a run that has readers for others too.
        """
        self._n = n
        self._goes_on = goes_on
        self._more = more
        #: What is known and not written yet. It stays when the database is away at that moment, and
        #: the next run writes it.
        self._sent: _Sent | None = None
        #: When a provider may be asked again, where none may now.
        self._blocked_until: datetime | None = None
        self._prepared: OrderedDict[tuple[str, int], PreparedMail] = OrderedDict()
        #: Where the next readers are looked for first: those to be told for the first time and
        #: those to be tried again take turns, so that no mail waits behind another one's retries.
        self._turns = [retries.claim_retry, fanout.claim_page]

    def run(self) -> datetime | None:
        """Send every mail that is due; when the next one will be, if any waits."""
        if self._sent is None and not self._is_due(due := self._next_due()):
            return due
        alone = True
        while True:
            claimed = self._settle_and_claim()
            if isinstance(claimed, Unrendered):
                self._freeze(claimed)
            elif isinstance(claimed, ClaimedBatch):
                if alone and len(claimed.readers) >= self._n.mail.batch_size:
                    self._more()
                    alone = False
                self._sent = self._send(claimed)
            else:
                return self._finish()

    def _next_due(self) -> datetime | None:
        # Without the write lock: we are called with every post as well, whose lane would have to
        # wait for it.
        with self._n.db.read() as connection:
            return outbox.next_due(connection, "mail")

    def _is_due(self, due: datetime | None) -> bool:
        return due is not None and due <= self._n.clock()

    def _settle_and_claim(self) -> ClaimedBatch | Unrendered | None:
        """Write the last batch's outcome and take the next readers, with one commit for both."""
        n = self._n
        now = n.clock()
        found = None
        with n.db.transaction() as connection:
            if self._sent:
                found = _record(n, connection, self._sent, now=now)
            claimed = self._claim(connection, now) if self._goes_on() else None
        if self._sent:
            settled, self._sent = self._sent, None
            n.failpoint("mail.settled")
            if found is State.UNKNOWN:
                # In a transaction of its own, because a claim holds what may wait for this.
                with n.db.transaction() as connection:
                    finishing.reopen(connection, settled.batch.dispatch_id)
        return claimed

    def _claim(self, connection: Connection, now: datetime) -> ClaimedBatch | Unrendered | None:
        """Take the next readers for the provider whose turn it is."""
        n = self._n
        provider = health.route(connection, n, now=now)
        self._blocked_until = provider if isinstance(provider, datetime) else None
        if isinstance(provider, datetime):
            return None
        retries.release_unknown(connection, now=now)
        size = health.page_size(n, provider)
        claim = Claim(n.node, provider.name, size, now, now + LEASE)
        self._turns.reverse()
        first, second = self._turns
        claimed = first(connection, claim) or second(connection, claim)
        if not isinstance(claimed, ClaimedBatch):
            health.release(connection, n, provider.name, now=now, cost=size)
        return claimed

    def _finish(self) -> datetime | None:
        """Settle the mails that have nobody left; when the next one will be due.

        In a transaction after the last batch's: of two workers who end a fan-out together,
        neither sees the other's end before it is committed, but the later one sees both.
        """
        with self._n.db.transaction() as connection:
            finishing.finish_done(connection, now=self._n.clock())
            due = outbox.next_due(connection, "mail")
        return max(due, self._blocked_until) if due and self._blocked_until else due

    def _freeze(self, variant: Unrendered) -> None:
        """Render the words of a variant once, for all its readers and all retries."""
        n = self._n
        with n.db.transaction() as connection:
            dispatch = outbox.lock_dispatch(connection, variant.dispatch_id)
            update = incidents.get_update(connection, dispatch.update_id)
            incident = incidents.get(connection, dispatch.incident_id)
            components = people.list_components(connection, incident_id=incident.id)
            said = announcement(n, incident, update, components)
            mail = n.renderer.mail(
                replace(said, notice=dispatch.edited or said.notice),
                language=variant.language,
                zone=ZoneInfo(variant.time_zone),
            )
            ledger.freeze(
                connection,
                dispatch_id=variant.dispatch_id,
                language=variant.language,
                time_zone=variant.time_zone,
                mail=mail,
            )

    def _send(self, batch: ClaimedBatch) -> _Sent:
        """Send a batch whose claim is committed."""
        try:
            recipients = _recipients(self._n, batch)
            prepared = self._prepare(batch.channel, batch.message_id)
        except Exception as error:
            # Whatever it was: these readers got nothing, and must not be taken for unknown.
            _log.exception("batch %s could not be made ready", batch.id)
            return _not_sent(batch, f"it could not be made ready: {type(error).__name__}")
        self._n.failpoint("mail.claimed")
        if is_too_late_to_start(self._n, batch.lease_until):
            _log.warning("batch %s waits again: we were stopped before the call", batch.id)
            return _not_sent(batch, "its sender was stopped before the call")
        begun = monotonic()
        outcome = prepared.send(recipients)
        seconds = monotonic() - begun
        self._n.failpoint("mail.answered")
        return _Sent(batch, outcome, seconds)

    def _prepare(self, channel: str, message_id: int) -> PreparedMail:
        variant = channel, message_id
        if variant in self._prepared:
            self._prepared.move_to_end(variant)
            return self._prepared[variant]
        with self._n.db.read() as connection:
            mail = ledger.frozen_mail(connection, message_id)
        prepared = self._n.mail_channels[channel].prepare(mail)
        self._prepared[variant] = prepared
        if len(self._prepared) > self._VARIANTS_KEPT:
            self._prepared.popitem(last=False)
        return prepared


def _not_sent(batch: ClaimedBatch, reason: str) -> _Sent:
    return _Sent(batch, BatchOutcome(Retry(reason)), seconds=None)


def _recipients(n: Notifier, batch: ClaimedBatch) -> list[Recipient]:
    link = unsubscribe_links(n)
    dispatch_id = batch.dispatch_id
    told = [
        Recipient(f"{dispatch_id}-{seq}", address, name, link(customer_id))
        for seq, customer_id, address, name in batch.readers
    ]
    if not n.bounce_address:
        return told
    sign = verp_signer(n.bounce_address, n.settings.key())
    return [reader._replace(return_path=sign(reader.delivery_id)) for reader in told]


def _record(n: Notifier, connection: Connection, sent: _Sent, *, now: datetime) -> State | None:
    """Write what became of a batch; the state it was found in, None when somebody else has it."""
    batch, outcome = sent.batch, sent.outcome
    _record_health(n, connection, sent, now)
    retry_times: list[datetime] = []

    def settle(one: Outcome) -> Verdict:
        verdict, at = judge(one, attempt=batch.attempt, first_due=batch.first_due, now=now)
        if at:
            retry_times.append(at)
        return verdict

    rest = settle(_for_either(n, outcome.rest))
    each = {batch.readers[i][0]: settle(one) for i, one in outcome.each.items()}
    states = {state for state, _, _ in (rest, *each.values())}
    found = ledger.mark(
        connection,
        batch,
        rest=rest,
        each=each,
        retry_at=min(retry_times, default=None),
        look_at=look_at_mail(n, now) if State.UNKNOWN in states else None,
        now=now,
    )
    if found is None:
        _log.warning("batch %s was taken by another worker; its outcome is not written", batch.id)
    elif retry_times and outbox.is_replaced(connection, batch.dispatch_id):
        retries.drop_replaced(connection, batch.dispatch_id, now=now)
    return found


def _record_health(n: Notifier, connection: Connection, sent: _Sent, now: datetime) -> None:
    channel, cost = sent.batch.channel, len(sent.batch.readers)
    if sent.seconds is None:
        health.release(connection, n, channel, now=now, cost=cost)
        return
    seconds = sent.seconds
    health.record(connection, n, channel, sent.outcome.rest, now=now, seconds=seconds, cost=cost)


def _for_either(n: Notifier, outcome: Outcome) -> Outcome:
    """Where there is a backup, leave out for how long one provider wants to be left alone.

    Its health remembers that, and the next try may go through the other one.
    """
    return replace(outcome, after=None) if n.backup and isinstance(outcome, Retry) else outcome
