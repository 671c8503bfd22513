"""The kill switch in the room and in the API: nobody overlooks it, and anybody can end it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from notifier.domain.access import Role
from notifier.domain.delivery import State
from notifier.ports import Notifier
from notifier.services import reports
from notifier.services.incidents import Published
from notifier.services.pausing import pause, paused
from notifier.services.posting import run_posts
from tests.fakes import FakePosts
from tests.web.pages import LintingClient, Page
from tests.web.programs import Program, refused

Declare = Callable[..., Published]
ROOM = ("/admin/", "/admin/declare", "/admin/unknown", "/admin/incidents/1")


def press_pause(operator: LintingClient, reason: str) -> Any:
    return operator.press(operator.page("/admin/"), "/admin/pause", {"reason": reason})


def test_a_press_pauses_and_every_page_says_so(
    operator: LintingClient, declare: Declare, n: Notifier
) -> None:
    declare()
    for path in ROOM:
        assert not operator.page(path).find("aside", class_="paused"), path
    assert press_pause(operator, "Wrong list").headers["Location"] == "/admin/"
    for path in ROOM:
        banner = operator.page(path).one("aside", class_="paused").text
        assert banner.startswith("Paused: nothing leaves Since Sun 22 Nov 2026, 13:12 PKT"), path
        assert "by amina: Wrong list" in banner
        assert "1 message waits." in banner
        assert "Let messages leave again" in banner
    assert not operator.page("/admin/").find("details", class_="stop"), "it is paused already"
    held = paused(n)
    assert held is not None
    assert (held.by, held.reason) == ("amina", "Wrong list")


@pytest.mark.parametrize("path", ["/", "/sign-in"])
def test_the_public_learns_nothing_of_it(
    n: Notifier, anonymous: LintingClient, sign_in_as: Any, path: str
) -> None:
    sign_in_as()
    pause(n, by="amina", reason="Wrong list")
    assert "Wrong list" not in anonymous.get(path).text


@pytest.mark.parametrize(
    ("reason", "sentence"),
    [("", "The reason is missing."), ("x" * 301, "The reason has 301 characters")],
)
def test_without_a_reason_nothing_is_paused(
    operator: LintingClient, n: Notifier, reason: str, sentence: str
) -> None:
    answer = press_pause(operator, reason)
    assert answer.status_code == 422
    page = Page(answer.text)
    assert sentence in page.one(id="problems").text
    assert page.one("input", id="reason").attrs["value"] == reason
    assert paused(n) is None
    assert operator.press(page, "/admin/pause", {"reason": "Now"}).status_code == 303
    assert paused(n) is not None


def test_a_reason_is_shown_as_text(operator: LintingClient) -> None:
    press_pause(operator, "<script>alert(1)</script>")
    assert "<script>alert(1)</script>" in operator.page("/admin/").one("aside").text


def test_a_press_lets_messages_leave_again_and_says_how_many(
    operator: LintingClient, declare: Declare, n: Notifier, posts: FakePosts
) -> None:
    pause(n, by="amina", reason="Wrong list")
    declare()
    run_posts(n, "x")
    answer = operator.press(operator.page("/admin/"), "/admin/resume")
    assert answer.status_code == 200
    assert "1 message leaves now, or when its time comes." in Page(answer.text).text
    assert "will never leave" not in answer.text
    run_posts(n, "x")
    assert len(posts.sent) == 1
    assert paused(n) is None


def test_what_waits_can_be_cancelled_with_it(
    operator: LintingClient, declare: Declare, n: Notifier, posts: FakePosts
) -> None:
    pause(n, by="amina", reason="Wrong list")
    declare()
    declare()
    answer = operator.press(operator.page("/admin/"), "/admin/resume", {"cancel_waiting": "yes"})
    text = Page(answer.text).text
    assert "2 messages that waited will never leave." in text
    assert "Nothing waits." in text
    run_posts(n, "x")
    assert posts.tried == []
    assert "cancelled by amina when the pause ended" in operator.page("/admin/incidents/1").text


def test_whoever_resumes_second_cancels_nothing(
    operator: LintingClient, declare: Declare, n: Notifier
) -> None:
    pause(n, by="amina", reason="Wrong list")
    declare()
    page = operator.page("/admin/")
    operator.press(page, "/admin/resume")
    answer = operator.press(page, "/admin/resume", {"cancel_waiting": "yes"})
    assert answer.status_code == 409
    assert "Nothing is paused, so nothing was changed" in answer.text
    assert reports.report(n, 1).latest.posts[0].state is State.PLANNED


def test_a_viewer_sees_it_and_cannot_change_it(sign_in_as: Any, n: Notifier) -> None:
    viewer = sign_in_as(Role.VIEWER, "vera")
    page = viewer.page("/admin/")
    assert "Pause everything" not in page.text
    csrf = page.find("input", name="csrf")[0].attrs["value"]
    answer = viewer.post("/admin/pause", data={"csrf": csrf, "reason": "No"})
    assert (answer.status_code, paused(n)) == (403, None)
    held = pause(n, by="amina", reason="Wrong list")
    banner = viewer.page("/admin/").one("aside", class_="paused")
    assert "Wrong list" in banner.text
    assert not banner.find("form")
    assert viewer.post("/admin/resume", data={"csrf": csrf}).status_code == 403
    assert paused(n) == held


def test_the_receipt_says_that_nothing_leaves(
    operator: LintingClient, declare: Declare, n: Notifier
) -> None:
    declare()
    pause(n, by="amina", reason="Wrong list")
    for path in ("/admin/incidents/1", "/admin/incidents/1/state"):
        held = operator.page(path).one(id="held").text
        assert held.startswith("Nothing of this leaves before messages may leave again"), path
    operator.press(operator.page("/admin/"), "/admin/resume")
    run_posts(n, "x")
    assert not operator.page("/admin/incidents/1").find(id="held")
    pause(n, by="amina", reason="Wrong list")
    assert not operator.page("/admin/incidents/1").find(id="held"), "all of it has left"


# --- For programs ------------------------------------------------------------------------------


def test_programs_pause_and_resume(app: Flask, n: Notifier, declare: Declare) -> None:
    declare()
    program = Program.of(app, n)
    free = {"paused": False, "since": None, "by": None, "reason": None, "waiting": 1}
    assert json.loads(program.get("/pause").text) == free | {"cancelled": 0}
    held = json.loads(program.post("/pause", {"paused": True, "reason": "Wrong list"}).text)
    assert held == {
        "paused": True, "since": "2026-11-22T08:12:00Z", "by": "ci", "reason": "Wrong list",
        "waiting": 1, "cancelled": 0,
    }  # fmt: skip
    assert json.loads(Program.of(app, n, Role.VIEWER).get("/pause").text) == held
    done = program.post("/pause", {"paused": False, "cancel_waiting": True})
    assert json.loads(done.text) == free | {"waiting": 0, "cancelled": 1}
    assert reports.report(n, 1).latest.posts[0].state is State.CANCELLED


@pytest.mark.parametrize(
    ("body", "status", "detail"),
    [
        ({}, 422, "paused is missing."),
        ({"paused": "yes"}, 422, "paused must be true or false."),
        ({"paused": True}, 422, "reason is missing."),
        ({"paused": True, "reason": "a\nb"}, 422, "reason must be one line"),
        ({"paused": True, "reason": "x" * 301}, 422, "reason has 301 characters"),
        ({"paused": True, "resaon": "x"}, 422, "resaon is not a field; did you mean 'reason'?"),
        ({"paused": False}, 409, "Nothing is paused, so nothing was changed"),
    ],
)
def test_a_wrong_request_changes_nothing(
    app: Flask, n: Notifier, body: dict[str, Any], status: int, detail: str
) -> None:
    assert refused(Program.of(app, n).post("/pause", body), status)["detail"].startswith(detail)
    assert paused(n) is None


def test_a_viewers_token_pauses_nothing(app: Flask, n: Notifier) -> None:
    body = {"paused": True, "reason": "x"}
    refused(Program.of(app, n, Role.VIEWER).post("/pause", body), 403)
    assert paused(n) is None
