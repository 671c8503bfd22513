"""SendGrid's Event Webhook: what is told about each mail, to whom, how often, and how signed."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from sendgrid import EventWebhook

from notifier.sandbox.process import Sandbox
from notifier.sandbox.webhook import BATCH_BYTES
from tests.channels.scripted import Captured, Server, Step, answer, hang, reset
from tests.conftest import SHARED
from tests.processes import Sandbox as Process
from tests.processes import request_json, sandbox
from tests.sandbox.clients import MAIL, call, order, send_mail
from tests.sandbox.programs import run_sandbox_to_its_end

EXAMPLES = SHARED / "specs" / "sendgrid" / "event_webhook_examples.json"
SIGNATURE = "x-twilio-email-event-webhook-signature"
TIMESTAMP = "x-twilio-email-event-webhook-timestamp"
TAKEN = answer(204)


def mail_to(*addresses: str, **more: Any) -> dict[str, Any]:
    each = [
        {"to": [{"email": address}], "custom_args": {"notifier_delivery_id": f"d-{number}"}}
        for number, address in enumerate(addresses)
    ]
    return {**MAIL, "personalizations": each, **more}


def direct(box: Sandbox, **how: Any) -> dict[str, Any]:
    status, described, _ = call(box, "POST", "/_sandbox/events", how)
    assert status == 200, described
    return dict(described)


def wait_until(condition: Callable[[], Any], seconds: float = 5.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def told(receiver: Server) -> list[dict[str, Any]]:
    return [event for request in receiver.requests for event in json.loads(request.body)]


def kinds(events: list[dict[str, Any]], address: str) -> list[str]:
    return [event["event"] for event in events if event["email"] == address]


def is_signed(request: Captured, key: str) -> bool:
    payload, headers = request.body.decode(), request.headers
    return bool(EventWebhook(key).verify_signature(payload, headers[SIGNATURE], headers[TIMESTAMP]))


@pytest.fixture
def receiver(box: Sandbox) -> Iterator[Server]:
    """Takes whatever `box` posts."""
    with Server(TAKEN) as server:
        direct(box, url=server.url)
        yield server
        direct(box, url=None)


# What is told


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("ayesha", ["processed", "delivered"]),
        ("bounce", ["processed", "bounce"]),
        ("blocked", ["processed", "bounce"]),
        ("dropped", ["dropped"]),
        ("deferred", ["processed", "deferred", "delivered"]),
        ("complaint", ["processed", "delivered", "spamreport"]),
        ("ayesha+bounce", ["processed", "bounce"]),
        ("a+b+Dropped", ["dropped"]),
        ("bounce+ayesha", ["processed", "delivered"]),
        ("bounces", ["processed", "delivered"]),
    ],
)
def test_the_address_decides_what_becomes_of_a_mail(
    word: str, expected: list[str], box: Sandbox, receiver: Server
) -> None:
    address = f"{word}@example.org"
    send_mail(box, mail_to(address))
    wait_until(lambda: len(told(receiver)) == len(expected))
    assert kinds(told(receiver), address) == expected


def test_a_bounce_and_a_block_differ_in_their_type(box: Sandbox, receiver: Server) -> None:
    send_mail(box, mail_to("bounce@example.org", "blocked@example.org"))
    wait_until(lambda: len(told(receiver)) == 4)
    types = {event["email"]: (event["type"], event["status"][0]) for event in told(receiver)
             if event["event"] == "bounce"}  # fmt: skip
    assert types == {"bounce@example.org": ("bounce", "5"), "blocked@example.org": ("blocked", "4")}


def test_each_event_names_its_mail_its_reader_and_itself(box: Sandbox, receiver: Server) -> None:
    _, _, headers = send_mail(
        box, mail_to("a@example.org", "b+deferred@example.org", custom_args={"incident": "7"})
    )
    wait_until(lambda: len(told(receiver)) == 5)
    events = told(receiver)
    owners = {"a@example.org": "d-0", "b+deferred@example.org": "d-1"}
    for event in events:
        assert event["notifier_delivery_id"] == owners[event["email"]]
        assert event["incident"] == "7"
        assert event["sg_message_id"].startswith(headers["x-message-id"] + ".")
        assert event["smtp-id"].startswith(f"<{headers['x-message-id']}@")
        assert abs(event["timestamp"] - time.time()) < 10
        assert len(event["sg_event_id"]) <= 100
    assert len({event["sg_event_id"] for event in events}) == 5


@pytest.mark.skipif(not EXAMPLES.is_file(), reason="../shared/specs/sendgrid is not there")
def test_each_kind_has_the_fields_of_sendgrids_own_example(box: Sandbox, receiver: Server) -> None:
    examples = {event["event"]: event for event in json.loads(EXAMPLES.read_text("utf-8"))}
    words = ["bounce", "dropped", "deferred", "complaint"]
    send_mail(box, mail_to(*(f"{word}@example.org" for word in words), categories=["cat facts"]))
    wait_until(lambda: len(told(receiver)) == 9)
    for event in told(receiver):
        example = examples[event["event"]]
        assert example.keys() - event.keys() == set()
        assert {k: type(event[k]) for k in example} == {k: type(v) for k, v in example.items()}


def test_copies_have_events_of_their_own_and_several_categories_are_a_list(
    box: Sandbox, receiver: Server
) -> None:
    one = {
        "to": [{"email": "a@example.org"}],
        "cc": [{"email": "c+bounce@example.org"}],
        "bcc": [{"email": "d@example.org"}],
    }
    send_mail(box, {**MAIL, "personalizations": [one], "categories": ["one", "two"]})
    wait_until(lambda: len(told(receiver)) == 6)
    assert kinds(told(receiver), "c+bounce@example.org") == ["processed", "bounce"]
    assert {tuple(event["category"]) for event in told(receiver)} == {("one", "two")}


# Of which mail


def test_a_mail_whose_answer_was_lost_is_told_of(box: Sandbox, receiver: Server) -> None:
    order(box, "sendgrid", "accept_then_reset")
    with pytest.raises(ConnectionError):
        send_mail(box, mail_to("a@example.org"))
    wait_until(lambda: kinds(told(receiver), "a@example.org") == ["processed", "delivered"])
    (accepted,) = box.log.accepted()
    assert {event["notifier_delivery_id"] for event in told(receiver)} == {accepted["delivery_id"]}


def test_of_mail_that_went_nowhere_nothing_is_told(box: Sandbox, receiver: Server) -> None:
    order(box, "sendgrid", "202_then_lost")
    assert send_mail(box, mail_to("lost@example.org"))[0] == 202
    assert send_mail(box, {**MAIL, "subject": ""})[0] == 400
    sandboxed = {"mail_settings": {"sandbox_mode": {"enable": True}}}
    assert send_mail(box, mail_to("no@example.org", **sandboxed))[0] == 200
    send_mail(box, mail_to("last@example.org"))
    wait_until(lambda: told(receiver))
    assert {event["email"] for event in told(receiver)} == {"last@example.org"}


def test_without_an_address_nobody_is_told(box: Sandbox) -> None:
    send_mail(box, mail_to("before@example.org"))
    with Server(TAKEN) as server:
        direct(box, url=server.url)
        send_mail(box, mail_to("after@example.org"))
        wait_until(lambda: told(server))
        direct(box, url=None)
    assert {event["email"] for event in told(server)} == {"after@example.org"}


# How


def test_a_post_is_signed_over_its_timestamp_and_body(box: Sandbox, receiver: Server) -> None:
    send_mail(box, mail_to("a@example.org", custom_args={"note": "گرم پانی"}))
    wait_until(lambda: told(receiver))
    (request, *_) = receiver.requests
    assert request.method == "POST"
    assert request.headers["content-type"].startswith("application/json")
    assert request.body.endswith(b"]\r\n")
    assert abs(int(request.headers[TIMESTAMP]) - time.time()) < 10
    key = box.events.public_key
    assert is_signed(request, key)
    assert not is_signed(Captured("", "", request.headers, request.body + b" ", 0), key)
    with Sandbox(box.log.path.with_name("other.jsonl")) as stranger:
        assert not is_signed(request, stranger.events.public_key)


@pytest.mark.parametrize("first", [answer(500), answer(302, "", {"Location": "/"}), reset()])
def test_what_is_not_taken_is_posted_again(first: Step, box: Sandbox) -> None:
    with Server(first, first, TAKEN) as server:
        direct(box, url=server.url)
        send_mail(box, mail_to("a@example.org"))
        wait_until(lambda: box.events.describe()["posted"] == 2)
    assert len({request.body for request in server.requests}) == 1
    assert all(is_signed(request, box.events.public_key) for request in server.requests)
    described = box.events.describe()
    assert (described["failures"], described["waiting"]) == (2, 0)
    assert described["last_failure"]


def test_a_receiver_that_is_down_is_told_later(box: Sandbox) -> None:
    with Server(TAKEN) as server:
        gone = server.url
    direct(box, url=gone)
    send_mail(box, mail_to("a@example.org"))
    wait_until(lambda: box.events.describe()["failures"] >= 1)
    with Server(TAKEN) as server:
        direct(box, url=server.url)
        wait_until(lambda: box.events.describe()["waiting"] == 0)
    assert kinds(told(server), "a@example.org") == ["processed", "delivered"]


def test_a_receiver_that_hangs_keeps_no_mail_waiting(box: Sandbox) -> None:
    with Server(hang(1.0)) as server:
        direct(box, url=server.url)
        send_mail(box, mail_to("a@example.org"))
        wait_until(lambda: server.requests)
        started = time.monotonic()
        assert send_mail(box, mail_to("b@example.org"))[0] == 202
        assert time.monotonic() - started < 0.5
        direct(box, url=None)


def test_events_are_cut_into_batches(box: Sandbox, receiver: Server) -> None:
    arguments = {"note": "x" * 9000}
    addresses = [f"reader{number}@example.org" for number in range(200)]
    send_mail(box, mail_to(*addresses, custom_args=arguments))
    wait_until(lambda: box.events.describe()["posted"] == 400)
    sizes = [len(request.body) for request in receiver.requests]
    assert len(sizes) >= 5
    assert max(sizes) <= BATCH_BYTES
    assert len({event["sg_event_id"] for event in told(receiver)}) == 400


def test_the_mails_of_a_moment_share_a_batch(box: Sandbox, receiver: Server) -> None:
    direct(box, delay=0.2)
    for number in range(5):
        send_mail(box, mail_to(f"reader{number}@example.org"))
    wait_until(lambda: len(told(receiver)) == 10)
    assert len(receiver.requests) <= 5


# What goes wrong on the way


def test_events_can_come_more_than_once(box: Sandbox, receiver: Server) -> None:
    direct(box, repeat=2)
    send_mail(box, mail_to("a@example.org"))
    wait_until(lambda: len(told(receiver)) == 6)
    wait_until(lambda: box.events.describe()["posted"] == 6)
    assert len({event["sg_event_id"] for event in told(receiver)}) == 2


def test_events_can_come_late(box: Sandbox, receiver: Server) -> None:
    direct(box, delay=0.5)
    send_mail(box, mail_to("a@example.org"))
    started = time.monotonic()
    wait_until(lambda: told(receiver))
    assert 0.4 < time.monotonic() - started < 2


def test_events_can_come_in_no_order(box: Sandbox, receiver: Server) -> None:
    direct(box, shuffle=True)
    send_mail(box, mail_to(*(f"reader{number}+deferred@example.org" for number in range(40))))
    wait_until(lambda: len(told(receiver)) == 120)
    order = [event["event"] for event in told(receiver)]
    assert sum(pair == ("delivered", "processed") for pair in pairwise(order)) < 39
    assert sorted(order) == sorted(["processed", "deferred", "delivered"] * 40)


def test_a_signature_can_be_too_old(box: Sandbox, receiver: Server) -> None:
    direct(box, age=3600)
    send_mail(box, mail_to("a@example.org"))
    wait_until(lambda: told(receiver))
    (request,) = receiver.requests
    assert 3595 < time.time() - int(request.headers[TIMESTAMP]) < 3610
    assert is_signed(request, box.events.public_key)


# How it is directed


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"url": "ftp://example.org"}, "url: must start with http"),
        ({"repeat": -1}, "repeat: "),
        ({"delay": "soon"}, "delay: "),
        ({"colour": "red"}, "colour: "),
        ([], "the order: "),
        (b"{", "Invalid JSON"),
    ],
)
def test_an_order_that_makes_no_sense_is_explained(body: Any, why: str, box: Sandbox) -> None:
    status, described, _ = call(box, "POST", "/_sandbox/events", body)
    assert status == 400
    assert why in described["error"]
    assert box.events.describe()["url"] is None


def test_what_an_order_leaves_out_stays(box: Sandbox) -> None:
    direct(box, url="http://127.0.0.1:9/", repeat=3)
    described = direct(box, delay=1)
    assert (described["url"], described["repeat"], described["delay"]) == (
        "http://127.0.0.1:9",
        3,
        1,
    )
    assert call(box, "GET", "/_sandbox/events")[1] == described
    assert call(box, "DELETE", "/_sandbox/events")[0] == 405


def test_a_form_of_another_site_cannot_direct_events(box: Sandbox) -> None:
    status, _, _ = call(box, "POST", "/_sandbox/events", b"{}", Content_Type="text/plain")
    assert status == 415


# As a process of its own


def told_by_a_process(box: Process, receiver: Server, address: str) -> Captured:
    headers = {"Authorization": "Bearer SG.sandbox.not-a-secret"}
    status, _ = request_json("POST", f"{box.url}/v3/mail/send", mail_to(address), **headers)
    assert status == 202
    assert box.wait_until_told()["waiting"] == 0
    return receiver.requests[-1]


def test_the_program_takes_an_address_and_keeps_its_key(tmp_path: Path) -> None:
    key = tmp_path / "key.pem"
    with Server(TAKEN) as receiver:
        options = ["--events", receiver.url, "--events-key", str(key)]
        with sandbox(tmp_path, *options) as first:
            request = told_by_a_process(first, receiver, "a@example.org")
            public = first.events_key
            assert f"Public key of SendGrid's Event Webhook: {public}" in first.output.read_text()
        with sandbox(tmp_path, *options) as second:
            assert second.events_key == public
    assert is_signed(request, public)
    assert key.stat().st_mode & 0o777 == 0o600
    with sandbox(tmp_path) as third:
        assert third.events_key != public


def test_a_wrong_option_is_explained(tmp_path: Path) -> None:
    nonsense = tmp_path / "key.pem"
    nonsense.write_text("nonsense")
    ended = run_sandbox_to_its_end(tmp_path, "--events-key", str(nonsense))
    assert ended.returncode == 1
    assert f"{nonsense}: not a private key in PEM" in ended.stderr
    ended = run_sandbox_to_its_end(tmp_path, "--events", "events.example.org")
    assert ended.returncode == 2
    assert "must start with http" in ended.stderr
