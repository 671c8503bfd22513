"""Northvale Water & Heat, a utility that does not exist: what the demo shows."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from notifier.domain.access import Role
from notifier.domain.incident import Severity
from notifier.domain.plan import MailTime
from notifier.ports import Notifier
from notifier.services import access, audience
from notifier.services.importing import Imported, import_customers
from notifier.services.incidents import Declaration, Expected, Words

NAME = "Northvale Water & Heat"
ZONE = "Europe/London"
SENDER = "Northvale Water & Heat <status@example.com>"
OPERATOR = "amina"

#: (slug, name, group)
COMPONENTS = (
    ("hot-water-old-town", "Hot water, Old Town", "Heat"),
    ("hot-water-harbour", "Hot water, Harbour", "Heat"),
    ("heating-old-town", "Heating, Old Town", "Heat"),
    ("heating-harbour", "Heating, Harbour", "Heat"),
    ("cold-water", "Cold water", "Water"),
    ("drainage", "Drainage", "Water"),
    ("billing", "Billing", "Online"),
    ("customer-portal", "Customer portal", "Online"),
)
_CUSTOMERS = Path(__file__).with_name("northvale.csv")


def fill(n: Notifier, *, password: str) -> Imported:
    """Put the components, the customers and the operator into the database of `n`.

    Doing it again changes nothing but the operator's password.
    """
    for position, (slug, name, group) in enumerate(COMPONENTS):
        audience.put_component(n, slug_=slug, name=name, group=group, position=position)
    if access.has_users(n):
        access.set_password(n, name=OPERATOR, password=password)
    else:
        access.create_user(n, name=OPERATOR, password=password, role=Role.ADMIN)
    with _CUSTOMERS.open("rb") as file:
        return import_customers(
            n, file, on_problem=lambda _: None, on_progress=lambda _doing, _done, _of: None
        )


def disruption(now: datetime, *, mail_after: timedelta) -> Declaration:
    """What `notifier demo --once` declares."""
    return Declaration(
        title="No hot water in Old Town",
        severity=Severity.MAJOR,
        components=["hot-water-old-town"],
        words=Words(
            impact="About 4,200 homes in Old Town have no hot water. Heating and cold water work"
            " as usual.",
            expected=Expected(
                start=now + timedelta(hours=1, minutes=30), until=now + timedelta(hours=3)
            ),
            explanation="A circulation pump at the Mill Street plant has failed. A replacement is"
            " on its way, and our engineers are fitting a temporary one meanwhile.",
            next_update_by=now + timedelta(minutes=45),
            mail=MailTime(delay=mail_after),
        ),
    )
