"""What a call may cost, and what is kept between calls."""

from __future__ import annotations

import gzip
import socket
import time
from threading import Thread
from typing import Any

import pytest
import requests

from notifier.channels._wire import Adapter, Wire
from notifier.domain.delivery import Retry, Sent
from tests.channels.samples import TEXT, make_mail, make_readers, open_sendgrid, open_x
from tests.channels.scripted import Server, Step, answer, endless, raw, respond

POSTED = answer(201, '{"data":{"id":"7","text":"t"}}')


def _look_up_slowly(*_args: Any, **_named: Any) -> list[Any]:
    time.sleep(1.0)
    return []


def test_a_slow_lookup_is_not_waited_for() -> None:
    wire = Wire(connect=0.1, exchange=1.0, look_up=_look_up_slowly)
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        wire.dial("provider.example", 443)
    assert time.monotonic() - started < 0.3


def test_an_address_that_refuses_leaves_the_next_one() -> None:
    with Server(POSTED) as server, socket.create_server(("127.0.0.1", 0)) as listener:
        host, port = server.address.split(":")
        dead = listener.getsockname()
        listener.close()
        good = (socket.AF_INET, socket.SOCK_STREAM, 0, "", (host, int(port)))
        bad = (socket.AF_INET, socket.SOCK_STREAM, 0, "", dead)
        wire = Wire(connect=1.0, exchange=1.0, look_up=lambda *_, **__: [bad, good])
        wire.dial("provider.example", 443).close()
    assert wire.failure is None


def test_a_host_without_an_address_is_a_failure() -> None:
    wire = Wire(connect=1.0, exchange=1.0, look_up=lambda *_, **__: [])
    with pytest.raises(OSError, match=r"provider\.example"):
        wire.dial("provider.example", 443)


def test_posts_share_one_connection() -> None:
    with Server(POSTED) as server:
        channel = open_x(server.url)
        assert [channel.send(f"{TEXT} {i}") for i in range(3)] == [Sent("7")] * 3
    assert server.connections == 1


def test_batches_share_one_connection() -> None:
    with Server(answer(202, "", {"X-Message-Id": "m"})) as server:
        mail = open_sendgrid(server.url).prepare(make_mail())
        assert [mail.send(make_readers(2)).rest for _ in range(3)] == [Sent("m")] * 3
    assert server.connections == 1


def test_a_connection_the_server_closed_meanwhile_is_replaced() -> None:
    closing = raw(respond(201, '{"data":{"id":"7"}}'))
    with Server(closing) as server:
        channel = open_x(server.url)
        for _ in range(2):
            assert channel.send(TEXT) == Sent("7")
            time.sleep(0.05)
    assert server.connections == 2


def test_a_connection_that_stood_idle_is_not_trusted() -> None:
    with Server(answer(200)) as server:
        wire = Wire(connect=1.0, exchange=1.0)
        session = requests.Session()
        session.mount(server.url, Adapter(wire, idle=0.05))
        for _ in range(2):
            wire.start()
            session.post(server.url)
            time.sleep(0.1)
    assert server.connections == 2


def _ask(step: Step, *, exchange: float = 5.0) -> Wire:
    """The wire after one request."""
    with Server(step) as server:
        wire = Wire(connect=1.0, exchange=exchange)
        session = requests.Session()
        session.mount(server.url, Adapter(wire))
        session.post(server.url)
    return wire


def test_of_an_endless_body_only_the_beginning_is_read() -> None:
    started = time.monotonic()
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"
    wire = _ask(endless(head, b"x" * 65536))
    assert wire.answer is not None
    assert len(wire.answer.body) == 1 << 20
    assert time.monotonic() - started < 2.0


def test_a_body_that_swells_when_unpacked_is_cut() -> None:
    swollen = gzip.compress(bytes(20 << 20))
    wire = _ask(answer(200, swollen, {"Content-Encoding": "gzip"}))
    assert wire.answer is not None
    assert wire.answer.body == bytes(1 << 20)


def test_a_redirect_takes_the_key_nowhere() -> None:
    with Server(POSTED) as thief:
        away = answer(307, "", {"Location": f"{thief.url}/2/tweets"})
        with Server(away) as server:
            open_x(server.url).send(TEXT)
            open_sendgrid(server.url).prepare(make_mail()).send(make_readers(1))
    assert len(server.requests) == 2
    assert thief.connections == 0


def test_netrc_does_not_replace_the_key(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with Server(answer(202)) as server:
        open_sendgrid(server.url).prepare(make_mail()).send(make_readers(1))
    assert server.requests[0].headers["authorization"].startswith("Bearer SG.")


def test_a_proxy_is_used_for_the_internet(monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(answer(202, "", {"X-Message-Id": "m"})) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        mail = open_sendgrid("http://provider.invalid").prepare(make_mail())
        assert mail.send(make_readers(1)).rest == Sent("m")
    assert proxy.requests[0].target == "http://provider.invalid/v3/mail/send"


def test_no_proxy_is_asked_for_the_sandbox_next_door(monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(answer(500)) as proxy, Server(POSTED) as server:
        for name in ("http_proxy", "https_proxy"):
            monkeypatch.setenv(name, proxy.url)
        assert open_x(server.url).send(TEXT) == Sent("7")
    assert proxy.connections == 0


def test_a_proxy_that_refuses_has_sent_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(answer(407, "")) as proxy:
        monkeypatch.setenv("https_proxy", proxy.url)
        outcome = open_x("https://provider.invalid").send(TEXT)
    assert isinstance(outcome, Retry)
    assert proxy.requests[0].method == "CONNECT"


def test_calls_of_two_threads_do_not_mix() -> None:
    """A wire belongs to a thread, so that one channel may be used by several."""
    with Server(answer(202, "", {"X-Message-Id": "m"})) as server:
        channel = open_sendgrid(server.url)
        outcomes: list[Any] = []

        def send() -> None:
            mail = channel.prepare(make_mail())
            outcomes.extend(mail.send(make_readers(3)).rest for _ in range(20))

        threads = [Thread(target=send) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert outcomes == [Sent("m")] * 80
    assert len(server.requests) == 80
