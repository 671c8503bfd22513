"""UptimeRobot, Pingdom and StatusCake: on documented bodies and fields, and on our own."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from urllib.parse import parse_qsl, urlencode

import pytest

from notifier.domain.receipt import Unreadable, Untrusted
from notifier.domain.signal import Condition, Hook, Secrets
from notifier.sources import pingdom, statuscake, uptimerobot
from tests.sources.bodies import NOW, request, sample, shared, shared_request


def test_uptimerobot_reads_what_an_operator_needs() -> None:
    (signal,) = uptimerobot.parse(sample("uptimerobot", "firing"), {}).signals
    assert (signal.key, signal.title) == ("778899001", "Shop is down")
    assert signal.description == "HTTP 503 - Service Unavailable"
    assert signal.position == datetime.fromtimestamp(1795363330, UTC)
    assert signal.labels == {"monitor": "Shop", "target": "https://shop.example.com"}


def test_uptimerobot_may_send_a_form_or_a_query() -> None:
    plain = uptimerobot.parse(sample("uptimerobot", "firing"), {})
    assert uptimerobot.parse(sample("uptimerobot", "form"), {}) == plain
    (signal,) = uptimerobot.parse(sample("uptimerobot", "query"), {}).signals
    assert (signal.key, signal.position) == ("778899001", NOW)


@pytest.mark.parametrize("name", ["certificate", "test"])
def test_uptimerobot_says_things_that_change_nothing(name: str) -> None:
    assert uptimerobot.parse(sample("uptimerobot", name), {}).ignored


def test_uptimerobots_template_filled_in_is_what_we_read() -> None:
    values = {"monitorID": "5", "alertType": "2", "monitorFriendlyName": "Shop"}
    filled = uptimerobot.SETUP.template
    for name, value in values.items():
        filled = filled.replace(f"*{name}*", value)
    (signal,) = uptimerobot.parse(request(filled), {}).signals
    assert (signal.key, signal.condition) == ("5", Condition.RESOLVED)
    assert signal.labels == {"monitor": "Shop"}


def test_the_documented_bodies_of_uptimerobot_are_read() -> None:
    (down,) = uptimerobot.parse(shared_request("uptimerobot/down.json"), {}).signals
    (up,) = uptimerobot.parse(shared_request("uptimerobot/up.json"), {}).signals
    assert (down.key, down.condition) == ("server1.example.com", Condition.FIRING)
    assert (up.title, up.condition) == ("Mail Server is up", Condition.RESOLVED)


def test_pingdom_reads_what_an_operator_needs() -> None:
    (signal,) = pingdom.parse(sample("pingdom", "firing"), {}).signals
    assert (signal.key, signal.title) == ("4410021", "Sign-in page is down")
    assert signal.severity == "high"
    assert signal.labels["component"] == "sign-in"
    assert signal.labels["target"] == "https://login.example.com/"
    assert signal.position == datetime.fromtimestamp(1795363400, UTC)


def test_pingdoms_transactions_fail_and_succeed() -> None:
    (signal,) = pingdom.parse(sample("pingdom", "transaction"), {}).signals
    assert (signal.condition, signal.severity) == (Condition.FIRING, "minor")
    assert signal.description == "Card step"
    assert pingdom.parse(sample("pingdom", "paused"), {}).ignored


def test_the_documented_pair_of_pingdom_is_one_alert() -> None:
    (down,) = pingdom.parse(shared_request("pingdom/down.json"), {}).signals
    (up,) = pingdom.parse(shared_request("pingdom/up.json"), {}).signals
    assert down.key == up.key == "803318"
    assert (down.condition, up.condition) == (Condition.FIRING, Condition.RESOLVED)
    assert down.position < up.position


def test_statuscake_reads_what_an_operator_needs() -> None:
    (signal,) = statuscake.parse(sample("statuscake", "firing"), {}).signals
    assert (signal.key, signal.title) == ("6611002", "Shop is down")
    assert signal.description == "Status code 503"
    assert signal.labels["env"] == "prod"
    assert "token" not in signal.labels
    assert statuscake.parse(sample("statuscake", "query"), {}).signals[0] == signal


def test_the_documented_fields_of_statuscake_are_read() -> None:
    fields = shared("statuscake/form_field_list_example.json")
    del fields["_note"]
    form = request(urlencode(fields), content_type="application/x-www-form-urlencoded")
    (signal,) = statuscake.parse(form, {}).signals
    assert (signal.key, signal.condition) == ("12345", Condition.FIRING)
    statuscake.verify(form, Secrets(("md5(username+apikey)",)))


@pytest.mark.parametrize("name", ["firing", "query"])
def test_statuscakes_token_is_a_secret_of_which_every_bit_counts(name: str) -> None:
    hook = sample("statuscake", name)
    secret = "0123456789abcdef0123456789abcdef"
    statuscake.verify(hook, Secrets((secret,)))
    statuscake.verify(hook, Secrets(("another", secret)))
    for bit in range(8 * len(secret)):
        changed = bytearray(secret.encode())
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Untrusted):
            statuscake.verify(with_token(hook, bytes(changed)), Secrets(("another", secret)))


def with_token(hook: Hook, token: bytes) -> Hook:
    fields = dict(parse_qsl(hook.body.decode() or hook.query))
    written = urlencode(fields | {"Token": token})
    if hook.body:
        return Hook("POST", hook.headers, "", written.encode(), NOW)
    return Hook("GET", hook.headers, written, b"", NOW)


def test_statuscake_without_a_token_is_not_trusted() -> None:
    with pytest.raises(Untrusted, match="no Token"):
        statuscake.verify(with_token(sample("statuscake", "firing"), b""), Secrets(("a",)))


@pytest.mark.parametrize("tool", [uptimerobot, pingdom, statuscake], ids=lambda tool: tool.NAME)
@pytest.mark.parametrize("body", [{"a": 1}, {"Status": "Down"}, {"alertType": "1"}])
def test_anything_else_is_refused(tool: object, body: dict[str, object]) -> None:
    with pytest.raises(Unreadable, match=r"so it is not one of (UptimeRobot|Pingdom|StatusCake)'s"):
        tool.parse(request(json.dumps(body)), {})  # type: ignore[attr-defined]
