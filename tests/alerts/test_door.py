"""The door: who gets in, what is answered, and that nothing a sender does makes a 5xx."""

from __future__ import annotations

import hashlib
import hmac
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from notifier.ports import Notifier
from notifier.services import audience, integrations
from notifier.services.integrations import Wanted
from notifier.store import alerts
from notifier.web.application import create_front
from notifier.web.front import HOOK_MAX, Front
from tests.alerts.alarms import Alarms, open_alarms
from tests.alerts.asking import ask
from tests.fakes import FakeClock

BODY = {"alerts": [{"status": "firing", "fingerprint": "a", "labels": {"severity": "critical"}}]}


@pytest.fixture
def front(n: Notifier) -> Front:
    return create_front(n, threads=2)


@pytest.fixture
def alarms(n: Notifier) -> Alarms:
    audience.put_component(n, slug_="sign-in", name="Sign-in")
    return open_alarms(n, component="sign-in")


def address(alarms: Alarms) -> str:
    return f"/hooks/alertmanager/{alarms.key}"


def kept(n: Notifier, integration_id: int) -> list[Any]:
    with n.db.read() as connection:
        return alerts.list_bodies(connection, integration_id, limit=1_000)


def count(n: Notifier, table: str) -> int:
    with n.db.read() as connection:
        return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())


def test_a_request_is_kept_before_it_is_answered(front: Front, alarms: Alarms) -> None:
    answer = ask(front, address(alarms), BODY)
    assert answer.status == 200
    assert answer.detail == "Understood: 1."
    (row,) = kept(alarms.n, alarms.integration_id)
    assert json.loads(row.body) == BODY
    assert row.verdict == "understood"
    assert count(alarms.n, "alerts") == 1


@pytest.mark.parametrize("path", ["/hooks/alertmanager/wrong", "/hooks/", "/hooks/zabbix/{key}"])
def test_a_wrong_address_is_unknown(front: Front, alarms: Alarms, path: str) -> None:
    assert ask(front, path.format(key=alarms.key), BODY).status == 404
    assert count(alarms.n, "hook_bodies") == 0


def test_an_address_that_was_replaced_is_refused_after_a_second(
    n: Notifier, front: Front, alarms: Alarms
) -> None:
    integrations.new_address(n, alarms.integration_id)
    assert ask(front, address(alarms), BODY).status == 404


def test_what_means_nothing_is_understood_and_ignored(front: Front, alarms: Alarms) -> None:
    answer = ask(front, address(alarms), {"alerts": []})
    assert answer.status == 202
    assert kept(alarms.n, alarms.integration_id)[0].verdict == "ignored"


def test_broken_json_is_refused_with_its_place_and_kept(front: Front, alarms: Alarms) -> None:
    answer = ask(front, address(alarms), b'{"alerts": [\n{"a" 1}]}')
    assert answer.status == 400
    assert "line 2, column 6" in answer.detail
    (row,) = kept(alarms.n, alarms.integration_id)
    assert bytes(row.body) == b'{"alerts": [\n{"a" 1}]}'


def test_a_body_that_is_too_long_or_compressed_is_refused(front: Front, alarms: Alarms) -> None:
    assert ask(front, address(alarms), b"x" * (HOOK_MAX + 1), pieces=70).status == 413
    declared = {"Content-Length": str(10**9)}
    assert ask(front, address(alarms), b"x", headers=declared).status == 413
    zipped = ask(front, address(alarms), b"\x1f\x8b", headers={"Content-Encoding": "gzip"})
    assert zipped.status == 415
    assert ask(front, address(alarms), method="DELETE").status == 405
    assert count(alarms.n, "hook_bodies") == 0


def test_a_body_may_come_in_pieces(front: Front, alarms: Alarms) -> None:
    assert ask(front, address(alarms), BODY, pieces=7).status == 200


def test_what_is_no_hook_is_a_page(front: Front) -> None:
    page = ask(front, "/?a=%C3%A9", method="GET")
    assert page.status == 200
    assert b"Northvale Heat" in page.body
    assert ask(front, "/nowhere", method="GET").status == 404
    form = {"content-type": "application/x-www-form-urlencoded"}
    assert ask(front, "/sign-in", b"x" * 2_000_000, headers=form).status == 413


def test_where_a_header_is_asked_for_it_has_to_be_right(n: Notifier, front: Front) -> None:
    alarms = open_alarms(n, header="X-Our-Token", header_secret="correct horse")
    assert ask(front, address(alarms), BODY).status == 401
    wrong = ask(front, address(alarms), BODY, headers={"X-Our-Token": "battery staple"})
    assert wrong.status == 401
    right = ask(front, address(alarms), BODY, headers={"X-Our-Token": "correct horse"})
    assert right.status == 200
    assert count(n, "alerts") == 1
    stored = str([(r.headers, bytes(r.body)) for r in kept(n, alarms.integration_id)])
    assert "correct horse" not in stored
    assert "battery" not in stored


def test_only_allowed_networks_get_in(n: Notifier, front: Front) -> None:
    alarms = open_alarms(n, networks=["192.0.2.0/24", "2001:db8::/32"])

    def post(peer: str) -> int:
        return ask(front, address(alarms), BODY, peer=peer).status

    assert post("198.51.100.1") == 403
    assert post("192.0.2.77") == 200
    assert post("::ffff:192.0.2.77") == 200
    assert post("2001:db8::1") == 200
    assert post("") == 403


def test_a_signature_is_checked_over_the_raw_body(n: Notifier, front: Front) -> None:
    _id, url = integrations.create(
        n, Wanted(source="github", name="GitHub", signing=["old secret", "new secret"])
    )
    path = url.removeprefix(n.settings.base_url)
    body = b'{"zen": "Keep it simple."}'
    for secret, status in (("old secret", 202), ("new secret", 202), ("another", 401)):
        digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        headers = {"X-GitHub-Event": "ping", "X-Hub-Signature-256": f"sha256={digest}"}
        assert ask(front, path, body, headers=headers).status == status, secret


def test_secrets_in_a_body_are_not_kept(front: Front, alarms: Alarms) -> None:
    body = BODY | {"api_key": "k-123", "meta": {"unsubscribe": "https://x.example/u/abc"}}
    ask(front, f"{address(alarms)}?token=t-456&a=1", body, headers={"Authorization": "B b-7"})
    (row,) = kept(alarms.n, alarms.integration_id)
    stored = f"{bytes(row.body)!r}{row.query}{row.headers}"
    for secret in ("k-123", "u/abc", "t-456", "b-7", alarms.key):
        assert secret not in stored
    assert "a=1" in row.query


def test_a_tools_wrong_clock_does_not_make_an_alert_that_cannot_end(
    alarms: Alarms, clock: FakeClock
) -> None:
    far = clock() + timedelta(days=400)
    alarms.say("firing", start=far)
    (draft,) = alarms.gather()
    clock.move(minutes=1)
    alarms.say("resolved", start=far)
    assert alarms.gather() == []
    assert alarms.newest().id == draft.id


def test_requests_that_come_together_are_all_kept(alarms: Alarms) -> None:
    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda i: alarms.say("firing", f"k{i}"), range(300)))
    assert {answer.status for answer in answers} == {200}
    assert count(alarms.n, "alerts") == 300
    assert count(alarms.n, "hook_bodies") == 300


def test_a_store_that_is_away_is_said_and_nothing_is_lost_of_what_was_answered(
    alarms: Alarms,
) -> None:
    assert alarms.say("firing").status == 200
    with alarms.n.db.transaction() as connection:
        connection.execute(text("ALTER TABLE hook_bodies RENAME TO away"))
    answer = alarms.say("firing", "b")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    with alarms.n.db.transaction() as connection:
        connection.execute(text("ALTER TABLE away RENAME TO hook_bodies"))
    assert alarms.say("firing", "b").status == 200
    assert count(alarms.n, "alerts") == 2


def test_only_the_last_hundred_bodies_are_kept(alarms: Alarms) -> None:
    for i in range(105):
        alarms.say("firing", f"k{i}")
    with alarms.n.db.transaction() as connection:
        alerts.trim_bodies(connection)
    assert len(kept(alarms.n, alarms.integration_id)) == alerts.BODIES_KEPT


DEEP = b"[" * 10_000
HOSTILE = [
    b"",
    b"\x00" * 1_000,
    b"{" * 10_000,
    DEEP,
    b'{"alerts": [NaN]}',
    b'{"alerts": [], "alerts": [{}]}',
    b'{"alerts": [{"status": "firing", "startsAt": 1e400}]}',
    b'{"alerts": [{"status": "firing", "labels": {"a": "' + b"\xff\xfe" + b'"}}]}',
    b'{"alerts": [{"status": "firing", "labels": ' + b'{"a":' * 500 + b"1" + b"}" * 500 + b"}]}",
    b'{"alerts": [{"status": "firing", "fingerprint": "\\ud800", "labels": {"\\u0000": "x"}}]}',
    b'{"alerts": ' + b"9" * 5_000 + b"}",
    b'{"alerts": [' + b'{"status":"firing"},' * 20_000 + b"{}]}",
    b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'c'>]><monit>&b;</monit>",
    b"a=" + b"%ff" * 10_000,
    b"&".join(b"k%d=v" % i for i in range(5_000)),
]


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=x"])
def test_nothing_that_is_sent_makes_a_server_error(front: Front, alarms: Alarms, kind: str) -> None:
    for body in HOSTILE:
        answer = ask(front, address(alarms), body, headers={"content-type": kind})
        assert answer.status in (200, 202, 400), body[:80]
        alarms.gather()
    assert ask(front, address(alarms), BODY).status == 200
