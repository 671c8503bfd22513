"""An integration of each test's own, and alerts sent to it through the door."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from notifier.domain.alerting import DraftState
from notifier.domain.incident import Severity
from notifier.domain.signal import Hook
from notifier.ports import Notifier
from notifier.services import correlating, integrations
from notifier.services.hooks import Answer, Intake
from notifier.services.integrations import Wanted
from notifier.store import drafts
from notifier.store.drafts import Draft


@dataclass
class Alarms:
    """What posts alerts in our own schema to one integration, and looks at what came of it."""

    n: Notifier
    integration_id: int
    key: str
    intake: Intake

    def post(self, body: Any, **headers: str) -> Answer:
        """A request with that body."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        named = {"content-type": "application/json"} | {
            k.replace("_", "-"): v for k, v in headers.items()
        }
        hook = Hook("POST", named, "", raw, self.n.clock())
        return self.intake.take("alertmanager", self.key, hook, "127.0.0.1")

    def say(
        self, status: str, key: str = "a", *, start: datetime | None = None, **labels: str
    ) -> Answer:
        """One alert of Alertmanager's, which began `start` (or now)."""
        return self.post({"alerts": [self.alert(status, key, start=start, **labels)]})

    def alert(
        self, status: str, key: str = "a", *, start: datetime | None = None, **labels: str
    ) -> dict[str, Any]:
        """The same as it stands in a body."""
        now = self.n.clock()
        return {
            "status": status,
            "fingerprint": key,
            "labels": {"severity": "critical"} | labels,
            "annotations": {"summary": f"alert {key}"},
            "startsAt": (start or now).isoformat(),
            "endsAt": now.isoformat() if status == "resolved" else "0001-01-01T00:00:00Z",
        }

    def fire(self, key: str = "a", **labels: str) -> list[Draft]:
        """An alert fires; what is proposed then."""
        assert self.say("firing", key, **labels).status == 200
        return self.gather()

    def end(self, key: str = "a", *, start: datetime | None = None) -> list[Draft]:
        """An alert is over, whenever it began; what is proposed then."""
        assert self.say("resolved", key, start=start).status == 200
        return self.gather()

    def gather(self) -> list[Draft]:
        """Let the alerts that came become drafts; those that wait."""
        correlating.run(self.n)
        return self.waiting()

    def waiting(self) -> list[Draft]:
        """Drafts that nobody has decided on."""
        with self.n.db.read() as connection:
            return drafts.list_waiting(connection)

    def newest(self) -> Draft:
        """The newest draft, whatever became of it."""
        with self.n.db.read() as connection:
            return drafts.list_newest(connection, limit=1)[0]

    def states(self) -> list[DraftState]:
        """What became of all drafts, the newest first."""
        with self.n.db.read() as connection:
            return [draft.state for draft in drafts.list_newest(connection, limit=100)]


def open_alarms(n: Notifier, *, component: str = "", **wanted: Any) -> Alarms:
    """A new integration whose alerts are about that component."""
    values = {"name": "Prometheus", "source": "alertmanager", "component": component} | wanted
    integration_id, address = integrations.create(n, Wanted(**values))
    return Alarms(n, integration_id, urlsplit(address).path.rpartition("/")[2], Intake(n))


def allow_auto(
    n: Notifier, *, component: str, after: timedelta = timedelta(minutes=2), name: str = "preset"
) -> None:
    """Let alerts labelled with a component be posted by themselves, in approved words."""
    preset = integrations.add_preset(
        n,
        name=name,
        title="You cannot sign in",
        impact="You cannot sign in to your account.",
        explanation="A server of ours fails. We are looking into it.",
    )
    integrations.add_rule(
        n,
        match={"service": component},
        component=component,
        severity=Severity.CRITICAL,
        preset_id=preset,
        auto_after=after,
    )
