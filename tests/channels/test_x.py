"""The X channel over real sockets: what it sends, and what it makes of each answer."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from email.utils import formatdate
from typing import Any

import pytest
from oauthlib.common import Request
from oauthlib.oauth1.rfc5849 import signature

from notifier.channels import x
from notifier.domain.delivery import Outcome, Rejected, Repeated, Retry, Sent, Unknown
from notifier.settings import SANDBOX_HTTP, SANDBOX_X, SettingsError, load
from tests.channels.samples import TEXT, X_KEYS, open_x
from tests.channels.scripted import Server, answer

KEYS = {f"NOTIFIER_X__{name.upper()}": value for name, value in X_KEYS.items()}


def _send(status: int, body: Any, headers: dict[str, str] | None = None) -> Outcome:
    text = body if isinstance(body, str) else json.dumps(body)
    with Server(answer(status, text, headers)) as server:
        return open_x(server.url).send(TEXT)


def _load(tmp_path: Any, **environ: str) -> x.Config:
    empty = tmp_path / "notifier.toml"
    empty.touch()
    loaded = load({"x": x.Config}, environ=environ, path=empty).channels["x"]
    assert isinstance(loaded, x.Config)
    return loaded


def test_it_posts_the_text_and_learns_its_id() -> None:
    body = {"data": {"id": "1790000000000000001", "text": TEXT, "edit_history_tweet_ids": ["1"]}}
    with Server(answer(201, json.dumps(body))) as server:
        outcome = open_x(server.url).send(TEXT)
    assert outcome == Sent("1790000000000000001")
    request = server.requests[0]
    assert (request.method, request.target) == ("POST", "/2/tweets")
    assert json.loads(request.body) == {"text": TEXT}


def test_the_text_goes_out_as_it_was_measured() -> None:
    with Server(answer(201, '{"data":{"id":"1"}}')) as server:
        open_x(server.url).send("e\u0301\r\nb\rc")
    assert json.loads(server.requests[0].body) == {"text": "\u00e9\nb\nc"}


def test_the_request_is_signed_for_the_host_that_tweepy_knows() -> None:
    with Server(answer(201, '{"data":{"id":"1"}}')) as server:
        open_x(server.url).send(TEXT)
    headers = {"Authorization": server.requests[0].headers["authorization"]}
    params = signature.collect_parameters(headers=headers, exclude_oauth_signature=False)
    given = dict(params)
    assert given["oauth_consumer_key"] == X_KEYS["consumer_key"]
    assert given["oauth_token"] == X_KEYS["access_token"]
    request = Request("https://api.twitter.com/2/tweets", "POST")
    request.params = [pair for pair in params if pair[0] != "oauth_signature"]
    request.signature = given["oauth_signature"]
    assert signature.verify_hmac_sha1(
        request, X_KEYS["consumer_secret"], X_KEYS["access_token_secret"]
    )


@pytest.mark.parametrize(
    "body",
    [
        {"data": {"id": None}},
        {"data": {"id": 17}},
        {"data": {"id": "not a number"}},
        {"data": {"id": "1" * 20}},
        {"data": ["1"]},
        {"data": None, "errors": [{"message": "something"}]},
        ["data"],
        "",
        "\x00\xff",
    ],
)
def test_a_yes_without_a_usable_id_is_not_believed(body: Any) -> None:
    assert isinstance(_send(201, body), Unknown)


def test_errors_instead_of_a_post_are_told() -> None:
    outcome = _send(200, {"errors": [{"detail": "Could not find it", "title": "Not Found"}]})
    assert isinstance(outcome, Unknown)
    assert "Could not find it" in outcome.reason


DUPLICATES = [
    {
        "detail": "You are not allowed to create a Tweet with duplicate content.",
        "type": "about:blank",
        "title": "Forbidden",
        "status": 403,
    },
    {"errors": [{"code": 187, "message": "Status is a duplicate."}]},
]


@pytest.mark.parametrize("body", DUPLICATES, ids=["v2", "v1.1"])
def test_a_duplicate_is_refused_with_its_own_reason(body: Any) -> None:
    outcome = _send(403, body)
    assert isinstance(outcome, Repeated)
    assert "exactly this text is already there" in outcome.reason


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (400, {"code": 1, "message": "text is invalid"}, ["(400)", "text is invalid"]),
        (
            400,
            {"errors": [{"message": "text too long"}], "detail": "One or more were invalid."},
            ["text too long"],
        ),
        (401, {"title": "Unauthorized", "status": 401}, ["check the four keys", "[x]"]),
        (402, {"detail": "no credits"}, ["buy credits", "no credits"]),
        (403, {"detail": "Reply to this conversation is not allowed"}, ["Reply to this", "(403)"]),
        (403, {"errors": ["suspended"]}, ["write permission", "suspended"]),
        (403, ["a", {"message": "list"}], ["a; list"]),
        (404, "", ["check api_url"]),
        (422, {"errors": [{"message": "a" * 5000}]}, ["(422)"]),
        (429, {"detail": "Too Many Requests"}, ["rate limit", "Too Many Requests"]),
        (503, {"title": "Over\ncapacity"}, ["Over capacity", "(503)"]),
    ],
)
def test_the_reason_says_what_happened_and_what_to_do(
    status: int, body: Any, words: list[str]
) -> None:
    outcome = _send(status, body)
    assert isinstance(outcome, Rejected | Retry | Unknown)
    assert [word for word in words if word not in outcome.reason] == []
    assert len(outcome.reason) < 500


NOW = int(time.time())
MINUTE, DAY = 60, 24 * 3600


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"x-rate-limit-reset": NOW + 300}, 300),
        ({"x-rate-limit-reset": NOW - 300}, 0),
        ({}, MINUTE),
        ({"x-rate-limit-reset": "soon"}, MINUTE),
        ({"x-rate-limit-reset": "-1"}, MINUTE),
        ({"x-rate-limit-reset": "9" * 40}, MINUTE),
        ({"x-rate-limit-reset": NOW + 365 * DAY}, MINUTE),
        (
            {
                "x-rate-limit-reset": NOW + 300,
                "x-app-limit-24hour-remaining": 0,
                "x-app-limit-24hour-reset": NOW + 7200,
            },
            7200,
        ),
        ({"x-rate-limit-reset": NOW + 300, "x-user-limit-24hour-reset": NOW + 7200}, 7200),
        (
            {
                "x-rate-limit-reset": NOW + 300,
                "x-app-limit-24hour-remaining": 9876,
                "x-app-limit-24hour-reset": NOW + 7200,
            },
            300,
        ),
    ],
)
def test_it_waits_until_the_limit_ends(headers: dict[str, Any], seconds: int) -> None:
    told = {name: str(value) for name, value in headers.items()}
    outcome = _send(429, {"detail": "no"}, told | {"Date": formatdate(NOW, usegmt=True)})
    assert isinstance(outcome, Retry)
    assert outcome.after == timedelta(seconds=seconds)


def test_the_wait_is_counted_from_the_clock_of_x() -> None:
    theirs = NOW - 5 * DAY
    headers = {"x-rate-limit-reset": str(theirs + 90), "Date": formatdate(theirs, usegmt=True)}
    outcome = _send(429, "", headers)
    assert isinstance(outcome, Retry)
    assert outcome.after == timedelta(seconds=90)


def test_without_a_date_our_clock_will_do() -> None:
    outcome = _send(429, "", {"x-rate-limit-reset": str(int(time.time()) + 600), "Date": "?"})
    assert isinstance(outcome, Retry)
    assert outcome.after is not None
    assert timedelta(seconds=590) < outcome.after <= timedelta(seconds=600)


def test_without_keys_it_talks_to_the_sandbox(tmp_path: Any) -> None:
    config = _load(tmp_path)
    assert config.api_url == SANDBOX_HTTP
    assert config.web_url == f"{SANDBOX_HTTP}/x"
    assert {k: getattr(config, k).get_secret_value() for k in SANDBOX_X} == SANDBOX_X
    assert x.build(config).link("17") == f"{SANDBOX_HTTP}/x/i/web/status/17"


def test_with_keys_it_talks_to_x(tmp_path: Any) -> None:
    config = _load(tmp_path, **KEYS)
    assert config.api_url == "https://api.twitter.com"
    assert x.build(config).link("17") == "https://x.com/i/web/status/17"
    assert x.build(config).link("") == ""


def test_the_address_in_the_documents_of_x_means_the_one_that_tweepy_signs_for(
    tmp_path: Any,
) -> None:
    config = _load(tmp_path, **KEYS, NOTIFIER_X__API_URL="https://api.x.com/")
    assert (config.api_url, config.web_url) == ("https://api.twitter.com", "https://x.com")


def test_another_sandbox_needs_no_keys(tmp_path: Any) -> None:
    config = _load(tmp_path, NOTIFIER_X__API_URL="http://127.0.0.1:9/", NOTIFIER_X__ACCESS_TOKEN="")
    assert (config.api_url, config.web_url) == ("http://127.0.0.1:9", "http://127.0.0.1:9/x")


@pytest.mark.parametrize("missing", list(X_KEYS))
def test_one_missing_key_is_named(tmp_path: Any, missing: str) -> None:
    environ = {k: v for k, v in KEYS.items() if not k.endswith(f"__{missing.upper()}")}
    with pytest.raises(SettingsError, match=f"{missing} is missing: X needs all four keys"):
        _load(tmp_path, **environ)


def test_x_itself_is_not_called_with_the_keys_of_the_sandbox(tmp_path: Any) -> None:
    with pytest.raises(SettingsError, match="consumer_key is missing: X needs all four keys"):
        _load(tmp_path, NOTIFIER_X__API_URL="https://api.twitter.com")
