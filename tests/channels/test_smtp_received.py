"""Whatever people write, a real mail server (aiosmtpd) has received exactly that, letter by letter.

`test_mime.py` proves the same of the bytes we make; this is about what is left of them behind a
socket: where one letter ends and the next begins, and dots wherever the splice has its seams.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from email import message_from_bytes, policy

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from notifier.channels.smtp import SmtpChannel
from notifier.domain.delivery import BatchOutcome, Sent
from notifier.domain.message import GREETING, UNSUBSCRIBE, Mail, Recipient
from notifier.sandbox.smtp_mail import read_mail
from tests.channels.mail_words import (
    HEADERS,
    bodies,
    bodies_of,
    greetings,
    header_words,
    mailboxes,
    make_mail,
    make_recipient,
    spliced,
    urls,
)
from tests.channels.smtp_lane import Keeper, aiosmtpd, channel

Lane = tuple[Keeper, SmtpChannel]

# Dots beside every seam, and an end of a letter followed by a command, in all that people write.
TRAP = f".{GREETING}.{UNSUBSCRIBE}.\n.{GREETING}\r\n.\r\nRSET\r\n..\n.{UNSUBSCRIBE}\n."
VALUES = (".\r\n.\r\n{name}\n.", [("", "https://example.com/u/."), (".", "https://example.com/.=")])


@pytest.fixture(scope="module", params=[("PIPELINING",), ()], ids=["grouped", "plain"])
def lane(request: pytest.FixtureRequest) -> Iterator[Lane]:
    keeper = Keeper(request.param)
    with aiosmtpd(keeper) as port, channel(port, connections=2) as opened:
        yield keeper, opened


@settings(max_examples=60, deadline=None)
@given(
    bodies,
    bodies,
    header_words,
    greetings,
    st.lists(st.tuples(header_words, urls), min_size=1, max_size=20),
)
@example(TRAP, TRAP, ".", *VALUES)
def test_a_real_server_receives_exactly_what_was_written(
    lane: Lane, text: str, html: str, subject: str, greeting: str, people: list[tuple[str, str]]
) -> None:
    keeper, opened = lane
    keeper.received.clear()
    mail = make_mail(text=text, html=html, subject=subject, greeting_named=greeting)
    batch = [
        make_recipient(
            delivery_id=f"1-{i}",
            address=f"reader{i}@example.org",
            name=name,
            unsubscribe_url=url,
            return_path=f"bounces+1-{i}-abc@example.com" if i % 2 else "",
        )
        for i, (name, url) in enumerate(people)
    ]
    assert opened.prepare(mail).send(batch) == BatchOutcome(Sent(""))
    expected = {recipient.address: recipient for recipient in batch}
    for sender, (address,), content in keeper.received:
        check_letter(mail, expected.pop(address), sender, content)
    assert not expected


def check_letter(mail: Mail, recipient: Recipient, sender: str, content: bytes) -> None:
    assert sender == (recipient.return_path or "status@example.com")
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n|\0", content)
    assert max(map(len, content.split(b"\r\n"))) <= 998
    message = message_from_bytes(content, policy=policy.default)
    assert (message.keys(), message.defects) == (HEADERS, [])
    assert message["Subject"] == mail.subject
    assert message["Message-ID"] == f"<{recipient.delivery_id}@example.com>"
    assert message["List-Unsubscribe"] == f"<{recipient.unsubscribe_url}>"
    assert mailboxes(message_from_bytes(content)["To"]) == [(recipient.name, recipient.address)]
    assert bodies_of(message) == (
        spliced(mail.text, mail, recipient, html=False),
        spliced(mail.html, mail, recipient, html=True),
    )
    assert read_mail(content).fields["delivery_id"] == recipient.delivery_id
