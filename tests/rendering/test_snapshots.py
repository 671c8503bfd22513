"""One mail and one post of every kind, word for word."""

from collections.abc import Callable
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from notifier.channels._weight import measure
from notifier.domain.message import GREETING, UNSUBSCRIBE
from tests.rendering.announcements import KINDS, renderer, sample
from tests.rendering.conftest import FOLDER

LONDON = ZoneInfo("Europe/London")


def readable(text: str) -> str:
    """The slots as a person can see them."""
    return text.replace(GREETING, "⟨greeting⟩").replace(UNSUBSCRIBE, "⟨unsubscribe⟩")


@pytest.mark.parametrize("kind", KINDS)
def test_a_mail_reads_as_it_was_read(kind: str, snapshot: Callable[[str, str], None]) -> None:
    mail = renderer().mail(sample(kind), language="en", zone=LONDON)
    snapshot(f"mail-{kind}.txt", readable(f"Subject: {mail.subject}\n\n{mail.text}"))
    snapshot(f"mail-{kind}.html", readable(mail.html))


@pytest.mark.parametrize("kind", KINDS)
def test_a_post_reads_as_it_was_read(kind: str, snapshot: Callable[[str, str], None]) -> None:
    post = renderer().post(sample(kind), limit=280, measure=measure)
    snapshot(f"post-{kind}.txt", post)


def test_no_snapshot_is_of_a_kind_that_is_gone() -> None:
    known = {f"mail-{k}.txt" for k in KINDS} | {f"mail-{k}.html" for k in KINDS}
    known |= {f"post-{k}.txt" for k in KINDS}
    assert {path.name for path in Path(FOLDER).iterdir()} == known
