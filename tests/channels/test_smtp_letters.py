"""The SMTP channel, what arrives: the right letter for each reader, whatever is in it."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from email import message_from_bytes, policy

import pytest
from pydantic import ValidationError

from notifier.channels import smtp
from notifier.domain.delivery import BatchOutcome, Rejected, Sent
from notifier.domain.message import Recipient
from tests.channels.scripted_smtp import Answer, ScriptedSmtp, always
from tests.channels.smtp_lane import (
    LARGE,
    MAIL,
    Keeper,
    aiosmtpd,
    both_ways,
    channel,
    outcomes,
    readers,
    send,
)


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


def test_bounces_come_back_to_each_readers_own_return_path_where_there_is_one() -> None:
    paths = ["", "bounces+1-1-abcdefghijklmnop@example.com", "b" * 65 + "@example.com"]
    batch = [r._replace(return_path=path) for r, path in zip(readers(3), paths, strict=True)]
    with ScriptedSmtp() as server, channel(server.port) as opened:
        found = outcomes(opened.prepare(MAIL).send(batch), 3)
        senders = {letter.recipient: letter.sender for letter in server.letters}
    assert found[:2] == [Sent("")] * 2
    assert isinstance(found[2], Rejected)
    assert senders == {
        "reader0@example.org": "status@example.com",
        "reader1@example.org": "bounces+1-1-abcdefghijklmnop@example.com",
    }


def test_the_base_of_return_paths_is_a_setting_that_is_checked() -> None:
    for value in ("", "bounces@example.com"):
        assert smtp.Config.model_validate({"bounce_address": value}).bounce_address == value
    with pytest.raises(ValidationError, match="must be a plain address with at most 20"):
        smtp.Config.model_validate({"bounce_address": "Bounces <b@example.com>"})


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
