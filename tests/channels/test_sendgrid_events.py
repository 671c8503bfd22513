"""SendGrid's Event Webhook: whom we believe, and what we understand."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from notifier.channels._sendgrid_events import SIGNATURE, TIMESTAMP, EventReader
from notifier.channels.sendgrid import Config, build_event_reader
from notifier.domain.receipt import Fact, Unreadable, Untrusted
from tests.channels.sendgrid_events import EventSender, event
from tests.conftest import SHARED

NOW = datetime(2026, 11, 22, 8, 12, tzinfo=UTC)
VECTOR = SHARED / "specs" / "sendgrid-python" / "test_eventwebhook.py.txt"
EXAMPLES = SHARED / "specs" / "sendgrid" / "event_webhook_examples.json"


@pytest.fixture
def sender() -> EventSender:
    return EventSender()


@pytest.fixture
def reader(sender: EventSender) -> EventReader:
    return build_event_reader(Config(events_public_key=sender.public_key))  # type: ignore[call-arg]


def read(reader: EventReader, sender: EventSender, *events: Any) -> list[Any]:
    body = sender.body(*events)
    return list(reader.read(sender.headers(body, NOW), body, now=NOW))


def test_sendgrids_own_vector_is_believed_and_nothing_beside_it() -> None:
    if not VECTOR.exists():
        pytest.skip("../shared with SendGrid's own test vector is not there")
    given = dict(re.findall(r"cls\.(\w+) = '([^']+)'\n", VECTOR.read_text()))
    dropped = {
        "email": "hello@world.com",
        "event": "dropped",
        "reason": "Bounced Address",
        "sg_event_id": "ZHJvcC0xMDk5NDkxOS1MUnpYbF9OSFN0T0doUTRrb2ZTbV9BLTA",
        "sg_message_id": "LRzXl_NHStOGhQ4kofSm_A.filterdrecv-p3mdw1-756b745b58-kmzbl-18-5F5FC76C"
        "-9.0",
        "smtp-id": "<LRzXl_NHStOGhQ4kofSm_A@ismtpd0039p1iad1.sendgrid.net>",
        "timestamp": 1600112492,
    }
    body = json.dumps([dropped], sort_keys=True, separators=(",", ":")).encode() + b"\r\n"
    reader = EventReader(given["PUBLIC_KEY"])
    at = datetime.fromtimestamp(int(given["TIMESTAMP"]), UTC)

    def verify(**changes: Any) -> object:
        headers = {
            SIGNATURE: changes.get("signature", given["SIGNATURE"]),
            TIMESTAMP: changes.get("timestamp", given["TIMESTAMP"]),
        }
        return reader.read(headers, changes.get("body", body), now=changes.get("now", at))

    assert verify() == [], "it is not about mail of ours"
    for wrong in (
        {"body": body.rstrip()},
        {"timestamp": "1600112503"},
        {"timestamp": "timestamp"},
        {
            "signature": "MEUCIQCtIHJeH93Y+qpYeWrySphQgpNGNr/U+UyUlBkU6n7RAwIgJTz2C+8a8xonZGi6Bp"
            "SzoQsbVRamr2nlxFDWYNH3j/0="
        },
        {"signature": ""},
        {"signature": "?"},
        {"now": at + timedelta(hours=26)},
        {"now": at - timedelta(hours=1)},
    ):
        with pytest.raises(Untrusted):
            verify(**wrong)


def test_a_late_try_is_believed_and_a_recorded_one_is_not(
    reader: EventReader, sender: EventSender
) -> None:
    body = sender.body(event("processed", "1-1"))
    for age, believed in ((0, True), (24, True), (26, False), (-1, False)):
        headers = sender.headers(body, NOW - timedelta(hours=age))
        if believed:
            assert len(reader.read(headers, body, now=NOW)) == 1
        else:
            with pytest.raises(Untrusted):
                reader.read(headers, body, now=NOW)


def test_another_accounts_signature_is_not_ours(reader: EventReader) -> None:
    other = EventSender()
    body = other.body(event("processed", "1-1"))
    with pytest.raises(Untrusted, match="events_public_key"):
        reader.read(other.headers(body, NOW), body, now=NOW)


def test_without_a_key_nobody_is_believed_and_the_setting_is_named(sender: EventSender) -> None:
    body = sender.body(event("processed", "1-1"))
    with pytest.raises(Untrusted, match="set events_public_key under"):
        build_event_reader(Config()).read(sender.headers(body, NOW), body, now=NOW)  # type: ignore[call-arg]


@pytest.mark.parametrize("key", ["?", "AAAA", "MFkwEwYHKoZIzj0CAQ"])
def test_a_key_that_is_none_is_refused_with_the_settings(key: str) -> None:
    with pytest.raises(ValidationError, match="is not a verification key"):
        Config(events_public_key=key)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("kind", "fields", "fact", "detail"),
    [
        ("processed", {}, Fact.ACCEPTED, ""),
        ("delivered", {"response": "250 OK id=1"}, Fact.DELIVERED, ""),
        ("deferred", {"response": "450 later"}, Fact.DELAYED, "450 later"),
        ("bounce", {"reason": "550 no\r\n such user"}, Fact.BOUNCED, "550 no such user"),
        ("bounce", {"type": "bounce", "reason": "550"}, Fact.BOUNCED, "550"),
        ("bounce", {"type": "blocked", "reason": "421"}, Fact.BLOCKED, "421"),
        ("dropped", {"reason": "Bounced Address"}, Fact.DROPPED, "Bounced Address"),
        ("dropped", {"reason": "Invalid"}, Fact.DROPPED, "Invalid"),
        ("dropped", {"reason": "Spam Reporting Address"}, Fact.DROPPED, "Spam Reporting Address"),
        ("dropped", {"reason": "Unsubscribed Address"}, Fact.DROPPED, "Unsubscribed Address"),
        ("dropped", {"reason": "Invalid SMTPAPI header"}, Fact.REJECTED, "Invalid SMTPAPI header"),
        ("dropped", {}, Fact.REJECTED, ""),
        ("spamreport", {}, Fact.COMPLAINED, ""),
        ("unsubscribe", {}, Fact.UNSUBSCRIBED, ""),
        ("group_unsubscribe", {}, Fact.UNSUBSCRIBED, ""),
    ],
)
def test_each_kind_is_understood(
    reader: EventReader,
    sender: EventSender,
    kind: str,
    fields: dict[str, Any],
    fact: Fact,
    detail: str,
) -> None:
    (found,) = read(reader, sender, event(kind, "12-345", email="a@example.com", **fields))
    assert (found.fact, found.detail) == (fact, detail)
    assert (found.place, found.address) == ((12, 345), "a@example.com")


def test_what_is_not_about_our_mail_is_left_out(reader: EventReader, sender: EventSender) -> None:
    others = [
        event("open", "1-1"),
        event("click", "1-1"),
        event("account_status_change", "1-1"),
        event("processed", "order-17"),
        event("processed", ""),
        {"event": "processed", "email": "a@example.com"},
        "processed",
        None,
    ]
    assert read(reader, sender, *others) == []


def test_the_documented_examples_are_read() -> None:
    if not EXAMPLES.exists():
        pytest.skip("../shared with SendGrid's examples is not there")
    sender = EventSender()
    reader = EventReader(sender.public_key)
    examples = json.loads(EXAMPLES.read_text())
    ours = [{**example, "notifier_delivery_id": "1-1"} for example in examples]
    assert read(reader, sender, *examples) == []
    kinds = {e["event"] for e in examples} - {"open", "click", "group_resubscribe"}
    assert len(read(reader, sender, *ours)) == len(kinds)


def test_an_event_without_an_id_is_known_again(reader: EventReader, sender: EventSender) -> None:
    nameless = {k: v for k, v in event("processed", "1-1").items() if k != "sg_event_id"}
    first, again, other = read(reader, sender, nameless, nameless, {**nameless, "timestamp": 5})
    assert first.id == again.id != other.id


def test_a_time_that_cannot_be_is_now(reader: EventReader, sender: EventSender) -> None:
    for wrong in (10**17, -(10**17), "soon", None, 4_000_000_000):
        (found,) = read(reader, sender, event("processed", "1-1", timestamp=wrong))
        assert found.happened_at == NOW


@pytest.mark.parametrize("body", [b"", b"{}", b"no", b'{"a":1}', b"\xff", b"[" * 100_000])
def test_a_signed_body_that_is_no_list_is_refused(
    reader: EventReader, sender: EventSender, body: bytes
) -> None:
    with pytest.raises(Unreadable):
        reader.read(sender.headers(body, NOW), body, now=NOW)


values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=4,
)
fields = st.sampled_from(
    ["event", "email", "sg_event_id", "timestamp", "reason", "type", "notifier_delivery_id"]
)


@settings(deadline=None)
@given(st.dictionaries(fields, values), st.sampled_from(["bounce", "dropped", "deferred"]))
def test_no_field_can_bring_it_down(changes: dict[str, Any], kind: str) -> None:
    sender = EventSender()
    for found in read(EventReader(sender.public_key), sender, event(kind, "1-1") | changes):
        found.detail.encode()
        assert found.happened_at <= NOW
