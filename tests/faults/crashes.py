"""F1 to F7: the process dies, at each step of a message's route and at any moment."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

from notifier.ports import Step
from tests.faults.site import Site, Told, open_site
from tests.faults.trial import Fault, Ground, Trial

#: The most lives that a loop of crashes has.
_LIVES = 20


def die_before_commit(step: Step) -> Callable[[Ground], Iterator[Trial]]:
    """The operator is told nothing, nothing is sent; the same form sent again counts once."""

    def run(ground: Ground) -> Iterator[Trial]:
        with open_site(ground) as site:
            for _ in range(ground.tries):
                told = _crash(site, step, told=_prepare(site, step))
                begun = site.restart()
                time.sleep(0.3)
                early = ["something was sent that was never committed"] * _was_sent(site, told)
                again = press_twice(site, told)
                yield site.conclude(told, healed_ns=begun, broken=[*early, *again])
            yield site.last_look()

    return run


def die_after_commit(step: Step) -> Callable[[Ground], Iterator[Trial]]:
    """It was committed, though the operator does not know; whoever serves next sends it."""

    def run(ground: Ground) -> Iterator[Trial]:
        with open_site(ground) as site:
            for _ in range(ground.tries):
                told = _crash(site, step, told=_prepare(site, step))
                begun = site.restart()
                again = press_twice(site, told)
                yield site.conclude(told, healed_ns=begun, broken=again)
            yield site.last_look()

    return run


def die_on_a_post(step: Step) -> Fault:
    """A crash beside the call that publishes. The mails do not care."""

    def run(ground: Ground) -> Iterator[Trial]:
        with open_site(ground) as site:
            for _ in range(ground.tries):
                told = _crash(site, step)
                begun = site.restart()
                site.declare(told)
                # The mail's lane runs beside the post's, so a batch of it may be in flight too.
                yield site.conclude(told, healed_ns=begun, unknown_allowed=site.batch)
            yield site.last_look()

    what = {
        "post.claimed": "kill -9 after the claim of a post, before the call",
        "post.answered": "kill -9 after the post's 2xx, before the ledger is written",
        "post.settled": "kill -9 after the post is written down",
    }[step]
    name = {"post.claimed": "F2", "post.answered": "F4", "post.settled": "F4"}[step]
    return Fault(f"{name} {step}", what, run, tries=(4, 60))


def die_mid_post(ground: Ground) -> Iterator[Trial]:
    """X takes the post, the answer is lost, and then the process dies as well."""
    with open_site(ground) as site:
        for _ in range(ground.tries):
            site.box.fault(service="x", fault="accept_then_reset")
            told = _crash(site, "post.answered")
            begun = site.restart()
            site.declare(told)
            yield site.conclude(told, healed_ns=begun, unknown_allowed=site.batch)
        yield site.last_look()


def die_on_a_batch(step: Step) -> Fault:
    """A crash beside the call of some batch of a fan-out."""

    def run(ground: Ground) -> Iterator[Trial]:
        with open_site(ground) as site:
            batches = len(site.readers) // site.batch
            for _ in range(ground.tries):
                told = _crash(site, step, hit=ground.random.randint(1, batches - 1))
                begun = site.restart()
                site.declare(told)
                yield site.conclude(told, healed_ns=begun, unknown_allowed=site.batch)
            yield site.last_look()

    what = {
        "mail.claimed": "kill -9 after the claim of a batch, before the call",
        "mail.answered": "kill -9 after the batch's 2xx, before the ledger is written",
        "mail.settled": "kill -9 after the batch is written down",
    }[step]
    return Fault(f"F5 {step}", what, run, tries=(3, 40))


def die_with_resend(ground: Ground) -> Iterator[Trial]:
    """With the policy "resend", a batch whose answer is lost may be there twice, and no other."""
    policy = {
        "NOTIFIER_EMAIL__UNKNOWN_POLICY": "resend",
        "NOTIFIER_EMAIL__UNKNOWN_WAIT_SECONDS": "0",
    }
    with open_site(ground, settings=policy) as site:
        for _ in range(ground.tries):
            told = _crash(site, "mail.answered", hit=ground.random.randint(1, 4))
            begun = site.restart()
            site.declare(told)
            yield site.conclude(told, healed_ns=begun, mails_allowed=site.batch, until_known=True)
        yield site.last_look()


def die_with_events(ground: Ground) -> Iterator[Trial]:
    """With SendGrid's events, what a crash left unknown is settled, and nothing is said twice."""
    with open_site(ground, events=True) as site:
        for _ in range(ground.tries):
            told = _crash(site, "mail.answered", hit=ground.random.randint(1, 4))
            begun = site.restart()
            site.declare(told)
            yield site.conclude(told, healed_ns=begun, until_known=True)
        yield site.last_look()


def die_at_random(ground: Ground) -> Iterator[Trial]:
    """kill -9 at a random moment of the first half second after the press."""
    with open_site(ground) as site:
        for _ in range(ground.tries):
            told = site.prepare()
            killer = threading.Timer(ground.random.uniform(0, 0.5), site.kill)
            killer.start()
            site.declare(told)
            killer.join()
            begun = site.restart()
            site.declare(told)
            yield site.conclude(told, healed_ns=begun, unknown_allowed=site.batch)
        yield site.last_look()


def loop_of_crashes(ground: Ground) -> Iterator[Trial]:
    """It dies again and again at its first answered batch; each life brings it on."""
    with open_site(ground, customers=50) as site:
        for _ in range(ground.tries):
            told = site.prepare()
            site.node.arm("mail.answered", "kill")
            site.declare(told)
            lives, idle, missing = 0, 0, len(site.readers)
            while site.node.wait_until_dead() and lives < _LIVES:
                left = len(site.look(told).missing)
                lives, idle, missing = lives + 1, idle + (left == missing), left
                site.start(wait=False)
                site.node.arm("mail.answered", "kill")
            site.node.disarm()
            begun = site.restart()
            site.declare(told)
            broken = (f"{idle} of {lives} lives brought nothing on",) if idle else ()
            yield site.conclude(
                told, healed_ns=begun, unknown_allowed=lives * site.batch, broken=broken
            )
        yield site.last_look()


def _prepare(site: Site, step: Step) -> Told:
    """What is published at that step: a disruption, or the next word or the end of an older one."""
    publishes = step.partition(".")[0]
    if publishes == "declare":
        return site.prepare()
    before = site.say()
    site.wait_until_settled(before)
    return site.prepare_next(before, "resolved" if publishes == "resolve" else "monitoring")


def press_twice(site: Site, told: Told) -> list[str]:
    """The same form again, and once more; what is wrong with what was published by it."""
    broken = [] if site.declare(told) else ["the same form was refused when it was sent again"]
    site.declare(told)
    updates = len(site.ask(told).get("updates", ()))
    broken += [] if updates == told.number else [f"{updates} updates instead of {told.number}"]
    return broken


def _crash(site: Site, step: Step, *, hit: int = 1, told: Told | None = None) -> Told:
    """Publish, usually a new disruption, and let the process die at that step of it."""
    told = told or site.prepare()
    site.node.arm(step, "kill", hit=hit)
    site.declare(told)
    if not site.node.wait_until_dead():
        raise AssertionError(f"the step {step} was not reached {hit} times: {site.node.output}")
    return told


def _was_sent(site: Site, told: Told) -> bool:
    finding = site.look(told)
    return not finding.missing_posts or finding.missing != told.expected.readers


FAULTS = (
    Fault("F1", "kill -9 before the commit", die_before_commit("declare.before_commit"), (4, 60)),
    Fault(
        "F1 update",
        "the same with an update",
        die_before_commit("update.before_commit"),
        tries=(2, 30),
    ),
    Fault(
        "F1 resolve",
        "the same with the end",
        die_before_commit("resolve.before_commit"),
        tries=(2, 30),
    ),
    Fault(
        "F2",
        "kill -9 after the commit, before the post",
        die_after_commit("declare.after_commit"),
        tries=(4, 60),
    ),
    Fault("F2 update", "the same with an update", die_after_commit("update.after_commit"), (2, 30)),
    Fault("F2 resolve", "the same with the end", die_after_commit("resolve.after_commit"), (2, 30)),
    die_on_a_post("post.claimed"),
    Fault("F3", "the post is taken, its answer lost, then kill -9", die_mid_post, tries=(4, 60)),
    die_on_a_post("post.answered"),
    die_on_a_post("post.settled"),
    die_on_a_batch("mail.claimed"),
    die_on_a_batch("mail.answered"),
    die_on_a_batch("mail.settled"),
    Fault(
        "F5 resend",
        'the same with the policy "resend": at most that batch twice',
        die_with_resend,
        tries=(3, 40),
    ),
    Fault(
        "F5 events",
        "the same with SendGrid's events: nothing unknown, nothing twice",
        die_with_events,
        tries=(3, 40),
    ),
    Fault("F6", "kill -9 at a random moment", die_at_random, tries=(6, 300)),
    Fault("F7", "a loop of crashes: each life brings it on", loop_of_crashes, tries=(1, 10)),
)
