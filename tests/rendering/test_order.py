"""Impact, duration, explanation: in that order, in every template there is."""

import re
from collections.abc import Callable
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.domain.message import GREETING, UNSUBSCRIBE
from notifier.domain.notice import Announcement
from notifier.paths import template_dir
from notifier.rendering.renderer import Renderer
from tests.rendering.announcements import LANGUAGES, ZONES, announcements, renderer
from tests.rendering.reading import bare_times, read_page, visible_text, whole_times

ROOM = 5_000  # a post with room for everything; shortening is tests/unit/test_post.py

#: What a reader sees of each template. A template that is not here fails the tests below.
READ: dict[str, Callable[[Renderer, Announcement, str, ZoneInfo], str]] = {
    "email/notice.html": lambda r, a, language, zone: visible_text(
        r.mail(a, language=language, zone=zone).html
    ),
    "email/notice.txt": lambda r, a, language, zone: " ".join(
        r.mail(a, language=language, zone=zone).text.split()
    ),
    "email/notice.subject.txt": lambda r, a, language, zone: (
        r.mail(a, language=language, zone=zone).subject
    ),
    "social/post.txt": lambda r, a, _language, _zone: " ".join(
        r.post(a, limit=ROOM, measure=len).split()
    ),
}
TEMPLATES = sorted(
    path.relative_to(template_dir()).as_posix()
    for folder in ("email", "social")
    for path in (template_dir() / folder).rglob("*")
    if path.is_file()
)

_DURATION = re.compile(
    r"We expect this to end|This lasted|We do not know yet|Expected to end|It lasted"
)
_UNFILLED = re.compile(r"\{\{|\}\}|\{%|%\}|\{#|None|Undefined|datetime|Between|LatestBy|NotKnown")

each_template = pytest.mark.parametrize("template", TEMPLATES)
any_announcement = given(announcements, st.sampled_from(LANGUAGES), st.sampled_from(ZONES))
few = settings(max_examples=20, deadline=None)


def test_every_template_is_under_test() -> None:
    assert set(TEMPLATES) == set(READ)


@each_template
@few
@any_announcement
def test_impact_comes_before_duration_and_duration_before_explanation(
    template: str, a: Announcement, language: str, zone: ZoneInfo
) -> None:
    seen = READ[template](renderer(zone=zone), a, language, zone)
    said = re.findall(rf"(?:BEGIN|END)(?:IMPACT|EXPLANATION)|{_DURATION.pattern}", seen)
    if template.endswith(".subject.txt"):
        assert said == []
        return
    duration = [mark for mark in said if _DURATION.fullmatch(mark)]
    assert len(duration) == 1
    expected = ["BEGINIMPACT", "ENDIMPACT", *duration]
    if template.startswith("email/"):
        expected += ["BEGINEXPLANATION", "ENDEXPLANATION"]
    assert said == expected


@each_template
@few
@any_announcement
def test_every_time_has_a_date_a_zone_and_its_offset(
    template: str, a: Announcement, language: str, zone: ZoneInfo
) -> None:
    seen = READ[template](renderer(zone=zone), a, language, zone)
    assert bare_times(seen) == []
    if not template.endswith(".subject.txt"):
        assert whole_times(seen)


@each_template
@few
@any_announcement
def test_no_placeholder_is_left(
    template: str, a: Announcement, language: str, zone: ZoneInfo
) -> None:
    seen = READ[template](renderer(zone=zone), a, language, zone)
    assert _UNFILLED.findall(seen) == []


@few
@any_announcement
def test_each_slot_stands_once_and_where_it_belongs(
    a: Announcement, language: str, zone: ZoneInfo
) -> None:
    mail = renderer().mail(a, language=language, zone=zone)
    assert _order(mail.text) == [GREETING, "BEGINIMPACT", "ENDEXPLANATION", UNSUBSCRIBE]
    assert mail.html.count(UNSUBSCRIBE) == 1
    assert read_page(mail.html).links == [a.url, UNSUBSCRIBE]
    assert _order(visible_text(mail.html)) == [GREETING, "BEGINIMPACT", "ENDEXPLANATION"]
    assert GREETING not in mail.subject
    assert UNSUBSCRIBE not in mail.subject


def _order(text: str) -> list[str]:
    return re.findall(f"{GREETING}|{UNSUBSCRIBE}|BEGINIMPACT|ENDEXPLANATION", text)


@few
@any_announcement
def test_a_mail_has_one_subject_line_with_the_reference(
    a: Announcement, language: str, zone: ZoneInfo
) -> None:
    subject = renderer().mail(a, language=language, zone=zone).subject
    assert subject.startswith("Title")
    assert subject.endswith("[INC-7]")
    assert subject.isprintable()


@few
@any_announcement
def test_a_reader_of_any_language_is_written_to_in_one_we_speak(
    a: Announcement, language: str, zone: ZoneInfo
) -> None:
    mail = renderer().mail(a, language=language, zone=zone)
    assert mail.language == "en"
    assert 'lang="en"' in mail.html
