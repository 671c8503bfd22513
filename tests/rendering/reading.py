"""Reading what was rendered as its reader does: visible text, and the times in it."""

from __future__ import annotations

import re
from html.parser import HTMLParser

_VOID = {"area", "br", "col", "hr", "img", "input", "link", "meta", "source", "wbr"}
_NEVER_SHOWN = {"head", "style", "script", "template"}


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.shown: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self._open: list[tuple[str, bool]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.tags.append(tag)
        if "href" in given:
            self.links.append(given["href"])
        if tag in _VOID:
            return
        hidden = tag in _NEVER_SHOWN or "display:none" in given.get("style", "").replace(" ", "")
        self._open.append((tag, hidden))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        if not any(hidden for _, hidden in self._open):
            self.shown.append(data)


def read_page(html: str) -> _Page:
    """`html` parsed: `shown` text in the order of the document, `tags` and `links`."""
    page = _Page()
    page.feed(html)
    page.close()
    return page


def visible_text(html: str) -> str:
    """What a reader sees, in order, with white space as a browser shows it."""
    return " ".join(" ".join(read_page(html).shown).split())


_ZONE = r"(?:[A-Z]{2,5} \(UTC[+-]\d{1,2}(?::\d\d)?\)|UTC[+-]\d{1,2}(?::\d\d)?)"
_DAY = r"\d{1,2} (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)"
_DATE = rf"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) {_DAY} \d{{4}}"
_WHOLE_TIME = re.compile(
    rf"{_DATE}, \d\d:\d\d {_ZONE}"  # in full
    rf"|\d\d:\d\d (?:and|to) \d\d:\d\d on {_DATE}, {_ZONE}"  # a span of one day
    rf"|{_DAY} \d\d:\d\d(?: (?:and|to) \d\d:\d\d)? {_ZONE}"  # short, and its span
)


def whole_times(text: str) -> list[str]:
    """The times in `text` that have a date, a zone and its offset from UTC."""
    return _WHOLE_TIME.findall(text)


def bare_times(text: str) -> list[str]:
    """The times in `text` that lack one of them."""
    return re.findall(r"\d{1,2}:\d\d", _WHOLE_TIME.sub("", text))
