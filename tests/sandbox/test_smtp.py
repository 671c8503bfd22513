"""The SMTP server as smtplib, and as a bare socket, see it."""

from __future__ import annotations

import smtplib
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from urllib.parse import urlsplit

import pytest

from notifier.sandbox.process import Sandbox
from notifier.settings import SANDBOX_KEY
from tests.sandbox.clients import accepted, speak_smtp


@contextmanager
def connected(box: Sandbox) -> Iterator[smtplib.SMTP]:
    url = urlsplit(box.smtp_url)
    with smtplib.SMTP(str(url.hostname), url.port or 0, timeout=5) as client:
        yield client


def a_mail(**headers: str) -> EmailMessage:
    mail = EmailMessage()
    given = {
        "From": "Northvale Heat <status@example.com>",
        "To": "Zoë Ünal <zoe@example.org>",
        "Subject": "No hot water: ß",
        "Date": "Sun, 22 Nov 2026 10:00:00 +0000",
        "Message-ID": "<1@example.com>",
        **{name.replace("_", "-"): value for name, value in headers.items()},
    }
    for name, value in given.items():
        mail[name] = value
    mail.set_content("No hot water until 16:00 ü.\n")
    mail.add_alternative("<p>No hot water until 16:00 ü.</p>\n", subtype="html")
    return mail


def test_a_mail_is_read_as_its_recipient_reads_it(box: Sandbox) -> None:
    with connected(box) as client:
        assert client.send_message(a_mail(X_Notifier_Delivery_Id="d1")) == {}
    [line] = accepted(box)
    assert line["service"] == "smtp"
    assert (line["to"], line["name"]) == ("zoe@example.org", "Zoë Ünal")
    assert line["subject"] == "No hot water: ß"
    assert line["text"] == "No hot water until 16:00 ü.\n"
    assert line["html"] == "<p>No hot water until 16:00 ü.</p>\n"
    assert line["delivery_id"] == "d1"
    assert line["headers"]["From"] == "Northvale Heat <status@example.com>"


def test_headers_are_read_in_every_form_they_may_have(box: Sandbox) -> None:
    mail = a_mail(Subject="Kein warmes Wasser " * 10 + "für Zoë")
    raw = mail.as_bytes() + b"\r\n"
    folded = raw.replace(b"From: Northvale Heat <", b"From: Northvale\r\n Heat <")
    plain = b"X-Raw: \xd9\xbe\xd8\xa7\xd9\x86\xdb\x8c \xff\r\n" + folded
    with connected(box) as client:
        client.sendmail("status@example.com", "zoe@example.org", plain)
    headers = accepted(box)[0]["headers"]
    assert headers["Subject"] == "Kein warmes Wasser " * 10 + "für Zoë"
    assert headers["From"] == "Northvale Heat <status@example.com>"
    assert headers["X-Raw"] == "پانی \ufffd"


def test_an_attachment_is_not_taken_for_the_text(box: Sandbox) -> None:
    mail = a_mail()
    mail.add_attachment("Not the text", filename="a.txt")
    with connected(box) as client:
        client.send_message(mail)
    assert accepted(box)[0]["text"] == "No hot water until 16:00 ü.\n"


def test_each_recipient_of_an_envelope_has_a_line(box: Sandbox) -> None:
    with connected(box) as client:
        client.ehlo()
        client.mail("status@example.com")
        for name in ("a", "b"):
            client.rcpt(f"{name}@example.org")
        code, said = client.data(a_mail().as_bytes())
    assert code == 250
    reference = said.decode().rsplit(" ", 1)[1]
    assert [(m["to"], m["id"]) for m in accepted(box)] == [
        ("a@example.org", f"{reference}.1"),
        ("b@example.org", f"{reference}.2"),
    ]


def test_many_mails_go_over_one_connection(box: Sandbox) -> None:
    with connected(box) as client:
        for number in range(5):
            client.send_message(a_mail(Message_ID=f"<{number}@example.com>"))
    assert [m["headers"]["Message-ID"] for m in accepted(box)] == [
        f"<{number}@example.com>" for number in range(5)
    ]
    assert [m["request"] for m in accepted(box)] == [1, 2, 3, 4, 5]


def test_it_offers_what_it_does(box: Sandbox) -> None:
    with connected(box) as client:
        client.ehlo()
        offered = set(client.esmtp_features)
    assert offered == {"size", "8bitmime", "smtputf8", "auth", "pipelining", "help"}


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_the_right_login_is_taken_and_a_wrong_one_refused(mechanism: str, box: Sandbox) -> None:
    for password, code in ((SANDBOX_KEY, 235), ("another", 535)):
        with connected(box) as client:
            client.ehlo()
            client.user, client.password = "apikey", password
            authorize = getattr(client, f"auth_{mechanism.lower()}")
            try:
                answered = client.auth(mechanism, authorize)[0]
            except smtplib.SMTPAuthenticationError as error:
                answered = error.smtp_code
        assert answered == code


def test_whole_transactions_in_one_segment_are_answered_in_order(box: Sandbox) -> None:
    """PIPELINING (RFC 2920): no command is lost, and each gets its own answer."""

    def transaction(number: int) -> bytes:
        content = a_mail(Message_ID=f"<{number}@example.com>").as_bytes().replace(b"\n", b"\r\n")
        start = (
            b"MAIL FROM:<status@example.com>\r\nRCPT TO:<a%d@example.org>\r\n"
            b"RCPT TO:<nonsense>\r\nRCPT TO:<b%d@example.org>\r\nDATA\r\n" % (number, number)
        )
        return start + content + b"\r\n.\r\n"

    with speak_smtp(box) as connection, connection.makefile("rb") as answers:
        connection.sendall(b"EHLO client\r\n")
        while not answers.readline().startswith(b"250 "):
            pass
        connection.sendall(transaction(1) + transaction(2) + b"QUIT\r\n")
        codes = [int(line[:3]) for line in answers]
    assert codes == [250, 250, 553, 250, 354, 250] * 2 + [221]
    assert [m["to"][:2] for m in accepted(box)] == ["a1", "b1", "a2", "b2"]


def test_an_address_in_urdu_needs_smtputf8(box: Sandbox) -> None:
    with connected(box) as client:
        client.ehlo()
        client.command_encoding = "utf-8"
        client.mail("status@example.com")
        assert client.rcpt("عائشہ@example.org")[0] == 553
        client.rset()
        client.mail("status@example.com", ["SMTPUTF8"])
        assert client.rcpt("عائشہ@example.org")[0] == 250
        assert client.data(a_mail().as_bytes())[0] == 250
    assert [m["to"] for m in accepted(box)] == ["عائشہ@example.org"]


@pytest.mark.parametrize(
    "address",
    ["nobody", "a@b", "a@b..org", ".a@b.org", "a@b.org.", '"a b"@b.org', "a" * 65 + "@b.org"],
)
def test_what_is_no_address_is_refused(address: str, box: Sandbox) -> None:
    with connected(box) as client:
        client.ehlo()
        client.mail("status@example.com")
        code, _ = client.docmd(f"RCPT TO:<{address}>")
    assert code in (501, 553)


@pytest.mark.parametrize("name", ["From", "Date", "Message-ID"])
def test_a_mail_without_a_required_header_is_refused(name: str, box: Sandbox) -> None:
    mail = a_mail()
    del mail[name]
    with connected(box) as client, pytest.raises(smtplib.SMTPDataError, match=f"no {name} header"):
        client.sendmail("status@example.com", "a@example.org", mail.as_bytes())
    assert accepted(box) == []


@pytest.mark.parametrize("name", ["Subject", "From", "Message-ID"])
def test_a_mail_with_a_header_twice_is_refused(name: str, box: Sandbox) -> None:
    twice = f"{name}: <2@example.com>\r\n".encode() + a_mail().as_bytes()
    with connected(box) as client, pytest.raises(smtplib.SMTPDataError, match="more than one"):
        client.sendmail("status@example.com", "a@example.org", twice)
    assert accepted(box) == []


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe", b"\r\n\r\n", b"From: a\r\n\tb: \xff\r\n", b":" * 500, b"Date: \r\n\r\n"],
)
def test_what_is_no_mail_is_refused_and_the_session_goes_on(content: bytes, box: Sandbox) -> None:
    with connected(box) as client:
        with pytest.raises(smtplib.SMTPDataError):
            client.sendmail("status@example.com", "a@example.org", content)
        assert client.send_message(a_mail()) == {}
    assert len(accepted(box)) == 1


def test_a_mail_beyond_the_size_is_refused_before_it_is_sent(box: Sandbox) -> None:
    with connected(box) as client:
        client.ehlo()
        size = int(client.esmtp_features["size"])
        assert client.mail("status@example.com", [f"SIZE={size + 1}"])[0] == 552
