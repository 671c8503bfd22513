"""The SMTP channel when a session is lost: what was not sent, what may have been, and no more."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence

import pytest

from notifier.domain.delivery import BatchOutcome, Rejected, Retry, Sent, Unknown
from tests.channels.scripted_smtp import Answer, ScriptedSmtp, about, always, close, hang, once
from tests.channels.smtp_lane import LARGE, both_ways, channel, readers, send


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
def test_a_session_lost_inside_a_letter_is_replaced(extensions: Sequence[str]) -> None:
    with (
        ScriptedSmtp(once("HALF", close), extensions=extensions) as server,
        channel(server.port, connections=1) as opened,
    ):
        assert opened.prepare(LARGE).send(readers(2)) == BatchOutcome(Sent(""))
        assert sorted(server.recipients) == ["reader0@example.org", "reader1@example.org"]
        assert len(server.sessions) == 2


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
