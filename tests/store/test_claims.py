"""Claims: what one has taken, nobody else gets, and who was overtaken writes nothing."""

import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from time import monotonic
from typing import Any, TypeVar

import pytest

from notifier.domain.delivery import State
from notifier.domain.message import Mail, Sender
from notifier.ports import Notifier
from notifier.services import audience
from notifier.services.mailing import MailRun
from notifier.store import fanout, leases, ledger, outbox, posts, retries
from notifier.store.batches import Claim, ClaimedBatch
from notifier.store.posts import ClaimedPost
from tests.fakes import FakeMail
from tests.services.saying import declare, latest_mail, latest_post, states

T = TypeVar("T")
LEASE = timedelta(seconds=120)


def claim_post(n: Notifier, node: str = "one") -> ClaimedPost | None:
    with n.db.transaction() as connection:
        now = n.clock()
        return posts.claim_post(connection, "x", node=node, now=now, until=now + LEASE)


def claim_batch(n: Notifier, node: str = "one", size: int = 7) -> ClaimedBatch | None:
    with n.db.transaction() as connection:
        claim = Claim(node, n.mail.name, size, n.clock(), n.clock() + LEASE)
        claimed = retries.claim_retry(connection, claim) or fanout.claim_page(connection, claim)
    assert claimed is None or isinstance(claimed, ClaimedBatch)
    return claimed


def settle(n: Notifier, post: ClaimedPost, state: State, reason: str = "") -> bool:
    with n.db.transaction() as connection:
        return posts.settle_post(
            connection,
            post,
            state=state,
            reference="",
            reason=reason,
            due_at=n.clock(),
            look_at=None,
            now=n.clock(),
        )


def mark(n: Notifier, batch: ClaimedBatch, state: State, *, retry: bool = False) -> bool:
    with n.db.transaction() as connection:
        return ledger.mark(
            connection,
            batch,
            rest=(state, "ref", ""),
            each={},
            retry_at=n.clock() if retry else None,
            look_at=None,
            now=n.clock(),
        )


def all_together(
    claim: Callable[[int], T | None], *, wanted: int, count: Callable[[T], int]
) -> list[T]:
    """What six claimants get who all claim at once, until `wanted` things are taken."""
    taken: list[T] = []
    start = threading.Barrier(6)
    give_up = monotonic() + 20

    def work(number: int) -> None:
        start.wait()
        while sum(map(count, taken)) < wanted and monotonic() < give_up:
            got = claim(number)
            if got is not None:
                taken.append(got)

    with ThreadPoolExecutor(6) as pool:
        for worker in [pool.submit(work, number) for number in range(6)]:
            worker.result()
    return taken


def test_no_two_claimants_get_one_post(n: Notifier) -> None:
    audience.put_component(n, slug_="heat", name="Heat")
    for _ in range(24):
        declare(n)
    taken = all_together(lambda i: claim_post(n, f"node {i}"), wanted=24, count=lambda _: 1)
    assert len({post.id for post in taken}) == len(taken) == 24
    assert claim_post(n) is None


def test_no_two_claimants_get_one_reader(n: Notifier, add_customers: Any) -> None:
    add_customers(60)
    add_customers(40, time_zone="Asia/Karachi")
    said = declare(n)
    freeze_words(n)
    taken = all_together(
        lambda i: claim_batch(n, f"node {i}"), wanted=100, count=lambda b: len(b.readers)
    )
    readers = [address for batch in taken for _, _, address, _ in batch.readers]
    assert Counter(readers) == Counter(f"c{i}@example.com" for i in range(100))
    seqs = sorted(seq for batch in taken for seq in batch.seqs)
    assert seqs == list(range(1, 101))
    assert claim_batch(n) is None
    assert states(n, said) == {State.SENDING: 100}


def freeze_words(n: Notifier) -> None:
    """Freeze words for the mail of the first incident, for both zones of these tests."""
    words = Mail("s", "t", "h", "en", "Hello {name},", "Hello,", Sender("a@b.example"), "INC-1")
    with n.db.transaction() as connection:
        mail_id = next(r.id for r in outbox.list_dispatches(connection, 1) if r.lane == "mail")
        for zone in ("Asia/Karachi", "UTC"):
            ledger.freeze(
                connection, dispatch_id=mail_id, language="en", time_zone=zone, mail=words
            )


@pytest.fixture
def heat(add_customers: Any) -> None:
    add_customers(5)


@pytest.mark.usefixtures("heat")
def test_who_was_overtaken_on_a_post_writes_nothing(n: Notifier) -> None:
    said = declare(n)
    first = claim_post(n)
    assert first is not None
    assert settle(n, first, State.PLANNED, "to be retried")
    second = claim_post(n, "two")
    assert second is not None
    assert second.fence > first.fence
    assert second.attempt == 2
    assert not settle(n, first, State.ACCEPTED)
    assert latest_post(n, said).state == State.SENDING
    assert settle(n, second, State.ACCEPTED)
    assert not settle(n, second, State.REJECTED)
    assert latest_post(n, said).state == State.ACCEPTED


@pytest.mark.usefixtures("heat")
def test_who_was_overtaken_on_a_batch_writes_nothing(n: Notifier) -> None:
    said = declare(n)
    freeze_words(n)
    first = claim_batch(n)
    assert first is not None
    assert mark(n, first, State.PLANNED, retry=True)
    second = claim_batch(n, "two")
    assert second is not None
    assert (second.id, second.attempt) == (first.id, 2)
    assert second.fence > first.fence
    assert second.readers == first.readers
    assert not mark(n, first, State.ACCEPTED)
    assert states(n, said) == {State.SENDING: 5}
    assert mark(n, second, State.REJECTED)
    assert not mark(n, second, State.ACCEPTED)
    assert states(n, said) == {State.REJECTED: 5}


@pytest.mark.usefixtures("heat")
def test_a_lease_that_ended_is_unknown_and_its_late_answer_still_counts(n: Notifier) -> None:
    said = declare(n)
    freeze_words(n)
    post, batch = claim_post(n), claim_batch(n)
    assert post is not None
    assert batch is not None
    later = n.clock() + LEASE + timedelta(seconds=1)
    with n.db.transaction() as connection:
        lost = {"now": later, "node": n.node, "alone": False, "look_at_mail": None}
        assert leases.give_up(connection, **lost) == (1, 1)
        assert leases.give_up(connection, **lost) == (0, 0)
    assert claim_post(n) is None
    assert claim_batch(n) is None
    assert latest_post(n, said).state == State.UNKNOWN
    assert states(n, said) == {State.UNKNOWN: 5}
    assert settle(n, post, State.ACCEPTED)
    assert mark(n, batch, State.ACCEPTED)
    assert latest_post(n, said).state == State.ACCEPTED
    assert states(n, said) == {State.ACCEPTED: 5}


def claim_and_fail(n: Notifier) -> None:
    until = n.clock() + LEASE
    with n.db.transaction() as connection:
        assert posts.claim_post(connection, "x", node="one", now=n.clock(), until=until)
        fanout.claim_page(connection, Claim("one", n.mail.name, 3, n.clock(), until))
        raise ZeroDivisionError


@pytest.mark.usefixtures("heat")
def test_a_claim_that_is_rolled_back_was_never_made(n: Notifier) -> None:
    said = declare(n)
    freeze_words(n)
    with pytest.raises(ZeroDivisionError):
        claim_and_fail(n)
    assert latest_post(n, said).state == State.PLANNED
    assert (latest_mail(n, said).state, states(n, said)) == (State.PLANNED, {})
    batch = claim_batch(n)
    assert batch is not None
    assert batch.seqs == [1, 2, 3, 4, 5]


@pytest.mark.usefixtures("heat")
def test_no_post_is_claimed_for_another_channel(n: Notifier) -> None:
    declare(n)
    with n.db.transaction() as connection:
        assert posts.find_due(connection, "other", now=n.clock()) is None


def test_two_workers_share_one_fan_out(n: Notifier, add_customers: Any, mail: FakeMail) -> None:
    add_customers(120)
    said = declare(n)
    give_up = monotonic() + 20

    def work() -> None:
        worker = MailRun(n)
        while len(mail.sent) < 120 and monotonic() < give_up:
            worker.run()

    with ThreadPoolExecutor(2) as pool:
        for worker in [pool.submit(work) for _ in range(2)]:
            worker.result()
    assert Counter(mail.addresses) == Counter(f"c{i}@example.com" for i in range(120))
    MailRun(n).run()
    assert states(n, said) == {State.ACCEPTED: 120}
    assert latest_mail(n, said).state == State.ACCEPTED
