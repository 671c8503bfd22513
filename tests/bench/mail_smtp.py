"""Rows: mail through SMTP with the ledger, beside nodemailer and Postfix's own smtp-source.

All of them talk to Postfix's smtp-sink, a process that takes mail and forgets it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.report import Goal, Row, compare
from tests.bench.workshop import (
    ROOT,
    Broken,
    Workshop,
    find_tool,
    run_module,
    run_to_json,
    running,
    say,
    wait_for_port,
)
from tests.processes import free_port

_NO_POSTFIX = "Debian's postfix is not installed"


@dataclass(frozen=True, slots=True)
class Peer:
    """Somebody who sends mail. `measure` sends to smtp-sink; messages per second."""

    name: str
    method: str
    goal: Goal | None
    #: Why it cannot take part, or "".
    missing: str
    measure: Callable[[Workshop], float]
    found: list[float] = field(default_factory=list)


def measure(shop: Workshop) -> Iterator[Row]:
    """Ours with a ledger, in turn with each peer that is there."""
    peers = _peers()
    ours: list[float] = []
    if find_tool("smtp-sink"):
        for number in range(1, shop.sizes.rounds + 1):
            say(f"SMTP, round {number}")
            ours.append(_measure_ours(shop))
            for peer in peers:
                if not peer.missing:
                    peer.found.append(peer.measure(shop))
    for peer in peers:
        name = f"e-mail through SMTP beside {peer.name} [messages/s]"
        if not ours:
            yield Row(name, peer.method, goal=peer.goal, skipped=_NO_POSTFIX)
            continue
        yield compare(
            name,
            peer.method,
            ours=ours,
            reference=peer.found,
            goal=peer.goal,
            skipped=peer.missing,
        )


def _peers() -> list[Peer]:
    has_node = find_tool("node") and (ROOT / "node_modules" / "nodemailer").is_dir()
    return [
        Peer(
            "nodemailer",
            "MailRun on a SQLite file (synchronous=FULL), rendering and ledger included, against"
            " nodemailer's pooled transport composing the same words from HTML and text, no"
            " ledger; 4 sessions each to Postfix's smtp-sink.",
            Goal("ratio", "at least", 8),
            "" if has_node else "nodemailer is not installed",
            _measure_nodemailer,
        ),
        Peer(
            "smtp-source",
            "the same runs of ours against Postfix's smtp-source, which composes nothing and"
            " keeps no ledger and does not pipeline: one ready message of the same size over"
            " 4 sessions. The limit of both is smtp-sink, one core of which reads every byte.",
            Goal("ratio", "at least", 0.7),
            "" if find_tool("smtp-source") else _NO_POSTFIX,
            _measure_smtp_source,
        ),
    ]


def _measure_ours(shop: Workshop) -> float:
    count = shop.sizes.letters
    database = shop.database(count)
    with _smtp_sink(shop.folder, expected=count) as port:
        done = run_module("deliver", database, "smtp", f"smtp://127.0.0.1:{port}")
    return float(count / done["seconds"])


def _measure_nodemailer(shop: Workshop) -> float:
    count = shop.sizes.peer_letters
    sample = shop.sample(count)
    script = str(Path(__file__).with_name("nodemailer.mjs"))
    with _smtp_sink(shop.folder, expected=count) as port:
        done = run_to_json([find_tool("node") or "node", script, str(port), str(sample)])
    return float(count / done["seconds"])


def _measure_smtp_source(shop: Workshop) -> float:
    """Its time includes the start of the process, which is a few milliseconds."""
    count = shop.sizes.letters
    size = json.loads(shop.sample(shop.sizes.peer_letters).read_text())["letter_bytes"]
    tool = find_tool("smtp-source") or "smtp-source"
    with _smtp_sink(shop.folder, expected=count) as port:
        began = time.perf_counter()
        subprocess.run(
            [tool, "-s", "4", "-l", str(size), "-m", str(count), f"127.0.0.1:{port}"],
            check=True,
            timeout=300,
        )
        return count / (time.perf_counter() - began)


@contextmanager
def _smtp_sink(folder: Path, *, expected: int) -> Iterator[int]:
    """A fresh smtp-sink on the port that is given. Raises Broken unless `expected` mails came."""
    port = free_port()
    counters = folder / "smtp-sink.out"
    tool = find_tool("smtp-sink") or "smtp-sink"
    user = ["-u", "nobody"] if os.geteuid() == 0 else []  # it refuses to run as root
    with running([tool, "-c", *user, f"127.0.0.1:{port}", "256"], output=counters):
        wait_for_port(port)
        yield port
        time.sleep(0.05)  # its counters are written after its answers
    found = re.findall(r"mesg=([0-9]+)", counters.read_text())
    if not found or int(found[-1]) != expected:
        raise Broken(f"smtp-sink took {found[-1] if found else 'no'} mails instead of {expected}")
