"""Nagios, Icinga 2 and Checkmk: on recorded values, and on bodies of our sender."""

from __future__ import annotations

from types import ModuleType

import pytest

from notifier.domain.receipt import Unreadable
from notifier.domain.signal import Condition, severity_of
from notifier.domain.text import Invalid
from notifier.sources import checkmk, icinga2, nagios
from tests.sources.bodies import request, sample, shared_request

ALL = pytest.mark.parametrize("tool", [nagios, icinga2, checkmk], ids=lambda tool: tool.NAME)


def test_the_recorded_values_of_nagios_are_read() -> None:
    hook = shared_request("nagios-real/01_problem_macros.json")
    (signal,) = nagios.parse(hook, {}).signals
    assert (signal.key, signal.condition) == ("web01!Checkout API", Condition.FIRING)
    assert signal.title == "Checkout API on web01 is CRITICAL"
    assert signal.position.timestamp() == 1795363829


def test_the_recorded_values_of_icinga_are_read() -> None:
    (signal,) = icinga2.parse(shared_request("icinga2-real/01_problem.json"), {}).signals
    assert (signal.key, signal.severity) == ("web01!checkout-api", "CRITICAL")
    assert signal.url == "https://runbooks.example.com/checkout"
    assert signal.position.timestamp() == 1795364214


def test_a_body_of_checkmk_is_read_and_its_id_is_no_key() -> None:
    (signal,) = checkmk.parse(shared_request("checkmk/recovery.json"), {}).signals
    assert (signal.key, signal.condition) == ("server1", Condition.RESOLVED)
    assert signal.title == "CheckMK server1 - DOWN -> UP"
    assert signal.labels["site"] == "cmk"


def test_a_script_of_the_operator_and_our_sender_have_the_same_key() -> None:
    for tool in (icinga2, checkmk):
        (ours,) = tool.parse(sample(tool.NAME, "firing"), {}).signals
        (theirs,) = tool.parse(sample(tool.NAME, "own_script"), {}).signals
        assert ours.key == theirs.key
    (host,) = nagios.parse(sample("nagios", "own_script"), {}).signals
    assert (host.key, host.title) == ("shop-01", "shop-01 is DOWN")
    (taken,) = icinga2.parse(sample("icinga2", "own_script"), {}).signals
    assert taken.condition is Condition.ACKNOWLEDGED


@ALL
def test_what_unknown_means_is_the_operators_choice(tool: ModuleType) -> None:
    hook = sample(tool.NAME, "unknown")
    for chosen in ({}, {"unknown": "minor"}, {"unknown": "critical"}):
        (signal,) = tool.parse(hook, chosen).signals
        assert signal.severity == chosen.get("unknown", "minor")
        assert severity_of(signal.severity, default=None)
    assert "UNKNOWN" in tool.parse(hook, {"unknown": "ignore"}).ignored
    tool.check_options({"unknown": "ignore"})
    with pytest.raises(Invalid, match="unknown is one of"):
        tool.check_options({"unknown": "perhaps"})


@ALL
@pytest.mark.parametrize("kind", ["DOWNTIMESTART", "FLAPPINGSTOP", "CUSTOM", "ALERTHANDLER (OK)"])
def test_notifications_that_are_no_alert_are_ignored(tool: ModuleType, kind: str) -> None:
    body = {"type": kind, "host": "a", "state": "DOWN"}
    assert kind in tool.parse(request(body), {}).ignored
    assert "CUSTOM" in tool.parse(sample(tool.NAME, "custom"), {}).ignored


def test_a_soft_state_is_ignored() -> None:
    assert "soft" in nagios.parse(sample("nagios", "soft"), {}).ignored


@ALL
@pytest.mark.parametrize("body", [{}, {"type": "PROBLEM"}, {"host": "a"}, {"type": 1, "host": "a"}])
def test_anything_else_is_refused(tool: ModuleType, body: dict[str, object]) -> None:
    with pytest.raises(Unreadable, match=r"^The body has no host with a type of .*\.$"):
        tool.parse(request(body), {})
