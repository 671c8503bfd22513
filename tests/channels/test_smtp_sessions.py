"""The SMTP channel's sessions: how many there are, how long they are kept, what opens the next."""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence

import pytest

from notifier.channels import smtp
from notifier.channels._smtp_relay import Dialer, parse_relay
from notifier.domain.delivery import BatchOutcome, Retry, Sent
from tests.channels.scripted_smtp import Script, ScriptedSmtp, always, close, once
from tests.channels.smtp_lane import MAIL, both_ways, channel, nth, outcomes, readers, send


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
