"""Real Alertmanager, monit and Nagios alert a served site: a draft comes, and goes when it is over.

They are configured with the very text that the admin gives operators to paste.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from notifier.app import build, load_settings
from notifier.domain.alerting import DraftState
from notifier.domain.incident import Severity
from notifier.ports import Notifier
from notifier.services import audience, integrations
from notifier.services import drafts as proposals
from notifier.services.drafts import Proposal
from notifier.services.integrations import Wanted
from notifier.store import drafts, hook_bodies
from tests.monitors import TOOLS, Tool
from tests.processes import environment, free_port, sandbox, server

pytestmark = pytest.mark.slow

#: From what the tool finds to the draft, and from its end to the draft's.
LIMIT = 15.0


@dataclass
class Site:
    """What is served, read from its database; `address` is where the tool posts to."""

    n: Notifier
    integration_id: int
    address: str

    def wait_for_the_only_draft(self, state: DraftState) -> tuple[Proposal, float]:
        """The draft once it is in this state, and how many seconds that took."""
        start = time.monotonic()
        while (took := time.monotonic() - start) < LIMIT:
            with self.n.db.read() as connection:
                found = drafts.list_newest(connection, limit=2)
                if [draft.state for draft in found] == [state]:
                    return proposals.proposal(connection, found[0], self.n.clock()), took
            time.sleep(0.05)
        with self.n.db.read() as connection:
            came = hook_bodies.list_entries(connection, self.integration_id)
        raise AssertionError(
            f"no draft is {state} after {LIMIT} s, but {found}; it was told {came}"
        )


@contextmanager
def serve(folder: Path, source: str) -> Iterator[Site]:
    """A served site whose rule knows alerts about sign-in by the label `service`."""
    port = free_port()
    with sandbox(folder) as box:
        settings = environment(folder, box, NOTIFIER_BASE_URL=f"http://127.0.0.1:{port}")
        n = build(load_settings(environ=settings))
        for slug in ("billing", "sign-in"):
            audience.put_component(n, slug_=slug, name=slug.capitalize())
        integrations.add_rule(n, match={"service": "sign-in"}, component="sign-in")
        wanted = Wanted(source=source, name=source, component="billing", severity=Severity.MINOR)
        integration_id, address = integrations.create(n, wanted)
        try:
            with server(folder, settings, port):
                yield Site(n, integration_id, address)
        finally:
            n.db.close()


@pytest.mark.parametrize("tool", TOOLS, ids=[tool.source for tool in TOOLS])
def test_it_drafts_what_a_real_tool_finds(tool: Tool, tmp_path: Path) -> None:
    if missing := tool.missing():
        pytest.skip(missing)
    folder = tmp_path / tool.source
    folder.mkdir()
    with serve(tmp_path, tool.source) as site, tool.start(folder, site.address) as monitor:
        monitor.fail()
        made, until_draft = site.wait_for_the_only_draft(DraftState.WAITING)
        assert made.component is not None
        assert made.component.slug == "sign-in"
        assert made.impact == "You may have problems with Sign-in."
        assert made.severity is (tool.severity or Severity.MINOR)
        (alert,) = made.alerts
        assert alert.facts.labels["service"] == "sign-in"
        assert "503" in f"{alert.facts.title} {alert.facts.description}"
        assert not alert.over

        monitor.recover()
        made, until_over = site.wait_for_the_only_draft(DraftState.WITHDRAWN)
        assert made.draft.recovered
        (alert,) = made.alerts
        assert alert.over
        assert not alert.silent
    print(f"{tool.source}: a draft after {until_draft:.1f} s, withdrawn after {until_over:.1f} s")
