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
from notifier.services.leases import LEASE, look_at_mail
from notifier.services.unsubscribing import unsubscribe_links
from notifier.store import fanout, finishing, incidents, ledger, outbox, people, retries
from notifier.store.batches import Claim, ClaimedBatch, Unrendered

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Sent:
    """A batch, what the provider said to it, and after how long."""

    batch: ClaimedBatch
    outcome: BatchOutcome
    seconds: float


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
        with n.db.transaction() as connection:
            if self._sent:
                _record(n, connection, self._sent, now=now)
            claimed = None
            if self._goes_on():
                retries.release_unknown(connection, now=now)
                claimed = self._claim(connection, now)
        if self._sent:
            self._sent = None
            n.failpoint("mail.settled")
        return claimed

    def _claim(self, connection: Connection, now: datetime) -> ClaimedBatch | Unrendered | None:
        """Take the next readers for the provider whose turn it is."""
        n = self._n
        provider = health.route(connection, n, now=now)
        self._blocked_until = provider if isinstance(provider, datetime) else None
        if isinstance(provider, datetime):
            return None
        size = health.page_size(n, provider)
        claim = Claim(n.node, provider.name, size, now, now + LEASE)
        claimed = retries.claim_retry(connection, claim) or fanout.claim_page(connection, claim)
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

    def _send(self, batch: ClaimedBatch) -> _Sent | None:
        """Send a batch whose claim is committed; None when that would be too late."""
        recipients = _recipients(self._n, batch)
        prepared = self._prepare(batch.channel, batch.message_id)
        self._n.failpoint("mail.claimed")
        if self._n.clock() >= batch.lease_until:
            # We were stopped for so long that others take us for dead and the batch for unknown.
            _log.warning("batch %s is not sent: its lease is over", batch.id)
            return None
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


def _record(n: Notifier, connection: Connection, sent: _Sent, *, now: datetime) -> None:
    batch, outcome = sent.batch, sent.outcome
    health.record(
        connection,
        n,
        batch.channel,
        outcome.rest,
        now=now,
        seconds=sent.seconds,
        cost=len(batch.readers),
    )
    retry_times: list[datetime] = []

    def settle(one: Outcome) -> Verdict:
        verdict, at = judge(one, attempt=batch.attempt, first_due=batch.first_due, now=now)
        if at:
            retry_times.append(at)
        return verdict

    rest = settle(_for_either(n, outcome.rest))
    each = {batch.readers[i].seq: settle(one) for i, one in outcome.each.items()}
    states = {state for state, _, _ in (rest, *each.values())}
    written = ledger.mark(
        connection,
        batch,
        rest=rest,
        each=each,
        retry_at=min(retry_times, default=None),
        look_at=look_at_mail(n, now) if State.UNKNOWN in states else None,
        now=now,
    )
    if not written:
        _log.warning("batch %s was taken by another worker; its outcome is not written", batch.id)
    elif retry_times and outbox.is_replaced(connection, batch.dispatch_id):
        retries.drop_replaced(connection, batch.dispatch_id, now=now)


def _for_either(n: Notifier, outcome: Outcome) -> Outcome:
    """Where there is a backup, leave out for how long one provider wants to be left alone.

    Its health remembers that, and the next try may go through the other one.
    """
    return replace(outcome, after=None) if n.backup and isinstance(outcome, Retry) else outcome
