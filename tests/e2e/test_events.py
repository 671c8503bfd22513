"""SendGrid's events, from the sandbox's own process, posted to a server that only has its key.

They come late, twice and in no order, and what one disruption taught is honoured by the next.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.e2e.test_kill import declare, deliveries, wait_until_settled
from tests.processes import environment, free_port, request_json, run_cli, sandbox, server

pytestmark = pytest.mark.slow

#: The sandbox reads what becomes of a mail in its address.
FATES = {
    "bounce": "bounced",
    "blocked": "bounced",
    "dropped": "rejected",
    "complaint": "complained",
}
HEADER = "external_id,email,name,language,time_zone,components\n"


def test_what_the_provider_tells_is_known_and_honoured(tmp_path: Path) -> None:
    addresses = {f"r{i}+{fate}@example.com": fate for i, fate in enumerate([*FATES] * 3)}
    addresses |= {f"r{i}@example.com": "fine" for i in range(100, 400)}
    with sandbox(tmp_path) as box:
        port = free_port()
        settings = environment(tmp_path, box, NOTIFIER_SENDGRID__EVENTS_PUBLIC_KEY=box.events_key)
        token = prepare(tmp_path, settings, list(addresses))
        box.events(url=f"http://127.0.0.1:{port}/events/sendgrid", repeat=2, shuffle=True)
        with server(tmp_path, settings, port) as serving:
            incident = declare(serving.url, token, len(addresses))
            api = f"{serving.url}/api/v1/incidents/{incident}"
            wait_until_settled(api, token)
            assert box.wait_until_told()["failures"] == 0
            states = {d["address"]: d["state"] for d in deliveries(f"{api}/deliveries", token)}
            assert states == {a: FATES.get(fate, "delivered") for a, fate in addresses.items()}
            listed = request_json("GET", f"{serving.url}/api/v1/suppressions", token=token)[1]
            reasons = Counter(row["reason"] for row in listed["suppressions"])
            assert reasons == {"bounce": 3, "blocked": 3, "dropped": 3, "complaint": 3}
            again = declare(serving.url, token, 300)
            wait_until_settled(f"{serving.url}/api/v1/incidents/{again}", token)
            told = deliveries(f"{serving.url}/api/v1/incidents/{again}/deliveries", token)
            assert {d["address"] for d in told} == {
                a for a, fate in addresses.items() if fate == "fine"
            }


def prepare(folder: Path, settings: dict[str, str], addresses: list[str]) -> str:
    """A component, customers with these addresses, and a token to speak for it."""
    run_cli("components", "put", "heat", "--name", "Heat", settings=settings, folder=folder)
    csv = folder / "customers.csv"
    rows = (f"c{i},{address},,en,UTC,heat\n" for i, address in enumerate(addresses))
    csv.write_text(HEADER + "".join(rows))
    imported = run_cli("customers", "import", str(csv), settings=settings, folder=folder)
    assert imported.returncode == 0, imported.stderr
    made = run_cli(
        "token", "create", "--role", "admin", "--name", "t", settings=settings, folder=folder
    )
    return made.stdout.strip()
