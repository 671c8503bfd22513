"""Addresses that get no mail: the operators' page, the API, and what a preview says of them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from notifier.domain.access import Role
from notifier.domain.suppression import Reason
from notifier.ports import Notifier
from notifier.services import suppressing
from notifier.store.suppressions import Suppression, suppress
from tests.fakes import FakeClock
from tests.web.conftest import SignIn
from tests.web.pages import LintingClient
from tests.web.programs import Program, refused

PAGE = "/admin/suppressions"
LIFT = "/admin/suppressions/lift"


def put(n: Notifier, *addresses: str, reason: Reason = Reason.BOUNCE, detail: str = "550") -> None:
    now = n.clock()
    rows = [Suppression(a, reason, detail, "sendgrid", now, reason.until(now)) for a in addresses]
    with n.db.transaction() as connection:
        suppress(connection, rows)


def listed(client: LintingClient, path: str = PAGE) -> list[str]:
    return [row.find(class_="row-title")[0].text for row in client.page(path).find("li")]


def test_the_list_begins_with_the_newest_and_says_why(
    sign_in_as: SignIn, n: Notifier, clock: FakeClock
) -> None:
    operator = sign_in_as()
    assert "None." in operator.page(PAGE).text
    put(n, "Amina@example.com", detail="550 no such user")
    clock.move(minutes=1)
    put(n, "badar@example.com", reason=Reason.BLOCKED, detail="<b>421</b>")
    assert listed(operator) == ["badar@example.com", "Amina@example.com"]
    text = operator.page(PAGE).text
    assert "Came back: there is no such mailbox: 550 no such user" in text
    assert "Refused for the time being: <b>421</b>" in text
    assert "until Wed 25 Nov 2026, 13:13" in text
    clock.move(days=3)
    assert listed(sign_in_as()) == ["Amina@example.com"]


def test_the_list_comes_page_by_page(operator: LintingClient, n: Notifier) -> None:
    put(n, *(f"r{i:03}@example.com" for i in range(120)))
    seen: list[str] = []
    path = PAGE
    while path:
        seen += listed(operator, path)
        more = [a for a in operator.page(path).find("a") if a.text == "Older ones"]
        path = more[0].attrs["href"] if more else ""
        assert "example.com" not in path
    assert seen == [f"r{i:03}@example.com" for i in reversed(range(120))]
    assert len(listed(operator, f"{PAGE}?after=forged")) == 50


def test_an_address_is_added_and_lifted_by_hand(operator: LintingClient) -> None:
    page = operator.page(PAGE)
    given = {"address": " Amina@Example.com ", "detail": "by telephone"}
    assert operator.press(page, PAGE, given).status_code == 303
    page = operator.page(PAGE)
    assert "Put here by hand: by telephone" in page.text
    assert "says amina" in page.text
    assert operator.press(page, LIFT).status_code == 303
    assert listed(operator) == []
    again = {"address": "Amina@example.com", "csrf": page.values(page.find("form")[0])["csrf"]}
    assert operator.post(LIFT, data=again).status_code == 303


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("address", "", "The address is missing."),
        ("address", "amina", "The address is not an e-mail address"),
        ("detail", "x" * 501, "The reason has 501 characters"),
        ("detail", "a\x07b", "The reason must be one line"),
    ],
)
def test_what_is_wrong_is_said_and_nothing_is_lost(
    operator: LintingClient, field: str, value: str, said: str
) -> None:
    given = {"address": "amina@example.com", "detail": "by telephone", field: value}
    answer = operator.press(operator.page(PAGE), PAGE, given)
    assert answer.status_code == 422
    assert said in answer.text.replace("&#39;", "'")
    assert "Nothing was changed: please correct this" in answer.text
    kept = "by telephone" if field == "address" else "amina@example.com"
    assert kept in answer.text
    assert listed(operator) == []


def test_a_viewer_looks_and_changes_nothing(sign_in_as: SignIn, n: Notifier) -> None:
    put(n, "amina@example.com")
    viewer = sign_in_as(Role.VIEWER)
    assert listed(viewer) == ["amina@example.com"]
    assert {f.attrs["action"] for f in viewer.page(PAGE).find("form")} == {"/sign-out"}


def test_a_preview_counts_who_is_left_out(
    operator: LintingClient, n: Notifier, add_customers: Any
) -> None:
    add_customers(3, components=("hot-water",))
    suppressing.suppress(n, "c1@example.com", detail="", by="olga")
    page = operator.page("/admin/declare")
    chosen = {"components": ["hot-water"], "action": "preview"}
    text = operator.press(page, "/admin/declare", chosen).text
    assert "<b>2</b> customers get it" in text
    assert "<b>1</b> affected customer is left out, whose" in text


@pytest.fixture
def program(app: Flask, n: Notifier) -> Program:
    return Program.of(app, n)


def test_programs_put_read_list_and_delete(program: Program) -> None:
    made = program.put("/suppressions/Amina@example.com", {"detail": "asked for it"})
    assert made.status_code == 200
    assert made.json == {
        "address": "Amina@example.com",
        "reason": "manual",
        "detail": "asked for it",
        "source": "ci",
        "created_at": "2026-11-22T08:12:00Z",
        "until": None,
    }
    assert program.get("/suppressions/AMINA@example.com").json == made.json
    assert program.put("/suppressions/amina@example.com", {}).json == made.json, "it stays"
    page = program.get("/suppressions").json
    assert page == {"suppressions": [made.json], "next_cursor": None}
    gone = program.send("DELETE", "/suppressions/amina@example.com")
    assert (gone.status_code, gone.data) == (204, b"")
    for method in ("GET", "DELETE"):
        problem = refused(program.send(method, "/suppressions/amina@example.com"), 404)
        assert "is not on the list" in problem["detail"]


def test_what_holds_for_longer_stays(program: Program, n: Notifier) -> None:
    put(n, "a@example.com", reason=Reason.BLOCKED)
    held = program.put("/suppressions/a@example.com", {}).json
    assert held is not None
    assert (held["reason"], held["until"]) == ("manual", None)
    put(n, "a@example.com", reason=Reason.BLOCKED)
    assert program.get("/suppressions/a@example.com").json == held


def test_a_longer_block_prolongs_a_shorter_one(program: Program, n: Notifier, clock: Any) -> None:
    put(n, "a@example.com", reason=Reason.BLOCKED)
    clock.move(hours=1)
    put(n, "a@example.com", reason=Reason.BLOCKED)
    clock.now += timedelta(days=3, minutes=-1)
    assert program.get("/suppressions/a@example.com").status_code == 200
    clock.move(minutes=1)
    assert program.get("/suppressions/a@example.com").status_code == 404


def test_programs_page_through_the_list(program: Program, n: Notifier) -> None:
    put(n, *(f"r{i:04}@example.com" for i in range(501)))
    first = program.get("/suppressions").json
    assert first is not None
    second = program.get(f"/suppressions?cursor={first['next_cursor']}").json
    assert second is not None
    assert [len(first["suppressions"]), len(second["suppressions"])] == [500, 1]
    assert second["next_cursor"] is None
    for forged in ("x", "MQ", "w6k"):
        problem = refused(program.get(f"/suppressions?cursor={forged}"), 422)
        assert problem["errors"][0]["field"] == "cursor"


def test_programs_are_told_what_is_wrong(program: Program, app: Flask, n: Notifier) -> None:
    assert refused(program.put("/suppressions/amina", {}), 422)["errors"][0]["field"] == "address"
    wrong = refused(program.put("/suppressions/a@example.com", {"reason": "x"}), 422)
    assert wrong["errors"][0]["message"].startswith("is not a field")
    viewer = Program.of(app, n, role=Role.VIEWER)
    assert viewer.get("/suppressions").status_code == 200
    refused(viewer.put("/suppressions/a@example.com", {}), 403)
    refused(viewer.send("DELETE", "/suppressions/a@example.com"), 403)
