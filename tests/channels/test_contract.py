"""What every channel over HTTP must make of an answer, and of the lack of one."""

from __future__ import annotations

import datetime
import ipaddress
import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.domain.delivery import Outcome, Rejected, Retry, Sent, Unknown
from tests.channels.samples import TEXT, make_mail, make_readers, open_sendgrid, open_x
from tests.channels.scripted import (
    Server,
    Step,
    answer,
    drip,
    endless,
    hang,
    raw,
    reset,
    respond,
)

Send = Callable[..., Outcome]

# Short where a test is about a limit; a busy machine may add a second.
LIMIT, SLACK = 0.4, 1.0


def _send_x(url: str, **limits: float) -> Outcome:
    return open_x(url, **limits).send(TEXT)


def _send_sendgrid(url: str, **limits: float) -> Outcome:
    return open_sendgrid(url, **limits).prepare(make_mail()).send(make_readers(2)).rest


# The answer that means "taken" differs; one that fits both is used where it matters.
TAKEN = respond(201, '{"data":{"id":"1","text":"t"}}'), respond(202, "", {"X-Message-Id": "1"})


@pytest.fixture(params=[_send_x, _send_sendgrid], ids=["x", "sendgrid"])
def send(request: pytest.FixtureRequest) -> Send:
    return request.param


@pytest.fixture
def taken(send: Send) -> bytes:
    return TAKEN[0] if send is _send_x else TAKEN[1]


SITUATIONS: list[tuple[str, Step, type[Outcome]]] = [
    ("moved", answer(302, "", {"Location": "http://127.0.0.1:9/"}), Rejected),
    ("bad request", answer(400, '{"detail":"no"}'), Rejected),
    ("bad request, HTML", answer(400, "<html>no</html>"), Rejected),
    ("bad request, a nest", answer(400, "[" * 700 + "]" * 700), Rejected),
    ("bad request, a list", answer(400, '["no"]'), Rejected),
    ("out of credits", answer(402, '{"detail":"no"}'), Rejected),
    ("not found", answer(404, ""), Rejected),
    ("wrong method", answer(405, ""), Rejected),
    ("too large, nginx", answer(413, "<html>413</html>"), Rejected),
    ("wrong type", answer(415, '{"errors":[{"message":"Content-Type"}]}'), Rejected),
    ("not valid", answer(422, '{"errors":[{"message":"no"}]}'), Rejected),
    ("elsewhere by law", answer(451, "{}"), Rejected),
    (
        "refused, answer broken off",
        raw(b"HTTP/1.1 400 No\r\nContent-Length: 99\r\n\r\n{"),
        Rejected,
    ),
    ("too many", answer(429, '{"errors":[{"code":88,"message":"Rate limit"}]}'), Retry),
    ("too many, HTML", answer(429, "<html>slow down</html>"), Retry),
    ("server error", answer(500, '{"title":"Internal"}'), Unknown),
    ("server error, a list", answer(500, "[]"), Unknown),
    ("bad gateway", answer(502, "<html>502</html>"), Unknown),
    ("unavailable", answer(503, "", {"Retry-After": "5"}), Unknown),
    ("gateway timeout", answer(504, ""), Unknown),
    ("fine, but HTML", answer(200, "<html>welcome</html>"), Unknown),
    ("fine, but nothing", answer(200, ""), Unknown),
    ("fine, but errors", answer(200, '{"errors":[{"message":"no"}]}'), Unknown),
    ("fine, but a deep nest", answer(200, "[" * 100_000), Unknown),
    ("no answer", hang(3.0), Unknown),
    ("closed without an answer", raw(b""), Unknown),
    ("reset without an answer", reset(), Unknown),
    ("reset in the headers", reset(b"HTTP/1.1 20"), Unknown),
    ("not HTTP", raw(b"220 mail.example.com ESMTP\r\n"), Unknown),
    ("endless headers", endless(b"HTTP/1.1 201 Created\r\n", b"X-A: 1\r\n"), Unknown),
    ("headers byte by byte", drip(respond(201, "{}"), 0.1), Unknown),
    (
        "endless body",
        endless(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", b"x" * 65536),
        Unknown,
    ),
    (
        "body byte by byte",
        drip(b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 200, 0.02),
        Unknown,
    ),
]


@pytest.mark.parametrize(
    ("step", "expected"), [s[1:] for s in SITUATIONS], ids=[s[0] for s in SITUATIONS]
)
def test_each_answer_has_its_outcome(send: Send, step: Step, expected: type[Outcome]) -> None:
    with Server(step) as server:
        started = time.monotonic()
        outcome = send(server.url, exchange=LIMIT)
        took = time.monotonic() - started
    assert type(outcome) is expected, outcome
    assert took < LIMIT + SLACK
    assert len(server.requests) == 1
    assert outcome.reason
    assert "\n" not in outcome.reason
    assert len(outcome.reason) < 600


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_account_took_nothing(send: Send, status: int) -> None:
    with Server(answer(status, '{"detail":"no"}')) as server:
        outcome = send(server.url)
    if send is _send_x:
        assert isinstance(outcome, Rejected)
    else:  # not this mail but the account is refused, so it waits for a healthy one
        assert isinstance(outcome, Retry)
        assert outcome.account


def test_it_takes_yes_for_yes(send: Send, taken: bytes) -> None:
    with Server(raw(taken)) as server:
        assert send(server.url) == Sent("1")


NUMBERS = st.sampled_from(["", "0", "-1", "9" * 30, "1e9", "\u00b2", "Thu, 99 Foo 0000", "x"])
BODIES = st.one_of(
    st.binary(max_size=50),
    st.recursive(
        st.one_of(st.none(), st.integers(), st.floats(), st.text(max_size=9)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(st.sampled_from(["errors", "data", "id", "detail", "field"]), inner),
        ),
        max_leaves=8,
    ).map(lambda value: json.dumps(value).encode()),
)


@settings(max_examples=60, deadline=None)
@given(status=st.integers(200, 599), number=NUMBERS, body=BODIES)
def test_no_answer_whatever_makes_it_raise(status: int, number: str, body: bytes) -> None:
    names = ("Date", "Retry-After", "X-RateLimit-Reset", "x-rate-limit-reset", "X-Message-Id")
    step = raw(respond(status, body, dict.fromkeys(names, number)))
    with Server(step) as server:
        for send in (_send_x, _send_sendgrid):
            assert isinstance(send(server.url), Outcome)


def test_a_closed_port_is_tried_again(send: Send) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    outcome = send(f"http://127.0.0.1:{port}")
    assert isinstance(outcome, Retry)
    assert "connection refused" in outcome.reason


def test_an_unknown_name_is_tried_again(send: Send) -> None:
    outcome = send("http://provider.invalid")
    assert isinstance(outcome, Retry)
    assert "cannot be reached" in outcome.reason


def test_a_name_that_cannot_be_is_not_tried_again(send: Send) -> None:
    outcome = send(f"http://{'a' * 70}.example")
    assert isinstance(outcome, Rejected)


@pytest.fixture
def deaf_url() -> Iterator[str]:
    """A port whose queue of connections is full: a further one gets no answer at all."""
    waiting = []
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
            waiting.append(client)
        time.sleep(0.05)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        for client in waiting:
            client.close()


def test_a_connection_that_never_comes_is_tried_again(send: Send, deaf_url: str) -> None:
    started = time.monotonic()
    outcome = send(deaf_url, connect=LIMIT)
    assert isinstance(outcome, Retry)
    assert "too long" in outcome.reason
    assert time.monotonic() - started < LIMIT + SLACK


def test_a_server_without_tls_is_tried_again_and_told_nothing(send: Send) -> None:
    with Server(hang(0), first=b"220 mail.example.com ESMTP\r\n") as server:
        outcome = send(server.url.replace("http:", "https:"))
    assert isinstance(outcome, Retry)
    assert "secure connection" in outcome.reason
    assert server.requests == []


def test_a_stranger_with_a_certificate_of_his_own_is_told_nothing(
    send: Send, taken: bytes, tmp_path: Path
) -> None:
    with Server(raw(taken), tls=_self_signed(tmp_path)) as server:
        outcome = send(server.url)
    assert isinstance(outcome, Retry)
    assert "not trusted" in outcome.reason
    assert server.requests == []


def test_a_trusted_certificate_is_accepted(
    send: Send, taken: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = _self_signed(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "certificate.pem"))
    with Server(raw(taken), tls=context) as server:
        assert send(server.url) == Sent("1")


def test_a_server_that_stalls_inside_tls_is_given_up(
    send: Send, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = _self_signed(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "certificate.pem"))
    with Server(drip(respond(200, ""), 0.1), tls=context) as server:
        started = time.monotonic()
        assert isinstance(send(server.url, exchange=LIMIT), Unknown)
        assert time.monotonic() - started < LIMIT + SLACK


def _self_signed(folder: Path) -> ssl.SSLContext:
    """The context of a server at 127.0.0.1; leaves certificate.pem in `folder`."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    day = datetime.timedelta(days=1)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    return context
