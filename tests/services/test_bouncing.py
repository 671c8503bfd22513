"""Mail that came back is believed where its return path is one that we signed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from notifier.domain.delivery import State
from notifier.domain.receipt import Unreadable
from notifier.domain.verp import verp_address
from notifier.ports import Notifier
from notifier.services.bouncing import Taken, take
from notifier.services.incidents import Published
from notifier.settings import SettingsError
from notifier.store.schema import suppressions
from tests.mail_that_came_back import complaint, dsn, letter, out_of_office
from tests.services.saying import declare
from tests.services.scripted import ledger_of, run

BASE = "bounces@example.com"


@pytest.fixture
def n(n: Notifier) -> Notifier:
    return replace(n, bounce_address=BASE)


@pytest.fixture
def said(n: Notifier, add_customers: Any) -> Published:
    add_customers(2)
    said = declare(n)
    run(n)
    return said


def path(n: Notifier, said: Published, reader: str = "c0", **changes: Any) -> str:
    """The return path of this reader's mail."""
    row = ledger_of(n, said)[reader]
    key = changes.get("key", n.settings.key())
    return verp_address(BASE, f"{row.dispatch_id}-{row.seq}", key)


def left(n: Notifier, said: Published) -> tuple[State, list[str]]:
    """How c0 stands, and who gets no more mail."""
    with n.db.read() as connection:
        addresses = list(connection.scalars(select(suppressions.c.address)))
    return ledger_of(n, said)["c0"].state, addresses


def test_a_permanent_failure_strikes_the_address_off(n: Notifier, said: Published) -> None:
    assert take(n, dsn(to=path(n, said))) is Taken.RECORDED
    assert left(n, said) == (State.BOUNCED, ["c0@example.com"])
    assert ledger_of(n, said)["c0"].reason.startswith("5.1.1 smtp; 550")
    assert ledger_of(n, said)["c1"].state is State.ACCEPTED


def test_the_envelope_decides_where_it_is_told(n: Notifier, said: Published) -> None:
    assert take(n, dsn(to="postmaster@example.com"), recipient=path(n, said).upper())
    assert left(n, said) == (State.BOUNCED, ["c0@example.com"])


def test_a_message_that_comes_twice_is_recorded_once(n: Notifier, said: Published) -> None:
    raw = letter(path(n, said))
    assert [take(n, raw), take(n, raw)] == [Taken.RECORDED, Taken.REPEATED]


def test_a_delay_is_recorded_and_changes_nothing(n: Notifier, said: Published) -> None:
    assert take(n, dsn(to=path(n, said), action="delayed", status="4.4.1")) is Taken.RECORDED
    assert left(n, said) == (State.ACCEPTED, [])


def test_a_complaint_is_one(n: Notifier, said: Published) -> None:
    assert take(n, complaint(about=path(n, said))) is Taken.RECORDED
    assert left(n, said) == (State.COMPLAINED, ["c0@example.com"])


def test_an_answer_of_a_person_is_none(n: Notifier, said: Published) -> None:
    assert take(n, out_of_office(path(n, said))) is Taken.NO_REPORT
    assert left(n, said) == (State.ACCEPTED, [])


@pytest.mark.parametrize("to", ["", BASE, "bounces+1-1-aaaaaaaaaaaaaaaa@example.com", "x@y.z"])
def test_a_forged_or_foreign_one_is_ignored(
    n: Notifier, said: Published, to: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert take(n, dsn(to=to)) is Taken.NOT_OURS
    assert left(n, said) == (State.ACCEPTED, [])
    assert "a bounce is ignored" in caplog.text


def test_a_path_signed_by_another_key_is_forged(n: Notifier, said: Published) -> None:
    forged = path(n, said, key=b"somebody-elses-key-of-32-bytes!!")
    assert take(n, dsn(to=BASE), recipient=forged) is Taken.NOT_OURS
    assert left(n, said) == (State.ACCEPTED, [])


def test_without_return_paths_it_says_what_to_set(n: Notifier, said: Published) -> None:
    with pytest.raises(SettingsError, match=r"smtp\.bounce_address is not set"):
        take(replace(n, bounce_address=""), dsn(to=path(n, said)))
    with pytest.raises(Unreadable):
        take(n, b"")
