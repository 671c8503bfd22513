"""What every answer tells the browser."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from notifier.services.incidents import Published
from notifier.web.headers import PAGE_POLICY
from tests.web.pages import LintingClient

Declare = Callable[..., Published]


@pytest.mark.parametrize(
    "path",
    ["/", "/incidents/INC-1", "/incidents/INC-9", "/sign-in", "/admin/", "/admin/declare",
     "/admin/incidents/1", "/static/notifier.js", "/healthz", "/openapi.json", "/api/v1/nothing",
     "/u/1-0"],
)  # fmt: skip
def test_every_answer_forbids_what_is_not_ours(
    operator: LintingClient, declare: Declare, path: str
) -> None:
    declare()
    headers = operator.get(path).headers
    assert headers["Content-Security-Policy"] == PAGE_POLICY
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Strict-Transport-Security"] == "max-age=31536000"
    assert headers.getlist("Cache-Control")


def test_the_policy_allows_nothing_inline_and_nothing_foreign() -> None:
    rules = dict(rule.split(" ", 1) for rule in PAGE_POLICY.split("; "))
    assert rules.pop("default-src") == "'none'"
    assert set(rules.values()) <= {"'self'", "'none'"}
    assert {"base-uri", "form-action", "frame-ancestors"} <= set(rules)


@pytest.mark.usefixtures("components")
def test_a_previewed_mail_gets_no_origin_no_script_and_no_network(operator: LintingClient) -> None:
    address = operator.page("/admin/declare").one("iframe").attrs["src"]
    policy = operator.get(address).headers["Content-Security-Policy"]
    rules = [rule.split(" ", 1) for rule in policy.split("; ")]
    assert ["sandbox"] in rules
    assert ["default-src", "'none'"] in rules
    assert ["style-src", "'unsafe-inline'"] in rules
    assert ["frame-ancestors", "'self'"] in rules
    assert {rule[0] for rule in rules} & {"script-src", "img-src", "connect-src"} == set()


@pytest.mark.usefixtures("components")
def test_the_room_is_kept_by_no_cache(operator: LintingClient, declare: Declare) -> None:
    declare()
    for path in ("/admin/", "/admin/declare", "/admin/incidents/1", "/admin/incidents/1/state"):
        assert operator.get(path).headers["Cache-Control"] == "no-store"


def test_our_files_may_be_kept_for_ever_under_the_address_of_their_content(
    anonymous: LintingClient,
) -> None:
    (sheet,) = anonymous.page("/").find("link", rel="stylesheet")
    answer = anonymous.get(sheet.attrs["href"])
    assert "immutable" in answer.headers["Cache-Control"]
    assert answer.mimetype == "text/css"
    stale = anonymous.get("/static/notifier.css?v=older")
    assert "immutable" not in stale.headers["Cache-Control"]


def test_the_sheet_stays_small(anonymous: LintingClient) -> None:
    assert len(anonymous.get("/static/notifier.css").data) <= 19_000
