"""Drafts by the write API: what is proposed in which order, and deciding on it once."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask

from notifier.domain.access import Role
from notifier.ports import Notifier
from tests.alerts.alarms import Alarms, allow_auto, open_alarms
from tests.fakes import FakeClock
from tests.web.programs import Program, refused

pytestmark = pytest.mark.usefixtures("components")

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def program(app: Flask, n: Notifier) -> Program:
    return Program.of(app, n)


@pytest.fixture
def alarms(n: Notifier) -> Alarms:
    return open_alarms(n, component="sign-in")


def read(program: Program, path: str) -> dict[str, Any]:
    response = program.get(path)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = json.loads(response.text)
    return found


def test_a_draft_is_read_in_the_order_in_which_customers_read_it(
    program: Program, alarms: Alarms
) -> None:
    alarms.fire(summary="a", url="x")
    text = program.get("/drafts/1").text
    notice = text[text.index('"notice"') :]
    places = [notice.index(f'"{name}"') for name in ("impact", "expected_duration", "explanation")]
    assert places == sorted(places)
    draft = json.loads(text)
    assert draft["notice"] == {
        "impact": "You may have problems with Sign-in.",
        "expected_duration": {"from": None, "until": None, "unknown": True, "over": False},
        "explanation": "Our monitoring has noticed a problem. We are looking into it.",
        "next_update_by": "2026-11-22T08:45:00Z",
    }
    assert (draft["component"], draft["severity"], draft["state"]) == (
        "sign-in",
        "critical",
        "waiting",
    )
    assert draft["estimate"] is None
    (alert,) = draft["alerts"]
    assert (alert["integration"], alert["title"], alert["state"]) == (
        "Prometheus",
        "alert a",
        "firing",
    )


def test_a_tools_words_are_among_the_alerts_and_nowhere_else(
    program: Program, alarms: Alarms
) -> None:
    alarms.fire(HOSTILE, service=HOSTILE)
    draft = read(program, "/drafts/1")
    (alert,) = draft.pop("alerts")
    assert HOSTILE in alert["title"]
    assert HOSTILE not in json.dumps(draft)


def test_drafts_are_listed_by_what_became_of_them(
    program: Program, alarms: Alarms, clock: FakeClock
) -> None:
    alarms.fire()
    program.post("/drafts/1/dismiss", None)
    clock.move(minutes=11)
    alarms.fire("b")
    assert [d["id"] for d in read(program, "/drafts")["drafts"]] == [2, 1]
    assert [d["id"] for d in read(program, "/drafts?state=waiting")["drafts"]] == [2]
    (dismissed,) = read(program, "/drafts?state=dismissed")["drafts"]
    assert (dismissed["id"], dismissed["decided_by"]) == (1, "ci")
    assert "alerts" not in dismissed
    assert refused(program.get("/drafts?state=lost"), 422)["errors"][0]["field"] == "state"
    assert refused(program.get("/drafts?cursor=-1"), 422)["errors"][0]["field"] == "cursor"


def test_many_drafts_come_page_by_page(n: Notifier, program: Program, alarms: Alarms) -> None:
    alarms.fire()
    with n.db.transaction() as connection:
        from notifier.store import drafts

        first = drafts.find(connection, 1)
        assert first is not None
        for _ in range(100):
            drafts.add(
                connection,
                {
                    "state": "dismissed",
                    "component_id": first.component_id,
                    "severity": "minor",
                    "opened_at": first.opened_at,
                    "changed_at": first.changed_at,
                },
            )
    page = read(program, "/drafts")
    assert len(page["drafts"]) == 100
    rest = read(program, f"/drafts?cursor={page['next_cursor']}")
    assert [d["id"] for d in rest["drafts"]] == [1]
    assert rest["next_cursor"] is None


def test_a_draft_is_posted_once(program: Program, alarms: Alarms) -> None:
    alarms.fire()
    posted = program.post("/drafts/1/post", None)
    assert posted.status_code == 201
    assert posted.headers["Location"] == "/api/v1/incidents/1"
    assert posted.json is not None
    assert posted.json["reference"] == "INC-1"
    again = refused(program.post("/drafts/1/post", None), 409)
    assert again["detail"] == "Draft 1 is posted already."
    assert read(program, "/drafts/1")["incident"] == 1
    refused(program.post("/drafts/1/dismiss", None), 409)
    refused(program.post("/drafts/1/stop", None), 409)


def test_what_posts_itself_can_be_stopped(program: Program, alarms: Alarms) -> None:
    allow_auto(alarms.n, component="sign-in", after=timedelta(minutes=5))
    alarms.fire(service="sign-in")
    assert read(program, "/drafts/1")["posts_itself_at"] == "2026-11-22T08:17:00Z"
    stopped = program.post("/drafts/1/stop", None).json
    assert stopped is not None
    assert (stopped["posts_itself_at"], stopped["stopped"]) == (None, "stopped by ci")
    assert stopped["state"] == "waiting"


def test_without_a_component_somebody_has_to_say_which(program: Program, n: Notifier) -> None:
    open_alarms(n).fire()
    assert read(program, "/drafts/1")["component"] is None
    assert "choose one" in refused(program.post("/drafts/1/post", None), 409)["detail"]


def test_alerts_say_how_they_stand(program: Program, alarms: Alarms, clock: FakeClock) -> None:
    start = clock()
    alarms.fire("a")
    alarms.fire("b")
    clock.move(minutes=3)
    alarms.end("a", start=start)
    states = {a["title"]: a["state"] for a in read(program, "/drafts/1")["alerts"]}
    assert states == {"alert a": "over", "alert b": "firing"}


def test_a_viewer_reads_and_decides_nothing(app: Flask, n: Notifier, alarms: Alarms) -> None:
    alarms.fire()
    viewer = Program.of(app, n, role=Role.VIEWER)
    assert viewer.get("/drafts/1").status_code == 200
    for decision in ("post", "stop", "dismiss"):
        refused(viewer.post(f"/drafts/1/{decision}", None), 403)


def test_a_draft_that_is_not_there_is_not_found(program: Program) -> None:
    for number in ("7", "x", "9" * 30):
        refused(program.get(f"/drafts/{number}"), 404)
        refused(program.post(f"/drafts/{number}/post", None), 404)
