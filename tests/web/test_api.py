"""What the write API does, through the real application on a real database."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from notifier.domain.access import Role
from notifier.ports import Notifier
from notifier.services import mailing, posting, waiting_mail
from notifier.services.importing import COLUMNS, import_customers
from notifier.services.incidents import Published
from tests.fakes import FakeClock, FakeMail, FakePosts
from tests.web.programs import (
    CUSTOMER,
    DECLARATION,
    RESOLVED,
    UPDATE,
    Program,
    refused,
)

pytestmark = pytest.mark.usefixtures("components")


@pytest.fixture
def program(app: Flask, n: Notifier) -> Program:
    return Program.of(app, n)


def add_readers(n: Notifier, count: int) -> None:
    rows = [f"c{i},c{i}@example.com,Reader {i},en,UTC,hot-water" for i in range(count)]
    file = io.BytesIO("\n".join([",".join(COLUMNS), *rows]).encode())
    done = import_customers(n, file, on_problem=print, on_progress=lambda *_: None)
    assert done.written == count


def test_a_declaration_answers_with_its_receipt(program: Program, n: Notifier) -> None:
    add_readers(n, 3)
    response = program.post("/incidents", DECLARATION)
    assert response.status_code == 201
    assert response.headers["Location"] == "/api/v1/incidents/1"
    receipt = response.json
    assert receipt is not None
    (post,) = receipt.pop("posts")
    assert post.pop("text").startswith("About 4,200 homes have no hot water.")
    assert post == {"channel": "x", "state": "planned", "link": None, "reason": None}
    assert receipt == {
        "id": 1,
        "reference": "INC-1",
        "status": "investigating",
        "url": "https://status.example.com/incidents/INC-1",
        "update": 1,
        "email": {
            "scheduled_for": "2026-11-22T08:17:00Z",
            "recipients": 3,
            "state": "planned",
            "reason": "after the usual wait for this severity, so that it can still be changed",
            "counts": {},
        },
    }


def test_the_mail_leaves_when_the_program_says(program: Program, n: Notifier) -> None:
    add_readers(n, 1)
    soon = program.post("/incidents", {**DECLARATION, "email": {"delay_minutes": 0}}).json
    later = program.post(
        "/incidents", {**DECLARATION, "email": {"send_at": "2026-11-22T15:00:00+05:00"}}
    ).json
    assert soon is not None
    assert later is not None
    assert soon["email"]["scheduled_for"] == "2026-11-22T08:12:00Z"
    assert later["email"]["scheduled_for"] == "2026-11-22T10:00:00Z"


def test_with_nobody_to_mail_the_receipt_says_so(program: Program) -> None:
    receipt = program.post("/incidents", DECLARATION).json
    assert receipt is not None
    assert receipt["email"] == {
        "scheduled_for": None,
        "recipients": 0,
        "state": None,
        "reason": "no customer with an address uses these components",
        "counts": {},
    }


def test_an_end_needs_no_duration_and_no_next_update(program: Program) -> None:
    program.post("/incidents", DECLARATION)
    receipt = program.post("/incidents/1/updates", RESOLVED)
    assert receipt.status_code == 201
    assert receipt.json is not None
    assert (receipt.json["id"], receipt.json["update"]) == (1, 2)
    assert receipt.json["status"] == "resolved"
    incident = program.get("/incidents/1").json
    assert incident is not None
    newest, first = incident["updates"]
    assert newest["notice"]["expected_duration"] == {
        "from": "2026-11-22T08:12:00Z",
        "until": "2026-11-22T08:12:00Z",
        "unknown": False,
        "over": True,
    }
    assert first["posts"][0]["state"] == "cancelled"
    assert first["posts"][0]["reason"] == "a newer update tells more"


def test_an_incident_shows_what_became_of_each_message(
    program: Program, n: Notifier, clock: FakeClock, posts: FakePosts
) -> None:
    add_readers(n, 3)
    program.post("/incidents", {**DECLARATION, "started_at": "2026-11-22T12:00:00+05:00"})
    posting.run_posts(n, "x")
    clock.move(minutes=10)
    mailing.MailRun(n).run()
    response = program.get("/incidents/1")
    assert response.status_code == 200
    incident = response.json
    assert incident is not None
    assert incident["title"] == DECLARATION["title"]
    assert incident["severity"] == "major"
    assert incident["components"] == ["hot-water"]
    assert incident["started_at"] == "2026-11-22T07:00:00Z"
    assert incident["resolved_at"] is None
    assert incident["posts"] == [
        {
            "channel": "x",
            "state": "accepted",
            "text": posts.sent[0],
            "link": "https://posts.example/1000",
            "reason": None,
        }
    ]
    assert incident["email"]["state"] == "accepted"
    assert incident["email"]["counts"] == {"accepted": 3}
    assert incident["updates"][0]["published_by"] == "ci"
    assert incident["updates"][0]["edited"] is None


def test_a_notice_is_written_in_the_order_in_which_it_is_read(program: Program) -> None:
    program.post("/incidents", DECLARATION)
    text = program.get("/incidents/1").text
    notice = text[text.index('"notice"') :]
    places = [notice.index(f'"{name}"') for name in ("impact", "expected_duration", "explanation")]
    assert places == sorted(places)


def test_a_mail_that_was_edited_is_shown_as_it_leaves(
    program: Program, n: Notifier, declare: Callable[..., Published]
) -> None:
    add_readers(n, 1)
    declare()
    report = program.get("/incidents/1").json
    assert report is not None
    from notifier.services import reports
    from notifier.services.incidents import Expected, Words

    mail = reports.report(n, 1).latest.mail
    assert mail is not None
    waiting_mail.edit(
        n,
        mail.id,
        Words(
            impact="About 900 homes have no hot water.",
            expected=Expected(unknown=True),
            explanation="A pump failed.",
            next_update_by=n.clock().replace(hour=10),
        ),
    )
    edited = program.get("/incidents/1").json
    assert edited is not None
    assert edited["updates"][0]["edited"]["impact"] == "About 900 homes have no hot water."
    assert edited["updates"][0]["notice"]["impact"] == "About 4,200 homes have no hot water."


def test_the_ledger_comes_page_by_page(
    program: Program, n: Notifier, clock: FakeClock, mail: FakeMail
) -> None:
    add_readers(n, 1_201)
    program.post("/incidents", DECLARATION)
    clock.move(minutes=10)
    mailing.MailRun(n).run()
    seen: list[dict[str, Any]] = []
    sizes = []
    cursor = ""
    while True:
        page = program.get(f"/incidents/1/deliveries?cursor={cursor}").json
        assert page is not None
        sizes.append(len(page["deliveries"]))
        seen += page["deliveries"]
        cursor = page["next_cursor"]
        if not cursor:
            break
    assert sizes == [500, 500, 201]
    assert sorted(d["address"] for d in seen) == sorted(mail.addresses)
    assert seen[0] == {
        "id": "2-1",
        "external_id": "c0",
        "address": "c0@example.com",
        "channel": "fakemail",
        "state": "accepted",
        "reference": "batch",
        "reason": None,
        "claimed_at": "2026-11-22T08:22:00Z",
        "settled_at": "2026-11-22T08:22:00Z",
    }
    accepted = program.get("/incidents/1/deliveries?state=accepted").json
    unknown = program.get("/incidents/1/deliveries?state=unknown").json
    assert accepted is not None
    assert len(accepted["deliveries"]) == 500
    assert unknown == {"deliveries": [], "next_cursor": None}


def test_components_and_customers_are_put(program: Program) -> None:
    put = program.put("/components/drains", {"name": "Drains", "group": "Water", "position": 3})
    assert put.status_code == 200
    assert put.json == {"slug": "drains", "name": "Drains", "group": "Water", "position": 3}
    customer = {
        "email": "Amina@Example.COM",
        "name": "Amina",
        "language": "ur",
        "time_zone": "Asia/Karachi",
        "components": ["drains", "hot-water"],
    }
    first = program.put("/customers/crm/17", customer)
    again = program.put("/customers/crm/17", {**customer, "components": ["drains"]})
    assert first.status_code == again.status_code == 200
    assert again.json == {
        "external_id": "crm/17",
        "email": "Amina@example.com",
        "name": "Amina",
        "language": "ur",
        "time_zone": "Asia/Karachi",
        "components": ["drains"],
        "priority": False,
    }
    raised = program.put("/customers/crm/17", {**customer, "priority": True})
    assert raised.json is not None
    assert raised.json["priority"] is True
    program.put("/customers/crm/17", {**customer, "components": ["drains"]})
    receipt = program.post("/incidents", DECLARATION).json
    assert receipt is not None
    assert receipt["email"]["recipients"] == 0, "amina does not use hot water any more"


def test_what_a_customer_does_not_say_is_the_sites(program: Program) -> None:
    put = program.put("/customers/c1", CUSTOMER).json
    assert put is not None
    assert (put["name"], put["language"], put["time_zone"]) == ("", "en", "Asia/Karachi")


def test_a_repeated_request_is_done_once(program: Program) -> None:
    first = program.post("/incidents", DECLARATION, key="a-1")
    again = program.post("/incidents", DECLARATION, key="a-1")
    other = program.post("/incidents", DECLARATION, key="a-2")
    assert [r.status_code for r in (first, again, other)] == [201, 201, 201]
    assert first.json == again.json
    assert other.json is not None
    assert other.json["id"] == 2
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"


def test_a_repeated_update_is_done_once(program: Program) -> None:
    program.post("/incidents", DECLARATION)
    first = program.post("/incidents/1/updates", UPDATE, key="u")
    again = program.post("/incidents/1/updates", UPDATE, key="u")
    assert first.json == again.json
    incident = program.get("/incidents/1").json
    assert incident is not None
    assert len(incident["updates"]) == 2


def test_a_key_is_not_used_for_two_things(program: Program) -> None:
    program.post("/incidents", DECLARATION, key="k")
    program.post("/incidents", DECLARATION)
    other_body = program.post("/incidents", {**DECLARATION, "severity": "minor"}, key="k")
    assert "another body" in refused(other_body, 422)["detail"]
    program.post("/incidents/1/updates", UPDATE, key="u")
    assert (
        "another body"
        in refused(program.post("/incidents/2/updates", UPDATE, key="u"), 422)["detail"]
    )


def test_two_programs_may_use_the_same_key(app: Flask, n: Notifier) -> None:
    ours, theirs = (Program.of(app, n, name=name) for name in ("ours", "theirs"))
    first = ours.post("/incidents", DECLARATION, key="k").json
    second = theirs.post("/incidents", DECLARATION, key="k").json
    assert first is not None
    assert second is not None
    assert first["id"] != second["id"]


def test_the_same_request_ten_times_at_once_is_one_incident(program: Program) -> None:
    answers = []

    def send() -> None:
        answers.append(program.post("/incidents", DECLARATION, key="k"))

    threads = [threading.Thread(target=send) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {r.status_code for r in answers} == {201}
    assert {json.loads(r.text)["id"] for r in answers} == {1}
    assert sum("Idempotency-Replayed" not in r.headers for r in answers) == 1


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/incidents", DECLARATION),
        ("POST", "/incidents/1/updates", UPDATE),
        ("PUT", "/components/x", {"name": "X"}),
        ("PUT", "/customers/x", CUSTOMER),
    ],
)
def test_a_viewer_reads_and_writes_nothing(
    app: Flask, n: Notifier, program: Program, method: str, path: str, body: dict[str, Any]
) -> None:
    program.post("/incidents", DECLARATION)
    viewer = Program.of(app, n, Role.VIEWER)
    assert viewer.get("/incidents/1").status_code == 200
    assert viewer.get("/incidents/1/deliveries").status_code == 200
    assert "needs the role publisher" in refused(viewer.send(method, path, body), 403)["detail"]


@pytest.mark.parametrize("path", ["/incidents", "/incidents/1", "/incidents/1/deliveries"])
def test_without_a_token_nobody_learns_anything(app: Flask, path: str) -> None:
    stranger = Program(app, "nt_guessed")
    method = "POST" if path == "/incidents" else "GET"
    answer = stranger.send(method, path, b"{" if method == "POST" else None)
    assert "Bearer" in refused(answer, 401)["detail"]
    assert answer.headers["WWW-Authenticate"] == "Bearer"
