"""The database goes away while a provider is called: the answer is kept until it is written."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError

from notifier.domain.delivery import State
from notifier.ports import Notifier
from notifier.services.mailing import MailRun
from notifier.services.posting import run_posts
from notifier.store.db import Database
from tests.fakes import FakeMail, FakePosts
from tests.services.saying import declare, latest_mail, latest_post, states


class Flaky(Database):
    """A database that is away for the next `refusals` units of writing."""

    def __init__(self, real: Database) -> None:
        super().__init__(real.engine)
        self.refusals = 0

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        if self.refusals:
            self.refusals -= 1
            raise OperationalError("COMMIT", None, Exception("the server closed the connection"))
        with super().transaction() as connection:
            yield connection


@pytest.fixture
def flaky(n: Notifier) -> Flaky:
    return Flaky(n.db)


def test_what_became_of_a_post_is_written_as_soon_as_that_can_be(
    n: Notifier, flaky: Flaky, add_customers: Any, posts: FakePosts
) -> None:
    def go_away(step: str) -> None:
        flaky.refusals = 2 if step == "post.answered" else flaky.refusals

    add_customers(1)
    said = declare(n)
    run_posts(replace(n, db=flaky, failpoint=go_away), "x")
    assert latest_post(n, said).state == State.ACCEPTED
    assert len(posts.tried) == 1


def test_what_became_of_a_batch_is_written_by_the_next_run(
    n: Notifier, flaky: Flaky, add_customers: Any, mail: FakeMail
) -> None:
    def go_away(step: str) -> None:
        flaky.refusals = 1 if step == "mail.answered" else flaky.refusals

    add_customers(15)
    said = declare(n)
    worker = MailRun(replace(n, db=flaky, failpoint=go_away))
    for _ in range(2):
        with pytest.raises(OperationalError):
            worker.run()
    assert states(n, said) == {State.ACCEPTED: 10, State.SENDING: 5}
    assert worker.run() is None
    assert states(n, said) == {State.ACCEPTED: 15}
    assert latest_mail(n, said).state == State.ACCEPTED
    assert len(mail.sent) == 15
