"""X as tweepy sees it: what is taken, what is refused, and in which words."""

from __future__ import annotations

import json
import time
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import requests
import tweepy
import yaml
from oauthlib.oauth1 import Client as Signer

from notifier.sandbox.log import Log
from notifier.sandbox.process import Sandbox
from notifier.sandbox.wire import Refused, Reply, Request
from notifier.sandbox.x import OWN_ID, X
from notifier.sandbox.x_post import read_draft
from notifier.settings import SANDBOX_X
from tests.conftest import SHARED
from tests.sandbox.clients import accepted, call, posting, raw_lines, x_client

CONFORMANCE = SHARED / "specs" / "twitter-text" / "validate.yml"
KEYS = {
    "client_key": SANDBOX_X["consumer_key"],
    "client_secret": SANDBOX_X["consumer_secret"],
    "resource_owner_key": SANDBOX_X["access_token"],
    "resource_owner_secret": SANDBOX_X["access_token_secret"],
}


def signed(method: str, target: str, **options: Any) -> str:
    """The Authorization header for a request, signed as tweepy does."""
    signer = Signer(**{**KEYS, **options})
    _, headers, _ = signer.sign(f"https://api.twitter.com{target}", method)
    return str(headers["Authorization"])


def body_of(text: str) -> bytes:
    return json.dumps({"text": text}).encode()


# What is taken


def test_a_post_is_taken_and_stands_on_the_timeline(x: tweepy.Client) -> None:
    first = x.create_tweet(text="No hot water in Mill Lane")
    second = x.create_tweet(text="Hot water is back")
    assert first.data["edit_history_tweet_ids"] == [first.data["id"]]
    assert int(second.data["id"]) > int(first.data["id"])
    me = x.get_me().data
    assert (me.id, me.username) == (int(OWN_ID), "sandbox")
    timeline = x.get_users_tweets(me.id, user_auth=True, tweet_fields=["created_at"])
    assert [post.text for post in timeline.data] == [
        "Hot water is back",
        "No hot water in Mill Lane",
    ]
    age = datetime.now(UTC) - timeline.data[0].created_at
    assert age < timedelta(seconds=10)


def test_the_timeline_can_be_paged_and_cut(x: tweepy.Client) -> None:
    ids = [x.create_tweet(text=f"Post {number}").data["id"] for number in range(12)]
    read = {"id": OWN_ID, "user_auth": True}
    first = x.get_users_tweets(**read, max_results=10)
    rest = x.get_users_tweets(**read, pagination_token=first.meta["next_token"])
    assert [str(post.id) for post in [*first.data, *rest.data]] == ids[::-1]
    assert "next_token" not in rest.meta
    newer = x.get_users_tweets(**read, since_id=ids[9])
    assert [str(post.id) for post in newer.data] == [ids[11], ids[10]]
    none = x.get_users_tweets(**read, since_id=ids[11])
    assert (none.data, none.meta) == (None, {"result_count": 0})


def test_a_deleted_post_is_gone_and_may_be_posted_again(box: Sandbox, x: tweepy.Client) -> None:
    ident = x.create_tweet(text="Wrong street").data["id"]
    assert x.delete_tweet(ident).data == {"deleted": True}
    assert x.get_users_tweets(OWN_ID, user_auth=True).data is None
    with pytest.raises(tweepy.NotFound):
        x.delete_tweet(ident)
    x.create_tweet(text="Wrong street")
    assert [line.get("deleted", {}).get("id") for line in raw_lines(box)] == [None, ident, None]
    assert len(accepted(box)) == 2


def test_a_reply_to_an_own_post_is_taken(box: Sandbox, x: tweepy.Client) -> None:
    ident = x.create_tweet(text="No hot water").data["id"]
    x.create_tweet(text="Update: crew on site", in_reply_to_tweet_id=ident)
    assert accepted(box)[1]["reply_to"] == ident


def test_a_reply_to_somebody_elses_post_is_refused(x: tweepy.Client) -> None:
    with pytest.raises(tweepy.Forbidden, match="have not been mentioned or otherwise engaged"):
        x.create_tweet(text="Hello", in_reply_to_tweet_id="20")


def read_timeline(x: tweepy.Client) -> Any:
    return x.get_users_tweets(OWN_ID, user_auth=True, tweet_fields=["entities"]).data


def test_a_text_comes_back_escaped_and_with_short_addresses(x: tweepy.Client) -> None:
    address = "https://www.status.example.com/i/1?a=1&b=2"
    x.create_tweet(text=f"R&D <b>: {address} and README.md, {address} & more")
    (post,) = read_timeline(x)
    first, bare, again = post.entities["urls"]
    returned = f"R&amp;D &lt;b&gt;: {first['url']} and {bare['url']}, {again['url']} &amp; more"
    assert post.text == returned
    assert all(len(link["url"]) == 23 for link in (first, bare, again))
    assert {post.text[link["start"] : link["end"]] for link in (first, bare, again)} == {
        link["url"] for link in (first, bare, again)
    }
    assert (first["expanded_url"], bare["expanded_url"]) == (address, "http://README.md")
    assert first["display_url"] == "status.example.com/i/1?a=1\u2026"


def test_a_text_without_addresses_has_no_entities(x: tweepy.Client) -> None:
    x.create_tweet(text="No hot water. Sorry.")
    (post,) = read_timeline(x)
    assert (post.text, post.entities) == ("No hot water. Sorry.", None)


def test_reading_leaves_no_line_in_the_log(box: Sandbox, x: tweepy.Client) -> None:
    x.create_tweet(text="No hot water")
    x.get_me()
    read_timeline(x)
    assert [line["text"] for line in raw_lines(box)] == ["No hot water"]
    asked = [request["line"].partition("?")[0] for request in box.traffic.remembered("x")]
    assert asked == ["POST /2/tweets", "GET /2/users/me", f"GET /2/users/{OWN_ID}/tweets"]


@pytest.mark.parametrize("path", ["/2/users/me", f"/2/users/{OWN_ID}/tweets"])
def test_nobody_reads_without_a_signature(path: str, box: Sandbox) -> None:
    status, _, headers = call(box, "GET", path)
    assert (status, headers["x-rate-limit-limit"]) == (401, "10000")
    assert call(box, "GET", path, Authorization=signed("GET", path))[0] == 200


# Who may


@pytest.mark.parametrize("wrong", sorted(SANDBOX_X))
def test_each_wrong_credential_is_refused(box: Sandbox, wrong: str) -> None:
    client = x_client(box, **{wrong: "something else"})
    with pytest.raises(tweepy.Unauthorized) as caught:
        client.create_tweet(text="Hello")
    client.session.close()
    assert caught.value.response.json() == {
        "title": "Unauthorized",
        "detail": "Unauthorized",
        "type": "about:blank",
        "status": 401,
    }
    assert accepted(box) == []


@pytest.mark.parametrize(
    ("why", "header"),
    [
        ("no signature", ""),
        ("a bearer token", "Bearer abc"),
        ("half a header", "OAuth oauth_nonce"),
        ("parameters named twice", signed("POST", "/2/tweets") + ', oauth_nonce="1"'),
        ("an old timestamp", signed("POST", "/2/tweets", timestamp=str(int(time.time()) - 301))),
        (
            "a coming timestamp",
            signed("POST", "/2/tweets", timestamp=str(int(time.time()) + 86_400)),
        ),
        ("another method", signed("GET", "/2/tweets")),
        ("another path", signed("POST", "/2/tweets/1")),
        ("another way to sign", signed("POST", "/2/tweets", signature_method="PLAINTEXT")),
    ],
)
def test_a_request_is_refused_for(why: str, header: str, box: Sandbox) -> None:
    status, _, _ = call(box, "POST", "/2/tweets", {"text": why}, Authorization=header)
    assert status == 401


def test_a_signature_works_once(box: Sandbox) -> None:
    header = signed("POST", "/2/tweets")
    assert call(box, "POST", "/2/tweets", {"text": "One"}, Authorization=header)[0] == 201
    assert call(box, "POST", "/2/tweets", {"text": "Two"}, Authorization=header)[0] == 401
    assert [line["text"] for line in accepted(box)] == ["One"]


# What may be said


def post_raw(box: Sandbox, body: Any, **headers: str) -> tuple[int, Any]:
    signature = signed("POST", "/2/tweets")
    status, answer, _ = call(box, "POST", "/2/tweets", body, Authorization=signature, **headers)
    return status, answer


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({}, "$.text: is missing"),
        ({"text": ""}, "$.text: is missing"),
        ({"text": " \n"}, "$.text: is missing"),
        ({"text": 5}, "$.text: is missing"),
        ({"text": "a", "colour": "red"}, "$.colour: is not defined in the schema"),
        ({"text": "a", "reply": {"to": "1"}}, "$.reply.to: is not defined in the schema"),
        ({"text": "a", "reply": {}}, "$.reply.in_reply_to_tweet_id: does not match"),
        ({"text": "a", "reply": {"in_reply_to_tweet_id": 5}}, "does not match"),
        ({"text": "a", "reply_settings": "nobody"}, "$.reply_settings: does not have a value"),
        ({"text": "a\ufffe"}, "characters that are not allowed"),
        (["a"], "must be an object"),
        (b'{"text": "a"', "must have valid JSON"),
        (b'{"text": "\xff"}', "must have valid JSON"),
        (b'{"text": "\\ud800"}', "must have valid JSON"),
        (b"[" * 100_000, "must have valid JSON"),
    ],
)
def test_a_wrong_body_is_refused(body: Any, why: str, box: Sandbox) -> None:
    status, answer = post_raw(box, body)
    assert status == 400
    assert answer["title"] == "Invalid Request"
    assert why in answer["errors"][0]["message"]
    assert accepted(box) == []


def test_a_body_that_is_not_declared_as_json_is_refused(box: Sandbox) -> None:
    status, answer = post_raw(box, {"text": "a"}, Content_Type="text/plain")
    assert status == 400
    assert "content-type of application/json" in answer["errors"][0]["message"]


def test_the_longest_text_is_taken_and_one_more_is_too_much(x: tweepy.Client) -> None:
    x.create_tweet(text="停" * 140)
    x.create_tweet(text="https://status.example.com/" + "i" * 200 + " " + "a" * 256)
    with pytest.raises(tweepy.BadRequest, match="Your Tweet text is too long"):
        x.create_tweet(text="停" * 140 + "a")


def test_a_hostile_text_costs_no_time(x: tweepy.Client) -> None:
    start = time.monotonic()
    with pytest.raises(tweepy.BadRequest, match="too long"):
        x.create_tweet(text="a." * 20_000)
    assert time.monotonic() - start < 1


@pytest.mark.parametrize("again", ["Café closed", "Cafe\u0301 closed", "  Café closed\n"])
def test_the_same_text_is_refused_in_any_spelling(again: str, x: tweepy.Client) -> None:
    x.create_tweet(text=unicodedata.normalize("NFC", "Café closed"))
    with pytest.raises(tweepy.Forbidden) as caught:
        x.create_tweet(text=again)
    assert caught.value.response.json() == {
        "title": "Forbidden",
        "detail": "You are not allowed to create a Tweet with duplicate content.",
        "type": "about:blank",
        "status": 403,
    }


def test_of_the_same_text_at_the_same_time_one_is_taken(box: Sandbox) -> None:
    def post(_: int) -> int:
        return post_raw(box, {"text": "Hello"})[0]

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(post, range(8))) == [201, *[403] * 7]
    assert len(accepted(box)) == 1


@pytest.mark.skipif(not CONFORMANCE.is_file(), reason="../shared/specs/twitter-text is not there")
def test_it_counts_as_the_vendors_conformance_data_say() -> None:
    cases = yaml.safe_load(CONFORMANCE.read_text("utf-8"))["tests"]
    checked = 0
    for group in (
        "WeightedTweetsWithDiscountedEmojiCounterTest",
        "UnicodeDirectionalMarkerCounterTest",
    ):
        for case in cases[group]:
            expected = case["expected"]
            try:
                weight = read_draft(body_of(case["text"])).weight
            except Refused:
                assert not expected["valid"], case["description"]
            else:
                assert expected["valid"], case["description"]
                assert weight == expected["weightedLength"], case["description"]
            checked += 1
    assert checked >= 24


# How often, and for how long a text counts as said


class Clock:
    now = time.time()

    def __call__(self) -> float:
        return self.now


def play(log: Log, clock: Clock, limit: int = 100) -> X:
    return X(log, credentials=SANDBOX_X, limit=limit, clock=clock)


def post_to(x: X, text: str, method: str = "POST", path: str = "/2/tweets") -> Reply:
    headers = Message()
    headers["Authorization"] = signed(method, path)
    headers["Content-Type"] = "application/json"
    return x.answer(Request(method, path, "", headers, body_of(text), time.time_ns(), 1))


def test_after_a_day_a_text_may_be_said_again(tmp_path: Path) -> None:
    log, clock = Log(tmp_path / "log.jsonl"), Clock()
    x = play(log, clock)
    assert post_to(x, "Hello").status == 201
    clock.now += 24 * 3600 - 1
    assert post_to(x, "Hello").status == 403
    clock.now += 2
    assert post_to(x, "Hello").status == 201
    log.close()


def test_the_limit_is_said_on_every_answer_kept_and_lifted(tmp_path: Path) -> None:
    log, clock = Log(tmp_path / "log.jsonl"), Clock()
    x = play(log, clock, limit=2)
    first, second, third = (post_to(x, f"Post {number}") for number in range(3))
    assert [first.status, second.status, third.status] == [201, 201, 429]
    headers = dict(third.headers)
    assert headers["x-rate-limit-limit"] == "2"
    assert [dict(r.headers)["x-rate-limit-remaining"] for r in (first, second, third)] == [
        "1",
        "0",
        "0",
    ]
    assert int(headers["x-rate-limit-reset"]) == int(clock.now + 900)
    assert post_to(x, "", "GET", "/2/users/me").status == 200, "each route has a limit of its own"
    clock.now += 900
    assert post_to(x, "Post 3").status == 201
    log.close()


def test_tweepy_reads_the_end_of_the_limit(tmp_path: Path) -> None:
    with Sandbox(tmp_path / "log.jsonl", x_limit=1) as box, posting(box) as post:
        post("One")
        with pytest.raises(tweepy.TooManyRequests) as caught:
            post("Two")
    assert time.time() < caught.value.reset_time <= time.time() + 900


def test_many_posts_go_over_one_connection(box: Sandbox, x: tweepy.Client) -> None:
    for number in range(20):
        x.create_tweet(text=f"Post {number}")
    answer = requests.get(f"{box.http_url}/_sandbox/requests?service=x", timeout=5).json()
    assert len({request["peer"] for request in answer["requests"]}) == 1
    assert [request["answer"] for request in answer["requests"]] == ["201"] * 20


@pytest.mark.parametrize(
    "query",
    [{"max_results": "4"}, {"max_results": "x"}, {"since_id": "a"}, {"colour": "red"},
     {"tweet.fields": "colour"}, {"start_time": "yesterday"}],
)  # fmt: skip
def test_the_timeline_refuses_wrong_parameters(query: dict[str, str], box: Sandbox) -> None:
    target = f"/2/users/{OWN_ID}/tweets?{urlencode(query)}"
    status, answer, _ = call(box, "GET", target, Authorization=signed("GET", target))
    assert status == 400
    assert answer["title"] == "Invalid Request"
