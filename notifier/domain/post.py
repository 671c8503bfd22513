"""A public post: made to fit by shortening the impact, and nothing else.

The rest of a post (until when, next update, link, reference) is what a reader acts on, so it
is never touched. Of the impact, last sentences go first, whole; where that is not enough,
words go, and a gap shows it. The first words stay (they say who cannot do what), and words
with a digit or a numeral stay: a number or a time is the fact in the sentence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from notifier.domain.text import Invalid

#: Stands where words were dropped.
GAP = "…"

_FIRST_WORDS = 3

# A full stop ends a sentence when a space follows ("3.5" and "status.example.com" go on) and no
# short word stands before it ("St. Mary's Road" goes on); the East Asian ones end it anyway.
_SENTENCE_END = re.compile(r"(?<=\w{4}\.)\s+|(?<=[!?؟۔।])\s+|(?<=[。！？])\s*")

# Chinese, Japanese and Thai put no space between words. In the first two any character may end
# a line (UAX #14 class ID), so it may end a shortened text too; Thai words can only be told by
# a dictionary, so there the unit is the syllable's letter. Marks stay with their letter (UAX #29).
_LETTER = r"\u0e00-\u0e4f\u0e5a-\u0e7f\u2e80-\u9fff\uf900-\ufaff"
_MARKS = r"[\u0e31\u0e33-\u0e3a\u0e47-\u0e4e\u302a-\u302f\u3099\u309a\ufe00-\ufe0f]*"
_WORD = re.compile(
    rf"(\s*)([\u0e40-\u0e44]?[{_LETTER}]{_MARKS}|[^\s{_LETTER}]+)"  # group 1: space before it
)


def fit_post(
    lay_out: Callable[[str], str],
    impact: str,
    *,
    limit: int,
    measure: Callable[[str], int],
) -> str:
    """The post for `impact`, at most `limit` long as the channel measures it.

    `lay_out` puts an impact into the finished post. Raises Invalid("impact") when the words
    that must stay do not fit.
    """
    whole = lay_out(impact := " ".join(impact.split()))
    if measure(whole) <= limit:
        return whole
    # Half of the room at least: "We are sorry." would leave out what is to be told.
    least = (limit + measure(lay_out(""))) / 2
    for sentences in _without_last_sentences(impact):
        if least <= measure(post := lay_out(sentences)) <= limit:
            return post
    words = [(bool(space), word) for space, word in _WORD.findall(impact)]
    order = _least_important_first([word for _, word in words])

    def post_without(count: int) -> str:
        return lay_out(_join(words, set(order[:count])))

    if not order or measure(post_without(len(order))) > limit:
        raise Invalid(
            "impact",
            f"does not fit into a post of {limit} characters; use shorter words, fewer numbers",
        )
    fewest, enough = 1, len(order)
    while fewest < enough:
        middle = (fewest + enough) // 2
        if measure(post_without(middle)) <= limit:
            enough = middle
        else:
            fewest = middle + 1
    return post_without(enough)


def _without_last_sentences(impact: str) -> Iterator[str]:
    """Ever fewer sentences of the impact, as long as no number gets lost."""
    for end in reversed(list(_SENTENCE_END.finditer(impact))):
        if any(c.isnumeric() for c in impact[end.end() :]):
            return
        if impact[end.end() :]:
            yield impact[: end.start()]


def _least_important_first(words: Sequence[str]) -> list[int]:
    """Positions of the words that may be dropped, in the order in which they are.

    The end of a sentence goes before its beginning; the neighbours of a number ("about 4,200
    homes") go last.
    """
    fixed = {i for i, word in enumerate(words) if any(c.isnumeric() for c in word)}
    near = {i + step for i in fixed for step in (-1, 1)}
    may_go = [i for i in reversed(range(_FIRST_WORDS, len(words))) if i not in fixed]
    return [i for i in may_go if i not in near] + [i for i in may_go if i in near]


def _join(words: Sequence[tuple[bool, str]], dropped: set[int]) -> str:
    """The words that are left, with each run of dropped ones shown as one gap."""
    text = ""
    for i, (spaced, word) in enumerate(words):
        if i in dropped:
            text += "" if text.endswith(GAP) else GAP
        else:
            text += f" {word}" if text and spaced else word
    return text
