"""What others post about our mail: providers' events, and mail that came back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import select
from werkzeug.test import TestResponse

from notifier.channels.sendgrid import Config, build_event_reader
from notifier.domain.access import Role
from notifier.domain.delivery import State
from notifier.domain.verp import verp_address
from notifier.ports import Notifier
from notifier.services.incidents import Published
from notifier.store.schema import provider_events
from notifier.web.application import create_app
from tests.channels.sendgrid_events import EventSender, event
from tests.mail_that_came_back import dsn
from tests.services.saying import declare
from tests.services.scripted import run, state_of
from tests.web.programs import Program, refused

BOUNCES = "bounces@example.com"


@pytest.fixture
def sender() -> EventSender:
    return EventSender()


@pytest.fixture
def n(n: Notifier, sender: EventSender) -> Notifier:
    config = Config(events_public_key=sender.public_key)  # type: ignore[call-arg]
    readers = {"sendgrid": build_event_reader(config)}
    return replace(n, event_readers=readers, bounce_address=BOUNCES)


@pytest.fixture
def app(n: Notifier) -> Flask:
    return create_app(n)


@pytest.fixture
def said(n: Notifier, add_customers: Any) -> Published:
    add_customers(2)
    said = declare(n)
    run(n)
    return said


def post(
    app: Flask, sender: EventSender, *events: Any, body: bytes = b"", **changes: Any
) -> TestResponse:
    body = body or sender.body(*events)
    headers = changes.get("headers", sender.headers(body, changes["at"]))
    to = changes.get("to", "/events/sendgrid")
    return FlaskClient(app).post(to, data=body, headers=headers, content_type="application/json")


def test_signed_events_move_the_ledger(
    app: Flask, n: Notifier, sender: EventSender, said: Published
) -> None:
    told = [
        event("delivered", "2-1", email="c0@example.com"),
        event("bounce", "2-2", email="C1@Example.com", reason="550 no such user"),
    ]
    answer = post(app, sender, *told, at=n.clock())
    assert (answer.status_code, answer.data) == (204, b"")
    assert state_of(n, said) == {"c0": State.DELIVERED, "c1": State.BOUNCED}
    assert post(app, sender, *told, at=n.clock()).status_code == 204


def test_unsigned_events_change_nothing(
    app: Flask, n: Notifier, sender: EventSender, said: Published
) -> None:
    told = event("bounce", "2-1", email="c0@example.com")
    for headers in ({}, EventSender().headers(sender.body(told), n.clock())):
        answer = post(app, sender, told, at=n.clock(), headers=headers)
        assert "events_public_key" in refused(answer, 403)["detail"]
    assert state_of(n, said)["c0"] is State.ACCEPTED


def test_what_is_not_a_list_of_events_is_refused(
    app: Flask, n: Notifier, sender: EventSender
) -> None:
    refused(post(app, sender, body=b"{}", at=n.clock()), 400)
    refused(post(app, sender, body=b"no", at=n.clock()), 400)


def test_an_address_at_which_nobody_tells_anything(
    app: Flask, n: Notifier, sender: EventSender
) -> None:
    answer = post(app, sender, event("processed", "2-1"), at=n.clock(), to="/events/x")
    assert "/events/sendgrid and /events/bounce" in refused(answer, 404)["detail"]
    refused(FlaskClient(app).get("/events/sendgrid"), 405)


def test_the_largest_post_of_sendgrid_is_taken_and_a_larger_one_is_not(
    app: Flask, n: Notifier, sender: EventSender, said: Published
) -> None:
    many = [event("processed", f"2-{seq}", email=f"c{seq}@e.example") for seq in range(3, 3500)]
    body = sender.body(event("delivered", "2-1", email="c0@example.com"), *many)
    assert 700_000 < len(body) < 800_000
    assert post(app, sender, body=body, at=n.clock()).status_code == 204
    assert state_of(n, said)["c0"] is State.DELIVERED
    refused(post(app, sender, body=body * 2, at=n.clock()), 413)


def test_the_endpoint_of_a_fresh_installation_says_what_to_set(
    n: Notifier, sender: EventSender
) -> None:
    config = Config()  # type: ignore[call-arg]
    fresh = create_app(replace(n, event_readers={"sendgrid": build_event_reader(config)}))
    answer = post(fresh, sender, event("processed", "2-1"), at=n.clock())
    assert "set events_public_key under [sendgrid]" in refused(answer, 403)["detail"]


def bounced(app: Flask, n: Notifier, raw: bytes, *, role: Role, **how: Any) -> TestResponse:
    token = Program.of(app, n, role=role).token
    how.setdefault("content_type", "message/rfc822")
    return FlaskClient(app).post(
        "/events/bounce", data=raw, headers={"Authorization": f"Bearer {token}"}, **how
    )


def test_mail_that_came_back_is_recorded(app: Flask, n: Notifier, said: Published) -> None:
    path = verp_address(BOUNCES, "2-1", n.settings.key())
    assert bounced(app, n, dsn(to=path), role=Role.PUBLISHER).status_code == 204
    assert state_of(n, said) == {"c0": State.BOUNCED, "c1": State.ACCEPTED}
    other = {"recipient": verp_address(BOUNCES, "2-2", n.settings.key())}
    answer = bounced(app, n, dsn(), role=Role.ADMIN, query_string=other)
    assert answer.status_code == 204
    assert state_of(n, said)["c1"] is State.BOUNCED


def test_a_bounce_needs_a_token_and_a_mail(app: Flask, n: Notifier) -> None:
    refused(FlaskClient(app).post("/events/bounce", data=dsn()), 401)
    refused(bounced(app, n, dsn(), role=Role.VIEWER), 403)
    refused(bounced(app, n, b"{}", role=Role.PUBLISHER, content_type="application/json"), 415)
    refused(bounced(app, n, b"", role=Role.PUBLISHER), 400)
    assert bounced(app, n, dsn(), role=Role.PUBLISHER).status_code == 204, "not ours, ignored"
    with n.db.read() as connection:
        assert connection.execute(select(provider_events)).all() == []
    without = create_app(replace(n, bounce_address=""))
    answer = refused(bounced(without, n, dsn(), role=Role.PUBLISHER), 503)
    assert "smtp.bounce_address is not set" in answer["detail"]
