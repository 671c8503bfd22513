"""What customers would see, in the browser: the timeline of X and everybody's inbox.

Nothing a mail contains can act here: pages are escaped and allow no script at all, and a
mail's HTML stands in a frame with `sandbox=""`, served under a policy that loads nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from notifier.paths import template_dir
from notifier.sandbox.log import Log
from notifier.sandbox.wire import Reply, Request
from notifier.sandbox.x import X
from notifier.sandbox.x_post import WEIGHT_MAX

MAILS_SHOWN = 50
POSTS_SHOWN = 50
REFRESH_SECONDS = 3
_COMMON = (
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "no-store"),
)
_PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'"
)
#: Mail brings its own inline styles; it may not load, run, submit or navigate anything.
_MAIL_POLICY = (
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'self'"
)


class Pages:
    """Renders the pages from the timeline and the log."""

    def __init__(self, *, log: Log, x: X) -> None:
        self._log = log
        self._x = x
        folder = template_dir() / "sandbox"
        self._templates = Environment(
            loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined
        )
        self._style = (folder / "sandbox.css").read_bytes()

    def answer(self, request: Request) -> Reply:
        """The page at this path."""
        match request.path.strip("/").split("/"):
            case [""]:
                return self._overview(request)
            case ["sandbox.css"]:
                return Reply(200, self._style, "text/css; charset=utf-8", _COMMON)
            case ["x", "i", "web", "status", ident]:
                return self._post(ident)
            case ["mail", number]:
                return self._mail(number)
            case ["mail", number, "html"]:
                return self._mail_html(number)
        return self._missing("There is no such page.")

    def _overview(self, request: Request) -> Reply:
        before = request.parameters.get("before", "")
        older_than = int(before) if before.isdecimal() else None
        mails = self._log.latest_mails(MAILS_SHOWN, before=older_than)
        posts = self._x.posts()
        live = request.parameters.get("refresh") != "off" and older_than is None
        return self._page(
            "overview.html",
            posts=posts[:POSTS_SHOWN],
            post_count=len(posts),
            mails=[_with_time(mail) for mail in mails],
            mail_count=self._log.count_mails(),
            older=mails[-1]["seq"] if len(mails) == MAILS_SHOWN else None,
            refresh=REFRESH_SECONDS if live else None,
            is_newest=older_than is None,
        )

    def _post(self, ident: str) -> Reply:
        post = self._x.post(ident)
        if post is None:
            return self._missing("This post does not exist, or it was deleted.")
        return self._page("post.html", post=post)

    def _mail(self, number: str) -> Reply:
        mail = self._find_mail(number)
        if mail is None:
            return self._missing("There is no such mail.")
        return self._page("mail.html", mail=_with_time(mail), headers=_readable(mail["headers"]))

    def _mail_html(self, number: str) -> Reply:
        mail = self._find_mail(number)
        if mail is None or mail["html"] is None:
            return self._missing("This mail has no HTML part.")
        policy = ("Content-Security-Policy", _MAIL_POLICY)
        return Reply(200, mail["html"].encode(), "text/html; charset=utf-8", (*_COMMON, policy))

    def _find_mail(self, number: str) -> dict[str, Any] | None:
        if not (number.isascii() and number.isdecimal()):
            return None
        try:
            line = self._log.line(int(number))
        except IndexError:
            return None
        return line if line.get("service") in ("sendgrid", "smtp") and "to" in line else None

    def _missing(self, why: str) -> Reply:
        return self._page("missing.html", status=404, why=why)

    def _page(self, template: str, *, status: int = 200, **values: Any) -> Reply:
        text = self._templates.get_template(template).render(weight_max=WEIGHT_MAX, **values)
        policy = ("Content-Security-Policy", _PAGE_POLICY)
        return Reply(status, text.encode(), "text/html; charset=utf-8", (*_COMMON, policy))


def _with_time(mail: dict[str, Any]) -> dict[str, Any]:
    """The mail with `time`, a datetime in UTC, in place of the log's text."""
    return {**mail, "time": datetime.fromisoformat(mail["at"]).astimezone(UTC)}


def _readable(headers: dict[str, str]) -> Sequence[tuple[str, str]]:
    """Headers in the order they were given; a repeated one on several lines."""
    return [(name, line) for name, value in headers.items() for line in value.split("\n")]
