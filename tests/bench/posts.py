"""Rows: from a declaration to the post on X, beside a bare tweepy call."""

from __future__ import annotations

import json
import re
import socket
import statistics
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.client import HTTPResponse
from subprocess import Popen
from urllib.parse import urlsplit

from notifier.domain.access import Role
from notifier.services import access
from tests.bench.house import COMPONENT, make_database, open_notifier
from tests.bench.report import Goal, Row
from tests.bench.workshop import Broken, Workshop, running, say
from tests.processes import Sandbox, environment, sandbox, server

_CUSTOMERS = 1_000
#: Declarations and calls before those that count: connections, caches, compiled statements.
_WARM_UP = 10
#: Until everything that a declaration sets in motion is over.
_REST_SECONDS = 0.02

_MARK = re.compile(r"\[run ([a-z]+) ([0-9]+)\]")


def measure(shop: Workshop) -> Iterator[Row]:
    """Declarations and bare calls by turns, to one sandbox."""
    folder = shop.folder / "posts"
    folder.mkdir()
    with sandbox(folder) as box:
        settings = environment(folder, box)
        database = folder / "notifier.db"
        make_database(database, _CUSTOMERS)
        n = open_notifier(database)
        token = access.create_token(n, role=Role.PUBLISHER, name="benchmark")
        n.db.close()
        bare = [sys.executable, "-m", "tests.bench.bare_tweepy", box.url]
        with server(folder, settings) as serving, running(bare) as tweepy:
            say(f"{shop.sizes.declares} declarations and bare calls, by turns")
            begun = _take_turns(serving.url, token, tweepy, _WARM_UP + shop.sizes.declares)
        ours, theirs = _find_delays(box, begun)
    yield Row(
        "declaration to post at X, p50 [ms]",
        "from before the request's bytes are sent to `notifier serve` on a warm connection (so a"
        " little of the way to it is included) to the first byte of the post's request at the"
        " sandbox; the reference is from the call of tweepy's create_tweet to the same.",
        ours=statistics.median(ours),
        reference=statistics.median(theirs),
        ratio=statistics.median(ours) / statistics.median(theirs),
        goal=Goal("ratio", "at most", 2),
    )
    yield Row(
        "declaration to post at X, p99 [ms]",
        f"of the same {len(ours)} declarations and calls, by turns; {_CUSTOMERS:,} customers are"
        " affected, whose mail waits.",
        ours=_percentile_99(ours),
        reference=_percentile_99(theirs),
        ratio=_percentile_99(ours) / _percentile_99(theirs),
        goal=Goal("ours", "at most", 250),
    )


def _take_turns(url: str, token: str, tweepy: Popen[str], count: int) -> dict[str, int]:
    """Declare and call by turns; when each began (time.time_ns()), by the mark in its text."""
    begun: dict[str, int] = {}
    address = urlsplit(url)
    with socket.create_connection((address.hostname, address.port)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for number in range(count):
            begun[f"bare {number}"] = _call(tweepy, _impact(f"[run bare {number}]"))
            time.sleep(_REST_SECONDS)
            request = _declaration(_impact(f"[run ours {number}]"), address.netloc, token)
            begun[f"ours {number}"] = time.time_ns()
            connection.sendall(request)
            _read_receipt(connection)
            time.sleep(_REST_SECONDS)
    return begun


def _impact(mark: str) -> str:
    return f"You have no heat and no hot water north of the river, in all districts. {mark}"


def _call(tweepy: Popen[str], text: str) -> int:
    assert tweepy.stdin
    assert tweepy.stdout
    until = "Until Sun 22 Nov, 16:00 PKT. Next update by 15:00."
    tweepy.stdin.write(f"{text} {until} https://status.example.com/incidents/INC-1\n")
    tweepy.stdin.flush()
    return int(tweepy.stdout.readline())


def _declaration(impact: str, host: str, token: str) -> bytes:
    now = datetime.now(UTC)
    told = {
        "title": "No heat in the north",
        "severity": "major",
        "components": [COMPONENT],
        "impact": impact,
        "expected_duration": {"until": (now + timedelta(hours=3)).isoformat()},
        "explanation": "A pump failed.",
        "next_update_by": (now + timedelta(hours=1)).isoformat(),
    }
    body = json.dumps(told).encode()
    head = (
        f"POST /api/v1/incidents HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def _read_receipt(connection: socket.socket) -> None:
    answer = HTTPResponse(connection, method="POST")
    answer.begin()
    body = answer.read()
    if answer.status != 201:
        raise Broken(f"a declaration was answered {answer.status}: {body.decode()}")


def _find_delays(box: Sandbox, begun: dict[str, int]) -> tuple[list[float], list[float]]:
    """Milliseconds from each beginning to the request's arrival: ours, the bare calls'."""
    posts = box.wait_for(len(begun), "x")
    found: dict[str, list[float]] = {"ours": [], "bare": []}
    for post in posts:
        mark = _MARK.search(post["text"])
        if mark is None:
            raise Broken(f"a post lost its mark: {post['text']}")
        who, number = mark[1], int(mark[2])
        if number >= _WARM_UP:
            delay_ns = post["received_ns"] - begun[f"{who} {number}"]
            found[who].append(delay_ns / 1e6)
    if len(posts) != len(begun):
        raise Broken(f"{len(posts)} of {len(begun)} posts arrived")
    return found["ours"], found["bare"]


def _percentile_99(values: list[float]) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[98]
