"""Integrations, rules and presets by the write API: what is answered, and what never is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from flask import Flask

from notifier.domain.access import Role
from notifier.domain.signal import Hook
from notifier.ports import Notifier
from notifier.services.hooks import Intake
from tests.fakes import FakeClock
from tests.web.programs import Program, refused

pytestmark = pytest.mark.usefixtures("components")

SECRETS = {"header_secret": "correct horse", "signing_secret": "battery staple"}
GITHUB: dict[str, Any] = {
    "source": "github",
    "name": "GitHub",
    "component": "sign-in",
    "severity": "minor",
    "header": "X-Our-Token",
    "networks": ["192.0.2.7/24"],
    "heartbeat_minutes": 60,
    **SECRETS,
}
ANSWERED = {
    "id": 1,
    "source": "github",
    "name": "GitHub",
    "component": "sign-in",
    "severity": "minor",
    "header": "x-our-token",
    "networks": ["192.0.2.0/24"],
    "options": {},
    "heartbeat_minutes": 60,
    "stale_minutes": 120,
    "created_at": "2026-11-22T08:12:00Z",
    "heard_at": None,
    "silent": False,
}
PRESET = {
    "name": "cannot sign in",
    "title": "You cannot sign in",
    "impact": "You cannot sign in to your account.",
    "explanation": "A server of ours fails. We are looking into it.",
}
BODY = b'{"alerts": [{"status": "firing", "fingerprint": "a"}]}'


@pytest.fixture
def program(app: Flask, n: Notifier) -> Program:
    return Program.of(app, n, role=Role.ADMIN)


def knock(n: Notifier, address: str) -> int:
    """The status that a tool gets which posts an alert there."""
    source, _, key = address.removeprefix("https://status.example.com/hooks/").partition("/")
    hook = Hook("POST", {"content-type": "application/json"}, "", BODY, n.clock())
    return Intake(n).take(source, key, hook, peer="192.0.2.7").status


def test_an_integration_is_made_and_its_address_is_shown_once(
    n: Notifier, program: Program
) -> None:
    made = program.post("/integrations", {"source": "alertmanager", "name": "Prometheus"})
    assert made.status_code == 201
    assert made.headers["Location"] == "/api/v1/integrations/1"
    assert made.json is not None
    address = made.json["address"]
    assert address.startswith("https://status.example.com/hooks/alertmanager/")
    assert knock(n, address) == 200
    one = program.get("/integrations/1")
    assert "address" not in json.loads(one.text)
    assert address.rpartition("/")[2] not in one.text + program.get("/integrations").text
    assert one.json is not None
    assert one.json["heard_at"] == "2026-11-22T08:12:00Z"


def test_no_answer_holds_a_secret(program: Program) -> None:
    answers = [
        program.post("/integrations", GITHUB),
        program.get("/integrations/1"),
        program.get("/integrations"),
        program.send("PATCH", "/integrations/1", {"header_secret": "another horse"}),
        program.post("/integrations/1/signing-secret", {"signing_secret": "another staple"}),
        program.post("/integrations/1/address", None),
        program.post("/integrations", {**GITHUB, "header": None}),
        program.post("/integrations", {**GITHUB, "header_secret": 7}),
    ]
    assert [answer.status_code for answer in answers] == [201, 200, 200, 200, 200, 200, 422, 422]
    assert json.loads(answers[1].text) == ANSWERED
    assert json.loads(answers[2].text) == {"integrations": [ANSWERED]}
    said = "".join(answer.text for answer in answers)
    for secret in (*SECRETS.values(), "another horse", "another staple"):
        assert secret not in said


def test_a_new_address_ends_the_old_one(n: Notifier, program: Program) -> None:
    old = json.loads(program.post("/integrations", {"source": "gatus", "name": "Gatus"}).text)
    new = json.loads(program.post("/integrations/1/address", None).text)
    assert new["id"] == 1
    assert knock(n, old["address"]) == 404
    assert knock(n, new["address"]) == 400, "it is let in, and not understood"


def test_what_is_not_given_stays_as_it_is(program: Program) -> None:
    program.post("/integrations", GITHUB)
    changed = program.send("PATCH", "/integrations/1", {"name": "Our GitHub"})
    assert json.loads(changed.text) == {**ANSWERED, "name": "Our GitHub"}
    changed = program.send(
        "PATCH",
        "/integrations/1",
        {"component": None, "heartbeat_minutes": None, "networks": [], "severity": "critical"},
    )
    assert json.loads(changed.text) == {
        **ANSWERED,
        "name": "Our GitHub",
        "component": None,
        "heartbeat_minutes": None,
        "networks": [],
        "severity": "critical",
    }
    assert json.loads(program.send("PATCH", "/integrations/1", {}).text)["name"] == "Our GitHub"


def test_one_option_is_changed_without_the_others(program: Program) -> None:
    options = {"key": "id", "status": "state"}
    program.post("/integrations", {"source": "generic", "name": "Ours", "options": options})
    changed = program.send("PATCH", "/integrations/1", {"options": {"status": "now"}})
    assert changed.json is not None
    assert changed.json["options"]["key"] == "id"
    assert changed.json["options"]["status"] == "now"
    problem = refused(program.send("PATCH", "/integrations/1", {"options": {"key": "a["}}), 422)
    assert problem["errors"][0]["field"] == "options.key"


def test_the_header_secret_is_kept_until_its_header_is_taken_away(
    n: Notifier, program: Program
) -> None:
    asked = {"source": "alertmanager", "name": "P", "header": "X-T", "header_secret": "eight or"}
    address = json.loads(program.post("/integrations", asked).text)["address"]
    program.send("PATCH", "/integrations/1", {"name": "Prometheus"})
    assert knock(n, address) == 401
    program.send("PATCH", "/integrations/1", {"header": None})
    fresh = json.loads(program.post("/integrations/1/address", None).text)["address"]
    assert knock(n, fresh) == 200


def test_two_signing_secrets_are_believed_or_the_new_one_alone(program: Program) -> None:
    program.post("/integrations", GITHUB)
    rotate = "/integrations/1/signing-secret"
    both = program.post(rotate, {"signing_secret": "a second one"})
    assert both.json == {"id": 1, "believed": 2}
    alone = program.post(rotate, {"signing_secret": "a third one", "keep_last": False})
    assert alone.json == {"id": 1, "believed": 1}


def test_what_is_silent_says_so(program: Program, clock: FakeClock) -> None:
    program.post("/integrations", GITHUB)
    clock.move(minutes=61)
    assert json.loads(program.get("/integrations/1").text)["silent"] is True


def test_a_removed_integration_is_gone(program: Program) -> None:
    program.post("/integrations", GITHUB)
    assert program.send("DELETE", "/integrations/1").status_code == 204
    for method, path in (
        ("GET", "/integrations/1"),
        ("DELETE", "/integrations/1"),
        ("POST", "/integrations/1/address"),
    ):
        assert refused(program.send(method, path), 404)["detail"] == "There is no integration 1."
    refused(program.send("PATCH", "/integrations/1", {}), 404)
    refused(program.get("/integrations/x"), 404)


@pytest.mark.parametrize(
    ("changes", "field", "sentence"),
    [
        ({"source": "nagois"}, "source", "must be one of"),
        ({"name": ""}, "name", "is missing"),
        ({"component": "nothing"}, "component", "is none that there is"),
        ({"component": "No Slug"}, "component", "small letters"),
        ({"severity": "huge"}, "severity", "must be one of"),
        ({"header": "no header"}, "header", "must be the name of a header"),
        ({"header_secret": "short"}, "header_secret", "8 to 4096"),
        ({"header": None}, "header_secret", "are needed together"),
        ({"signing_secret": "short"}, "signing_secret", "8 to 4096"),
        ({"networks": ["everywhere"]}, "networks", "must be such as"),
        ({"networks": "192.0.2.0/24"}, "networks", "must be a list"),
        ({"options": {"topic": "x"}}, "options", "have no 'topic'"),
        ({"options": []}, "options", "must be an object"),
        ({"options": {"x" * 200: "x"}}, "options." + "x" * 60 + "…", "at most 60"),
        ({"heartbeat_minutes": 0}, "heartbeat_minutes", "must be at least 1"),
        ({"heartbeat_minutes": 10**30}, "heartbeat_minutes", "must be at most 10080"),
        ({"componet": "sign-in"}, "componet", "did you mean 'component'?"),
    ],
)
def test_a_wrong_field_is_named(
    program: Program, changes: dict[str, Any], field: str, sentence: str
) -> None:
    problem = refused(program.post("/integrations", {**GITHUB, **changes}), 422)
    assert sentence in {e["field"]: e["message"] for e in problem["errors"]}[field]
    assert program.get("/integrations").json == {"integrations": []}


def test_only_administrators_see_and_change_integrations(app: Flask, n: Notifier) -> None:
    publisher = Program.of(app, n, role=Role.PUBLISHER)
    for path in ("/integrations", "/alert-rules", "/presets"):
        refused(publisher.get(path), 403)
    refused(publisher.post("/integrations", GITHUB), 403)
    assert publisher.get("/sources").status_code == 200


def test_every_source_says_how_it_is_connected(program: Program, n: Notifier) -> None:
    sources = json.loads(program.get("/sources").text)["sources"]
    assert {one["name"] for one in sources} == set(n.sources)
    found = {one["name"]: one for one in sources}
    manager = found["alertmanager"]
    assert manager["evidence"] == "recorded"
    assert "https://status.example.com/hooks/alertmanager/KEY" in manager["setup"]["template"]
    assert [option["name"] for option in found["nagios"]["options"]] == ["unknown"]
    assert "{url}" not in json.dumps(sources)


def test_rules_and_presets_are_made_listed_and_forgotten(program: Program) -> None:
    preset = program.post("/presets", PRESET)
    assert preset.status_code == 201
    assert preset.json == {"id": 1, **PRESET}
    asked = {"match": {"service": "sso*"}, "component": "sign-in", "preset": 1, "auto_minutes": 2}
    first = program.post("/alert-rules", asked)
    assert first.status_code == 201
    made = {"id": 1, "integration": None, "severity": None, **asked}
    assert first.json == made
    ignoring = program.post("/alert-rules", {"match": {"env": "staging"}, "component": None}).json
    assert program.get("/alert-rules").json == {"rules": [made, ignoring]}
    assert program.get("/presets").json == {"presets": [preset.json]}
    used = refused(program.send("DELETE", "/presets/1"), 422)
    assert used["detail"] == "preset is used by a rule; remove that rule first."
    assert program.send("DELETE", "/alert-rules/1").status_code == 204
    assert program.send("DELETE", "/presets/1").status_code == 204
    refused(program.send("DELETE", "/alert-rules/1"), 404)
    refused(program.send("DELETE", "/presets/1"), 404)


@pytest.mark.parametrize(
    ("changes", "field", "sentence"),
    [
        ({"match": {}}, "match", "has 0 entries"),
        ({"match": {"a": 1}}, "match.a", "must be text"),
        ({"match": {"a": "b\nc"}}, "match", "must be one line"),
        ({"component": "nothing"}, "component", "is none that there is"),
        ({"integration": 9}, "integration", "is none that there is"),
        ({"preset": 9}, "preset", "is none that there is"),
        ({"auto_minutes": 61}, "auto_minutes", "must be at most 60"),
        ({"auto_minutes": 2}, "auto_minutes", "needs a component and a preset"),
        ({"severity": "huge"}, "severity", "must be one of"),
    ],
)
def test_a_wrong_rule_is_refused(
    program: Program, changes: dict[str, Any], field: str, sentence: str
) -> None:
    rule = {"match": {"a": "b"}, "component": "sign-in", **changes}
    problem = refused(program.post("/alert-rules", rule), 422)
    assert sentence in {e["field"]: e["message"] for e in problem["errors"]}[field]


def test_a_rule_says_where_its_alerts_go_even_if_that_is_nowhere(program: Program) -> None:
    problem = refused(program.post("/alert-rules", {"match": {"a": "b"}}), 422)
    assert problem["detail"] == "component is missing."


def test_a_name_is_used_once(program: Program) -> None:
    program.post("/presets", PRESET)
    assert "already a preset" in refused(program.post("/presets", PRESET), 422)["detail"]
    program.post("/integrations", GITHUB)
    assert "already an integration" in refused(program.post("/integrations", GITHUB), 422)["detail"]
