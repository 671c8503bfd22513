"""From an announcement to words: the one place that lays a notice out.

A mail is rendered once per variant (language, time zone), a post once per update and channel.
"""

from __future__ import annotations

from collections.abc import Callable
from zoneinfo import ZoneInfo

import css_inline
import jinja2

from notifier.domain.message import GREETING, UNSUBSCRIBE, Mail, Sender
from notifier.domain.notice import Announcement, Between, Duration, LatestBy, NotKnown, Over
from notifier.domain.post import fit_post
from notifier.paths import template_dir
from notifier.rendering import times

_RIGHT_TO_LEFT = frozenset({"ar", "dv", "fa", "he", "ps", "sd", "ug", "ur", "yi"})

#: Languages the templates speak; a reader of any other is written to in the first.
LANGUAGES = ("en",)


class Renderer:
    """All templates of messages, compiled once."""

    def __init__(self, *, site_name: str, zone: ZoneInfo, sender: Sender) -> None:
        self._site_name = site_name
        self._zone = zone
        self._sender = sender
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(template_dir()),
            autoescape=jinja2.select_autoescape(["html"]),
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,  # looking at the file costs each post 0.03 ms
        )
        self._templates.tests |= {
            "between": _is(Between),
            "latest_by": _is(LatestBy),
            "not_known": _is(NotKnown),
            "over": _is(Over),
        }
        self._templates.filters["paragraphs"] = _paragraphs
        self._templates.globals |= {"length": times.length}
        # Without keep_at_rules the @media rules for dark mode and phones vanish.
        self._inliner = css_inline.CSSInliner(keep_at_rules=True, load_remote_stylesheets=False)

    def post(
        self,
        announcement: Announcement,
        *,
        limit: int,
        measure: Callable[[str], int],
        link: bool = True,
    ) -> str:
        """The short public text. Raises Invalid("impact") when it cannot be made to fit."""
        template = self._templates.get_template("social/post.txt")
        zone = self._zone
        view = {
            "a": announcement,
            "link": announcement.url if link else "",
            "at": lambda instant: times.short(instant, zone),
            "span": lambda start, end, word="and": times.short_span(start, end, zone, word=word),
        }

        def lay_out(impact: str) -> str:
            return template.render(view, impact=impact).strip()

        return fit_post(lay_out, announcement.notice.impact, limit=limit, measure=measure)

    def mail(self, announcement: Announcement, *, language: str, zone: ZoneInfo) -> Mail:
        """The mail for all readers of one language and time zone."""
        spoken = language if language in LANGUAGES else LANGUAGES[0]
        view = {
            "a": announcement,
            "parts": announcement.notice.parts(),
            "over": isinstance(announcement.notice.duration, Over),
            "site": self._site_name,
            "language": spoken,
            "direction": direction(spoken),
            "greeting": GREETING,
            "unsubscribe": UNSUBSCRIBE,
            "at": lambda instant: times.full(instant, zone),
            "span": lambda start, end, word="and": times.full_span(start, end, zone, word=word),
        }

        def rendered(name: str) -> str:
            return self._templates.get_template(f"email/{name}").render(view).strip() + "\n"

        return Mail(
            subject=" ".join(rendered("notice.subject.txt").split()),
            text=rendered("notice.txt"),
            html=self._inliner.inline(rendered("notice.html")),
            language=spoken,
            greeting_named=self._phrase("greeting_named"),
            greeting_plain=self._phrase("greeting_plain"),
            sender=self._sender,
            thread=announcement.reference,
        )

    def duration(self, duration: Duration, zone: ZoneInfo | None = None) -> str:
        """A duration in one sentence, as mails and pages show it; in the site's zone by default."""
        zone = zone or self._zone
        phrases = self._templates.get_template("phrases.txt").make_module(
            {
                "at": lambda instant: times.full(instant, zone),
                "span": lambda a, b, word="and": times.full_span(a, b, zone, word=word),
            }
        )
        return str(phrases.duration(duration)).strip()  # type: ignore[attr-defined]

    def _phrase(self, name: str) -> str:
        module = self._templates.get_template("phrases.txt").make_module({"at": "", "span": ""})
        return str(getattr(module, name))


def direction(language: str) -> str:
    """`rtl` or `ltr`, as HTML's `dir` wants it."""
    return "rtl" if language.partition("-")[0] in _RIGHT_TO_LEFT else "ltr"


def _is(kind: type) -> Callable[[object], bool]:
    return lambda value: isinstance(value, kind)


def _paragraphs(text: str) -> list[str]:
    return [part.strip() for part in text.split("\n\n") if part.strip()]
