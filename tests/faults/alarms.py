"""W: a storm of alerts while the process that takes them dies."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import select

from notifier.store.db import open_database
from notifier.store.schema_alerts import alerts
from tests.faults.site import Site, Told, open_site
from tests.faults.trial import RESUME_SECONDS, Fault, Ground, Trial
from tests.processes import request_json

_ALERTS = 400
_SENDERS = 16
_MAIL_AT_ONCE = {"NOTIFIER_EMAIL__DELAY_MINUTES__CRITICAL": "0"}


def die_in_a_storm(ground: Ground) -> Iterator[Trial]:
    """kill -9 at a random moment of a storm whose first alerts let a preset post itself.

    What was answered is kept; what was not is sent again, as every tool does. However that falls,
    it is one incident, one post, and one mail for each reader.
    """
    for number in range(ground.tries):
        # In a site of its own, since nothing posts itself twice within ten minutes.
        with open_site(ground.again(number), settings=_MAIL_AT_ONCE) as site:
            told = site.prepare()
            path = _connect(site, told)
            killer = threading.Timer(ground.random.uniform(0.05, 1.5), site.kill)
            killer.start()
            answered = _send(site, path, range(_ALERTS))
            killer.join()
            begun = site.restart()
            rest = sorted(set(range(_ALERTS)) - answered)
            again = _send(site, path, rest)
            broken = [] if len(again) == len(rest) else ["not every alert was taken again"]
            lost = (answered | again) - _kept(site)
            broken += [f"{len(lost)} alerts were answered and are not kept"] if lost else []
            broken += _find_incident(site, told)
            yield site.conclude(told, healed_ns=begun, unknown_allowed=site.batch, broken=broken)
            yield site.last_look()


def _connect(site: Site, told: Told) -> str:
    """Let alerts be posted by themselves in the words of `told`; the path they are sent to."""
    said = told.body
    preset = _ask(
        site,
        "presets",
        {
            "name": "no heat",
            "title": said["title"],
            "impact": said["impact"],
            "explanation": said["explanation"],
        },
    )
    rule = {"match": {"alertname": "*"}, "component": "heat", "preset": preset["id"]}
    _ask(site, "alert-rules", {**rule, "auto_minutes": 0})
    made = _ask(site, "integrations", {"source": "alertmanager", "name": "storm"})
    return urlsplit(made["address"]).path


def _ask(site: Site, what: str, body: dict[str, Any]) -> dict[str, Any]:
    status, answer = request_json("POST", f"{site.node.url}/api/v1/{what}", body, token=site.token)
    if status != 201:
        raise AssertionError(f"{what} was answered {status}: {answer}")
    made: dict[str, Any] = answer
    return made


def _send(site: Site, path: str, numbers: range | list[int]) -> set[int]:
    """Send these alerts from several threads; those that were answered with 200."""
    port = urlsplit(site.node.url).port

    def send(number: int) -> int | None:
        with suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            connection.request("POST", path, _alert(number))
            answer = connection.getresponse()
            answer.read()
            connection.close()
            return number if answer.status == 200 else None
        return None

    with ThreadPoolExecutor(_SENDERS) as pool:
        return {number for number in pool.map(send, numbers) if number is not None}


def _alert(number: int) -> str:
    labels = {"alertname": "HighErrorRate", "severity": "critical", "pod": f"web-{number}"}
    member = {"status": "firing", "labels": labels, "fingerprint": f"{number:016x}"}
    return json.dumps({"alerts": [{**member, "startsAt": "2026-11-22T15:54:18Z"}]})


def _kept(site: Site) -> set[int]:
    database = open_database(site.settings["NOTIFIER_DATABASE_URL"])
    try:
        with database.read() as connection:
            return {int(key, 16) for key in connection.scalars(select(alerts.c.key))}
    finally:
        database.close()


def _find_incident(site: Site, told: Told) -> list[str]:
    """Tell the referee what the storm became; what is wrong with it."""
    deadline = time.monotonic() + RESUME_SECONDS
    while True:
        url = f"{site.node.url}/api/v1/drafts"
        _status, answer = request_json("GET", url, token=site.token)
        made = {draft["incident"] for draft in answer["drafts"] if draft["incident"]}
        if made or time.monotonic() > deadline:
            break
        time.sleep(0.05)
    if len(made) != 1:
        return [f"the storm made {len(made)} incidents"]
    (incident,) = made
    told.incident = incident if isinstance(incident, int) else incident["id"]
    return []


FAULTS = (Fault("W2", "kill -9 in a storm of alerts", die_in_a_storm, tries=(3, 40)),)
