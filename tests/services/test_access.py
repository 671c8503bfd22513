"""Users, sessions, links and tokens, on each kind of database."""

from __future__ import annotations

import threading
import time

import pytest
from sqlalchemy import select

from notifier.domain.access import Actor, Role
from notifier.domain.text import Invalid
from notifier.ports import Notifier
from notifier.services import access
from notifier.services.incidents import NotFound
from notifier.store.metadata import metadata
from tests.fakes import FakeClock

PASSWORD = "correct horse battery staple"


@pytest.fixture
def amina(n: Notifier) -> str:
    access.create_user(n, name="amina", password=PASSWORD, role=Role.PUBLISHER)
    return "amina"


def token_of(link: str) -> str:
    return link.rpartition("/")[2]


def test_it_knows_whether_anybody_can_sign_in(n: Notifier) -> None:
    assert not access.has_users(n)
    access.create_user(n, name="amina", password=PASSWORD, role=Role.ADMIN)
    assert access.has_users(n)


def test_it_says_whose_session_it_is(n: Notifier, amina: str) -> None:
    token = access.sign_in(n, name=amina, password=PASSWORD)
    assert token is not None
    session = access.session(n, token)
    assert session is not None
    assert session.actor == Actor(amina, Role.PUBLISHER)
    access.sign_out(n, token)
    access.sign_out(n, token)
    assert access.session(n, token) is None


@pytest.mark.parametrize(
    ("name", "password", "field", "reason"),
    [
        ("amina", "short", "password", "has 5 characters; use at least 12"),
        ("amina", "x" * 257, "password", "at most 256"),
        ("", PASSWORD, "name", "is missing"),
        ("a\nb", PASSWORD, "name", "must be one line"),
        ("omar", PASSWORD, "name", "is already a user"),
    ],
)
def test_it_refuses_a_user_with_a_sentence(
    n: Notifier, name: str, password: str, field: str, reason: str
) -> None:
    access.create_user(n, name="omar", password=PASSWORD, role=Role.VIEWER)
    with pytest.raises(Invalid, match=reason) as refused:
        access.create_user(n, name=name, password=password, role=Role.VIEWER)
    assert refused.value.field == field
    assert password not in str(refused.value)


def test_a_password_is_taken_exactly_as_it_is(n: Notifier) -> None:
    password = "  Straße und   Läufer\t "
    access.create_user(n, name="amina", password=password, role=Role.VIEWER)
    assert access.sign_in(n, name="amina", password=password.strip()) is None
    assert access.sign_in(n, name="amina", password=password) is not None


def test_there_is_no_link_and_no_password_for_who_does_not_exist(n: Notifier) -> None:
    with pytest.raises(NotFound, match="there is no user 'nobody'"):
        access.make_sign_in_link(n, "nobody")
    with pytest.raises(NotFound, match="there is no user 'nobody'"):
        access.set_password(n, name="nobody", password=PASSWORD)


def test_an_unknown_name_costs_as_much_as_a_wrong_password(n: Notifier, amina: str) -> None:
    def cost(name: str) -> float:
        before = time.process_time()
        assert access.sign_in(n, name=name, password="wrong horse battery") is None
        return time.process_time() - before

    # A hash takes some 100 ms of the processor, everything else a few.
    assert min(cost("nobody") for _ in range(3)) > min(cost(amina) for _ in range(3)) / 3


def test_of_many_who_use_a_link_at_once_one_gets_in(n: Notifier, amina: str) -> None:
    token = token_of(access.make_sign_in_link(n, amina))
    start, got = threading.Barrier(8), []

    def use() -> None:
        start.wait()
        got.append(access.use_sign_in_link(n, token))

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(got) == 8
    assert len([session for session in got if session]) == 1


def test_a_token_is_known_again_and_says_its_role(n: Notifier) -> None:
    token = access.create_token(n, role=Role.PUBLISHER, name="deploy")
    assert token.startswith("nt_")
    assert len(token) == len("nt_") + 43
    assert access.actor_of_token(n, token) == Actor("deploy", Role.PUBLISHER)
    assert access.actor_of_token(n, token[:-1]) is None
    assert access.actor_of_token(n, "") is None


def test_no_secret_can_be_read_from_the_database(n: Notifier, amina: str) -> None:
    session = access.sign_in(n, name=amina, password=PASSWORD)
    link = token_of(access.make_sign_in_link(n, amina))
    token = access.create_token(n, role=Role.ADMIN, name="deploy")
    with n.db.read() as connection:
        kept = str([connection.execute(select(t)).all() for t in metadata.sorted_tables])
    assert "$argon2id$v=19$m=65536,t=3,p=4$" in kept
    for secret in (PASSWORD, session, link, token, token.removeprefix("nt_")):
        assert secret
        assert secret not in kept


def test_signing_in_clears_away_what_has_ended(n: Notifier, amina: str, clock: FakeClock) -> None:
    access.sign_in(n, name=amina, password=PASSWORD)
    access.make_sign_in_link(n, amina)
    clock.move(hours=13)
    access.sign_in(n, name=amina, password=PASSWORD)
    with n.db.read() as connection:
        counts = {
            name: len(connection.execute(select(metadata.tables[name])).all())
            for name in ("sessions", "sign_in_links")
        }
    assert counts == {"sessions": 1, "sign_in_links": 0}


@pytest.mark.parametrize("role", Role)
def test_a_role_may_do_what_the_lower_ones_may(role: Role) -> None:
    ladder = [Role.VIEWER, Role.PUBLISHER, Role.ADMIN]
    assert [role.allows(r) for r in ladder] == [
        ladder.index(r) <= ladder.index(role) for r in ladder
    ]
