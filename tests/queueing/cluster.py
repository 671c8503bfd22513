"""A site whose workers are processes of their own, on a real PostgreSQL, beside the sandbox."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import insert, text

from notifier.app import build, load_settings
from notifier.domain.plan import MailTime
from notifier.ports import Notifier
from notifier.services import audience
from notifier.store.schema import customer_components, customers
from tests.processes import Process, Sandbox, environment, sandbox, worker
from tests.services.saying import declare


@dataclass
class Cluster:
    """`n` declares, as `serve` would; the log of `box` says who got what."""

    folder: Path
    settings: dict[str, str]
    box: Sandbox
    n: Notifier

    def worker(self, name: str, *, concurrency: int = 1) -> AbstractContextManager[Process]:
        """`notifier work`, ended with the block."""
        return worker(self.folder, self.settings, name, concurrency=concurrency)

    def add_customers(self, count: int, component: str = "heat") -> None:
        """Customers of one variant who use `component`."""
        made = audience.put_component(self.n, slug_=component, name=component.title())
        now = self.n.clock()
        addresses = [f"{component}{i}@example.com" for i in range(count)]
        common = {"language": "en", "time_zone": "UTC", "created_at": now, "updated_at": now}
        rows = [
            {**common, "external_id": address, "email": address, "email_key": address, "name": ""}
            for address in addresses
        ]
        with self.n.db.transaction() as connection:
            ids = connection.scalars(insert(customers).returning(customers.c.id), rows).all()
            connection.execute(
                insert(customer_components),
                [{"customer_id": id_, "component_id": made.id} for id_ in ids],
            )

    def declare(self, component: str = "heat", *, mail_after: float = 0) -> int:
        """A disruption whose mail leaves after so many seconds; its incident's id."""
        delay = MailTime(delay=timedelta(seconds=mail_after))
        return declare(self.n, components=(component,), mail=delay).incident.id

    def slow_mail(self, answers_per_second: float) -> None:
        """Let each batch's answer take its time; an answer of the sandbox has 200 to 400 bytes."""
        speed = 300 * answers_per_second
        self.box.fault(service="sendgrid", fault="slow", times=None, bytes_per_second=speed)

    def mails(self) -> Counter[str]:
        """How many mails each address got."""
        return Counter(mail["to"] for mail in self.box.messages("sendgrid"))

    def query(self, statement: str) -> list[Any]:
        """The rows of one statement."""
        with self.n.db.transaction() as connection:
            result = connection.execute(text(statement))
            return [tuple(row) for row in result] if result.returns_rows else []

    def batch_states(self) -> Counter[str]:
        """Batches by state."""
        return Counter(
            {s: c for s, c in self.query("SELECT state, count(*) FROM batches GROUP BY 1")}
        )


@contextmanager
def cluster(folder: Path, database_url: str) -> Iterator[Cluster]:
    """A site without workers, with the sandbox running."""
    with sandbox(folder) as box:
        settings = environment(
            folder, box, NOTIFIER_DATABASE_URL=database_url, NOTIFIER_QUEUE="distributed"
        )
        n = build(load_settings(environ=settings))
        try:
            yield Cluster(folder, settings, box, n)
        finally:
            n.db.close()


def wait_until(condition: Callable[[], Any], seconds: float = 15.0) -> bool:
    """Whether `condition` became true within `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True
