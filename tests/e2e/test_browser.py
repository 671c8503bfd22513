"""The room in a real Chromium, against a real server with a real engine and fake channels."""

from __future__ import annotations

import re
import shutil
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from notifier.app import build, load_settings, start_engine
from notifier.cli.server import make_server
from notifier.domain.access import Role
from notifier.domain.audience import customer
from notifier.ports import Notifier
from notifier.queueing.embedded import EmbeddedEngine
from notifier.services import access, audience, reports
from notifier.store import access as store
from notifier.web.application import create_front
from tests.fakes import FakeMail, FakePosts

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
READERS = 12
PHONE, DESK = 360, 1280
IMPACT = "About 4,200 homes have no hot water. Heating works."

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed (Debian: chromium)"),
]


@dataclass
class Site:
    """A running notifier with its channels."""

    n: Notifier
    posts: FakePosts
    mail: FakeMail

    def sign_in_link(self) -> str:
        return access.make_sign_in_link(self.n, "amina")


@dataclass
class Visitor:
    """A page in a browser, and everything in it that went wrong."""

    page: Any
    js: bool
    wrong: list[str] = field(default_factory=list)

    def enter(self, site: Site) -> None:
        """Sign in by a link, as `make run` prints it."""
        self.page.goto(site.sign_in_link())
        self.page.get_by_role("button", name="Sign in").click()
        self.page.wait_for_url("**/admin/")

    def fill(self) -> None:
        """Fill in the declare form as a person does."""
        page = self.page
        page.get_by_label("Hot water").check()
        page.get_by_label("Critical").check()
        page.get_by_label("Title").fill("No hot water in Harbour District")
        page.get_by_label("How are customers affected?").fill(IMPACT)
        page.get_by_label("By", exact=False).and_(page.locator("#duration-by")).check()
        page.locator("#duration_until").fill(_in(hours=3))
        page.get_by_label("What is happening?").fill("A pump failed.\n\nA spare is on its way.")

    def declare(self, site: Site) -> None:
        """Sign in and publish; what the browser shows then is the receipt."""
        self.enter(site)
        self.page.goto(f"{site.n.settings.base_url}/admin/declare")
        self.fill()
        self.page.locator("#publish").click()
        self.page.wait_for_url("**/admin/incidents/*")

    def fits(self) -> bool:
        """Whether nothing stands out at the side."""
        wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        return bool(self.page.evaluate(wide) <= 0)


def _in(**delta: float) -> str:
    """A time of today or tomorrow as a field takes it; the site's zone is UTC."""
    return f"{datetime.now(UTC) + timedelta(**delta):%Y-%m-%dT%H:%M}"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    listening = socket.create_server(("127.0.0.1", 0))
    empty = tmp_path / "notifier.toml"
    empty.touch()
    settings = load_settings(
        path=empty,
        environ={
            "NOTIFIER_SECRET_KEY": "a-secret-of-tests-only-0123456789",
            "NOTIFIER_BASE_URL": f"http://127.0.0.1:{listening.getsockname()[1]}",
            "NOTIFIER_SITE__NAME": "Northvale Heat",
            "NOTIFIER_DATABASE_URL": f"sqlite:///{tmp_path / 'notifier.db'}",
        },
    )
    engine, posts, mail = EmbeddedEngine(), FakePosts(), FakeMail()
    n = build(settings, doorbell=engine, posts={"x": posts}, mail=mail)
    _people(n)
    server = make_server(create_front(n, threads=4))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    start_engine(n, engine, alone=True)
    thread.start()
    yield Site(n, posts, mail)
    engine.stop()
    server.should_exit = True
    thread.join(10)
    n.db.close()


def _people(n: Notifier) -> None:
    with n.db.transaction() as connection:
        store.add_user(
            connection, name="amina", password_hash="-", role=Role.PUBLISHER, now=n.clock()
        )
    audience.put_component(n, slug_="hot-water", name="Hot water", group="Heat")
    audience.put_component(n, slug_="sign-in", name="Sign-in", group="Online")
    for i in range(READERS):
        reader = customer(
            external_id=f"c{i}",
            email=f"c{i}@example.com",
            name=f"Reader {i}",
            language="en",
            time_zone="UTC",
            components=("hot-water",),
        )
        audience.put_customer(n, reader)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as running:
        started = running.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def visit(browser: Any) -> Iterator[Any]:
    """Opens a page; in the end, nothing may have gone wrong in any of them."""
    visitors = []

    def visit(width: int = DESK, *, js: bool = True) -> Visitor:
        context = browser.new_context(
            viewport={"width": width, "height": 740}, java_script_enabled=js
        )
        visitor = Visitor(context.new_page(), js)
        visitors.append((context, visitor))
        visitor.page.on(
            "dialog", lambda d: (visitor.wrong.append(f"dialog {d.message}"), d.dismiss())
        )
        visitor.page.on("pageerror", lambda e: visitor.wrong.append(f"script {e}"))
        visitor.page.on(
            "console",
            lambda m: visitor.wrong.append(m.text) if m.type in ("error", "warning") else None,
        )
        return visitor

    yield visit
    for context, _ in visitors:
        context.close()
    assert [wrong for _, visitor in visitors for wrong in visitor.wrong] == []


@pytest.mark.parametrize("js", [True, False], ids=["script", "no-script"])
@pytest.mark.parametrize("width", [PHONE, DESK])
def test_a_disruption_is_declared_and_told(site: Site, visit: Any, width: int, js: bool) -> None:
    visitor = visit(width, js=js)
    page = visitor.page
    visitor.enter(site)
    page.get_by_role("link", name="Declare a disruption").click()
    visitor.fill()
    if not js:
        page.get_by_role("button", name="Preview").click()
    page.locator("#preview-x", has_text="Heating works.").wait_for()
    page.locator("#preview-mail", has_text=f"{READERS} customers get it").wait_for()
    page.frame_locator("iframe:not(.loading)").get_by_text("A spare is on its way.").wait_for()
    assert page.locator("#preview-missing").count() == 0
    button = page.locator("#publish")
    assert re.fullmatch(r"Post now and schedule the e-mail for \d\d:\d\d", button.inner_text())
    assert visitor.fits()
    assert site.posts.tried == []

    button.click()
    page.wait_for_url("**/admin/incidents/1")
    assert site.posts.wait_for(1)
    if not js:
        page.reload()
    page.locator(".card.post", has_text="Posted").wait_for()
    assert page.get_by_role("link", name="See it on X").get_attribute("href") == (
        "https://posts.example/1000"
    )
    assert visitor.fits()

    page.get_by_role("button", name="Send it now").click()
    assert site.mail.wait_for(READERS)
    if not js:
        page.reload()
    page.locator(".card.mail", has_text="Sent").wait_for()
    assert sorted(site.mail.addresses) == sorted(f"c{i}@example.com" for i in range(READERS))
    assert len(site.posts.sent) == 1


def test_the_post_is_the_previewed_one(site: Site, visit: Any) -> None:
    visitor = visit()
    visitor.enter(site)
    visitor.page.goto(f"{site.n.settings.base_url}/admin/declare")
    visitor.fill()
    shown = visitor.page.locator("#preview-x .words", has_text="Expected to end by")
    shown.wait_for()
    before = shown.inner_text()
    visitor.page.locator("#publish").click()
    assert site.posts.wait_for(1)
    # The last line carries the minute of publishing, which may be the next one.
    assert before.splitlines()[:-1] == site.posts.sent[0].splitlines()[:-1]


def test_a_double_click_is_one_disruption(site: Site, visit: Any) -> None:
    visitor = visit(js=False)
    visitor.enter(site)
    visitor.page.goto(f"{site.n.settings.base_url}/admin/declare")
    visitor.fill()
    visitor.page.locator("#publish").dblclick()
    visitor.page.wait_for_url("**/admin/incidents/*")
    assert site.posts.wait_for(1)
    visitor.page.goto(f"{site.n.settings.base_url}/admin/")
    assert visitor.page.locator(".row").count() == 1
    assert len(site.posts.tried) == 1


def test_mistakes_take_the_focus_and_keep_what_was_typed(site: Site, visit: Any) -> None:
    visitor = visit(PHONE)
    page = visitor.page
    visitor.enter(site)
    page.goto(f"{site.n.settings.base_url}/admin/declare")
    visitor.fill()
    page.get_by_label("How are customers affected?").fill("")
    page.locator("#publish").click()
    page.locator("#problems:focus").wait_for()
    assert page.title().startswith("Error: Declare a disruption")
    page.get_by_role("link", name="How customers are affected is missing.").click()
    assert page.evaluate("document.activeElement.id") == "impact"
    assert page.get_by_label("Title").input_value() == "No hot water in Harbour District"
    assert page.locator("#severity-critical").is_checked()
    visitor.wrong = [w for w in visitor.wrong if "422" not in w]  # the answer's own status


def test_the_whole_declaration_can_be_made_with_the_keyboard(site: Site, visit: Any) -> None:
    visitor = visit()
    page = visitor.page
    visitor.enter(site)
    page.goto(f"{site.n.settings.base_url}/admin/declare")
    for target, keys in (
        ("component-hot-water", ["Space"]),
        ("title", "No hot water"),
        ("impact", IMPACT),
        # Where none of a group is chosen yet, Tab reaches its first answer.
        ("duration-between", ["ArrowDown", "ArrowDown"]),
        ("explanation", "A pump failed."),
        ("publish", ["Enter"]),
    ):
        _tab_to(page, target)
        if isinstance(keys, str):
            page.keyboard.type(keys)
        for key in keys if isinstance(keys, list) else []:
            page.keyboard.press(key)
    page.wait_for_url("**/admin/incidents/1")
    assert reports.report(site.n, 1).latest.update.notice.impact == IMPACT


def _tab_to(page: Any, target: str) -> None:
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == target:
            assert page.evaluate(_SEEN), f"#{target} has the focus and cannot be seen"
            return
    raise AssertionError(f"Tab does not reach #{target}")


# Nothing lies over the middle of what has the focus (WCAG 2.2, 2.4.11).
_SEEN = """() => {
  const at = document.activeElement, box = at.getBoundingClientRect();
  const top = document.elementFromPoint(box.left + box.width / 2, box.top + box.height / 2);
  return at === top || at.contains(top) || at.parentElement.contains(top);
}"""


def test_what_somebody_has_opened_stays_open_while_the_receipt_fills_in(
    site: Site, visit: Any
) -> None:
    visitor = visit(PHONE)
    visitor.declare(site)
    page = visitor.page
    page.get_by_text("Cancel it").click()
    page.wait_for_timeout(2500)
    page.get_by_role("button", name="Yes, nobody gets this e-mail").click()
    page.locator(".card.mail", has_text="Cancelled, nobody got it").wait_for()
    assert site.mail.sent == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_page_fits_a_small_phone_and_can_be_hit_with_a_thumb(
    site: Site, visit: Any, dark: bool
) -> None:
    visitor = visit(320)
    visitor.page.emulate_media(color_scheme="dark" if dark else "light")
    visitor.declare(site)
    base = site.n.settings.base_url
    mail = reports.report(site.n, 1).latest.mail
    assert mail is not None
    for path in (
        "/", "/incidents/INC-1", "/admin/", "/admin/declare", "/admin/incidents/1",
        "/admin/incidents/1/update", "/admin/incidents/1/resolve", f"/admin/mails/{mail.id}/edit",
        f"/admin/mails/{mail.id}/lost", "/sign-in", "/sign-in/x", "/u/1-0", "/nothing",
    ):  # fmt: skip
        visitor.page.goto(base + path)
        assert visitor.fits(), path
        assert visitor.page.evaluate(_SMALL) == [], path
        assert visitor.page.evaluate(_PALE) == [], path
    visitor.wrong = [w for w in visitor.wrong if "404" not in w]  # two of the pages


# What can be pressed and is less than 44 px high; links inside a sentence may be.
_SMALL = """() => [...document.querySelectorAll('button, .button, .chip, .row, summary, .top a, '
    + '.card > p > a, .about > a, input:not([type=hidden]), textarea')]
  .filter((e) => e.offsetParent && e.getBoundingClientRect().height < 44)
  .map((e) => e.outerHTML.slice(0, 80))"""

# Text with a contrast under 4.5 to what lies behind it (WCAG 1.4.3).
_PALE = """() => {
  const rgb = (c) => c.match(/[0-9.]+/g).map(Number);
  const light = (c) => c.slice(0, 3).map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (e) => {
    for (; e; e = e.parentElement) {
      const c = rgb(getComputedStyle(e).backgroundColor);
      if (c.length < 4 || c[3] > 0) return c;
    }
    return [255, 255, 255];
  };
  const pale = [];
  for (const e of document.querySelectorAll('main *, header *, footer *')) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.offsetParent || e.closest('.unseen, svg')) continue;
    const [a, b] = [light(rgb(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) pale.push(e.outerHTML.slice(0, 80));
  }
  return pale;
}"""


def test_hostile_words_run_nowhere(site: Site, visit: Any) -> None:
    hostile = "<img src=x onerror=alert(1)><script>alert(2)</script>\"'><svg onload=alert(3)>"
    visitor = visit()
    page = visitor.page
    visitor.enter(site)
    base = site.n.settings.base_url
    page.goto(f"{base}/admin/declare")
    visitor.fill()
    for label in ("Title", "How are customers affected?", "What is happening?"):
        page.get_by_label(label).fill(hostile)
    page.locator("#preview-x", has_text="onerror").wait_for()
    page.frame_locator("iframe:not(.loading)").locator("h1", has_text="onerror").wait_for()
    page.locator("#publish").click()
    page.wait_for_url("**/admin/incidents/1")
    for path in ("/admin/incidents/1", "/admin/", "/", "/incidents/INC-1"):
        page.goto(base + path)
        assert hostile in page.locator("main").inner_text()
        assert page.locator("main img, main script").count() == 0
