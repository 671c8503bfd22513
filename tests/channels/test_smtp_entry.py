"""The SMTP channel at the door: its address, the greeting, encryption and the log-in."""

from __future__ import annotations

import logging
import socket
import ssl
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import TypeGuard

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from pydantic import ValidationError

from notifier.channels import smtp
from notifier.domain.delivery import BatchOutcome, Outcome, Retry, Sent
from tests.channels.scripted_smtp import Answer, ScriptedSmtp, always, close, hang, once
from tests.channels.smtp_lane import (
    LARGE,
    MAIL,
    PASSWORD,
    both_ways,
    channel,
    log_in,
    outcomes,
    readers,
    send,
)


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


def test_a_log_in_is_made_with_the_decoded_user_and_password() -> None:
    with ScriptedSmtp(extensions=["PIPELINING", "AUTH PLAIN"]) as server:
        assert send(server.port, 2, url=log_in(server.port)) == [Sent("")] * 2
        assert server.logins == [f"\0user@x\0{PASSWORD}"]


def test_a_wrong_password_concerns_the_account_and_is_not_tried_again_at_once(
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
            assert is_refused_account(found[0])
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
        assert not found.account


def test_a_relay_without_log_in_says_what_to_change() -> None:
    with ScriptedSmtp() as server:
        (found,) = send(server.port, url=log_in(server.port))
        assert is_refused_account(found)
        assert "takes no log-in" in found.reason


def test_a_relay_that_wants_a_log_in_we_do_not_have_refuses_the_account() -> None:
    with ScriptedSmtp(always("MAIL", "530 5.7.0 Authentication required")) as server:
        found = send(server.port, 3, connections=1)
        assert all(is_refused_account(outcome) for outcome in found)


def is_refused_account(outcome: Outcome) -> TypeGuard[Retry]:
    """Whether our account is refused, and for how long to leave it alone."""
    return isinstance(outcome, Retry) and outcome.account and outcome.after == timedelta(minutes=1)


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
