"""The real application on SQLite, with channels that remember and a clock that stands."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask

from notifier.domain.access import Role
from notifier.domain.incident import Severity
from notifier.ports import Notifier
from notifier.services import access, audience, incidents
from notifier.services.incidents import Declaration, Expected, Published, Words
from notifier.store import access as store
from notifier.web.application import create_app
from tests.fakes import FakeClock
from tests.web.pages import BASE, LintingClient

SignIn = Callable[..., LintingClient]


@pytest.fixture
def database_url(tmp_path: Path, sqlite_template: Path) -> str:
    """Pages do not care which database there is; tests/store runs on each kind."""
    path = tmp_path / "notifier.db"
    shutil.copyfile(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def app(n: Notifier) -> Flask:
    app = create_app(n)
    app.test_client_class = LintingClient
    return app


@pytest.fixture
def anonymous(app: Flask) -> LintingClient:
    """Somebody who is not signed in."""
    return app.test_client()  # type: ignore[return-value]


@pytest.fixture
def sign_in_as(app: Flask, n: Notifier) -> SignIn:
    """A signed-in client per call. It comes by a link: hashing a password takes its time."""

    def sign_in(role: Role = Role.PUBLISHER, name: str = "amina") -> LintingClient:
        with n.db.transaction() as connection:
            if store.find_user(connection, name) is None:
                store.add_user(
                    connection, name=name, password_hash="none", role=role, now=n.clock()
                )
        client: LintingClient = app.test_client()  # type: ignore[assignment]
        path = access.make_sign_in_link(n, name).removeprefix(BASE)
        assert client.post(path).status_code == 303
        return client

    return sign_in


@pytest.fixture
def operator(sign_in_as: SignIn) -> LintingClient:
    """A signed-in publisher."""
    return sign_in_as()


@pytest.fixture
def components(n: Notifier) -> list[str]:
    """What the customers of a small utility use; the slugs."""
    made = (
        ("hot-water", "Hot water", "Heat"),
        ("heating", "Heating", "Heat"),
        ("sign-in", "Sign-in", ""),
    )
    return [audience.put_component(n, slug_=s, name=name, group=g).slug for s, name, g in made]


@pytest.fixture
def declare(n: Notifier, components: list[str], clock: FakeClock) -> Callable[..., Published]:
    """Declare a disruption without a browser."""

    def declare(
        title: str = "No hot water in Harbour District",
        severity: Severity = Severity.MAJOR,
        **words: str,
    ) -> Published:
        given = {
            "impact": "About 4,200 homes have no hot water.",
            "explanation": "A pump failed.",
            **words,
        }
        return incidents.declare(
            n,
            Declaration(
                title=title,
                severity=severity,
                components=components[:1],
                words=Words(
                    expected=Expected(unknown=True),
                    next_update_by=clock.now.replace(hour=10),
                    **given,
                ),
            ),
            by="amina",
        )

    return declare
