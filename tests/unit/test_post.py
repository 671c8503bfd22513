"""Making a post fit: only words of the impact go, whole, and never a number."""

import contextlib
import unicodedata
from collections.abc import Callable
from typing import NamedTuple

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from notifier.channels._weight import measure as weigh
from notifier.domain.post import GAP, fit_post
from notifier.domain.text import Invalid

# What follows the impact is what a reader acts on.
TAIL = (
    "\nExpected to end between 22 Nov 14:30 and 16:00 PKT (UTC+5)."
    " Next update by 22 Nov 13:30 PKT (UTC+5).\n\nhttps://status.example.com/incidents/INC-1\n"
    "INC-1.2 · 22 Nov 13:12 PKT (UTC+5)"
)

# Words of many kinds, none of which may be cut.
_SAMPLE = (
    "No hot water in Northvale, Westpark and the-whole-harbour district: homes; since about"
    " Sorry! harbour. St. Boilers? گھروں۔"
    " Übergangsstraße nærområdet گرم پانی نہیں شمالی علاقے میں تقریباً گھروں مدرسے"
    " 🚱 👩‍🔧 👨‍👩‍👧‍👦 🏳️‍🌈 status.example.com/north @northvale #heat"
)
_SPACED = st.sampled_from(_SAMPLE.split())
_NUMBERS = st.sampled_from(
    ["4,200", "14:30", "£12.50", "24/7", "B2", "۴۲۰۰", "٣", "3-5", "1️⃣", "10%"]
)
_CHARACTERS = st.sampled_from(list("北谷地区没有热水我们正在修理ナホ"))


class Word(NamedTuple):
    """A piece of an impact that stays whole, and whether a space stands before it."""

    text: str
    spaced: bool

    @property
    def must_stay(self) -> bool:
        return any(c.isnumeric() for c in self.text)


_words = st.lists(
    st.one_of(
        _SPACED.map(lambda w: Word(w, True)),
        _SPACED.map(lambda w: Word(w, True)),
        _NUMBERS.map(lambda w: Word(w, True)),
        _CHARACTERS.map(lambda c: Word(c, False)),
    ),
    min_size=1,
    max_size=70,
)


def as_text(words: list[Word]) -> str:
    return "".join(f" {w.text}" if w.spaced else w.text for w in words).strip()


def kept_words(words: list[Word], shown: str) -> list[Word] | None:
    """The words that `shown` consists of, in order, or None when it contains anything else."""
    kept: list[Word] = []
    start = 0
    for piece in filter(None, (piece.strip() for piece in shown.split(GAP))):
        found = _find_run(words, piece, start)
        if found is None:
            return None
        kept += words[found[0] : found[1]]
        start = found[1]
    return kept


def _find_run(words: list[Word], piece: str, start: int) -> tuple[int, int] | None:
    """The first run of whole words from `start` on that reads `piece`."""
    for i in range(start, len(words)):
        for j in range(i + 1, len(words) + 1):
            text = as_text(words[i:j])
            if text == piece:
                return i, j
            if len(text) >= len(piece):
                break
    return None


def lay_out(impact: str) -> str:
    return impact + TAIL


@pytest.mark.parametrize("measure", [len, weigh], ids=["characters", "as X counts"])
@settings(max_examples=70, deadline=None)
@given(words=_words)
@example(words=[Word(str(i), True) for i in range(40)])
@example(words=[Word("水", False)] * 200)
@example(words=[Word("water", True)] * 70)
def test_a_post_fits_and_loses_only_whole_words_without_a_number(
    measure: Callable[[str], int], words: list[Word]
) -> None:
    limit = 280
    try:
        post = fit_post(lay_out, as_text(words), limit=limit, measure=measure)
    except Invalid:
        post = ""
    if not post:
        assert measure(lay_out(shortest(words))) > limit
        return

    assert measure(post) <= limit
    assert post.endswith(TAIL)
    shown = post.removesuffix(TAIL)
    kept = kept_words(words, shown)
    assert kept is not None, f"{shown!r} is not made of whole words"
    assert [w.text for w in kept if w.must_stay] == [w.text for w in words if w.must_stay]
    if GAP in shown:
        assert [w.text for w in kept[:3]] == [w.text for w in words[:3]]
    else:
        assert as_text(words).startswith(shown)
    if measure(lay_out(as_text(words))) <= limit:
        assert shown == as_text(words)


def shortest(words: list[Word]) -> str:
    """The impact with nothing but its first three words and its numbers, gaps included."""
    shown = ""
    for i, word in enumerate(words):
        if i < 3 or word.must_stay:
            shown += f" {word.text}" if word.spaced and shown else word.text
        elif not shown.endswith(GAP):
            shown += GAP
    return shown


SENTENCES = [
    "No hot water in the whole of Northvale for about 4,200 homes near the old harbour",
    "شمالی علاقے میں تقریباً ۴۲۰۰ گھروں میں صبح 6:30 سے گرم پانی نہیں آ رہا",
    "北谷地区约4,200户家庭自6:30起没有热水供应我们正在修理一台水泵",
]


@pytest.mark.parametrize("sentence", SENTENCES)
def test_with_more_room_never_less_is_said(sentence: str) -> None:
    said = [
        len(fit_post(lambda i: i, sentence, limit=limit, measure=len).replace(GAP, ""))
        for limit in range(len(sentence) // 2 + 5, len(sentence) + 1)
    ]
    assert said == sorted(said)
    assert said[0] < said[-1] == len(sentence)


def test_the_neighbours_of_a_number_stay_longest() -> None:
    impact = "No hot water in the whole of Northvale for about 4,200 homes near the old harbour"
    post = fit_post(lambda i: i, impact, limit=33, measure=len)
    assert post == "No hot water… about 4,200 homes…"


def test_the_end_of_a_sentence_goes_before_its_beginning() -> None:
    impact = "No hot water in Northvale and in Westpark and in Harbour"
    assert fit_post(lambda i: i, impact, limit=40, measure=len) == (
        "No hot water in Northvale and in…"
    )


@pytest.mark.parametrize(
    ("impact", "number"),
    [
        ("ไม่มีน้ำร้อนในพื้นที่ภาคเหนือประมาณ๔,๒๐๐หลังคาเรือนตั้งแต่เช้า", "๔,๒๐๐"),
        ("北谷地区的居民约四千二百户家庭自今天早晨起没有热水供应我们正在修理", "四千二百"),
        ("No hot water for about ½ of all the homes of the harbour", "½"),
        ("گرم پانی شمالی علاقے کے تقریباً ۴٬۲۰۰ گھروں میں نہیں ہے", "۴٬۲۰۰"),
    ],
)
def test_a_number_stays_whole_in_every_script(impact: str, number: str) -> None:
    posts = []
    for limit in range(len(number), len(impact)):
        with contextlib.suppress(Invalid):
            posts.append(fit_post(lambda i: i, impact, limit=limit, measure=len))
    assert len(posts) > 10
    assert all(number in post for post in posts)


def test_whole_sentences_go_before_words_do() -> None:
    impact = "No hot water in about 4,200 homes in Northvale. Heating works. Cold water runs."
    assert fit_post(lambda i: i, impact, limit=70, measure=len) == (
        "No hot water in about 4,200 homes in Northvale. Heating works."
    )
    assert fit_post(lambda i: i, impact, limit=60, measure=len) == (
        "No hot water in about 4,200 homes in Northvale."
    )


def test_no_sentence_with_a_number_goes() -> None:
    impact = "No hot water in Northvale. Buses take you to the baths. Call 0800 if you need help."
    post = fit_post(lambda i: i, impact, limit=60, measure=len)
    assert "0800" in post
    assert GAP in post


@pytest.mark.parametrize(
    "impact",
    [
        "No hot water in St. Mary's Road and all of the streets between it and the old harbour",
        "We are sorry. Nobody in Northvale and Westpark has hot water, and some have no heating",
    ],
)
def test_a_short_beginning_is_not_taken_for_the_whole_impact(impact: str) -> None:
    post = fit_post(lambda i: i, impact, limit=60, measure=len)
    assert len(post) > 40
    assert post.endswith(GAP)


def test_line_breaks_of_the_impact_become_spaces() -> None:
    assert fit_post(lambda i: i, "No heat.\n\nNo water.", limit=99, measure=len) == (
        "No heat. No water."
    )


def test_it_says_what_to_do_when_the_numbers_alone_are_too_long() -> None:
    impact = " ".join(f"{n:05}" for n in range(60))
    with pytest.raises(Invalid, match=r"^impact does not fit into a post of 280 characters; "):
        fit_post(lay_out, impact, limit=280, measure=len)


# In Thai, and in Japanese letters that have no composed form, a mark follows its letter.
@pytest.mark.parametrize(
    "impact",
    ["น้ำร้อนไม่มีในพื้นที่ภาคเหนือประมาณ 4,200 หลังคาเรือนตั้งแต่เช้า", "か\u309aき\u309aく\u309a" * 9 + "42"],
    ids=["Thai", "Japanese"],
)
def test_no_mark_is_parted_from_its_letter(impact: str) -> None:
    for limit in range(20, len(impact)):
        post = fit_post(lambda i: i, impact, limit=limit, measure=len)
        assert _parted_marks(impact, post) == []


def _parted_marks(impact: str, post: str) -> list[str]:
    """Marks at the beginning of a piece of `post`, and marks of `impact` left behind by one."""
    parted, start = [], 0
    for piece in filter(None, (piece.strip() for piece in post.split(GAP))):
        start = impact.index(piece, start) + len(piece)
        parted += [c for c in (piece[0], impact[start : start + 1]) if _is_mark(c)]
    return parted


def _is_mark(character: str) -> bool:
    return bool(character) and unicodedata.category(character).startswith("M")
