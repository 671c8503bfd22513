"""The channels that show messages in the terminal."""

from __future__ import annotations

import io

import pytest

from notifier.channels import console_mail, console_post
from notifier.domain.delivery import Retry, Sent
from notifier.ports import MailChannel, PostChannel
from tests.channels.samples import TEXT, make_mail, make_readers


def _posts(stream: io.StringIO | None) -> PostChannel:
    return console_post.build(console_post.Config(), stream)


def _mail(stream: io.StringIO | None) -> MailChannel:
    return console_mail.build(console_mail.Config(), stream)


def test_a_post_is_shown() -> None:
    stream = io.StringIO()
    channel = _posts(stream)
    assert channel.send(TEXT) == Sent("")
    assert TEXT in stream.getvalue()
    assert (channel.measure("عa"), channel.limit, channel.link("1")) == (2, 280, "")


def test_a_mail_is_shown_as_each_reader_gets_it() -> None:
    stream = io.StringIO()
    outcome = _mail(stream).prepare(make_mail()).send(make_readers(2))
    assert (outcome.rest, set(outcome.each.values())) == (Sent(""), {Sent("")})
    shown = stream.getvalue()
    assert "To: reader0@example.com\nSubject: No heat" in shown
    assert "To: Reader 1 <reader1@example.com>\n" in shown
    assert "Dear customer," in shown
    assert "Dear Reader 1 & family," in shown
    assert "Unsubscribe: https://status.example.com/u/1?k=a&l=b" in shown


def test_without_a_stream_it_is_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    _posts(None).send(TEXT)
    captured = capsys.readouterr()
    assert TEXT in captured.err
    assert captured.out == ""


def test_a_terminal_that_is_gone_is_no_accident() -> None:
    stream = io.StringIO()
    stream.close()
    assert isinstance(_posts(stream).send(TEXT), Retry)
    outcome = _mail(stream).prepare(make_mail()).send(make_readers(1))
    assert isinstance(outcome.each[0], Retry)
