"""Looking for a post on X's timeline: what is asked, and what is made of each answer."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.channels.x import Config, X, build
from notifier.domain.delivery import Outcome, Repeated, Retry, Sent, Unknown
from tests.channels.samples import TEXT, X_KEYS, open_x
from tests.channels.scripted import Server, Step, answer, drip, hang, raw, reset, respond
from tests.processes import Sandbox, request_json, sandbox

ME = answer(200, '{"data":{"id":"17","name":"Northvale","username":"northvale"}}')
EMPTY = {"meta": {"result_count": 0}}


def _page(*posts: dict[str, Any], **more: Any) -> Step:
    meta = {"result_count": len(posts)}
    return answer(200, json.dumps({"data": list(posts), "meta": meta, **more}))


def _post(text: str, ident: str = "190", *urls: tuple[str, str], **more: Any) -> dict[str, Any]:
    entities = [{"url": short, "expanded_url": long} for short, long in urls]
    return {"id": ident, "text": text, "entities": {"urls": entities}, **more}


def _find(step: Step, text: str = TEXT, **limits: float) -> Outcome:
    with Server(ME, step) as server:
        return open_x(server.url, **limits).find(text)


def test_it_asks_who_it_is_once_and_for_the_last_hundred_posts() -> None:
    with Server(ME, answer(200, json.dumps(EMPTY))) as server:
        channel = open_x(server.url)
        assert isinstance(channel.find(TEXT), Retry)
        assert isinstance(channel.find(TEXT), Retry)
    lines = [(request.method, request.target) for request in server.requests]
    timeline = "/2/users/17/tweets?max_results=100&tweet.fields=entities%2Cnote_tweet"
    assert lines == [("GET", "/2/users/me"), ("GET", timeline), ("GET", timeline)]
    assert all("oauth_signature" in r.headers["authorization"] for r in server.requests)


LINK = ("https://t.co/abcdefghij", "https://s.example/i/1?a=1&b=<2>")
RETURNED: list[tuple[str, str, dict[str, Any]]] = [
    ("as it is", "No heat.", _post("No heat.")),
    ("composed", "Caf\u00e9", _post("Cafe\u0301")),
    ("decomposed", "Cafe\u0301", _post("Caf\u00e9")),
    ("line ends", "a\r\nb\rc", _post("a\nb\nc")),
    ("outer white space", " No heat.\n", _post("No heat.")),
    ("escaped", "R&D <b> &amp;", _post("R&amp;D &lt;b&gt; &amp;amp;")),
    ("a link", f"See {LINK[1]} (INC-1)", _post(f"See {LINK[0]} (INC-1)", "190", LINK)),
    (
        "two links",
        "https://a.example https://b.example",
        _post(
            "https://t.co/bbbbbbbbbb https://t.co/bbbbbbbbbc",
            "190",
            ("https://t.co/bbbbbbbbbc", "https://b.example"),
            ("https://t.co/bbbbbbbbbb", "https://a.example"),
        ),
    ),
    (
        "a bare name",
        "Read README.md",
        _post("Read https://t.co/x", "190", ("https://t.co/x", "http://README.md")),
    ),
    (
        "cut, and whole in its note",
        "No heat. " * 40,
        _post("No heat. No", note_tweet={"text": "No heat. " * 40}),
    ),
]


@pytest.mark.parametrize(("text", "post"), [r[1:] for r in RETURNED], ids=[r[0] for r in RETURNED])
def test_a_post_is_recognised_as_x_returns_it(text: str, post: dict[str, Any]) -> None:
    others = [_post("Something else", "192"), post, _post("Older", "188")]
    assert _find(_page(*others), text) == Sent("190")


@pytest.mark.parametrize(
    "posts",
    [
        [],
        [_post("No heat in Northvale (INC-1, 14:33)")],
        [_post("no heat in Northvale (INC-1, 14:32)")],
        [_post("No heat in Northvale (INC-1, 14:32) and more")],
        [_post("https://t.co/a", "190", ("https://t.co/a", "https://s.example"))],
        [_post("")],
    ],
)
def test_what_is_not_exactly_there_is_worth_another_try(posts: list[dict[str, Any]]) -> None:
    step = _page(*posts) if posts else answer(200, json.dumps(EMPTY))
    outcome = _find(step, "No heat in Northvale (INC-1, 14:32)")
    assert isinstance(outcome, Retry)
    assert f"last {len(posts)} posts" in outcome.reason


UNTOLD: list[tuple[str, Step, str]] = [
    ("no keys", answer(401, '{"detail":"no"}'), "check the four keys"),
    ("no credits", answer(402, '{"detail":"none"}'), "no credits left to read"),
    ("no permission", answer(403, '{"detail":"client-not-enrolled"}'), "client-not-enrolled"),
    ("not found", answer(404, "{}"), "(404)"),
    ("moved", answer(302, "", {"Location": "http://127.0.0.1:9/"}), "(302)"),
    ("too many", answer(429, "", {"x-rate-limit-reset": "soon"}), "rate limit"),
    ("server error", answer(503, "<html>"), "(503)"),
    ("HTML", answer(200, "<html>"), "no timeline"),
    ("nothing", answer(200, ""), "no timeline"),
    ("a list", answer(200, "[]"), "no timeline"),
    ("no posts, no count", answer(200, "{}"), "no timeline"),
    ("a deep nest", answer(200, "[" * 100_000), "no timeline"),
    ("posts without text", _page({"id": "1"}), "no timeline"),
    ("posts without id", _page({"text": TEXT}), "no timeline"),
    ("a cut page", raw(b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"da'), "no timeline"),
    ("a cut post", _page(_post(TEXT[:60])), "may have cut it"),
    ("posts kept back", _page(errors=[{"title": "Forbidden"}]), "kept some of the posts"),
    ("no answer", hang(3.0), "took too long"),
    ("a reset", reset(), "did not answer"),
    ("not HTTP", raw(b"220 mail.example.com ESMTP\r\n"), "did not answer"),
]


@pytest.mark.parametrize("step", [u[1:] for u in UNTOLD], ids=[u[0] for u in UNTOLD])
@pytest.mark.parametrize("asked", ["timeline", "who"])
def test_whatever_else_x_says_leaves_it_open(step: tuple[Step, str], asked: str) -> None:
    script = [ME, step[0]] if asked == "timeline" else [step[0]]
    started = time.monotonic()
    with Server(*script) as server:
        outcome = open_x(server.url, exchange=0.5).find(TEXT)
    assert time.monotonic() - started < 1.5
    assert isinstance(outcome, Unknown)
    assert "nobody can tell" in outcome.reason
    assert asked == "who" or step[1] in outcome.reason
    assert "\n" not in outcome.reason


def test_a_post_that_is_there_counts_though_others_were_kept_back() -> None:
    assert _find(_page(_post(TEXT), errors=[{"title": "Forbidden"}])) == Sent("190")


def test_both_requests_share_one_time_limit() -> None:
    slow = drip(respond(200, json.dumps({"data": {"id": "17"}})), 0.01)
    with Server(lambda client: slow(client) or True, hang(3.0)) as server:
        started = time.monotonic()
        assert isinstance(open_x(server.url, exchange=1.2).find(TEXT), Unknown)
        assert 0.9 < time.monotonic() - started < 1.9
    assert len(server.requests) == 2


def test_a_key_that_is_echoed_is_not_told() -> None:
    secret = X_KEYS["access_token_secret"]
    outcome = _find(answer(403, json.dumps({"detail": f"bad {secret}"})))
    assert isinstance(outcome, Unknown)
    assert "bad (hidden)" in outcome.reason


JSON = st.recursive(
    st.one_of(st.none(), st.integers(), st.text(max_size=9), st.just("17")),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["data", "meta", "errors", "id", "text", "entities", "urls", "url",
                 "expanded_url", "note_tweet", "result_count"]
            ),
            inner,
        ),
    ),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(status=st.integers(200, 599), body=JSON)
def test_no_answer_whatever_makes_it_raise(status: int, body: Any) -> None:
    assert isinstance(_find(answer(status, json.dumps(body))), Outcome)


# With the sandbox, which plays X


@pytest.fixture(scope="module")
def box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with sandbox(tmp_path_factory.mktemp("box")) as running:
        yield running


@pytest.fixture
def channel(box: Sandbox) -> Iterator[X]:
    yield build(Config.model_validate({"api_url": box.url}))
    request_json("DELETE", f"{box.url}/_sandbox/faults")


def test_a_post_whose_answer_was_lost_is_found_with_its_links_and_letters(
    box: Sandbox, channel: X
) -> None:
    text = (
        "R&D site <b>down</b> \u2014 گیس بند ہے. https://status.example.com/i/1?a=1&b=2 and"
        " README.md (INC-1, 14:32)"
    )
    box.fault(service="x", fault="accept_then_reset")
    assert isinstance(channel.send(text), Unknown)
    (said,) = [post for post in box.messages("x") if post["text"] == text]
    assert channel.find(text) == Sent(said["id"])
    assert isinstance(channel.send(text), Repeated)
    assert isinstance(channel.find(text.replace("14:32", "14:33")), Retry)


def test_among_many_posts_each_is_found(box: Sandbox, channel: X) -> None:
    texts = [f"Post {number}: https://s.example/{number}" for number in range(30)]
    sent = {text: channel.send(text) for text in texts}
    assert {text: channel.find(text) for text in texts} == sent
    assert len(box.messages("x")) == len({post["id"] for post in box.messages("x")})


def test_a_timeline_that_x_refuses_leaves_it_open(box: Sandbox, channel: X) -> None:
    text = "Heat is back (INC-2, 15:00)"
    assert isinstance(channel.send(text), Sent)
    box.fault(service="x", fault=403, method="GET", match="/tweets")
    outcome = channel.find(text)
    assert isinstance(outcome, Unknown)
    assert "read permission" in outcome.reason
    assert isinstance(channel.find(text), Sent)
