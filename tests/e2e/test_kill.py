"""kill -9 in the middle of a fan-out, then a restart; the referee's log decides.

Every customer must have exactly one mail, except at most the one batch that was in flight:
that one is reported as unknown and is not sent again blindly.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.processes import environment, request_json, run_cli, sandbox, server

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("provider", "customers", "batch"), [("sendgrid", 8_000, 1000), ("smtp", 1_600, 200)]
)
def test_a_fan_out_survives_kill_9(
    provider: str, customers: int, batch: int, tmp_path: Path
) -> None:
    with sandbox(tmp_path) as box:
        settings = environment(tmp_path, box, NOTIFIER_EMAIL__PROVIDER=provider)
        token = prepare(tmp_path, settings, customers)
        with server(tmp_path, settings) as first:
            incident = declare(first.url, token, customers)
            reached = len(box.wait_for(customers // 10, provider))
            first.kill()
        assert reached < customers, "the kill came too late to prove anything"
        before = len(box.messages(provider))

        with server(tmp_path, settings) as second:
            api = f"{second.url}/api/v1/incidents/{incident}"
            wait_until_settled(api, token)
            states = {d["address"]: d["state"] for d in deliveries(f"{api}/deliveries", token)}

        mails = Counter(m["to"] for m in box.messages(provider))
        everybody = {f"c{i}@example.com" for i in range(customers)}
        unknown = {address for address, state in states.items() if state == "unknown"}
        assert len(box.messages(provider)) > before, "nothing was sent after the restart"
        assert max(mails.values()) == 1, "somebody was told twice"
        assert set(states) == everybody
        assert set(states.values()) <= {"accepted", "unknown"}
        assert len(unknown) <= batch
        assert everybody - set(mails) <= unknown, "lost without a word"


def prepare(folder: Path, settings: dict[str, str], customers: int) -> str:
    """A component, its customers, and a token to speak for it."""
    run_cli("components", "put", "heat", "--name", "Heat", settings=settings, folder=folder)
    rows = [f"c{i},c{i}@example.com,Reader {i},en,UTC,heat" for i in range(customers)]
    csv = folder / "customers.csv"
    csv.write_text("external_id,email,name,language,time_zone,components\n" + "\n".join(rows))
    imported = run_cli("customers", "import", str(csv), settings=settings, folder=folder)
    assert imported.returncode == 0, imported.stderr
    made = run_cli(
        "token", "create", "--role", "admin", "--name", "t", settings=settings, folder=folder
    )
    return made.stdout.strip()


def declare(url: str, token: str, customers: int) -> int:
    """Declare a disruption whose mail leaves at once; its id."""
    told = {
        "title": "No heat",
        "severity": "critical",
        "components": ["heat"],
        "impact": "You have no heat.",
        "expected_duration": {"unknown": True},
        "explanation": "A pump failed.",
        "next_update_by": (datetime.now(UTC) + timedelta(hours=1)).isoformat(),
        "email": {"delay_minutes": 0},
    }
    status, answer = request_json("POST", f"{url}/api/v1/incidents", told, token=token)
    assert status == 201, answer
    assert answer["email"]["recipients"] == customers
    incident: int = answer["id"]
    return incident


def wait_until_settled(api: str, token: str) -> None:
    """Wait until no delivery of the incident is planned or being sent."""
    end = datetime.now(UTC) + timedelta(seconds=60)
    while datetime.now(UTC) < end:
        status, answer = request_json("GET", api, token=token)
        assert status == 200, answer
        if answer["email"]["state"] not in ("planned", "sending"):
            return
    raise AssertionError(f"not settled after a minute: {answer['email']}")


def deliveries(url: str, token: str) -> Iterator[dict[str, Any]]:
    """All rows of an incident's ledger, page by page."""
    cursor = ""
    while True:
        query = f"?cursor={cursor}" if cursor else ""
        status, page = request_json("GET", url + query, token=token)
        assert status == 200, page
        yield from page["deliveries"]
        cursor = page["next_cursor"]
        if not cursor:
            return
