"""A mail channel's answers from a script, and what the ledger says of each reader."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from notifier.domain.delivery import BatchOutcome, Sent, State
from notifier.domain.message import Recipient
from notifier.ports import Notifier
from notifier.services.incidents import Published
from notifier.services.mailing import MailRun
from notifier.store import ledger
from notifier.store.ledger import DeliveryRow


class Scripted:
    """Answers batch after batch from a list, then `Sent`; remembers whom it was asked about."""

    def __init__(self, *outcomes: BatchOutcome) -> None:
        self.outcomes = list(outcomes)
        self.asked: list[list[str]] = []
        self.meanwhile: Callable[[], object] = lambda: None

    def __call__(self, recipients: Sequence[Recipient]) -> BatchOutcome:
        self.asked.append([recipient.address.partition("@")[0] for recipient in recipients])
        self.meanwhile()
        return self.outcomes.pop(0) if self.outcomes else BatchOutcome(Sent("later"))


def ledger_of(n: Notifier, said: Published) -> dict[str, DeliveryRow]:
    """The ledger of an incident by the customer's external id."""
    with n.db.read() as connection:
        rows = ledger.list_deliveries(
            connection, said.incident.id, state=None, after=(0, 0), limit=1000
        )
    return {row.external_id: row for row in rows}


def state_of(n: Notifier, said: Published) -> dict[str, State]:
    """Each reader's state by the customer's external id."""
    return {reader: row.state for reader, row in ledger_of(n, said).items()}


def run(n: Notifier) -> datetime | None:
    """Send the mail that is due; when the next will be."""
    return MailRun(n).run()
