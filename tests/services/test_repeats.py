"""A request that is sent twice is carried out once."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from notifier.domain.incident import Status
from notifier.ports import Notifier
from notifier.services import incidents
from notifier.services.incidents import Conflict, Published, RepeatGuard
from notifier.services.reports import report
from notifier.store.incidents import list_incidents
from tests.services.saying import declare, deliver, words

GUARD = RepeatGuard(actor="token 1", key="b6f0", fingerprint="sha256 of the body")


def all_incidents(n: Notifier) -> list[int]:
    with n.db.read() as connection:
        return [incident.id for incident in list_incidents(connection)]


def test_the_repetition_of_a_declaration_answers_as_the_first(
    n: Notifier, add_customers: Any, posts: Any, mail: Any
) -> None:
    add_customers(2)
    first = declare(n, guard=GUARD)
    again = declare(n, guard=GUARD)
    assert (again.incident, again.update, again.repeated) == (first.incident, first.update, True)
    assert not first.repeated
    assert all_incidents(n) == [first.incident.id]
    deliver(n)
    assert len(posts.sent) == 1
    assert len(mail.sent) == 2


def test_the_repetition_of_an_update_answers_as_the_first(n: Notifier, add_customers: Any) -> None:
    add_customers(1)
    said = declare(n)
    for _ in range(2):
        incidents.post_update(
            n, said.incident.id, Status.RESOLVED, words(n), by="Olga", guard=GUARD
        )
    assert len(report(n, said.incident.id).updates) == 2


def test_one_key_with_another_body_is_a_conflict(n: Notifier, add_customers: Any) -> None:
    add_customers(1)
    declare(n, guard=GUARD)
    other = RepeatGuard(GUARD.actor, GUARD.key, "sha256 of another body")
    with pytest.raises(Conflict, match="Idempotency-Key was used before with another body"):
        declare(n, guard=other)
    assert len(all_incidents(n)) == 1


def test_two_actors_may_use_one_key(n: Notifier, add_customers: Any) -> None:
    add_customers(1)
    declare(n, guard=GUARD)
    declare(n, guard=RepeatGuard("token 2", GUARD.key, GUARD.fingerprint))
    assert len(all_incidents(n)) == 2


def test_a_refused_request_leaves_its_key_free(n: Notifier, add_customers: Any) -> None:
    add_customers(1)
    with pytest.raises(ValueError, match="impact is missing"):
        declare(n, guard=GUARD, impact="")
    with pytest.raises(ValueError, match="components names no known component"):
        declare(n, guard=GUARD, components=("nothing",))
    assert not declare(n, guard=GUARD).repeated


def test_twenty_parallel_declarations_with_one_key_are_one_incident(
    n: Notifier, add_customers: Any
) -> None:
    add_customers(1)
    together = Barrier(20)

    def press() -> Published:
        together.wait()
        return declare(n, guard=GUARD)

    with ThreadPoolExecutor(20) as pool:
        answers = [answer.result() for answer in [pool.submit(press) for _ in range(20)]]
    assert len({answer.update.id for answer in answers}) == 1
    assert [answer.repeated for answer in answers].count(False) == 1
    assert len(all_incidents(n)) == 1


def test_ten_parallel_ends_with_one_key_are_one_end(n: Notifier, add_customers: Any) -> None:
    add_customers(1)
    said = declare(n)
    together = Barrier(10)

    def press() -> Published:
        together.wait()
        return incidents.post_update(
            n, said.incident.id, Status.RESOLVED, words(n), by="Olga", guard=GUARD
        )

    with ThreadPoolExecutor(10) as pool:
        answers = [answer.result() for answer in [pool.submit(press) for _ in range(10)]]
    assert [answer.repeated for answer in answers].count(False) == 1
    assert len(report(n, said.incident.id).updates) == 2


def test_parallel_updates_are_numbered_one_after_the_other(n: Notifier, add_customers: Any) -> None:
    add_customers(1)
    said = declare(n)
    together = Barrier(6)

    def press() -> Published:
        together.wait()
        return incidents.post_update(n, said.incident.id, Status.IDENTIFIED, words(n), by="Olga")

    with ThreadPoolExecutor(6) as pool:
        for answer in [pool.submit(press) for _ in range(6)]:
            answer.result()
    numbers = [shown.update.number for shown in report(n, said.incident.id).updates]
    assert numbers == [7, 6, 5, 4, 3, 2, 1]
