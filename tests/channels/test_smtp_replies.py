"""The SMTP channel against real sockets: what the replies to a letter mean for its reader."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Sequence
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.domain.delivery import BatchOutcome, Outcome, Rejected, Retry, Sent, Unknown
from tests.channels.scripted_smtp import (
    Answer,
    Gone,
    ScriptedSmtp,
    about,
    always,
    close,
    once,
)
from tests.channels.smtp_lane import LARGE, both_ways, channel, nth, readers, send


@both_ways
@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA", "LETTER"])
@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        ("450 4.2.1 come back later", Retry("450 4.2.1 come back later", timedelta(0))),
        ("452 4.3.1 disk full", Retry("452 4.3.1 disk full")),
        ("550-5.1.1 nobody\r\n550 of that name", Rejected("550 5.1.1 nobody of that name")),
    ],
    ids=["450", "4xx", "5xx"],
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


@both_ways
def test_data_granted_without_a_recipient_gets_an_empty_letter(extensions: Sequence[str]) -> None:
    refused = about("reader1@", "RCPT", "550 5.1.1 gone")
    granted = about("reader1@", "DATA", "354 go on anyway")
    with ScriptedSmtp(refused, granted, extensions=extensions) as server:
        found = send(server.port, 3, connections=1)
        assert found == [Sent(""), Rejected("550 5.1.1 gone"), Sent("")]
        assert server.recipients == ["reader0@example.org", "reader2@example.org"]
        assert len(server.sessions) == 1


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


def test_replies_nobody_asked_for_end_the_session_without_a_wrong_sent() -> None:
    script = about("reader1@", "RCPT", "250 Ok\r\n354 go on\r\n250 taken\r\n250 and more")
    with ScriptedSmtp(script) as server:
        found = send(server.port, 3, connections=1)
        assert not isinstance(found[1], Sent)
        assert [found[0], found[2]] == [Sent("")] * 2
        assert "reader1@example.org" not in server.recipients


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
