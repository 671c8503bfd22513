"""What providers do: refuse, stall, answer nonsense, take a message and not say so."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from notifier.services.health import SILENT_AFTER
from tests.faults.site import Site, open_site
from tests.faults.starting import clear_faults, restart_sandbox
from tests.faults.trial import Fault, Ground, Trial
from tests.processes import free_port, request_json

Order = Mapping[str, Any]


def strike(
    *orders: Order, unknown_batches: int = 0, seconds: float = 60, waits: bool = False
) -> Callable[[Ground], Iterator[Trial]]:
    """Each try orders the next of these failures, declares, and waits for the end of it.

    `unknown_batches`: how many batches may stay unknown, because their answer was lost.
    `waits`: the provider says how long to wait, so how soon we are back is not ours to say.
    """

    def run(ground: Ground) -> Iterator[Trial]:
        with open_site(ground) as site:
            for number in range(ground.tries):
                site.box.fault(**orders[number % len(orders)])
                begun = time.time_ns()
                told = site.say()
                yield site.conclude(
                    told,
                    healed_ns=0 if waits else begun,
                    unknown_allowed=unknown_batches * site.batch,
                    seconds=seconds,
                )
                clear_faults(site.box)
            yield site.last_look()

    return run


def _too_many_at_sendgrid() -> list[Order]:
    """429 with what providers write into Retry-After, and with nothing."""
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=20), usegmt=True)
    waits = (1, None, soon, "presently", "-1")
    return [{"service": "sendgrid", "fault": 429, "retry_after": wait} for wait in waits]


def _too_many_at_x() -> list[Order]:
    """429 with what might stand in x-rate-limit-reset: X sends that, and no Retry-After."""
    resets = (1, 5, "presently", "-1", 0)
    return [{"service": "x", "fault": 429, "reset": reset} for reset in resets]


def _each(service: str, faults: Sequence[str | int], **more: Any) -> list[Order]:
    return [{"service": service, "fault": fault, **more} for fault in faults]


_LOST_ANSWERS: list[Order] = [
    {"service": "x", "fault": "accept_then_reset", "bytes": length} for length in (0, 20, 200)
]
_YEAR = 31_536_000
_NONSENSE = ("html", "truncated", "empty", "binary", "no_id", "list")


def a_year(ground: Ground) -> Iterator[Trial]:
    """A provider says to come back in a year. Something says so, and the other channel leaves."""
    orders: list[Order] = [
        {"service": "x", "fault": 429, "reset": _YEAR},
        {"service": "sendgrid", "fault": 429, "retry_after": _YEAR},
    ]
    for number in range(ground.tries):
        with open_site(ground.again(number)) as site:
            site.box.fault(**orders[number % 2])
            told = site.say()
            time.sleep(3.0)
            answer = site.ask(told)
            held = answer["posts"][0]["reason"] or answer["email"]["reason"]
            finding = site.look(told)
            others = finding.missing if number % 2 == 0 else finding.missing_posts
            broken = [] if held else ["nothing says why it waits"]
            broken += ["the other channel waited too"] if others else []
            yield Trial(broken=tuple(broken))


def away(ground: Ground) -> Iterator[Trial]:
    """Nobody listens where the providers were; then they are back."""
    with open_site(ground) as site:
        for _ in range(ground.tries):
            site.box.kill()
            told = site.say()
            time.sleep(ground.random.uniform(1.0, 3.0))
            restart_sandbox(site.box)
            yield site.conclude(told, healed_ns=time.time_ns())
        yield site.last_look()


def accepted_and_lost(ground: Ground) -> Iterator[Trial]:
    """SendGrid answers 202 and loses the request. After 15 minutes without an event we say so."""
    with open_site(ground, events=True) as site:
        lost = 0
        for _ in range(ground.tries):
            spared = ground.random.randint(0, 4)
            site.box.fault(service="sendgrid", fault="202_then_lost", after=spared)
            told = site.say()
            site.wait_until_settled(told)
            site.box.wait_until_told()
            early = _silent_mails(site)
            lost += len(site.look(told).missing)
            site.node.shift_clock(SILENT_AFTER.total_seconds() + 60)
            said = _silent_mails(site)
            site.node.shift_clock(0.0)
            broken = [f"{early} mails are called lost at once"] if early else []
            broken += [f"{lost} mails are lost, and {said} are said to be"] if said != lost else []
            yield Trial(broken=tuple(broken))
        never = () if lost == ground.tries * site.batch else (f"only {lost} mails were lost",)
        yield Trial(tries=0, broken=never)
        yield site.last_look()


def _silent_mails(site: Site) -> int:
    """The mails of which an operator is told that SendGrid says nothing."""
    url = f"{site.node.url}/api/v1/channels"
    status, answer = request_json("GET", url, token=site.token)
    if status != 200:
        raise AssertionError(f"the channels cannot be read: {status} {answer}")
    return int(next(c["silent"] for c in answer["channels"] if c["channel"] == "sendgrid"))


def sick_x_holds_no_mail(ground: Ground) -> Iterator[Trial]:
    """X hangs; the mails leave meanwhile, and the admin answers at once."""
    with open_site(ground) as site:
        for _ in range(ground.tries):
            site.box.fault(service="x", fault="hang", seconds=15)
            told = site.prepare()
            pressed = time.monotonic()
            site.declare(told)
            answered = time.monotonic() - pressed
            got = site.wait_for(len(site.readers), told, seconds=5)
            broken = [] if answered < 1 else [f"the press was answered after {answered:.1f} s"]
            broken += [] if got == len(site.readers) else [f"only {got} mails left meanwhile"]
            yield site.conclude(told, broken=broken, seconds=60)
        yield site.last_look()


def failover(ground: Ground) -> Iterator[Trial]:
    """Nobody listens where SendGrid was; the second provider takes over."""
    dead = {
        "NOTIFIER_SENDGRID__API_URL": f"http://127.0.0.1:{free_port()}",
        "NOTIFIER_EMAIL__BACKUP": "smtp",
    }
    with open_site(ground, settings=dead) as site:
        for _ in range(ground.tries):
            begun = time.time_ns()
            told = site.say()
            yield site.conclude(told, healed_ns=begun, seconds=120)
        yield site.last_look()


FAULTS = (
    Fault(
        "P1 x",
        "429 from X, its reset soon, past, or no number",
        strike(*_too_many_at_x(), seconds=150, waits=True),
        (5, 25),
    ),
    Fault(
        "P1 mail",
        "429 from SendGrid, Retry-After in all its spellings",
        strike(*_too_many_at_sendgrid(), seconds=150, waits=True),
        (5, 25),
    ),
    Fault("P1 year", "429 with Retry-After: a year", a_year, (2, 4)),
    Fault("P2 x", "5xx from X, which took nothing", strike(*_each("x", (500, 502, 503))), (3, 30)),
    Fault(
        "P2 mail",
        "5xx from SendGrid",
        strike(*_each("sendgrid", (500, 502, 503, 504)), unknown_batches=1),
        (4, 40),
    ),
    Fault("P3", "connection refused", away, (2, 20)),
    Fault(
        "P4 x",
        "a reset before, in and after the request, and in X's answer",
        strike(*_each("x", ("reset_before_body", "reset")), *_LOST_ANSWERS),
        (5, 50),
    ),
    Fault(
        "P4 mail",
        "the same at SendGrid",
        strike(
            *_each("sendgrid", ("reset_before_body", "reset", "accept_then_reset")),
            unknown_batches=1,
        ),
        (3, 30),
    ),
    Fault(
        "P5 x",
        "an answer of X at one byte a second",
        strike({"service": "x", "fault": "slow"}),
        (1, 10),
    ),
    Fault(
        "P6 x",
        "X accepts and answers nonsense",
        strike(*({"service": "x", "fault": "garbage", "kind": kind} for kind in _NONSENSE)),
        (6, 60),
    ),
    Fault(
        "P6 mail",
        "SendGrid accepts and answers nonsense",
        strike(
            *({"service": "sendgrid", "fault": "garbage", "kind": k} for k in _NONSENSE),
            unknown_batches=1,
        ),
        (6, 60),
    ),
    Fault("P8", "keys refused (401, 403)", strike(*_each("x", (401, 403))), (2, 10)),
    Fault("P9", "X hangs: no mail waits for it", sick_x_holds_no_mail, (1, 10)),
    Fault("P10", "SendGrid down, the second provider takes over", failover, (1, 10)),
    Fault(
        "P11",
        "SendGrid accepts and loses it: said after 15 minutes (events, a shifted clock)",
        accepted_and_lost,
        tries=(2, 20),
    ),
)
