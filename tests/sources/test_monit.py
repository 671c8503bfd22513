"""monit, on bodies in the shape recorded from 5.33."""

from __future__ import annotations

import pytest

from notifier.domain.receipt import Unreadable
from notifier.domain.signal import Condition
from notifier.sources import monit
from tests.sources.bodies import request, sample

EVENT = "<event><service>web</service><id>32</id><state>1</state></event>"


def test_reads_what_an_operator_needs() -> None:
    (signal,) = monit.parse(sample("monit", "firing"), {}).signals
    assert signal.key == "5f0c7d1e9a!web!32"
    assert signal.title.startswith("web: failed protocol test")
    assert signal.title.endswith("Störung <503>")
    assert signal.position.timestamp() == 1795363300.12
    assert signal.labels == {
        "host": "shop-01",
        "service": "web",
        "type": "host",
        "event": "connection",
        "group": "public",
    }


def test_the_bytes_count_and_not_the_encoding_they_claim() -> None:
    (signal,) = monit.parse(sample("monit", "latin"), {}).signals
    assert signal.description == "Störung"


@pytest.mark.parametrize(
    ("name", "reason"), [("started", "change"), ("status", "without an event")]
)
def test_what_is_neither_failure_nor_end_is_ignored(name: str, reason: str) -> None:
    assert reason in monit.parse(sample("monit", name), {}).ignored


def test_our_sender_is_read_too() -> None:
    (signal,) = monit.parse(sample("monit", "script"), {}).signals
    assert (signal.key, signal.condition) == ("web-port", Condition.FIRING)


def test_an_event_without_its_host_or_time_is_still_read() -> None:
    (signal,) = monit.parse(request(f"<monit>{EVENT}</monit>"), {}).signals
    assert (signal.key, signal.title) == ("!web!32", "web")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('<!DOCTYPE m [<!ENTITY a "b">]><monit>&a;</monit>', "entities"),
        ('<!DOCTYPE m SYSTEM "file:///etc/passwd"><monit/>', "entities"),
        ("<monit>&undefined;</monit>", "line 1, column 7"),
        ("<monit>", "line 1, column 7"),
        ("<other/>", "root element 'monit'"),
        ('{"status": "firing"}', "'dedup_key'"),
        ("", "not XML"),
        ("<monit>" + " " * 1_000_000 + "</monit>", "larger"),
    ],
)
def test_hostile_and_foreign_bodies_are_refused(body: str, said: str) -> None:
    with pytest.raises(Unreadable, match=said) as refused:
        monit.parse(request(body), {})
    assert str(refused.value).endswith(".")
