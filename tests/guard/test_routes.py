"""Every address of the application: who may use it is stated, and what is stated is enforced.

The addresses come from the application itself, so a new one is tested the day it is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.routing import Rule

from notifier.app import build
from notifier.domain.access import Role
from notifier.ports import Notifier
from notifier.services import access as service
from notifier.settings import Settings
from notifier.store import access as store
from notifier.store.db import open_database
from notifier.web.application import create_app
from notifier.web.auth import Access, access, stated_access
from tests.fakes import FakeClock, FakeMail, FakePosts

BASE = "https://status.example.com"
CHANGING = {"POST", "PUT", "PATCH", "DELETE"}


@pytest.fixture
def n(settings: Settings, clock: FakeClock, tmp_path: Path) -> Iterator[Notifier]:
    database = open_database(f"sqlite:///{tmp_path / 'notifier.db'}")
    posts = {"x": FakePosts()}
    yield build(settings, clock=clock, posts=posts, mail=FakeMail(), database=database)
    database.close()


@pytest.fixture
def app(n: Notifier) -> Flask:
    return create_app(n)


@pytest.fixture
def signed_in(app: Flask, n: Notifier) -> Callable[[Role], tuple[FlaskClient, str]]:
    """A client with a session of this role, and the CSRF token of that session."""

    def sign_in(role: Role) -> tuple[FlaskClient, str]:
        with n.db.transaction() as connection:
            store.add_user(connection, name=role, password_hash="-", role=role, now=n.clock())
        token = service.use_sign_in_link(n, service.make_sign_in_link(n, role).rpartition("/")[2])
        assert token is not None
        session = service.session(n, token)
        assert session is not None
        client = app.test_client()
        client.set_cookie("__Host-notifier", token, domain="status.example.com", secure=True)
        return client, session.csrf

    return sign_in


def addresses(app: Flask) -> list[tuple[Rule, str, str, Access]]:
    """(rule, method, an address it matches, what its view states) of every address."""
    found = []
    for rule in app.url_map.iter_rules():
        stated = stated_access(app.view_functions[rule.endpoint])
        assert stated is not None, f"{rule.endpoint} does not state who may use it"
        values = {name: 1 for name in rule.arguments}
        built = rule.build(values)
        assert built is not None
        methods = (rule.methods or set()) - {"HEAD", "OPTIONS"}
        found += [(rule, method, built[1], stated) for method in sorted(methods)]
    return found


def of_rule(app: Flask, rule: str) -> list[tuple[Rule, str, str, Access]]:
    found = [address for address in addresses(app) if address[3].rule == rule]
    assert found, f"no address is {rule}: this test looks at nothing"
    return found


def test_every_address_states_who_may_use_it(app: Flask) -> None:
    assert len(addresses(app)) >= 25


def test_only_these_addresses_are_open_to_everybody(app: Flask) -> None:
    opened = {(m, r.rule) for r, m, _, s in addresses(app) if s.rule in ("public", "signed")}
    assert opened == {
        ("GET", "/"),
        ("GET", "/incidents/<reference>"),
        ("GET", "/u/<token>"),
        ("POST", "/u/<token>"),
        ("GET", "/sign-in"),
        ("POST", "/sign-in"),
        ("GET", "/sign-in/<token>"),
        ("POST", "/sign-in/<token>"),
        ("GET", "/static/<name>"),
        ("GET", "/healthz"),
        ("GET", "/openapi.json"),
        ("POST", "/events/<channel>"),
    }


def test_whatever_changes_something_in_the_room_needs_more_than_looking(app: Flask) -> None:
    for rule, method, _, stated in of_rule(app, "session"):
        if method in CHANGING and rule.endpoint != "sign_in.leave":
            assert stated.role in (Role.PUBLISHER, Role.ADMIN), rule.endpoint


def test_a_view_that_states_nothing_is_refused(app: Flask) -> None:
    app.add_url_rule("/forgotten", view_func=lambda: "secret", endpoint="forgotten")
    answer = app.test_client().get("/forgotten", base_url=BASE)
    assert answer.status_code == 403
    assert "secret" not in answer.text


def test_the_room_is_closed_without_a_session(app: Flask) -> None:
    for rule, method, path, _ in of_rule(app, "session"):
        for cookie in ("", "guess"):
            client = app.test_client()
            if cookie:
                client.set_cookie("__Host-notifier", cookie, domain="status.example.com")
            answer = client.open(path, method=method, base_url=BASE)
            if method in CHANGING:
                assert answer.status_code == 401, rule.endpoint
            else:
                assert answer.status_code == 303, rule.endpoint
                assert answer.headers["Location"].startswith("/sign-in?"), rule.endpoint


def test_every_role_gets_exactly_what_is_stated(app: Flask, signed_in: Any) -> None:
    for role in Role:
        client, csrf = signed_in(role)
        for rule, method, path, stated in of_rule(app, "session"):
            if rule.endpoint == "sign_in.leave":
                continue
            answer = client.open(path, method=method, base_url=BASE, data={"csrf": csrf})
            allowed = stated.role is None or role.allows(stated.role)
            assert (answer.status_code == 403) is not allowed, (role, rule.endpoint)


@pytest.mark.parametrize("token", ["", "x", "missing", "foreign"])
def test_every_change_in_the_room_needs_the_sessions_own_token(
    app: Flask, signed_in: Any, token: str
) -> None:
    client, _ = signed_in(Role.ADMIN)
    _, foreign = signed_in(Role.PUBLISHER)
    data = {} if token == "missing" else {"csrf": foreign if token == "foreign" else token}
    for rule, method, path, _ in of_rule(app, "session"):
        if method in CHANGING:
            answer = client.open(path, method=method, base_url=BASE, data=data)
            assert answer.status_code == 403, rule.endpoint


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "https://status.example.com.evil.example"},
        {"Origin": "https://status.example.com:8443"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_nothing_is_changed_from_another_site(
    app: Flask, signed_in: Any, headers: dict[str, str]
) -> None:
    client, csrf = signed_in(Role.ADMIN)
    for rule, method, path, stated in addresses(app):
        if method in CHANGING and stated.rule in ("session", "public"):
            answer = client.open(
                path, method=method, base_url=BASE, data={"csrf": csrf}, headers=headers
            )
            assert answer.status_code == 403, rule.endpoint


def test_the_api_is_closed_without_a_token_of_ours(app: Flask, signed_in: Any) -> None:
    client, csrf = signed_in(Role.ADMIN)
    for rule, method, path, _ in of_rule(app, "token"):
        for credential in ("", "Bearer", "Bearer guess", f"Bearer nt_{'x' * 43}", "Basic YTpi"):
            headers = {"Authorization": credential, "X-CSRF-Token": csrf}
            answer = client.open(path, method=method, base_url=BASE, headers=headers, json={})
            assert answer.status_code == 401, rule.endpoint
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            assert answer.content_type == "application/problem+json"


def test_every_token_gets_exactly_what_is_stated(app: Flask, n: Notifier) -> None:
    for role in Role:
        token = service.create_token(n, role=role, name=f"of {role}")
        headers = {"Authorization": f"Bearer {token}"}
        for rule, method, path, stated in of_rule(app, "token"):
            answer = app.test_client().open(
                path, method=method, base_url=BASE, headers=headers, json={}
            )
            allowed = stated.role is None or role.allows(stated.role)
            assert (answer.status_code == 403) is not allowed, (role, rule.endpoint)


def test_the_decorator_keeps_the_view_it_decorates() -> None:
    def view() -> str:
        return "seen"

    assert access("session", Role.VIEWER)(view) is view
    assert stated_access(view) == Access("session", Role.VIEWER)
