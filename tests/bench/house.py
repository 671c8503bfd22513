"""A notifier with many customers, as the benchmark's processes open it."""

from __future__ import annotations

import os
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from notifier.app import build, load_settings
from notifier.domain.incident import Severity
from notifier.domain.plan import MailTime
from notifier.ports import MailChannel, Notifier
from notifier.services import audience, incidents
from notifier.services.incidents import Declaration, Expected, Words
from notifier.store import outbox

_SECRET = "a-secret-of-the-benchmark-0123456789"
COMPONENT = "heat"

# A mail as long as one can get: the limits are 600 and 5,000 characters.
_IMPACT = "You have no heat and no hot water in the districts north of the river. " * 4
_EXPLANATION = "\n\n".join(
    f"{hour:02}:{minute:02}: the pressure in section {hour} of the northern main was measured"
    " again, and the crew on site moved on."
    for hour in range(8, 18)
    for minute in (0, 15, 30, 45)
)

_ADD_CUSTOMERS = """
WITH RECURSIVE counted(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM counted WHERE i < :count)
INSERT INTO customers (id, external_id, email, email_key, name, language, time_zone,
                       created_at, updated_at)
SELECT i, 'c' || i, 'reader' || i || '@example.com', 'reader' || i || '@example.com',
       CASE i % 4 WHEN 0 THEN '' WHEN 1 THEN 'Siobhán O''Neil' ELSE 'Reader Number ' || i END,
       'en', CASE i % 2 WHEN 0 THEN 'Asia/Karachi' ELSE 'Europe/Berlin' END,
       '2026-11-22 08:00:00.000000', '2026-11-22 08:00:00.000000'
FROM counted
"""


def open_notifier(
    database: Path, *, provider: str = "sendgrid", peer: str = "", mail: MailChannel | None = None
) -> Notifier:
    """The real thing on the file `database`, made if need be.

    `peer` is the provider's address; `mail` takes the place of the provider's channel.
    """
    return open_at(f"sqlite:///{database}", provider=provider, peer=peer, mail=mail)


def open_at(
    url: str, *, provider: str = "sendgrid", peer: str = "", queue: str = "embedded", **parts: Any
) -> Notifier:
    """The same on the database at `url`; `parts` take the place of real ones."""
    environ = environment(url, provider=provider, peer=peer, queue=queue)
    return build(load_settings(environ=environ, path=Path(os.devnull)), **parts)


def environment(
    database_url: str, *, provider: str = "sendgrid", peer: str = "", queue: str = "embedded"
) -> dict[str, str]:
    """The settings of a benchmark's process."""
    variable = {"sendgrid": "NOTIFIER_SENDGRID__API_URL", "smtp": "NOTIFIER_SMTP__URL"}[provider]
    environ = {
        "NOTIFIER_DATABASE_URL": database_url,
        "NOTIFIER_QUEUE": queue,
        "NOTIFIER_BASE_URL": "https://status.example.com",
        "NOTIFIER_SECRET_KEY": _SECRET,
        "NOTIFIER_EMAIL__PROVIDER": provider,
        "NOTIFIER_EMAIL__FROM": "Northvale Heat <status@example.com>",
        "NOTIFIER_SITE__NAME": "Northvale Heat",
    }
    return environ | ({variable: peer} if peer else {})


def make_database(path: Path, customers: int) -> None:
    """A new database with this many customers in two time zones, all of whom use one component."""
    n = open_notifier(path)
    component = audience.put_component(n, slug_=COMPONENT, name="District heating")
    n.db.close()
    with sqlite3.connect(path) as connection:
        connection.execute(_ADD_CUSTOMERS, {"count": customers})
        connection.execute(
            "INSERT INTO customer_components (customer_id, component_id)"
            " SELECT id, ? FROM customers",
            [component.id],
        )
        connection.execute("ANALYZE")
    connection.close()


def declare(n: Notifier) -> int:
    """Declare a disruption whose mail is due at once; the id of the mail's dispatch."""
    incident_id = publish(n)
    with n.db.read() as connection:
        rows = outbox.list_dispatches(connection, incident_id)
    return next(row.id for row in rows if row.lane == "mail")


def publish(n: Notifier) -> int:
    """Declare a disruption whose mail is due at once; its incident's id."""
    words = Words(
        impact=_IMPACT,
        expected=Expected(until=datetime.now(UTC) + timedelta(hours=3)),
        explanation=_EXPLANATION,
        next_update_by=datetime.now(UTC) + timedelta(hours=1),
        mail=MailTime(delay=timedelta(0)),
    )
    told = Declaration("No heat in the north", Severity.CRITICAL, [COMPONENT], words)
    return incidents.declare(n, told, by="the benchmark").incident.id
