"""What people may write: every refusal names its field, and nothing is repaired in silence."""

import pytest

from notifier.domain.message import SLOTS
from notifier.domain.text import TITLE_MAX, Invalid, line, paragraphs, slug

# (what, text): refused in a line and in paragraphs alike.
NOWHERE = [
    ("nothing", ""),
    ("white space only", " \n\t\u00a0 "),
    ("NUL", "No\x00water"),
    ("escape", "No \x1b[31mwater"),
    ("C1 control", "No\x9bwater"),
    ("private use", "No \ue000 water"),
    ("an override of direction", "No \u202e water"),
    ("supplementary private use", "No \U000f0000 water"),
    ("half a surrogate pair", "No \ud83d water"),
    ("noncharacter", "No \ufdd0 water"),
    ("noncharacter at the end of a plane", "No \U0010ffff water"),
    *((f"the slot {slot!r}", f"No {slot} water") for slot in SLOTS),
]

# Refused in a line only, because a line may become a mail header.
NOT_IN_A_LINE = [
    ("LF", "No water\nBcc: all@example.com"),
    ("CR", "No water\rBcc: all@example.com"),
    ("CRLF", "No water\r\nBcc: all@example.com"),
    ("tab", "No\twater"),
    ("next line", "No\x85water"),
    ("line separator", "No\u2028water"),
    ("paragraph separator", "No\u2029water"),
]


@pytest.mark.parametrize(
    "text", [t for _, t in NOWHERE + NOT_IN_A_LINE], ids=[n for n, _ in NOWHERE + NOT_IN_A_LINE]
)
def test_it_refuses_in_a_line(text: str) -> None:
    with pytest.raises(Invalid) as refusal:
        line("title", text, limit=TITLE_MAX)
    assert refusal.value.field == "title"
    assert str(refusal.value) == f"title {refusal.value.reason}"


@pytest.mark.parametrize("text", [t for _, t in NOWHERE], ids=[n for n, _ in NOWHERE])
def test_it_refuses_in_paragraphs(text: str) -> None:
    with pytest.raises(Invalid) as refusal:
        paragraphs("impact", text, limit=600)
    assert refusal.value.field == "impact"


def test_no_refusal_repeats_a_character_that_cannot_be_shown() -> None:
    for _, text in NOWHERE:
        with pytest.raises(Invalid) as refusal:
            paragraphs("impact", text, limit=600)
        assert str(refusal.value).isprintable()


def test_it_says_how_long_an_overlong_text_is_and_how_long_it_may_be() -> None:
    with pytest.raises(Invalid, match=r"^title has 121 characters; at most 120 are allowed$"):
        line("title", "x" * 121, limit=120)
    assert line("title", "x" * 120, limit=120) == "x" * 120


def test_it_composes_before_it_counts() -> None:
    decomposed = "e\u0301" * 120
    assert line("title", decomposed, limit=120) == "\u00e9" * 120


def test_it_trims_a_line_at_both_ends() -> None:
    assert line("title", "  No water \n", limit=120) == "No water"


def test_it_keeps_scripts_and_emoji_newer_than_this_python() -> None:
    # U+1FAE9 came with Unicode 16; Python 3.11 knows 14 and calls it unassigned.
    text = "پانی نہیں · 没有热水 · \U0001fae9 · 👩‍🔧"
    assert line("title", text, limit=120) == text


def test_paragraphs_keep_their_line_breaks_in_one_form() -> None:
    assert paragraphs("impact", "one\r\ntwo\rthree\n\n\tfour", limit=600) == (
        "one\ntwo\nthree\n\n\tfour"
    )


@pytest.mark.parametrize("value", ["heat", "heat-north-2", "7", "a" * 60])
def test_a_slug_is_small_letters_digits_and_hyphens(value: str) -> None:
    assert slug("slug", value) == value


@pytest.mark.parametrize("value", ["", "a" * 61, "Heat", "he at", "hëat", "heat\n", "٣", "a_b"])
def test_it_refuses_another_slug(value: str) -> None:
    with pytest.raises(Invalid) as refusal:
        slug("components", value)
    assert refusal.value.field == "components"
