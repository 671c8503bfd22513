"""The spliced message, read back by the email package: exactly what was meant, for one reader."""

import re
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.channels._mime import Letter, Template, Unsendable
from notifier.domain.message import Mail, Recipient, Sender
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
    tokens,
    urls,
)

DATE = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


def compose(mail: Mail, recipient: Recipient) -> Letter:
    return Template(mail, date=DATE).letter(recipient)


def unstuffed(letter: Letter) -> bytes:
    """The message as the mail server keeps it: RFC 5321 section 4.5.2, written the slow way."""
    *lines, end, nothing = letter.content.split(b"\r\n")
    assert (end, nothing) == (b".", b"")
    assert b"." not in lines, "a line that would end the letter early"
    return b"\r\n".join(line[1:] if line.startswith(b".") else line for line in lines) + b"\r\n"


def parse(letter: Letter) -> EmailMessage:
    return message_from_bytes(unstuffed(letter), policy=policy.default)


@settings(max_examples=150, deadline=None)
@given(bodies, bodies, header_words, urls, greetings)
def test_every_body_arrives_as_it_was_written_with_the_readers_own_values(
    text: str, html: str, name: str, url: str, greeting: str
) -> None:
    mail = make_mail(text=text, html=html, greeting_named=greeting + "{name},\n.")
    recipient = make_recipient(name=name, unsubscribe_url=url)
    message = parse(compose(mail, recipient))
    assert bodies_of(message) == (
        spliced(text, mail, recipient, html=False),
        spliced(html, mail, recipient, html=True),
    )
    assert [name for name, _ in message.items()] == HEADERS
    assert message.defects == []


@settings(max_examples=150, deadline=None)
@given(header_words, header_words, header_words, tokens, tokens, urls)
def test_the_headers_are_exactly_the_intended_ones(
    subject: str, sender: str, name: str, identity: str, thread: str, url: str
) -> None:
    mail = make_mail(subject=subject, thread=thread, sender=Sender("s@example.com", sender, ""))
    recipient = make_recipient(name=name, delivery_id=identity, unsubscribe_url=url)
    letter = compose(mail, recipient)
    message = parse(letter)
    raw = message_from_bytes(unstuffed(letter))  # compat32: headers are not decoded
    assert mailboxes(raw["To"]) == [(name, "ali@example.org")]
    assert mailboxes(raw["From"]) == [(sender, "s@example.com")]
    assert [a.addr_spec for a in message["To"].addresses] == ["ali@example.org"]
    assert [a.addr_spec for a in message["From"].addresses] == ["s@example.com"]
    assert dict(message.items()) | {"To": "", "From": "", "Content-Type": ""} == {
        "To": "",
        "Message-ID": f"<{identity}@example.com>",
        "X-Notifier-Delivery-Id": identity,
        "List-Unsubscribe": f"<{url}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        "From": "",
        "Subject": subject,
        "Date": "Wed, 04 Mar 2026 05:06:07 +0000",
        "MIME-Version": "1.0",
        "In-Reply-To": f"<{thread}@example.com>",
        "References": f"<{thread}@example.com>",
        "List-Id": "<incidents.example.com>",
        "Auto-Submitted": "auto-generated",
        "Content-Type": "",
    }


@settings(max_examples=150, deadline=None)
@given(bodies, bodies, header_words, header_words, urls, greetings)
def test_every_line_keeps_the_limits_of_the_wire(
    text: str, html: str, subject: str, name: str, url: str, greeting: str
) -> None:
    sender = Sender("s@example.com", name)
    mail = make_mail(text=text, html=html, subject=subject, sender=sender, greeting_named=greeting)
    raw = unstuffed(compose(mail, make_recipient(name=name, unsubscribe_url=url)))
    assert raw.isascii()
    assert not re.search(rb"\r(?!\n)|(?<!\r)\n|\0", raw)
    head, _, body = raw.partition(b"\r\n\r\n")
    assert max(map(len, head.split(b"\r\n"))) <= 998
    assert max(map(len, body.split(b"\r\n"))) <= 76


@settings(max_examples=100, deadline=None)
@given(bodies, bodies, st.tuples(tokens, tokens).filter(lambda pair: pair[0] != pair[1]))
def test_no_reader_finds_anything_of_another_in_their_message(
    text: str, html: str, marks: tuple[str, str]
) -> None:
    template = Template(make_mail(text=text, html=html), date=DATE)
    one, other = (
        make_recipient(
            delivery_id=f"id+{mark}+qq",
            address=f"to+{mark}+qq@example.org",
            name=f"name+{mark}+qq",
            unsubscribe_url=f"https://example.com/u+{mark}+qq",
        )
        for mark in marks
    )
    first = template.letter(one)
    second = template.letter(other)
    assert template.letter(one) == first
    own = f"+{marks[1]}+qq".encode()
    foreign = f"+{marks[0]}+qq".encode()
    assert own in second.content
    assert foreign not in second.content.replace(b"=\r\n", b"")


@pytest.mark.parametrize("bad", ["\r", "\n", "\0", "\r\nBcc: all@example.com", "\u2028", "\x85"])
def test_a_line_break_in_a_header_value_is_refused(bad: str) -> None:
    with pytest.raises(Unsendable, match="subject has a line break"):
        compose(make_mail(subject=f"No{bad}water"), make_recipient())
    with pytest.raises(Unsendable, match="sender's name has a line break"):
        compose(make_mail(sender=Sender("s@example.com", f"A{bad}B")), make_recipient())
    with pytest.raises(Unsendable, match="reader's name has a line break"):
        compose(make_mail(), make_recipient(name=f"A{bad}B"))
    with pytest.raises(Unsendable, match="not an address"):
        compose(make_mail(sender=Sender(f"s{bad}@example.com")), make_recipient())
    with pytest.raises(Unsendable, match="not an address"):
        compose(make_mail(sender=Sender("s@example.com", "", f"r{bad}@x.org")), make_recipient())
    with pytest.raises(Unsendable, match="not an address"):
        compose(make_mail(), make_recipient(address=f"a{bad}@example.org"))
    with pytest.raises(Unsendable, match="delivery id"):
        compose(make_mail(), make_recipient(delivery_id=f"d{bad}1"))
    with pytest.raises(Unsendable, match="unsubscribe address"):
        compose(make_mail(), make_recipient(unsubscribe_url=f"https://x.org/{bad}"))
    with pytest.raises(Unsendable, match="thread id"):
        compose(make_mail(thread=f"t{bad}"), make_recipient())


@pytest.mark.parametrize("address", ["", "ali", "a b@x.org", "<a@x.org>", "a@x.org>", "a@x@y.org"])
def test_what_is_not_an_address_is_refused_by_name(address: str) -> None:
    with pytest.raises(Unsendable, match="is not an address mail can go to") as error:
        compose(make_mail(), make_recipient(address=address))
    assert repr(address) in str(error.value)


def test_a_domain_outside_ascii_travels_in_its_ascii_form() -> None:
    letter = compose(make_mail(), make_recipient(address="ali@straße.example"))
    assert (letter.address, letter.utf8) == (b"ali@xn--strae-oqa.example", False)
    assert parse(letter)["To"].addresses[0].addr_spec == "ali@xn--strae-oqa.example"


def test_a_local_part_outside_ascii_asks_for_smtputf8() -> None:
    letter = compose(make_mail(), make_recipient(address="älí@example.org"))
    assert letter.utf8
    assert letter.address == "älí@example.org".encode()
    assert b"<\xc3\xa4l\xc3\xad@example.org>\r\n" in letter.content


def test_a_lone_surrogate_is_refused_and_not_a_crash() -> None:
    with pytest.raises(Unsendable, match="half a character"):
        compose(make_mail(text="\ud83d"), make_recipient())
    with pytest.raises(Unsendable, match="control character"):
        compose(make_mail(), make_recipient(name="\ud83d"))


def test_a_reader_without_a_name_is_greeted_plainly() -> None:
    message = parse(compose(make_mail(), make_recipient(name="")))
    assert message["To"] == "ali@example.org"
    assert bodies_of(message)[0].startswith("Hello,\n")


def test_markup_in_a_name_stays_text_in_the_html() -> None:
    message = parse(compose(make_mail(), make_recipient(name='<img src="x"> & co')))
    text, html = bodies_of(message)
    assert 'Dear <img src="x"> & co,' in text
    assert "Dear &lt;img src=&quot;x&quot;&gt; &amp; co," in html


def test_a_long_unsubscribe_address_stays_in_one_piece() -> None:
    url = "https://status.example.com/u/" + "a" * 700
    raw = unstuffed(compose(make_mail(), make_recipient(unsubscribe_url=url)))
    assert f"\r\nList-Unsubscribe: <{url}>\r\n".encode() in raw


def test_the_same_letter_is_made_again_byte_by_byte() -> None:
    assert compose(make_mail(), make_recipient()) == compose(make_mail(), make_recipient())


def test_a_return_path_of_its_own_is_the_envelope_sender_and_stands_in_no_header() -> None:
    path = "bounces+12-7-abcdefghijklmnop@example.com"
    letter = compose(make_mail(), make_recipient(return_path=path))
    plain = compose(make_mail(), make_recipient())
    assert (letter.sender, plain.sender) == (path.encode(), b"status@example.com")
    assert letter.content == plain.content


@pytest.mark.parametrize(
    "path",
    [
        "b@example.com>\r\nRCPT TO:<x@y.z",
        "b c@example.com",
        "b",
        "bé@example.com",
        f"{'b' * 65}@example.com",  # RFC 5321 section 4.5.3.1.1
    ],
)
def test_a_return_path_the_wire_cannot_carry_is_refused_by_name(path: str) -> None:
    with pytest.raises(Unsendable, match="bounces cannot come back to") as error:
        compose(make_mail(), make_recipient(return_path=path))
    assert repr(path) in str(error.value)
