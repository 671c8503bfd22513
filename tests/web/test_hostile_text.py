"""Text that would run if it were not text. It must come out of every page as it went in."""

from __future__ import annotations

from typing import Any

import pytest

from notifier.domain.audience import customer
from notifier.domain.text import TITLE_MAX
from notifier.ports import Notifier
from notifier.services import audience
from notifier.services.mailing import MailRun
from notifier.services.posting import run_posts
from tests.fakes import FakeClock
from tests.web.pages import LintingClient, Page

# Of the kinds in OWASP's XSS filter evasion sheet: elements, attributes, closing what is open,
# templates, addresses, and characters that change how text is read.
CORPUS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "\"><script>alert(1)</script>",
    "' onmouseover='alert(1)",
    "\" autofocus onfocus=\"alert(1)",
    "</title><script>alert(1)</script>",
    "</textarea><script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<a href=javascript:alert(1)>x</a>",
    "<style>@import 'https://evil.example'</style>",
    "<base href=//evil.example>",
    "<meta http-equiv=refresh content=0;url=//evil.example>",
    "<math><mi xlink:href=\"data:x,<script>alert(1)</script>\">",
    "{{ 7 * 7 }}{% for x in range(9) %}x{% endfor %}",
    "${7*7} #{7*7} <%= 7*7 %>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "<!--<script>alert(1)//-->",
    "]]><script>alert(1)</script>",
    "\u2067gnirts\u2069 <b>bold</b>",
    "\uff1cscript\uff1ealert(1)\uff1c/script\uff1e",
]  # fmt: skip
DECLARE = "/admin/declare"


@pytest.mark.parametrize("text", CORPUS)
def test_hostile_text_comes_out_as_text(
    operator: LintingClient, anonymous: LintingClient, n: Notifier, clock: FakeClock, text: str
) -> None:
    # The linting client refuses every page with a script, a handler or an element too many.
    audience.put_component(n, slug_="heat", name=text[:TITLE_MAX], group=text[:TITLE_MAX])
    audience.put_customer(n, _reader(text))
    form: dict[str, Any] = {
        "components": ["heat"],
        "title": text[:TITLE_MAX],
        "impact": text,
        "explanation": text,
        "duration": "unknown",
    }
    preview = operator.press(operator.page(DECLARE), DECLARE, {**form, "action": "preview"})
    shown = Page(preview.text)
    assert shown.one("textarea", id="impact").pieces == ["\n" + text]
    _look_at_the_mail(operator.get(shown.one("iframe").attrs["src"]).text, text)
    published = operator.press(shown, DECLARE, {"action": "publish"})
    assert published.status_code == 303, published.text
    run_posts(n, "x")
    clock.move(minutes=6)
    MailRun(n).run()
    for client, path in (
        (operator, "/admin/"),
        (operator, "/admin/incidents/1"),
        (operator, "/admin/incidents/1/update"),
        (anonymous, "/"),
        (anonymous, "/incidents/INC-1"),
    ):
        page = client.page(path)
        assert " ".join(text.split()) in page.text, path
        assert {s.attrs.get("src", "").partition("?")[0] for s in page.find("script")} <= {
            "/static/notifier.js"
        }


@pytest.mark.parametrize("text", CORPUS)
def test_hostile_text_in_addresses_and_forms_comes_back_as_text(
    anonymous: LintingClient, operator: LintingClient, text: str
) -> None:
    failed = anonymous.post("/sign-in", data={"name": text, "password": "x", "next": text})
    assert failed.status_code == 401
    asked = anonymous.get("/sign-in", query_string={"next": text})
    assert asked.status_code == 200
    wrong = operator.press(
        operator.page(DECLARE + "?x=" + "y"), "/sign-out", {"csrf": text, "a": text}
    )
    assert wrong.status_code == 403


def _look_at_the_mail(html: str, text: str) -> None:
    page = Page(html.replace("<br>", ""))
    assert not page.find("script")
    assert not page.find("iframe")
    assert not [e for e in page.find() if any(a.startswith("on") for a in e.attrs)]
    assert " ".join(text.split()) in page.text


def _reader(text: str) -> Any:
    return customer(
        external_id="c1",
        email="c1@example.com",
        name=text[:TITLE_MAX],
        language="en",
        time_zone="UTC",
        components=("heat",),
    )
