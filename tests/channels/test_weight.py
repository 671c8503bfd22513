"""The weighted length: X's own cases, and what its JavaScript says where the parser errs."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.channels._weight import measure

# Beside the repository; not part of it.
SPECS = Path(__file__).resolve().parents[3] / "shared" / "specs" / "twitter-text"


def _cases(file: str, *path: str) -> list[Any]:
    if not (SPECS / file).is_file():
        return []
    found = yaml.safe_load((SPECS / file).read_text(encoding="utf-8"))
    for step in path:
        found = found[step]
    return list(found)


WEIGHED = _cases("validate.yml", "tests", "WeightedTweetsWithDiscountedEmojiCounterTest")
WEIGHED += _cases("validate.yml", "tests", "UnicodeDirectionalMarkerCounterTest")
LINKED = _cases("extract.yml", "tests", "urls_with_indices")


@pytest.mark.skipif(not WEIGHED, reason="../shared/specs/twitter-text is not here")
@pytest.mark.parametrize("case", WEIGHED, ids=lambda case: case["description"])
def test_it_weighs_as_x_documents(case: Any) -> None:
    weight, expected = measure(case["text"]), case["expected"]["weightedLength"]
    assert weight == expected or (len(case["text"]) > 1000 and min(weight, expected) > 280)


@pytest.mark.skipif(not LINKED, reason="../shared/specs/twitter-text is not here")
@pytest.mark.parametrize("case", LINKED, ids=lambda case: case["description"])
def test_it_finds_the_links_that_x_documents(case: Any) -> None:
    text, links = case["text"], case["expected"]
    for link in reversed(links):
        start, end = link["indices"]
        text = f"{text[:start]}({text[end:]}"
    assert measure(case["text"]) == measure(text) + 22 * len(links)


# Results of parseTweet of twitter-text 3.1.0 (npm) in Node 20.
JAVASCRIPT = [
    ("", 0),
    ("No heat.", 8),
    ("file.py", 23),
    ("node.js", 7),
    ("1.5 hours", 9),
    ("10.0.0.1", 8),
    ("http://10.0.0.1/", 16),
    ("https://a.com https://b.com", 47),
    ("user@mail.com", 13),
    ("(foo.com)", 25),
    ("_foo.com", 8),
    ("foo.com:80", 26),
    ("foo.com/\u067e\u0627\u0646\u06cc", 27),
    ("\u0628\u062c\u0644\u06cc \u0628\u0646\u062f https://s.example.com/i/1", 32),
    ("\u067e\u0627\u0646\u06cchttps://example.com", 27),
    ("\u505c\u7535foo.com", 27),
    ("\u505c\u96fb\u3067\u3059\u3002foo.com", 33),
    ("\u505c\u7535" + "x" * 58 + ".com", 66),
    ("https://\u0645\u062b\u0627\u0644.\u067e\u0627\u06a9\u0633\u062a\u0627\u0646/x", 23),
    ("http://t.co/" + "a" * 41, 53),
    ("xn--p1ai.xn--p1aiab.c", 25),
    ("\u26a1k-electric.com.pk", 25),
    ("\u0130stanbul \u0131\u015f\u0131k", 13),
    ("\u2026 \u2022 \u2014 \u2019", 9),
    ("\U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f1f5\U0001f1f0 1\ufe0f\u20e3", 8),
    ("e\u0301", 1),
    ("a\u200fb", 4),
    # Here twitter-text-parser 3.0 says 11, 7, 17 and 11.
    ("\u067e\u0627\u0646\u06ccfile.py", 27),
    ("k-e.pk\u0130", 24),
    ("a\u067e\u0627\u0646\u06cc.com-foo.com", 29),
    ("\ufefb-foo.com'", 26),
]


@pytest.mark.parametrize(("text", "weight"), JAVASCRIPT)
def test_it_weighs_as_x_calculates(text: str, weight: int) -> None:
    assert measure(text) == weight


def test_line_ends_weigh_as_they_are_sent() -> None:
    assert measure("a\r\nb\rc") == measure("a\nb\nc") == 5


def test_a_very_long_text_is_too_long_at_once() -> None:
    started = time.monotonic()
    assert measure("a." * 50_000) > 280
    assert time.monotonic() - started < 0.5


@settings(max_examples=50)
@given(st.text(alphabet=st.characters(codec="ascii", categories=["L", "N", "Zs"]), max_size=280))
def test_plain_ascii_weighs_what_it_is_long(text: str) -> None:
    assert measure(text) == len(text)
