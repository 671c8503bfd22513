"""The SMTP channel against real sockets: every way a letter can end, and what is said of it."""

import dataclasses
import gc
import logging
import random
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from notifier.channels import smtp
from notifier.channels._smtp_relay import Dialer, parse_relay
from notifier.domain.delivery import BatchOutcome, Outcome, Rejected, Retry, Sent, Unknown
from notifier.domain.message import GREETING, UNSUBSCRIBE, Mail, Recipient, Sender
from tests.channels.scripted_smtp import (
    Answer,
    Gone,
    Script,
    ScriptedSmtp,
    about,
    always,
    close,
    hang,
    once,
)

PASSWORD = "S3cret-p/w"
MAIL = Mail(
    subject="No water in the north",
    text=f"{GREETING}\n.\n..\nNo water.\n{UNSUBSCRIBE}\n",
    html=f"<p>{GREETING}</p>\n.\n{'<p>No water.</p>' * 200}<a href='{UNSUBSCRIBE}'>Stop</a>",
    language="en",
    greeting_named="Dear {name},",
    greeting_plain="Hello,",
    sender=Sender("status@example.com", "Aqua Status"),
    thread="incident-7",
)
both_ways = pytest.mark.parametrize("extensions", [("PIPELINING",), ()], ids=["grouped", "plain"])


def readers(count: int) -> list[Recipient]:
    return [
        Recipient(
            f"d-{i}", f"reader{i}@example.org", f"Reader {i}", f"https://s.example.com/u/{i:040d}"
        )
        for i in range(count)
    ]


@contextmanager
def channel(port: int, **config: Any) -> Iterator[smtp.SmtpChannel]:
    values = {"url": f"smtp://127.0.0.1:{port}", "timeout": 5.0, **config}
    opened = smtp.build(smtp.Config.model_validate(values))
    yield opened
    opened.close()


def send(port: int, count: int = 1, **config: Any) -> list[Outcome]:
    with channel(port, **config) as opened:
        return outcomes(opened.prepare(MAIL).send(readers(count)), count)


def outcomes(batch: BatchOutcome, count: int) -> list[Outcome]:
    assert all(0 <= index < count for index in batch.each)
    return [batch.each.get(index, batch.rest) for index in range(count)]


class Keeper:
    """What aiosmtpd, which is not ours, received."""

    def __init__(self) -> None:
        self.received: list[tuple[str, list[str], bytes]] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        self.received.append((envelope.mail_from, envelope.rcpt_tos, envelope.content))
        return "250 OK"


@contextmanager
def aiosmtpd(keeper: Keeper, **options: Any) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    controller = Controller(keeper, hostname="127.0.0.1", port=port, **options)
    controller.start()
    yield port
    controller.stop()


def test_each_reader_gets_their_own_letter_and_nobody_elses() -> None:
    keeper = Keeper()
    with aiosmtpd(keeper) as port:
        assert send(port, 60) == [Sent("")] * 60
    assert len(keeper.received) == 60
    for sender, recipients, content in keeper.received:
        message = message_from_bytes(content, policy=policy.default)
        i = int(message["X-Notifier-Delivery-Id"].removeprefix("d-"))
        assert (sender, recipients) == ("status@example.com", [f"reader{i}@example.org"])
        assert message["To"] == f"Reader {i} <reader{i}@example.org>"
        plain, html = (p.get_content().replace("\r\n", "\n") for p in message.iter_parts())
        url = f"https://s.example.com/u/{i:040d}"
        assert plain == f"Dear Reader {i},\n.\n..\nNo water.\n{url}\n"
        assert f"<p>Dear Reader {i},</p>\n.\n" in html


@both_ways
def test_a_batch_is_shared_by_the_allowed_sessions_which_serve_the_next_one_too(
    extensions: Sequence[str],
) -> None:
    with ScriptedSmtp(extensions=extensions) as server, channel(server.port) as opened:
        mail = opened.prepare(MAIL)
        for _ in range(3):
            assert outcomes(mail.send(readers(40)), 40) == [Sent("")] * 40
        assert len(server.sessions) == 4
        assert sorted(server.recipients) == sorted(3 * [r.address for r in readers(40)])
        assert server.commands().count("MAIL") == 120
        assert "RSET" not in server.commands()
        assert "NOOP" not in server.commands()


def test_a_few_letters_open_one_session() -> None:
    with ScriptedSmtp() as server:
        assert send(server.port, 3) == [Sent("")] * 3
        assert len(server.sessions) == 1


@pytest.mark.parametrize(("extensions", "early"), [(("PIPELINING",), 9), ((), 0)])
def test_the_next_letter_is_announced_with_the_end_of_the_last_where_that_is_allowed(
    extensions: Sequence[str], early: int
) -> None:
    with ScriptedSmtp(extensions=extensions) as server:
        assert send(server.port, 10, connections=1) == [Sent("")] * 10
        assert server.spoke_early.count(True) == early


@both_ways
@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA", "LETTER"])
@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ("450 4.2.1 come back later", Retry("450 4.2.1 come back later")),
        ("550-5.1.1 nobody\r\n550 of that name", Rejected("550 5.1.1 nobody of that name")),
    ],
    ids=["4xx", "5xx"],
)
def test_a_refusal_concerns_one_reader_alone(
    extensions: Sequence[str], stage: str, answer: str, outcome: Outcome
) -> None:
    # The sender is the same for all: the server refuses the third letter whatever it is.
    script = nth(3, stage, answer)
    with ScriptedSmtp(script, extensions=extensions) as server:
        found = send(server.port, 6, connections=1)
        assert found == [Sent(""), Sent(""), outcome, Sent(""), Sent(""), Sent("")]
        assert len(server.sessions) == 1
        assert "reader2@example.org" not in server.recipients
        assert len(server.letters) == 5


def nth(number: int, stage: str, answer: Answer) -> Script:
    """The answer at the nth such stage."""
    seen = [0]

    def script(at: str, _said: str) -> Answer | None:
        seen[0] += at == stage
        return answer if at == stage and seen[0] == number else None

    return script


@both_ways
def test_data_granted_without_a_recipient_gets_an_empty_letter(extensions: Sequence[str]) -> None:
    refused = about("reader1@", "RCPT", "550 5.1.1 gone")
    granted = about("reader1@", "DATA", "354 go on anyway")
    with ScriptedSmtp(refused, granted, extensions=extensions) as server:
        found = send(server.port, 3, connections=1)
        assert found == [Sent(""), Rejected("550 5.1.1 gone"), Sent("")]
        assert server.recipients == ["reader0@example.org", "reader2@example.org"]
        assert len(server.sessions) == 1


@both_ways
def test_a_reader_refused_by_a_server_that_then_hangs_up_stays_refused(
    extensions: Sequence[str],
) -> None:
    def refuse(sock: socket.socket) -> None:
        sock.sendall(b"550 5.1.1 gone\r\n")
        close(sock)

    with ScriptedSmtp(about("reader1@", "RCPT", refuse), extensions=extensions) as server:
        found = send(server.port, 3, connections=1)
        assert found == [Sent(""), Rejected("550 5.1.1 gone"), Sent("")]


def test_the_lines_of_one_reply_are_one_reason_and_no_part_of_the_next() -> None:
    with ScriptedSmtp(always("RCPT", "550-No\r\n550-such\r\n550 reader")) as server:
        assert send(server.port, 2) == [Rejected("550 No such reader")] * 2


@both_ways
def test_a_yes_to_data_that_is_no_go_ahead_sends_no_letter(extensions: Sequence[str]) -> None:
    with ScriptedSmtp(about("reader1@", "DATA", "250 fine"), extensions=extensions) as server:
        found = send(server.port, 3, connections=1)
        assert isinstance(found[1], Retry)
        assert [found[0], found[2]] == [Sent("")] * 2
        assert set(server.commands()) <= {"ehlo", "MAIL", "RCPT", "DATA", "QUIT"}


@pytest.mark.parametrize("flood", [b"x" * 10_000, b"250-more\r\n" * 200])
def test_an_endless_reply_is_not_collected(flood: bytes) -> None:
    def talk(sock: socket.socket) -> None:
        while True:
            sock.sendall(flood)

    with ScriptedSmtp(always("RCPT", talk)) as server:
        (found,) = send(server.port, 1)
        assert found == Retry("the mail server sent an endless reply")


@both_ways
@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize("fault", [close, "421 4.3.2 closing", "what?"], ids=["close", "421", "?"])
def test_a_session_lost_before_the_letter_was_sent_is_replaced(
    extensions: Sequence[str], stage: str, fault: Answer
) -> None:
    with ScriptedSmtp(once(stage, fault), extensions=extensions) as server:
        assert send(server.port, 5, connections=1) == [Sent("")] * 5
        assert sorted(server.recipients) == [r.address for r in readers(5)]
        assert len(server.sessions) == 2


@both_ways
@pytest.mark.parametrize("stage", ["RCPT", "DATA"])
def test_a_session_lost_each_time_before_the_letter_was_sent_is_for_later(
    extensions: Sequence[str], stage: str
) -> None:
    with ScriptedSmtp(about("reader1@", stage, close), extensions=extensions) as server:
        found = send(server.port, 4, connections=1)
        assert isinstance(found.pop(1), Retry)
        assert found == [Sent("")] * 3
        assert "reader1@example.org" not in server.recipients
        assert len(server.letters) == 3


@both_ways
def test_a_session_lost_after_the_whole_letter_leaves_that_letter_alone_unknown(
    extensions: Sequence[str],
) -> None:
    with ScriptedSmtp(about("reader1@", "LETTER", close), extensions=extensions) as server:
        found = send(server.port, 4, connections=1)
        assert isinstance(found[1], Unknown)
        assert "after the whole letter" in found[1].reason
        assert [found[0], *found[2:]] == [Sent("")] * 3
        assert server.recipients.count("reader1@example.org") == 1, "never sent twice"


@both_ways
@pytest.mark.parametrize("answer", ["what?", "199 strange", "354 go on again", "\x00\xff"])
def test_nonsense_after_the_whole_letter_is_unknown(extensions: Sequence[str], answer: str) -> None:
    with ScriptedSmtp(about("reader1@", "LETTER", answer), extensions=extensions) as server:
        found = send(server.port, 3, connections=1)
        assert isinstance(found[1], Unknown)
        assert [found[0], found[2]] == [Sent("")] * 2


@both_ways
def test_421_after_the_whole_letter_means_it_was_not_taken(extensions: Sequence[str]) -> None:
    script = about("reader1@", "LETTER", "421 4.3.2 shutting down")
    with ScriptedSmtp(script, extensions=extensions) as server:
        found = send(server.port, 3, connections=1)
        assert found == [Sent(""), Retry("421 4.3.2 shutting down"), Sent("")]


def test_silence_after_the_whole_letter_is_unknown_within_the_time_limit() -> None:
    with ScriptedSmtp(about("reader1@", "LETTER", hang)) as server:
        began = time.monotonic()
        found = send(server.port, 3, connections=1, timeout=0.2)
        assert time.monotonic() - began < 5
        assert isinstance(found[1], Unknown)
        assert "did not answer in time" in found[1].reason


@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA"])
def test_silence_before_the_letter_is_for_later(stage: str) -> None:
    with ScriptedSmtp(always(stage, hang)) as server:
        assert send(server.port, 1, timeout=0.2) == [
            Retry("the mail server did not answer in time")
        ]
        assert server.letters == []


def test_replies_nobody_asked_for_end_the_session_without_a_wrong_sent() -> None:
    script = about("reader1@", "RCPT", "250 Ok\r\n354 go on\r\n250 taken\r\n250 and more")
    with ScriptedSmtp(script) as server:
        found = send(server.port, 3, connections=1)
        assert not isinstance(found[1], Sent)
        assert [found[0], found[2]] == [Sent("")] * 2
        assert "reader1@example.org" not in server.recipients


def test_a_relay_that_takes_one_letter_per_session_gets_them_all() -> None:
    script = nth_letter_then_goodbye()
    with ScriptedSmtp(script) as server:
        assert send(server.port, 12, connections=2) == [Sent("")] * 12
        assert sorted(server.recipients) == sorted(r.address for r in readers(12))


def nth_letter_then_goodbye() -> Script:
    return always("LETTER", "250 2.0.0 Ok\r\n421 4.7.0 one letter per session")


def test_a_relay_that_allows_fewer_sessions_gets_all_through_those() -> None:
    script = nth(2, "GREETING", "421 4.7.0 too many connections")
    with ScriptedSmtp(script) as server, channel(server.port) as opened:
        assert outcomes(opened.prepare(MAIL).send(readers(40)), 40) == [Sent("")] * 40
        assert outcomes(opened.prepare(MAIL).send(readers(40)), 40) == [Sent("")] * 40
        assert len(server.sessions) == 2, "and the refusal is remembered for a while"


def test_sessions_the_server_closed_while_idle_are_replaced_unnoticed() -> None:
    with ScriptedSmtp() as server, channel(server.port) as opened:
        mail = opened.prepare(MAIL)
        assert outcomes(mail.send(readers(40)), 40) == [Sent("")] * 40
        server.hang_up()
        assert outcomes(mail.send(readers(40)), 40) == [Sent("")] * 40
        assert len(server.sessions) == 8


def test_a_session_idle_for_too_long_is_not_trusted() -> None:
    with ScriptedSmtp() as server:
        pool = smtp.Pool(Dialer(parse_relay(f"smtp://127.0.0.1:{server.port}"), 5), 4, 0.4)
        for idle, opened in ((0, 1), (0, 1), (0.5, 2)):
            time.sleep(idle)
            pool.give_back(pool.take(1))
            assert len(server.sessions) == opened
        pool.close()


def test_a_relay_that_comes_back_is_tried_again_soon_but_not_at_once() -> None:
    with ScriptedSmtp(once("GREETING", close)) as server, channel(server.port) as opened:
        mail = opened.prepare(MAIL)
        assert isinstance(mail.send(readers(1)).rest, Retry)
        assert isinstance(mail.send(readers(1)).rest, Retry)
        assert len(server.sessions) == 1
        until = time.monotonic() + 10
        while mail.send(readers(1)) != BatchOutcome(Sent("")):
            assert time.monotonic() < until
            time.sleep(0.05)
        assert len(server.sessions) == 2


def test_letters_whose_turn_does_not_come_in_time_are_for_later() -> None:
    def slow(sock: socket.socket) -> None:
        time.sleep(0.15)
        sock.sendall(b"250 Ok at last\r\n")

    with ScriptedSmtp(always("LETTER", slow)) as server:
        began = time.monotonic()
        found = send(server.port, 60, timeout=0.15, connections=1)
        assert time.monotonic() - began < 4
        sent = found.count(Sent(""))
        assert 0 < sent == len(server.letters) < 60
        assert found.count(Retry("the mail server was too slow: this letter's turn did not come"))


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (close, "closed the connection or kept silent"),
        (hang, "closed the connection or kept silent"),
        ("421 4.3.2 full", "421 4.3.2 full"),
        ("554 5.7.1 your address is listed", "554 5.7.1 your address is listed"),
        ("what?", "what it said is not SMTP"),
    ],
)
def test_no_greeting_means_later_for_everybody(answer: Answer, said: str) -> None:
    with ScriptedSmtp(always("GREETING", answer)) as server:
        found = send(server.port, 20, timeout=0.2)
        assert len(set(found)) == 1
        assert isinstance(found[0], Retry)
        assert said in found[0].reason
        assert f"127.0.0.1:{server.port}" in found[0].reason
        assert len(server.sessions) == 1


def test_a_greeting_that_comes_letter_by_letter_is_not_waited_for() -> None:
    def trickle(sock: socket.socket) -> None:
        for _ in range(40):
            sock.sendall(b"2")
            time.sleep(0.05)

    with ScriptedSmtp(always("GREETING", trickle)) as server:
        began = time.monotonic()
        assert isinstance(send(server.port, 1, timeout=0.2)[0], Retry)
        assert time.monotonic() - began < 1.5


def test_a_relay_that_is_not_there_means_later_and_says_where() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (found,) = send(port)
    assert found == Retry(f"127.0.0.1:{port} cannot be reached: Connection refused")
    (found,) = send(0, url="smtp://mail.invalid:2525")
    assert isinstance(found, Retry)
    assert "mail.invalid:2525 cannot be reached" in found.reason


def log_in(port: int, query: str = "?starttls=never") -> str:
    return f"smtp://user%40x:{PASSWORD.replace('/', '%2F')}@127.0.0.1:{port}{query}"


def test_a_log_in_is_made_with_the_decoded_user_and_password() -> None:
    with ScriptedSmtp(extensions=["PIPELINING", "AUTH PLAIN"]) as server:
        assert send(server.port, 2, url=log_in(server.port)) == [Sent("")] * 2
        assert server.logins == [f"\0user@x\0{PASSWORD}"]


def test_a_wrong_password_rejects_all_and_is_not_tried_again_at_once(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    refuse = always("AUTH", f"535 5.7.8 no, not {PASSWORD}")
    with (
        ScriptedSmtp(refuse, extensions=["AUTH PLAIN"]) as server,
        channel(server.port, url=log_in(server.port)) as opened,
    ):
        for _ in range(3):
            found = outcomes(opened.prepare(MAIL).send(readers(20)), 20)
            assert len(set(found)) == 1
            assert isinstance(found[0], Rejected)
            assert "refused the user or the password (535)" in found[0].reason
            assert "NOTIFIER_SMTP__URL" in found[0].reason
        assert len(server.logins) == 1
        everything = [repr(found), repr(vars(opened)), caplog.text, *capfd.readouterr()]
        assert not [text for text in everything if "S3cret" in text]


def test_a_log_in_that_cannot_be_checked_now_is_for_later() -> None:
    busy = always("AUTH", "454 4.7.0 try again")
    with ScriptedSmtp(busy, extensions=["AUTH PLAIN"]) as server:
        (found,) = send(server.port, url=log_in(server.port))
        assert isinstance(found, Retry)


def test_a_relay_without_log_in_says_what_to_change() -> None:
    with ScriptedSmtp() as server:
        (found,) = send(server.port, url=log_in(server.port))
        assert isinstance(found, Rejected)
        assert "takes no log-in" in found.reason


@pytest.mark.parametrize("query", ["", "?starttls=required"])
def test_a_password_never_travels_unencrypted_unless_that_is_written(query: str) -> None:
    with ScriptedSmtp(extensions=["AUTH PLAIN"]) as server:
        (found,) = send(server.port, url=log_in(server.port, query))
        assert isinstance(found, Retry)
        assert "no encryption (STARTTLS)" in found.reason
        assert server.logins == []
        assert server.letters == []


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1, signed by itself, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "certificate.pem"
    path.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        + signed.public_bytes(Encoding.PEM)
    )
    return path


def server_side(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@both_ways
@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_letters_and_the_password_travel_encrypted(
    scheme: str, extensions: Sequence[str], certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    offers = [*extensions, "AUTH PLAIN", *(["STARTTLS"] if scheme == "smtp" else [])]
    tls = server_side(certificate)
    with ScriptedSmtp(extensions=offers, tls=tls, smtps=scheme == "smtps") as server:
        url = log_in(server.port, "").replace("smtp://", f"{scheme}://")
        with channel(server.port, url=url, connections=2) as opened:
            assert opened.prepare(MAIL).send(readers(20)) == BatchOutcome(Sent(""))
            assert opened.prepare(LARGE).send(readers(2)) == BatchOutcome(Sent(""))
        assert server.logins == [f"\0user@x\0{PASSWORD}"] * 2
        assert all(isinstance(session.sock, ssl.SSLSocket) for session in server.sessions)
        assert len(server.letters) == 22


@both_ways
def test_an_encrypted_session_lost_inside_a_letter_is_replaced(
    extensions: Sequence[str], certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    offers, tls = [*extensions, "STARTTLS"], server_side(certificate)
    with (
        ScriptedSmtp(once("HALF", close), extensions=offers, tls=tls) as server,
        channel(server.port, connections=1) as opened,
    ):
        assert opened.prepare(LARGE).send(readers(2)) == BatchOutcome(Sent(""))
        assert sorted(server.recipients) == ["reader0@example.org", "reader1@example.org"]


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_a_certificate_nobody_vouches_for_gets_neither_letter_nor_password(
    scheme: str, certificate: Path
) -> None:
    offers, tls = ["AUTH PLAIN", "STARTTLS"], server_side(certificate)
    with ScriptedSmtp(extensions=offers, tls=tls, smtps=scheme == "smtps") as server:
        url = log_in(server.port, "").replace("smtp://", f"{scheme}://")
        (found,) = send(server.port, url=url)
        assert isinstance(found, Retry)
        assert "certificate that cannot be trusted (self-signed certificate)" in found.reason
        assert (server.logins, server.letters) == ([], [])


def test_an_address_outside_ascii_goes_where_smtputf8_is_offered() -> None:
    reader = Recipient("d-1", "älí@example.org", "Ali", "https://s.example.com/u/1")
    keeper = Keeper()
    with aiosmtpd(keeper, enable_SMTPUTF8=True) as port, channel(port) as opened:
        assert opened.prepare(MAIL).send([reader]) == BatchOutcome(Sent(""))
    assert keeper.received[0][1] == ["älí@example.org"]
    assert "To: Ali <älí@example.org>".encode() in keeper.received[0][2]
    with ScriptedSmtp() as server, channel(server.port) as opened:
        outcome = opened.prepare(MAIL).send([reader, *readers(1)])
        assert isinstance(outcome.each[0], Rejected)
        assert "SMTPUTF8" in outcome.each[0].reason
        assert outcome.rest == Sent("")


def test_a_reader_no_letter_can_be_made_for_is_rejected_alone() -> None:
    bad = Recipient("d-9", "ali@example.org\r\nRCPT TO:<x@y.z>", "Ali", "https://s.example.com/u")
    with ScriptedSmtp() as server, channel(server.port) as opened:
        found = outcomes(opened.prepare(MAIL).send([*readers(2), bad]), 3)
        assert found[:2] == [Sent("")] * 2
        assert isinstance(found[2], Rejected)
        assert server.recipients == ["reader0@example.org", "reader1@example.org"]


def test_a_mail_no_message_can_be_made_of_is_rejected_for_all_without_a_connection() -> None:
    bad = dataclasses.replace(MAIL, subject="a\r\nBcc: x@y.z")
    with ScriptedSmtp() as server, channel(server.port) as opened:
        outcome = opened.prepare(bad).send(readers(3))
        assert isinstance(outcome.rest, Rejected)
        assert "subject" in outcome.rest.reason
        assert (outcome.each, server.sessions) == ({}, [])


def test_nobody_to_send_to_needs_no_connection() -> None:
    with ScriptedSmtp() as server:
        assert send(server.port, 0) == []
        assert server.sessions == []


LARGE = dataclasses.replace(MAIL, html="<p>no</p>\n" * 500_000)


@both_ways
def test_a_large_letter_passes_however_slowly_it_is_read(extensions: Sequence[str]) -> None:
    wait = always("HALF", lambda _sock: time.sleep(0.1))
    with (
        ScriptedSmtp(wait, extensions=extensions) as server,
        channel(server.port, connections=1) as opened,
    ):
        assert opened.prepare(LARGE).send(readers(2)) == BatchOutcome(Sent(""))
        assert [len(letter.content) > 5_000_000 for letter in server.letters] == [True, True]


@both_ways
def test_a_session_lost_inside_a_letter_is_replaced(extensions: Sequence[str]) -> None:
    with (
        ScriptedSmtp(once("HALF", close), extensions=extensions) as server,
        channel(server.port, connections=1) as opened,
    ):
        assert opened.prepare(LARGE).send(readers(2)) == BatchOutcome(Sent(""))
        assert sorted(server.recipients) == ["reader0@example.org", "reader1@example.org"]
        assert len(server.sessions) == 2


@both_ways
def test_a_yes_before_the_letter_is_complete_is_no_yes(extensions: Sequence[str]) -> None:
    def say_yes(sock: socket.socket) -> None:
        sock.sendall(b"250 taken\r\n250 Ok\r\n250 Ok\r\n354 go on\r\n")
        time.sleep(0.1)
        close(sock)

    with (
        ScriptedSmtp(once("HALF", say_yes), extensions=extensions) as server,
        channel(server.port, connections=1) as opened,
    ):
        assert opened.prepare(LARGE).send(readers(2)) == BatchOutcome(Sent(""))
        assert sorted(server.recipients) == ["reader0@example.org", "reader1@example.org"]


@both_ways
def test_a_letter_too_large_is_refused_before_it_is_sent(extensions: Sequence[str]) -> None:
    def limit(stage: str, said: str) -> Answer | None:
        too_large = stage == "MAIL" and int(said.partition("SIZE=")[2]) > 1_000_000
        return "552 5.3.4 too large" if too_large else None

    with (
        ScriptedSmtp(limit, extensions=[*extensions, "SIZE 1000000"]) as server,
        channel(server.port) as opened,
    ):
        outcome = opened.prepare(LARGE).send(readers(2))
        assert outcomes(outcome, 2) == [Rejected("552 5.3.4 too large")] * 2
        assert opened.prepare(MAIL).send(readers(2)) == BatchOutcome(Sent(""))


@both_ways
def test_a_server_that_cannot_begin_anew_is_left(extensions: Sequence[str]) -> None:
    refused = about("reader1@", "RCPT", "550 5.1.1 gone")
    stuck = always("RSET", "502 5.5.2 what is that")
    with ScriptedSmtp(refused, stuck, extensions=extensions) as server:
        found = send(server.port, 3, connections=1)
        assert found == [Sent(""), Rejected("550 5.1.1 gone"), Sent("")]
        assert len(server.sessions) == 2


def test_a_reply_in_pieces_is_waited_for() -> None:
    def piecewise(sock: socket.socket) -> None:
        for piece in (b"25", b"0-Ok\r", b"\n250-so far\r\n250", b" so good\r\n"):
            sock.sendall(piece)
            time.sleep(0.01)

    # Without PIPELINING nothing may be said before the reply is complete.
    with ScriptedSmtp(once("LETTER", piecewise), extensions=()) as server:
        assert send(server.port, 3, connections=1) == [Sent("")] * 3
        assert not any(server.spoke_early)
        assert len(server.sessions) == 1


def test_a_forgotten_channel_says_good_bye() -> None:
    with ScriptedSmtp() as server:
        opened = smtp.build(smtp.Config.model_validate({"url": f"smtp://127.0.0.1:{server.port}"}))
        opened.prepare(MAIL).send(readers(1))
        del opened
        gc.collect()
        until = time.monotonic() + 2
        while "QUIT" not in server.commands() and time.monotonic() < until:
            time.sleep(0.01)
        assert server.commands()[-1] == "QUIT"


@pytest.mark.parametrize(
    "url",
    [
        f"smtp://user:{PASSWORD}@host",  # a bare slash ends the host
        f"smtp://user:{PASSWORD.replace('/', '?')}@host",
        f"smtp://user:{PASSWORD.replace('/', '#')}@host",
        "smtp://user:S3cret@host:port",
        "smtp://user:S3cret@host/path",
        "smtp://user:S3cret@host?starttls=maybe",
        "smtp://user:S3cret@host?tls=1",
        "smtp://user@host",
        "smtp://:S3cret@host",
        "smtp://üser:S3cret@host",
        "smtp://user:S3cret@a..b",
        "smtp://user:S3cret@",
        "http://user:S3cret@host",
        "user:S3cret@host",
    ],
)
def test_a_wrong_url_is_refused_without_repeating_the_password(url: str) -> None:
    with pytest.raises(ValidationError) as error:
        smtp.Config.model_validate({"url": url})
    assert "S3cret" not in str(error.value)
    assert len(error.value.errors()) == 1


def test_the_password_is_in_no_repr() -> None:
    config = smtp.Config.model_validate({"url": log_in(25)})
    opened = smtp.build(config)
    seen = [repr(config), str(config.model_dump()), repr(opened), repr(vars(vars(opened)["_pool"]))]
    assert not [text for text in seen if "S3cret" in text]


FAULTS: list[Answer] = [close, "421 4.3.2 closing", "450 later", "550 never", "what?", "354 go on"]
STAGES = ["MAIL", "RCPT", "DATA", "HALF", "LETTER", "RSET"]


def after_taking(sock: socket.socket) -> None:
    """Take the letter, say so, and hang up at once."""
    sock.sendall(b"250 Ok\r\n")
    sock.close()
    raise Gone


@settings(max_examples=30, deadline=None)
@given(st.integers(), st.booleans(), st.integers(1, 4), st.sampled_from([0.02, 0.1, 0.4]))
def test_whatever_happens_the_outcome_is_what_the_server_has(
    seed: int, grouped: bool, connections: int, trouble: float
) -> None:
    dice = random.Random(seed)

    def script(stage: str, _said: str) -> Answer | None:
        if stage not in STAGES or dice.random() > trouble:
            return None
        return dice.choice([*FAULTS, after_taking] if stage == "LETTER" else FAULTS)

    extensions = ["PIPELINING"] if grouped else []
    with ScriptedSmtp(script, extensions=extensions) as server:
        found = send(server.port, 30, connections=connections)
        taken = server.recipients
    for reader, outcome in zip(readers(30), found, strict=True):
        copies = taken.count(reader.address)
        match outcome:
            case Sent():
                assert copies == 1
            case Unknown():
                assert copies <= 1
            case _:
                assert copies == 0, (reader, outcome)
