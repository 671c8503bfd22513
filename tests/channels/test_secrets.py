"""No credential is ever written down: not in a log at any level, not in a reason, not in a repr."""

from __future__ import annotations

import base64
import io
import json
import logging
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

import pytest
from pydantic import ValidationError

from notifier.channels import sendgrid, x
from notifier.channels._redaction import silence_libraries
from tests.channels.samples import (
    API_KEY,
    TEXT,
    X_KEYS,
    make_mail,
    make_readers,
    open_sendgrid,
    open_x,
)
from tests.channels.scripted import Server, Step, answer, reset

SECRETS = [*X_KEYS.values(), API_KEY]


def _forms(secret: str) -> Iterator[str]:
    yield secret
    yield from (quote(secret, safe=""), quote(quote(secret, safe=""), safe=""))
    yield quote_plus(secret)
    yield json.dumps(secret)[1:-1]
    for skipped in range(3):  # base64 looks different at each of three offsets
        middle = base64.b64encode(b"x" * skipped + secret.encode())
        yield middle[4:-4].decode()


def _find_leaks(text: str) -> list[str]:
    return [form for secret in SECRETS for form in _forms(secret) if form in text]


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Everything that is logged, while the root logger lets everything through."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


def _echo(secrets: Iterable[str]) -> Step:
    """A refusal that repeats what it was sent, as a careless proxy does."""
    told = [form for secret in secrets for form in (secret, quote(secret, safe=""))]
    return answer(401, json.dumps({"detail": " ".join(told)}))


@pytest.mark.parametrize(
    "step",
    [answer(201, '{"data":{"id":"1"}}'), answer(202), answer(429), answer(500), None, reset()],
    ids=["posted", "accepted", "limited", "failed", "echo", "reset"],
)
def test_no_credential_reaches_a_log_or_a_reason(log: io.StringIO, step: Step | None) -> None:
    with (
        Server(step or _echo(X_KEYS.values())) as x_server,
        Server(step or _echo([API_KEY])) as sendgrid_server,
    ):
        channels = open_x(x_server.url), open_sendgrid(sendgrid_server.url)
        for name in ("tweepy.client", "python_http_client.client"):
            logging.getLogger(name).setLevel(logging.DEBUG)
        post = channels[0].send(TEXT)
        mail = channels[1].prepare(make_mail()).send(make_readers(2))
    logged = log.getvalue()
    assert "Starting new HTTP connection" in logged, "the log was not watched"
    assert _find_leaks(logged + repr(post) + repr(mail) + repr(channels)) == []
    assert "reader1@example.com" not in logged


def test_no_credential_reaches_a_log_when_nobody_answers(log: io.StringIO) -> None:
    outcomes = (
        open_x("https://127.0.0.1:9").send(TEXT),
        open_sendgrid("https://127.0.0.1:9").prepare(make_mail()).send(make_readers(1)),
    )
    assert _find_leaks(log.getvalue() + repr(outcomes)) == []


def test_this_test_would_see_a_leak(log: io.StringIO) -> None:
    for secret in SECRETS:
        logging.getLogger("anybody").debug("Authorization: %s", quote(secret, safe=""))
    assert len(_find_leaks(log.getvalue())) >= len(SECRETS)


@pytest.mark.parametrize("bad", ["\n", "\u0639"])
def test_a_key_that_cannot_be_sent_is_not_told(log: io.StringIO, bad: str) -> None:
    with Server(answer(202)) as server:
        config = sendgrid.Config.model_validate(
            {"api_key": f"{API_KEY}{bad}", "api_url": server.url}
        )
        outcome = sendgrid.build(config).prepare(make_mail()).send(make_readers(1))
    assert _find_leaks(log.getvalue() + repr(outcome)) == []
    assert server.requests == []


def test_settings_do_not_show_their_secrets() -> None:
    config = x.Config.model_validate(X_KEYS), sendgrid.Config.model_validate({"api_key": API_KEY})
    dumped = [str(one.model_dump()) + one.model_dump_json() for one in config]
    assert _find_leaks(repr(config) + str(config) + "".join(dumped)) == []


@pytest.mark.parametrize("values", [{"access_token": None}, {"api_url": 5}, {"nonsense": "1"}])
def test_wrong_settings_do_not_show_the_right_ones(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError) as caught:
        x.Config.model_validate(X_KEYS | values)
    assert _find_leaks(str(caught.value) + repr(caught.value)) == []


def test_libraries_may_be_silenced_twice() -> None:
    before = [len(logging.getLogger(n).filters) for n in ("tweepy.client", "oauthlib")]
    silence_libraries()
    silence_libraries()
    after = [len(logging.getLogger(n).filters) for n in ("tweepy.client", "oauthlib")]
    assert [max(before[0], 1), before[1]] == after
