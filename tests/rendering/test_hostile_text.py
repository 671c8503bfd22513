"""Whatever people write is text: never markup, never a template."""

from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest

from notifier.domain.message import UNSUBSCRIBE
from notifier.domain.notice import Announcement
from tests.rendering.announcements import renderer, sample
from tests.rendering.reading import read_page, visible_text

UTC = ZoneInfo("UTC")
HOSTILE = [
    "<script>alert(1)</script>",
    "{{ 7*7 }}{% raw %}{# no #}",
    "\"quotes\" 'and' & ampersands &lt; &amp;",
    "</title></head></style><body onload=alert(1)>",
    "<!-- comment --><![CDATA[x]]>",
    '<a href="https://evil.example">click</a><img src=x onerror=alert(1)>',
    "{name} {0} %s %(a)s ${b} \\n",
    "-->]]></td></tr></table>",
]


def attacked(text: str) -> Announcement:
    plain = sample("between")
    notice = replace(plain.notice, impact=f"impact {text}", explanation=f"cause {text}")
    return replace(plain, title=f"title {text}", components=(f"part {text}",), notice=notice)


@pytest.mark.parametrize("text", HOSTILE)
def test_it_is_shown_as_it_was_written_in_html(text: str) -> None:
    html = renderer(site_name=f"site {text}").mail(attacked(text), language="en", zone=UTC).html
    seen = visible_text(html)
    for name in ("title", "impact", "cause", "part", "site"):
        assert f"{name} {' '.join(text.split())}" in seen
    page = read_page(html)
    clean = read_page(renderer().mail(sample("between"), language="en", zone=UTC).html)
    assert sorted(set(page.tags)) == sorted(set(clean.tags))
    assert page.links == clean.links


@pytest.mark.parametrize("text", HOSTILE)
def test_it_is_shown_as_it_was_written_in_text(text: str) -> None:
    mail = renderer(site_name=f"site {text}").mail(attacked(text), language="en", zone=UTC)
    for name in ("impact", "cause", "part", "site"):
        assert f"{name} {text}" in mail.text
    assert mail.subject.startswith(f"title {text}")


@pytest.mark.parametrize("text", HOSTILE)
def test_it_is_shown_as_it_was_written_in_a_post(text: str) -> None:
    post = renderer().post(attacked(text), limit=5_000, measure=len)
    assert post.startswith(f"impact {text}\n")


def test_a_name_with_braces_is_only_a_name() -> None:
    mail = renderer().mail(sample("between"), language="en", zone=UTC)
    assert mail.greet("{name} {{7*7}}") == "Hello {name} {{7*7}},"
    assert mail.greet("") == "Hello,"


def test_paragraphs_stay_apart() -> None:
    mail = renderer().mail(sample("between"), language="en", zone=UTC)
    assert "failed at 6:30.\n\nWe are replacing" in mail.text
    assert "failed at 6:30.</p>" in mail.html


def test_the_styles_for_dark_screens_survive_inlining() -> None:
    html = renderer().mail(sample("between"), language="en", zone=UTC).html
    assert "@media (prefers-color-scheme: dark)" in html
    assert 'style="' in html
    assert UNSUBSCRIBE in html
