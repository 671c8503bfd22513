"""Any JSON: expressions are checked when they are given, and never break on a body."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.domain.receipt import Unreadable
from notifier.domain.signal import Condition, Secrets
from notifier.domain.text import Invalid
from notifier.sources import generic
from tests.sources.bits import assert_only_this_is_trusted
from tests.sources.bodies import NOW, request, sample

_EXPRESSIONS = {
    "alerts": "events[?kind=='check']",
    "key": "join('/', [check.host, to_string(check.id)])",
    "status": "state",
    "firing": "bad, Sehr Schlecht",
    "resolved": "good",
    "title": "check.name",
    "description": "output",
    "severity": "level",
    "start": "since",
    "url": "links[0].href",
    "labels": "tags",
}
_EVENT: dict[str, Any] = {
    "kind": "check",
    "check": {"id": 7, "host": "web-1", "name": "Sign-in"},
    "state": "bad",
    "output": "HTTP 500",
    "level": "high",
    "since": 1795363320000,
    "links": [{"href": "https://checks.example.com/7"}],
    "tags": ["env:prod"],
}


def test_reads_what_the_expressions_name() -> None:
    body = {"events": [_EVENT, {"kind": "note"}, _EVENT | {"state": "good"}]}
    began, ended = generic.parse(request(body), _EXPRESSIONS).signals
    assert began.key == ended.key == "web-1/7"
    assert (began.condition, ended.condition) == (Condition.FIRING, Condition.RESOLVED)
    assert began.position == ended.position == datetime(2026, 11, 22, 16, 2, tzinfo=UTC)
    assert began.title == "Sign-in"
    assert began.description == "HTTP 500"
    assert began.severity == "high"
    assert began.url == "https://checks.example.com/7"
    assert began.labels == {"env": "prod"}


def test_the_template_reads_the_body_it_is_shown_for() -> None:
    options = dict(line.split(": ", 1) for line in generic.SETUP.template.splitlines())
    generic.check_options(options)
    body = {"events": [{"check": {"id": 7}, "state": "bad", "tags": ["env:prod"]}]}
    (signal,) = generic.parse(request(body), options).signals
    assert (signal.key, signal.title) == ("7", "Check 7")
    assert (signal.condition, signal.labels) == (Condition.FIRING, {"env": "prod"})


@pytest.mark.parametrize(
    ("word", "condition"),
    [
        ("bad", Condition.FIRING),
        ("SEHR SCHLECHT", Condition.FIRING),
        ("Good", Condition.RESOLVED),
        ("ok", Condition.RESOLVED),
        ("acknowledged", Condition.ACKNOWLEDGED),
        ("", Condition.FIRING),
    ],
)
def test_the_operators_words_come_before_the_usual_ones(word: str, condition: Condition) -> None:
    (signal,) = generic.parse(request({"events": [_EVENT | {"state": word}]}), _EXPRESSIONS).signals
    assert signal.condition is condition


@pytest.mark.parametrize(
    "start",
    [1795363320, "1795363320", 1795363320000, "1795363320000.0", "2026-11-22T17:02:00+01:00"],
)
def test_a_start_is_text_or_seconds_or_milliseconds(start: object) -> None:
    (signal,) = generic.parse(request({"dedup_key": "a", "starts_at": start}), {}).signals
    assert signal.position == datetime(2026, 11, 22, 16, 2, tzinfo=UTC)


def test_the_operators_words_may_turn_the_usual_ones_round() -> None:
    options = {"key": "k", "status": "s", "firing": "closed", "resolved": "open"}
    (signal,) = generic.parse(request({"k": "door", "s": "open"}), options).signals
    assert signal.condition is Condition.RESOLVED


def test_a_status_without_a_meaning_is_ignored() -> None:
    reading = generic.parse(request({"events": [_EVENT | {"state": "meh"}]}), _EXPRESSIONS)
    assert not reading.signals
    assert "neither" in reading.ignored


def test_a_form_and_a_query_are_one_flat_object() -> None:
    (signal,) = generic.parse(sample("generic", "form"), {}).signals
    assert (signal.key, signal.title, signal.at) == ("sign-in-errors", "Sign-in fails", NOW)


@pytest.mark.parametrize(
    ("name", "expression"),
    [
        ("key", "a["),
        ("status", "a b"),
        ("labels", "@@"),
        ("title", "a."),
        ("url", "("),
        ("start", "a" * 501),
        ("alerts", "[" * 400),
        ("key", "   "),
    ],
)
def test_an_expression_that_is_none_is_refused_with_its_name(name: str, expression: str) -> None:
    with pytest.raises(Invalid) as refusal:
        generic.check_options({"key": "id"} | {name: expression})
    assert refusal.value.field == name


def test_the_defaults_are_expressions() -> None:
    generic.check_options({option.name: option.default for option in generic.OPTIONS})
    generic.check_options({})


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"alerts": "title"}, "'alerts'"),
        ({"key": "missing"}, "'key'"),
        ({"key": "sum(title)"}, "'key'"),
        ({"key": "nothing(title)"}, "'key'"),
        ({"title": "ceil(huge)"}, "'title'"),
        ({"title": "a["}, "'title'"),
    ],
)
def test_an_expression_that_does_not_fit_the_body_is_named(
    options: dict[str, str], named: str
) -> None:
    body = '{"dedup_key": "a", "status": "firing", "title": "text", "huge": 1e999}'
    with pytest.raises(Unreadable, match=named):
        generic.parse(request(body), options)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "dedup_key", "status"]), inner, max_size=3)
    ),
    max_leaves=8,
)
_FUNCTIONS = """
    abs avg ceil floor join keys length max merge min not_null reverse sort sum to_array to_number
    to_string type values
"""
_CALLS = st.builds(
    "{}({})".format, st.sampled_from(_FUNCTIONS.split()), st.sampled_from(["a", "@", "a[].b"])
) | st.sampled_from(
    ["sort_by(a, &b)", "max_by(a, &b)", "map(&b, a)", "a[0:1:0]", "a[?b > `1`]", "contains(a, b)"]
)


@settings(max_examples=200, deadline=None)
@given(value=_VALUES, expression=_CALLS)
def test_no_expression_breaks_on_any_body(value: object, expression: str) -> None:
    options = dict.fromkeys(("key", "status", "start", "labels", "title"), expression)
    refusal = "."
    try:
        generic.parse(request([{"a": value}]), options)
    except Unreadable as error:
        refusal = str(error)
    assert refusal.endswith(".")


def test_the_signature_stands_where_the_options_say() -> None:
    body = b'{"dedup_key": "a"}'
    digest = "sha256=" + hmac.digest(b"ours", body, hashlib.sha256).hex()
    hook = request(body, x_hub_signature_256=digest, x_our_signature=digest)
    assert_only_this_is_trusted(generic.verify, hook, "x-hub-signature-256", "ours")
    named = Secrets(("ours",), {"signature_header": "X-Our-Signature"})
    generic.verify(request(body, x_our_signature=digest), named)
