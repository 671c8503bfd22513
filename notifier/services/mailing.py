"""Delivering mail: claim a page of readers, send, write down what became of each.

As with posts, the claim is committed before the call and the outcome after it, and the database
connection is never held during the call.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from notifier.domain.delivery import BatchOutcome, Outcome, State
from notifier.domain.message import Recipient
from notifier.ports import Notifier, PreparedMail
from notifier.services.incidents import announcement
from notifier.services.judging import Verdict, judge
from notifier.services.leases import LEASE, look_at_mail
from notifier.services.unsubscribing import unsubscribe_links
from notifier.store import fanout, finishing, incidents, ledger, outbox, people, retries
from notifier.store.batches import Claim, ClaimedBatch, Unrendered

_log = logging.getLogger(__name__)


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
        self._prepared: OrderedDict[tuple[str, int], PreparedMail] = OrderedDict()

    def run(self) -> datetime | None:
        """Send every mail that is due; when the next one will be, if any waits."""
        # Looked at first without the write lock: we are called with every post as well, whose
        # lane would have to wait for it.
        with self._n.db.read() as connection:
            due = outbox.next_due(connection, "mail")
        if due is None or due > self._n.clock():
            return due
        finished: tuple[ClaimedBatch, BatchOutcome] | None = None
        alone = True
        while True:
            claimed = self._settle_and_claim(finished)
            if finished:
                self._n.failpoint("mail.settled")
            finished = None
            if isinstance(claimed, Unrendered):
                self._freeze(claimed)
            elif isinstance(claimed, ClaimedBatch):
                if alone and len(claimed.readers) >= self._n.mail.batch_size:
                    self._more()
                    alone = False
                finished = claimed, self._send(claimed)
            else:
                return self._finish()

    def _settle_and_claim(
        self, finished: tuple[ClaimedBatch, BatchOutcome] | None
    ) -> ClaimedBatch | Unrendered | None:
        """Write the last batch's outcome and take the next readers, with one commit for both."""
        n = self._n
        now = n.clock()
        with n.db.transaction() as connection:
            if finished:
                _record(n, connection, *finished, now=now)
            if not self._goes_on():
                return None
            retries.release_unknown(connection, now=now)
            claim = Claim(n.node, n.mail.name, n.mail.batch_size, now, now + LEASE)
            return retries.claim_retry(connection, claim) or fanout.claim_page(connection, claim)

    def _finish(self) -> datetime | None:
        """Settle the mails that have nobody left; when the next one will be due.

        In a transaction after the last batch's: of two workers who end a fan-out together,
        neither sees the other's end before it is committed, but the later one sees both.
        """
        with self._n.db.transaction() as connection:
            finishing.finish_done(connection, now=self._n.clock())
            return outbox.next_due(connection, "mail")

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

    def _send(self, batch: ClaimedBatch) -> BatchOutcome:
        link = unsubscribe_links(self._n)
        recipients = [
            Recipient(f"{batch.dispatch_id}-{seq}", address, name, link(customer_id))
            for seq, customer_id, address, name in batch.readers
        ]
        prepared = self._prepare(batch.channel, batch.message_id)
        self._n.failpoint("mail.claimed")
        outcome = prepared.send(recipients)
        self._n.failpoint("mail.answered")
        return outcome

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


def _record(
    n: Notifier,
    connection: Connection,
    batch: ClaimedBatch,
    outcome: BatchOutcome,
    *,
    now: datetime,
) -> None:
    retry_times: list[datetime] = []

    def settle(one: Outcome) -> Verdict:
        verdict, at = judge(one, attempt=batch.attempt, first_due=batch.first_due, now=now)
        if at:
            retry_times.append(at)
        return verdict

    rest = settle(outcome.rest)
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
