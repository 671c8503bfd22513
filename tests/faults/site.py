"""A sandbox and a notifier as real processes, and what was published there so far."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.client import HTTPException
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.faults.referee import Expected, Finding, Referee, mark
from tests.faults.serve_with_faults import CLOCK, HITS, ORDER
from tests.faults.starting import ZONES, end, fill, spawn, start_sandbox, wait_until_up
from tests.faults.trial import RESUME_SECONDS, Ground, Trial
from tests.processes import Process, Sandbox, environment, free_port, request_json

#: Answers of the API that name a message which may be missing.
REPORTED = {"unknown", "rejected", "cancelled", "superseded", "bounced"}
#: What a request ends with whose server dies: before, in the middle of, or after the answer's head.
_CUT = (OSError, HTTPException, ValueError)


@dataclass
class Told:
    """One update that an operator published, or tried to."""

    mark: str
    key: str
    body: dict[str, Any]
    expected: Expected
    #: 0 until the operator is told that it is published.
    incident: int = 0
    #: Where it is published, below the API.
    path: str = "incidents"
    #: Which update of its incident it is.
    number: int = 1

    @property
    def acknowledged(self) -> bool:
        """Whether the operator was told that it is published."""
        return self.incident != 0


@dataclass
class Node(Process):
    """One `serve`, which can be told to die at a step."""

    folder: Path
    orders: int = 0

    def arm(self, step: str, act: str, *, hit: int = 1, seconds: float = 0.0) -> None:
        """Let `act` happen at that hit of the step, from now on."""
        self.orders += 1
        order = {"id": self.orders, "step": step, "hit": hit, "act": act, "seconds": seconds}
        fresh = self.folder / "order.new"
        fresh.write_text(json.dumps(order))
        fresh.rename(self.folder / ORDER)

    def disarm(self) -> None:
        """Forget an order that was not obeyed."""
        (self.folder / ORDER).unlink(missing_ok=True)

    @property
    def is_armed(self) -> bool:
        """Whether the order still waits for its step."""
        return (self.folder / ORDER).exists()

    def shift_clock(self, seconds: float) -> None:
        """Put this node's clock wrong."""
        fresh = self.folder / "clock.new"
        fresh.write_text(str(seconds))
        fresh.rename(self.folder / CLOCK)

    @property
    def steps(self) -> set[str]:
        """The steps it has reached."""
        return set((self.folder / HITS).read_text().split())

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended."""
        return self.popen.poll() is None

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self.popen.send_signal(number)

    def wait_until_dead(self, seconds: float = 20.0) -> bool:
        """Whether it ended within `seconds`."""
        try:
            self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True


@dataclass
class Site:
    """One sandbox, one database, any number of nodes, and everything said there."""

    ground: Ground
    box: Sandbox
    settings: dict[str, str]
    token: str
    readers: frozenset[str]
    batch: int
    _live: ExitStack
    nodes: list[Node] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    #: A node keeps its port when it is started again.
    ports: dict[int, int] = field(default_factory=dict)
    #: A command in front of that of each node.
    inside: Sequence[str] = ()
    referee: Referee = field(default_factory=Referee)
    _counted: tuple[int, int, int] = (0, 0, 0)
    _read: int = 0

    @property
    def node(self) -> Node:
        """The first node: the only one, unless a fault started more."""
        return self.nodes[0]

    def start(self, number: int = 0, *, wait: bool = True) -> int:
        """Start node `number`; the moment it was started, in nanoseconds."""
        folder = self.ground.folder / f"node{number}"
        folder.mkdir(exist_ok=True)
        port = self.ports.setdefault(number, free_port())
        command = ["-m", "tests.faults.serve_with_faults", str(port), str(folder)]
        (folder / ORDER).unlink(missing_ok=True)
        begun = time.time_ns()
        popen, output = spawn(command, self.settings, folder, "serve", before=self.inside)
        node = self.adopt(Process(popen, f"http://127.0.0.1:{port}", output), folder)
        self.nodes[number : number + 1] = [node]
        if wait:
            wait_until_up(node)
        return begun

    def adopt(self, process: Process, folder: Path) -> Node:
        """A process that reads its orders in `folder`, ended with the site."""
        node = Node(process.popen, process.url, process.output, folder)
        self.end_with(node)
        return node

    def listen_to_events(self) -> None:
        """Have SendGrid's events sent to the first node, and believed there."""
        port = self.ports.setdefault(0, free_port())
        order = {"url": f"http://127.0.0.1:{port}/events/sendgrid"}
        _status, told = request_json("POST", f"{self.box.url}/_sandbox/events", order)
        self.settings["NOTIFIER_SENDGRID__EVENTS_PUBLIC_KEY"] = told["public_key"]

    def end_with(self, process: Process) -> None:
        """End a process at the end of this site, at the latest."""
        self._live.callback(end, process)

    def kill(self, number: int = 0) -> None:
        """kill -9."""
        self.nodes[number].kill()

    def restart(self, number: int = 0) -> int:
        """Start it again after it died; the moment of that, in nanoseconds."""
        if self.nodes[number].is_alive:
            self.kill(number)
        return self.start(number)

    def prepare(self, **changes: Any) -> Told:
        """Something to declare, with a mark and an Idempotency-Key of its own."""
        new = {"title": "No heat", "severity": "critical", "components": ["heat"]}
        return self._prepare("incidents", 1, new | changes)

    def prepare_next(self, before: Told, status: str) -> Told:
        """The update to publish after one that was acknowledged; with "resolved", the end."""
        path = f"incidents/{before.incident}/updates"
        return self._prepare(path, before.number + 1, {"status": status})

    def _prepare(self, path: str, number: int, said: Mapping[str, Any]) -> Told:
        words = mark(len(self.told) + 1)
        body = {
            "impact": f"You have no heat {words}.",
            "expected_duration": {"unknown": True},
            "explanation": "A pump failed.",
            "next_update_by": (datetime.now(UTC) + timedelta(hours=1)).isoformat(),
            "email": {"delay_minutes": 0},
            **said,
        }
        expected = Expected(words, self.readers)
        told = Told(words, f"key-{words}", body, expected, path=path, number=number)
        self.told.append(told)
        return told

    def declare(self, told: Told, number: int = 0) -> bool:
        """Press the button; whether the operator was told that it is published."""
        url = f"{self.nodes[number].url}/api/v1/{told.path}"
        with suppress(*_CUT):
            headers = {"Idempotency_Key": told.key}
            status, answer = request_json("POST", url, told.body, token=self.token, **headers)
            if status == 201:
                told.incident = answer["id"]
        return told.acknowledged

    def say(self, **changes: Any) -> Told:
        """Declare a disruption that must be acknowledged."""
        told = self.prepare(**changes)
        if not self.declare(told):
            raise AssertionError(f"the declaration was refused: {self.node.output}")
        return told

    def look(self, told: Told) -> Finding:
        """What the referee says of it now."""
        messages = self.box.messages()
        self.referee.read(messages[self._read :])
        self._read = len(messages)
        return self.referee.judge(told.expected)

    def ask(self, told: Told) -> dict[str, Any]:
        """What the product says of its incident and of its own messages; {} when it says nothing.

        `posts` and `email` are those of this update, whatever came after it.
        """
        for node in self.nodes:
            with suppress(*_CUT):
                url = f"{node.url}/api/v1/incidents/{told.incident}"
                status, answer = request_json("GET", url, token=self.token)
                if status == 200 and len(answer["updates"]) >= told.number:
                    of_it = answer["updates"][-told.number]
                    return {**answer, "posts": of_it["posts"], "email": of_it["email"]}
        return {}

    def wait_for(self, count: int, told: Told, seconds: float = 20.0) -> int:
        """Wait until `count` readers got it; how many did."""
        deadline = time.monotonic() + seconds
        while True:
            got = len(self.readers) - len(self.look(told).missing)
            if got >= count or time.monotonic() > deadline:
                return got
            time.sleep(0.005)

    def wait_until_settled(
        self, told: Told, seconds: float = RESUME_SECONDS, *, until_known: bool = False
    ) -> dict[str, Any]:
        """Wait until the product has no more to do for it; what it says then.

        `until_known`: and no reader is unknown any more.
        """
        deadline = time.monotonic() + seconds
        while True:
            answer = self.ask(told)
            if answer and is_over(answer, until_known=until_known):
                return answer
            if time.monotonic() > deadline:
                return answer
            time.sleep(0.05)

    def conclude(
        self,
        told: Told,
        *,
        healed_ns: int = 0,
        mails_allowed: int = 0,
        unknown_allowed: int = 0,
        seconds: float = RESUME_SECONDS,
        until_known: bool = False,
        broken: Sequence[str] = (),
    ) -> Trial:
        """Wait for the end of it and let the referee judge."""
        answer = self.wait_until_settled(told, seconds, until_known=until_known)
        finding = self.look(told)
        posts, mail = _states(answer)
        complaints = list(broken)
        if "unknown" in posts:
            complaints.append(f"a post is still unknown after {seconds:.0f} s")
        if not answer:
            complaints.append("nobody answers")
        elif _is_open(answer):
            complaints.append(f"not settled after {seconds:.0f} s: {posts} {mail}")
        late = (finding.last_ns - healed_ns) / 1e9
        return Trial(
            lost=self._lost(told, finding, posts),
            mails_allowed=mails_allowed,
            unknown=mail.get("unknown", 0) + posts.count("unknown"),
            unknown_allowed=unknown_allowed,
            recovery=late if healed_ns and late > 0 else None,
            broken=tuple(complaints),
            **self._new_doubles(),
        )

    def last_look(self) -> Trial:
        """Whatever came after its own try had ended, and what nobody had said."""
        time.sleep(0.3)
        doubles = self._new_doubles()
        strangers = self.referee.strangers([told.expected for told in self.told])
        broken = (f"sent without being published: {strangers}",) if strangers else ()
        return Trial(tries=0, broken=broken, **doubles)

    def deliveries(self, told: Told) -> dict[str, str]:
        """The ledger of its mail, by address. Every update before it has one too."""
        mails: dict[int, dict[str, str]] = {}
        cursor = ""
        while True:
            url = f"{self.node.url}/api/v1/incidents/{told.incident}/deliveries?cursor={cursor}"
            status, page = request_json("GET", url, token=self.token)
            if status != 200:
                raise AssertionError(f"the ledger cannot be read: {status} {page}")
            for row in page["deliveries"]:
                dispatch_id = int(row["id"].partition("-")[0])
                mails.setdefault(dispatch_id, {})[row["address"].lower()] = row["state"]
            cursor = page["next_cursor"]
            if not cursor:
                in_order = [mails[dispatch_id] for dispatch_id in sorted(mails)]
                return in_order[told.number - 1] if len(in_order) >= told.number else {}

    def _lost(self, told: Told, finding: Finding, posts: Sequence[str]) -> int:
        """What is missing without the product saying so."""
        if not told.acknowledged:
            return 0
        lost = 0 if set(posts) & REPORTED else finding.missing_posts
        if finding.missing:
            ledger = self.deliveries(told)
            lost += sum(ledger.get(who) not in REPORTED for who in finding.missing)
        return lost

    def _new_doubles(self) -> dict[str, int]:
        """Doubled and unexpected messages of all updates, less those that were counted."""
        found = [self.look(told) for told in self.told]
        now = (
            sum(one.doubled_posts for one in found),
            sum(one.doubled_mails for one in found),
            sum(len(one.unexpected) for one in found),
        )
        fresh = [a - b for a, b in zip(now, self._counted, strict=True)]
        self._counted = now
        return dict(zip(("doubled_posts", "doubled_mails", "unexpected"), fresh, strict=True))


@contextmanager
def open_site(
    ground: Ground,
    *,
    customers: int = 40,
    nodes: int = 1,
    events: bool = False,
    settings: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Site]:
    """A site with its sandbox and its customers; every process ends with the block.

    `events`: SendGrid tells what became of each mail.
    """
    with ExitStack() as live:
        box = start_sandbox(ground.folder)
        live.callback(end, box)
        given = environment(ground.folder, box, NOTIFIER_DATABASE_URL=ground.url, **settings)
        token, readers = fill(given, customers)
        batch = -(-customers // len(ZONES))
        site = Site(ground, box, given, token, readers, batch, live)
        wait_until_up(box)
        if events:
            site.listen_to_events()
        for number in range(nodes):
            site.start(number)
        yield site


def _states(answer: Mapping[str, Any]) -> tuple[list[str], dict[str, int]]:
    if not answer:
        return [], {}
    return [post["state"] for post in answer["posts"]], dict(answer["email"]["counts"])


def _is_open(answer: Mapping[str, Any]) -> bool:
    states = [*(post["state"] for post in answer["posts"]), answer["email"]["state"]]
    return bool({"planned", "sending"} & set(states))


def is_over(answer: Mapping[str, Any], *, until_known: bool = False) -> bool:
    """Whether the product does nothing more: what is unknown of posts it looks up by itself."""
    posts, mail = _states(answer)
    waits = "unknown" in posts or (until_known and "unknown" in mail)
    return not waits and not _is_open(answer)
