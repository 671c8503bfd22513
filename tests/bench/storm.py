"""Rows: a storm of alerts, and what it does to operators, memory and customers."""

from __future__ import annotations

import asyncio
import re
import statistics
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy import text

from notifier.app import build, load_settings
from notifier.domain.access import Role
from notifier.services import access, integrations
from notifier.store.db import open_database
from tests.bench.hooks import ALERT, make_door
from tests.bench.house import COMPONENT, make_database
from tests.bench.report import Goal, Row
from tests.bench.workshop import Broken, Workshop, say
from tests.processes import Sandbox, environment, sandbox, server

#: Alerts per second: six times the 10,000 a minute of the goal, so that a run is not ten minutes.
_PER_SECOND = 1_000
_SENDERS = 16
_CUSTOMERS = 50
_PAGES = ("/admin/", "/admin/drafts")
_PAUSE_SECONDS = 0.1
#: Until the mail of what the storm has posted has left.
_MAIL_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class _Said:
    """What came of a storm."""

    alerts: int
    incidents: int
    posts: int
    mails: int


def measure(shop: Workshop) -> Iterator[Row]:
    """A storm of different alerts on one component, which a rule lets post itself at once."""
    folder = shop.folder / "storm"
    folder.mkdir()
    count = shop.sizes.storm_alerts
    with sandbox(folder) as box:
        settings = environment(folder, box, NOTIFIER_EMAIL__DELAY_MINUTES__CRITICAL="0")
        make_database(folder / "notifier.db", _CUSTOMERS)
        path = make_door(settings)
        link = _allow_posting(settings)
        with server(folder, settings) as serving:
            say(f"a storm of {count:,} alerts, {_PER_SECOND:,} a second")
            url = f"{serving.url}{path}"
            waits, seconds = asyncio.run(_storm(url, serving.url + link, count))
            memory = _peak_mb(serving.popen.pid)
            said = _look(settings["NOTIFIER_DATABASE_URL"], box)
    if said.alerts != count:
        raise Broken(f"{count:,} alerts were answered, but {said.alerts:,} are kept")
    storm = f"{count:,} different alerts at {count / seconds:,.0f} a second on one component"
    yield Row(
        "operators' pages in a storm, p95 [ms]",
        f"{' and '.join(_PAGES)} by turns, {len(waits)} requests, during {storm}.",
        ours=statistics.quantiles(waits, n=20)[18],
        goal=Goal("ours", "at most", 300),
    )
    yield Row(
        "memory of the server after it [MB]",
        "peak resident memory (10^6 bytes) of the process that takes, gathers, posts and mails.",
        ours=memory,
        goal=Goal("ours", "at most", 300),
    )
    for name, found, expected in (
        ("incidents", said.incidents, 1),
        ("posts at X", said.posts, 1),
        (f"mails to {_CUSTOMERS} readers", said.mails, _CUSTOMERS),
    ):
        yield Row(
            f"{name} that the storm made",
            f"the goal is {expected}; from the sandbox's log and the database.",
            ours=found,
            goal=Goal("ours", "at most", expected),
        )
        if found < expected:
            raise Broken(f"the storm made {found} {name}")


def _allow_posting(settings: dict[str, str]) -> str:
    """Let what the alerts are about be posted by itself at once; the path of a sign-in link."""
    n = build(load_settings(environ=settings))
    preset = integrations.add_preset(
        n,
        name="no heat",
        title="No heat in the north",
        impact="You have no heat and no hot water north of the river.",
        explanation="A pump failed. The crew is on its way.",
    )
    integrations.add_rule(
        n,
        match={"alertname": "HighErrorRate"},
        component=COMPONENT,
        preset_id=preset,
        auto_after=timedelta(0),
    )
    access.create_user(n, name="operator", password="a long password of tests", role=Role.ADMIN)
    link = access.make_sign_in_link(n, "operator")
    n.db.close()
    return urlsplit(link).path


async def _storm(url: str, link: str, count: int) -> tuple[list[float], float]:
    """Milliseconds that pages took meanwhile, and how many seconds it lasted."""
    begun = time.monotonic()
    done = asyncio.Event()
    looking = asyncio.create_task(asyncio.to_thread(_look_at_pages, link, done))
    try:
        shares = [range(first, count, _SENDERS) for first in range(_SENDERS)]
        await asyncio.gather(*(_send(url, share, begun) for share in shares))
    finally:
        seconds = time.monotonic() - begun
        done.set()
    return await looking, seconds


async def _send(url: str, numbers: range, begun: float) -> None:
    """Alerts of these numbers on one connection, each at its time. Raises Broken."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    for number in numbers:
        await asyncio.sleep(max(0.0, begun + number / _PER_SECOND - time.monotonic()))
        body = ALERT.replace("@", f"{number:016x}").encode()
        writer.write(
            f"POST {address.path} HTTP/1.1\r\nHost: {address.netloc}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        head = await reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"content-length: *([0-9]+)", head, re.IGNORECASE)
        await reader.readexactly(int(length[1]) if length else 0)
        if not head.startswith(b"HTTP/1.1 200"):
            raise Broken(f"an alert was answered {head[:40]!r}")
    writer.close()


def _look_at_pages(link: str, done: asyncio.Event) -> list[float]:
    """Milliseconds for each page, until `done`."""
    address = urlsplit(link)
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(CookieJar()))
    opener.open(urllib.request.Request(link, data=b"")).read()
    waits: list[float] = []
    while not done.is_set():
        page = f"{address.scheme}://{address.netloc}{_PAGES[len(waits) % len(_PAGES)]}"
        begun = time.monotonic()
        with opener.open(page) as answer:
            if "sign-in" in answer.geturl():
                raise Broken("the pages were not shown: nobody is signed in")
            answer.read()
        waits.append((time.monotonic() - begun) * 1_000)
        time.sleep(_PAUSE_SECONDS)
    return waits


def _look(database_url: str, box: Sandbox) -> _Said:
    posts = box.wait_for(1, "x")
    mails = box.wait_for(_CUSTOMERS, "sendgrid", seconds=_MAIL_SECONDS)
    database = open_database(database_url)
    with database.read() as connection:
        kept = connection.execute(text("SELECT count(*) FROM alerts")).scalar_one()
        incidents = connection.execute(text("SELECT count(*) FROM incidents")).scalar_one()
    database.close()
    return _Said(kept, incidents, len(posts), len(mails))


def _peak_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmHWM:\s+([0-9]+) kB", status)
    if found is None:
        raise Broken("the memory of the server cannot be read")
    return int(found[1]) * 1024 / 1e6
