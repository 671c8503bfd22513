"""Twenty real published incidents, declared, updated and resolved; the referee's log decides.

The corpus lies beside the repository (`../shared/corpus`). Its incidents have no impact,
duration or next update of their own, as their kind does not; the impact is taken from the
first words of each message, everything else is what an operator would add.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from notifier.domain.text import EXPLANATION_MAX, IMPACT_MAX
from tests.processes import (
    Process,
    Sandbox,
    environment,
    request_json,
    run_cli,
    sandbox,
    server,
)

CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus" / "status-updates.jsonl"
STATUS = {"Investigating": "investigating", "Update": "identified", "Resolved": "resolved"}
READERS = 3

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CORPUS.is_file(), reason="the corpus ../shared/corpus is not here"),
]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Sandbox, Process, str]]:
    folder = tmp_path_factory.mktemp("replay")
    with sandbox(folder) as box:
        settings = environment(folder, box)
        made = run_cli(
            "token",
            "create",
            "--role",
            "admin",
            "--name",
            "replay",
            settings=settings,
            folder=folder,
        )
        assert made.returncode == 0, made.stderr
        with server(folder, settings) as serving:
            yield box, serving, made.stdout.strip()


def incidents() -> list[dict[str, Any]]:
    """Twenty unplanned disruptions, every one with an end, the long ones among them."""
    rows = [json.loads(line) for line in CORPUS.read_text("utf-8").splitlines()]
    whole = [r for r in rows if all(u["status"] in STATUS for u in r["updates"])]
    ended = [r for r in whole if r["updates"][-1]["status"] == "Resolved"]
    return sorted(ended, key=lambda r: (-len(r["updates"]) % 7, r["id"]))[:20]


def slug(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def body(update: dict[str, Any], number: int) -> dict[str, Any]:
    """One update as an operator would enter it."""
    now = datetime.now(UTC)
    expected: dict[str, Any] = (
        {"unknown": True}
        if number == 1
        else {"until": (now + timedelta(hours=2)).isoformat()}
        if number % 2
        else {
            "from": (now + timedelta(hours=1)).isoformat(),
            "until": (now + timedelta(hours=3)).isoformat(),
        }
    )
    message = update["message"].strip() or "We have no more to say."
    told = {
        "impact": message[:IMPACT_MAX].rsplit(" ", 1)[0] if len(message) > IMPACT_MAX else message,
        "explanation": f"Update {number}. {message}"[:EXPLANATION_MAX],
        "email": {"delay_minutes": 0},
    }
    if STATUS[update["status"]] != "resolved":
        told |= {
            "expected_duration": expected,
            "next_update_by": (now + timedelta(minutes=30)).isoformat(),
        }
    return told


def test_twenty_real_incidents_are_told_from_beginning_to_end(
    world: tuple[Sandbox, Process, str], tmp_path: Path
) -> None:
    box, serving, token = world
    api = f"{serving.url}/api/v1"
    posts = mails = 0
    for row in incidents():
        components = row["components"] or ["Website"]
        for name in components:
            status, answer = request_json(
                "PUT", f"{api}/components/{slug(name)}", {"name": name}, token=token
            )
            assert status in (200, 201), answer
        for i in range(READERS):
            status, answer = request_json(
                "PUT",
                f"{api}/customers/{row['id']}-{i}",
                {
                    "email": f"reader{i}.{row['id']}@example.com",
                    "name": f"Reader {i}",
                    "language": "en",
                    "time_zone": ("Asia/Karachi", "Europe/London", "America/Sao_Paulo")[i],
                    "components": [slug(c) for c in components],
                },
                token=token,
            )
            assert status in (200, 201), answer
        incident_id = 0
        for number, update in enumerate(row["updates"], 1):
            told = body(update, number)
            if number == 1:
                told |= {
                    "title": row["title"],
                    "severity": "major" if row["impact"] == "major" else "minor",
                    "components": [slug(c) for c in components],
                }
                status, answer = request_json("POST", f"{api}/incidents", told, token=token)
            else:
                told["status"] = STATUS[update["status"]]
                status, answer = request_json(
                    "POST", f"{api}/incidents/{incident_id}/updates", told, token=token
                )
            assert status == 201, answer
            incident_id = answer["id"]
            posts += 1
            mails += answer["email"]["recipients"]
            assert len(box.wait_for(posts, "x")) == posts
            assert len(box.wait_for(mails, "sendgrid")) == mails
            check_post(box.messages("x")[-1], told, answer["reference"], number)
            check_mails(box.messages("sendgrid")[-answer["email"]["recipients"] :], told)
    assert posts >= 60
    (tmp_path / "read-me.jsonl").write_text(box.log.read_text("utf-8"))
    ids = [m["delivery_id"] for m in box.messages("sendgrid")]
    assert len(ids) == len(set(ids))


def check_post(post: dict[str, Any], told: dict[str, Any], reference: str, number: int) -> None:
    text = post["text"]
    first_words = " ".join(told["impact"].split()[:3])
    assert text.startswith(first_words)
    assert f"/incidents/{reference}" in text
    assert f"{reference}.{number}" in text
    assert "UTC+5" in text


def check_mails(mails: list[dict[str, Any]], told: dict[str, Any]) -> None:
    for mail in mails:
        text = mail["text"]
        impact, explanation = told["impact"], told["explanation"]
        how_long = max(text.find("HOW LONG TO EXPECT IT"), text.find("HOW LONG IT LASTED"))
        assert -1 < text.index(impact) < how_long < text.rindex(explanation.replace("\r\n", "\n"))
        assert re.search(r"UTC[+-]\d", text)
        assert "{{" not in text + mail["html"] + mail["subject"]
