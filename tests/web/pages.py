"""Reading our own pages as a browser would, and refusing those that are not well made."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urlsplit

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

BASE = "https://status.example.com"
_VOID = {"meta", "link", "input", "br", "hr", "img", "path", "circle"}
# What stands beside each other on the screen is not one word.
_CELLS = {"th", "td", "header", "h3"}
_TYPED = {"input", "textarea", "select"}


@dataclass
class Element:
    """One element of a page."""

    tag: str
    attrs: dict[str, str]
    parent: Element | None
    children: list[Element] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Everything that can be read in it, in order, with spaces as a browser shows them."""
        return " ".join("".join(self.pieces).split())

    def find(self, tag: str = "", **attrs: str) -> list[Element]:
        """All elements below with this tag and these attributes (`class_` for class)."""
        wanted = {k.rstrip("_").replace("_", "-"): v for k, v in attrs.items()}
        found = []
        for child in self.children:
            if (not tag or child.tag == tag) and wanted.items() <= child.attrs.items():
                found.append(child)
            found += child.find(tag, **attrs)
        return found

    def inside(self, tag: str) -> bool:
        """Whether it stands in an element of this tag."""
        return self.parent is not None and (self.parent.tag == tag or self.parent.inside(tag))


class Page(HTMLParser):
    """A parsed page. Raises AssertionError where elements are not closed as they were opened."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.root = self._open = Element("", {}, None)
        self.feed(html)
        self.close()
        assert self._open is self.root, f"<{self._open.tag}> is not closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"an attribute stands twice in <{tag} {attrs}>"
        element = Element(tag, {k: v or "" for k, v in attrs}, self._open)
        self._open.children.append(element)
        if tag not in _VOID:
            self._open = element

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {k: v or "" for k, v in attrs}, self._open)
        self._open.children.append(element)

    def handle_endtag(self, tag: str) -> None:
        if tag in _CELLS:
            self.handle_data(" ")
        assert self._open.tag == tag, f"</{tag}> closes <{self._open.tag}>"
        assert self._open.parent is not None
        self._open = self._open.parent

    def handle_data(self, data: str) -> None:
        above: Element | None = self._open
        while above is not None:
            above.pieces.append(data)
            above = above.parent

    @property
    def text(self) -> str:
        """Everything that can be read."""
        return self.root.text

    def find(self, tag: str = "", **attrs: str) -> list[Element]:
        """All elements with this tag and these attributes."""
        return self.root.find(tag, **attrs)

    def one(self, tag: str = "", **attrs: str) -> Element:
        """The only such element."""
        (found,) = self.find(tag, **attrs)
        return found

    def values(self, form: Element) -> dict[str, Any]:
        """What a browser would send for a form as it is shown."""
        sent: dict[str, Any] = {}
        for element in form.find():
            name, kind = element.attrs.get("name"), element.attrs.get("type", "")
            if not name or element.tag not in _TYPED:
                continue
            if kind in ("checkbox", "radio") and "checked" not in element.attrs:
                continue
            value = element.attrs.get("value", "")
            if element.tag == "textarea":
                value = "".join(element.pieces).removeprefix("\n")
            if element.tag == "select":
                options = element.find("option")
                chosen = next((o for o in options if "selected" in o.attrs), options[0])
                value = chosen.attrs["value"]
            sent.setdefault(name, []).append(value)
        return sent


class LintingClient(FlaskClient):
    """A client that reads every page it gets, and refuses one that is not well made."""

    def open(self, *args: Any, **kwargs: Any) -> TestResponse:
        kwargs.setdefault("base_url", BASE)
        response = super().open(*args, **kwargs)
        if response.mimetype == "text/html" and response.data and _is_ours(response):
            page = Page(response.text)
            lint_fragment(page)
            if page.find("html"):
                lint_page(page)
        return response

    def page(self, path: str, status: int = 200) -> Page:
        """The page at `path`."""
        response = self.get(path)
        assert response.status_code == status, response.text
        return Page(response.text)

    def press(self, page: Page, path: str, changes: dict[str, Any] | None = None) -> TestResponse:
        """Fill in the form that goes to `path` and send it as a browser would."""
        (form,) = [f for f in page.find("form") if urlsplit(f.attrs["action"]).path == path]
        values = {**page.values(form), **(changes or {})}
        return self.post(path, data=values, headers={"Origin": BASE})


def _is_ours(response: TestResponse) -> bool:
    """Not a redirect, whose body nobody sees, nor a mail, whose styles stand in it."""
    policy = response.headers["Content-Security-Policy"]
    return response.status_code not in (302, 303) and "sandbox" not in policy


def lint_page(page: Page) -> None:
    """What every whole page must have."""
    html, title, h1 = page.one("html"), page.one("title").text, page.one("h1").text
    assert html.attrs["lang"]
    assert html.attrs["dir"] in ("ltr", "rtl")
    assert title.removeprefix("Error: ").startswith(h1), f"title {title!r}, but h1 {h1!r}"
    assert page.one("main")
    assert page.find("meta", name="viewport")


def lint_fragment(page: Page) -> None:
    """What must hold wherever our HTML is shown."""
    every = page.find()
    ids = [e.attrs["id"] for e in every if "id" in e.attrs]
    assert [i for i, count in Counter(ids).items() if count > 1] == [], "ids stand twice"
    assert not page.find("style"), "styles belong into our sheet"
    for e in every:
        assert e.tag != "script" or e.attrs.get("src"), "a script stands in the page"
        assert "style" not in e.attrs, f"<{e.tag}> has a style of its own"
        assert not [a for a in e.attrs if a.startswith("on")], f"<{e.tag}> has a handler"
        assert e.tag != "iframe" or (e.attrs["title"] and "sandbox" in e.attrs)
        assert e.tag not in ("button", "a") or e.text, f"<{e.tag}> says nothing"
        for attribute in ("aria-describedby", "aria-labelledby", "for"):
            for target in e.attrs.get(attribute, "").split():
                assert target in ids, f"{attribute} names {target!r}, which is not there"
        if e.tag == "a" and e.attrs["href"].startswith("#"):
            assert e.attrs["href"][1:] in ids, f"a link leads to {e.attrs['href']}"
        if e.tag in _TYPED and e.attrs.get("type") != "hidden":
            assert e.inside("label") or page.find("label", for_=e.attrs["id"]), e.attrs
        if e.tag == "form":
            assert e.attrs["action"]
            assert e.attrs["method"] == "post"
