"""Rows: taking what monitoring tools post, beside Alertmanager's own way in."""

from __future__ import annotations

import asyncio
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy import text

from notifier.app import build, load_settings
from notifier.services import audience, integrations
from notifier.services.integrations import Wanted
from notifier.store.db import open_database
from tests.bench.house import COMPONENT
from tests.bench.report import Goal, Row, compare
from tests.bench.workshop import Broken, Workshop, find_tool, running, say, wait_for_port
from tests.processes import environment, free_port, sandbox, server

_CONNECTIONS = 64
_AT_ONCE = 1_000

#: One alert of Alertmanager's; "@" stands for a number that makes it another one.
ALERT = (
    '{"receiver":"notifier","status":"firing","alerts":[{"status":"firing","labels":{"alertname":'
    '"HighErrorRate","env":"prod","instance":"10.0.0.5:8080","service":"checkout","severity":'
    '"critical"},"annotations":{"description":"5xx ratio is 7.3% for 5m","summary":"Checkout error'
    ' rate above 5%"},"startsAt":"2026-11-22T15:54:18.166717544Z","endsAt":"0001-01-01T00:00:00Z",'
    '"generatorURL":"http://prometheus.example.com/graph?g0.expr=up","fingerprint":"@"}],'
    '"groupLabels":{"alertname":"HighErrorRate"},"commonLabels":{},"commonAnnotations":{},'
    '"externalURL":"http://alertmanager.example.com","version":"4","groupKey":"{}","truncatedAlerts'
    '":0}\n'
)
#: The same for Alertmanager itself.
_THEIRS = (
    '[{"labels":{"alertname":"HighErrorRate","env":"prod","instance":"@","service":"checkout",'
    '"severity":"critical"},"annotations":{"description":"5xx ratio is 7.3% for 5m","summary":'
    '"Checkout error rate above 5%"},"generatorURL":"http://prometheus.example.com/graph"}]'
)
_SCRIPT = """
local before, after = [==[{before}]==], [==[{after}]==]
local count = 0
request = function()
  count = count + 1
  local body = before .. string.format("%016x", count) .. after
  return wrk.format("POST", nil, {{["Content-Type"] = "application/json"}}, body)
end
"""


def measure(shop: Workshop) -> Iterator[Row]:
    """Our door and Alertmanager's by turns, then a thousand senders at one moment."""
    wrk = find_tool("wrk")
    if wrk is None:
        raise Broken("wrk is not installed: run `make peers`")
    ours, waits, theirs = [], [], []
    for number in range(1, shop.sizes.rounds + 1):
        say(f"requests of monitoring tools, round {number}")
        with open_door(shop, f"hooks{number}") as (url, database):
            speed, wait, taken = _load(shop, wrk, url, ALERT)
            _check_kept(database, taken)
            ours.append(speed)
            waits.append(wait)
        if address := _alertmanager():
            with address as theirs_url:
                theirs.append(_load(shop, wrk, theirs_url, _THEIRS)[0])
    yield compare(
        "alerts taken and on disk [requests/s]",
        f"`notifier serve` on SQLite (WAL, synchronous=FULL), {_CONNECTIONS} connections of wrk,"
        " one alert in each body, each another one; answered after the commit, and every answered"
        " alert is counted in the database afterwards. The reference is Alertmanager's own POST"
        " /api/v2/alerts, which keeps alerts in memory alone.",
        ours=ours,
        reference=theirs,
        goal=Goal("ratio", "at least", 0.15),
        skipped="" if theirs else "prometheus-alertmanager is not installed",
    )
    yield compare(
        "the same by itself [requests/s]",
        "the figure above.",
        ours=ours,
        reference=[],
        goal=Goal("ours", "at least", 3_000),
    )
    yield compare(
        "wait for an answer, p99 [ms]",
        f"of the same requests, with {_CONNECTIONS} of them under way at any moment.",
        ours=waits,
        reference=[],
        goal=Goal("ours", "at most", 50),
    )
    with open_door(shop, "crowd") as (url, database):
        say(f"{_AT_ONCE:,} requests at one moment")
        seconds = asyncio.run(_all_at_once(url, _AT_ONCE))
        _check_kept(database, _AT_ONCE)
    yield Row(
        f"{_AT_ONCE:,} requests at one moment [s]",
        "from the first connection to the last answer, a connection for each; all of them were"
        " answered with 200 and are in the database.",
        ours=seconds,
        goal=Goal("ours", "at most", 5),
    )


@contextmanager
def open_door(shop: Workshop, name: str) -> Iterator[tuple[str, str]]:
    """A server that takes alerts; (the address for Alertmanager, that of its database)."""
    folder = shop.folder / name
    folder.mkdir()
    with sandbox(folder) as box:
        settings = environment(folder, box)
        path = make_door(settings)
        with server(folder, settings) as serving:
            yield f"{serving.url}{path}", settings["NOTIFIER_DATABASE_URL"]


def make_door(settings: dict[str, str]) -> str:
    """A new integration on the component of the benchmark; the path of its address."""
    n = build(load_settings(environ=settings))
    try:
        audience.put_component(n, slug_=COMPONENT, name="District heating")
        wanted = Wanted(source="alertmanager", name="bench", component=COMPONENT)
        return urlsplit(integrations.create(n, wanted)[1]).path
    finally:
        n.db.close()


def _load(shop: Workshop, wrk: str, url: str, body: str) -> tuple[float, float, int]:
    """Requests per second, p99 in milliseconds and their number. Raises Broken for any error."""
    before, _, after = body.partition("@")
    seconds = shop.sizes.hook_seconds
    script = shop.folder / "alerts.lua"
    script.write_text(_SCRIPT.format(before=before, after=after))
    done = subprocess.run(
        [wrk, "-t1", f"-c{_CONNECTIONS}", f"-d{seconds}s", "--latency", "-s", str(script), url],
        capture_output=True,
        text=True,
        timeout=60 + seconds,
    )
    told = done.stdout
    if "Non-2xx" in told or "Socket errors" in told or done.returncode:
        raise Broken(f"wrk met errors at {url}:\n{told}{done.stderr}")
    speed = re.search(r"Requests/sec:\s+([0-9.]+)", told)
    wait = re.search(r"99%\s+([0-9.]+)(us|ms|s)", told)
    taken = re.search(r"([0-9]+) requests in", told)
    if not (speed and wait and taken):
        raise Broken(f"wrk said something else:\n{told}")
    scale = {"us": 0.001, "ms": 1.0, "s": 1_000.0}[wait[2]]
    return float(speed[1]), float(wait[1]) * scale, int(taken[1])


def _check_kept(database_url: str, answered: int) -> None:
    """Raises Broken unless each alert that was answered is in the database."""
    database = open_database(database_url)
    with database.read() as connection:
        kept = connection.execute(text("SELECT count(*) FROM alerts")).scalar_one()
    database.close()
    if kept < answered:
        raise Broken(f"{answered:,} requests were answered, but {kept:,} alerts are kept")


@contextmanager
def _running_alertmanager(program: str) -> Iterator[str]:
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "am.yml"
        config.write_text("route:\n  receiver: nobody\nreceivers:\n  - name: nobody\n")
        command = [
            program,
            f"--config.file={config}",
            f"--storage.path={folder}/data",
            f"--web.listen-address=127.0.0.1:{port}",
            "--cluster.listen-address=",
            "--log.level=error",
        ]
        with running(command, Path(folder) / "out"):
            wait_for_port(port)
            yield f"http://127.0.0.1:{port}/api/v2/alerts"


def _alertmanager() -> AbstractContextManager[str] | None:
    program = find_tool("prometheus-alertmanager")
    return _running_alertmanager(program) if program else None


async def _all_at_once(url: str, count: int) -> float:
    """Seconds until `count` requests, each on a connection of its own, were answered with 200."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    statuses = await asyncio.gather(*(post(url, f"{i:016x}") for i in range(count)))
    if set(statuses) != {200}:
        raise Broken(f"some of {count} requests were answered otherwise: {set(statuses)}")
    return loop.time() - begun


async def post(url: str, number: str) -> int:
    """The status of one request with one alert, on a connection of its own."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    body = ALERT.replace("@", number).encode()
    head = (
        f"POST {address.path} HTTP/1.1\r\nHost: {address.netloc}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    writer.write(head.encode() + body)
    answer = await reader.read()
    writer.close()
    return int(answer.split(b" ", 2)[1])
