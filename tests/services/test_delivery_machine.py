"""Whatever happens, in whatever order: the promises of delivery hold.

Hypothesis plays operators, readers, providers, crashes and time against the real services on a
real SQLite file. The two providers here keep what they accepted, and judge each call as it comes:

I1 what was published is sent in the end, or the ledger says why not;
I2 a post is published once, and a reader is mailed once (with the policy "hold");
I3 whatever is sent was claimed before, and the claim is committed;
I5 of one incident nothing older leaves after something newer, neither in public nor to a reader;
I6 who has unsubscribed, or whose address is suppressed, is sent nothing;
I7 after "resolved" only the resolution leaves;
I10 while the site is paused, no call begins.

I4 (mail waits for the post) is not promised: mail leaves at the time it has in its plan, which is
checked. I8 and I9 are about pages and audit. `make faults-full` plays for longer
(tests/faults/machine.py).
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select

from notifier.app import build, load_settings
from notifier.domain.audience import address_key, customer
from notifier.domain.delivery import BatchOutcome, Outcome, Rejected, Retry, Sent, State, Unknown
from notifier.domain.incident import Status
from notifier.domain.message import Mail, Recipient
from notifier.domain.plan import MailTime
from notifier.domain.suppression import Reason
from notifier.ports import Notifier
from notifier.services import audience, incidents, pausing
from notifier.services.leases import recover
from notifier.services.mailing import MailRun
from notifier.services.posting import run_posts
from notifier.services.unsubscribing import unsubscribe, unsubscribe_links
from notifier.store import suppressions
from notifier.store.schema import deliveries, dispatches, is_open
from notifier.store.suppressions import Suppression
from tests.fakes import FakeClock, FakeMail, FakePosts
from tests.faults.referee import find_mark, mark
from tests.processes import SECRET
from tests.services.saying import declaration, words

READERS = 7
BATCH = 3
#: What a provider can do to a call. "lost" loses the answer, "killed" our process.
ACTS = ("taken", "retry", "refused", "taken, lost", "lost", "taken, killed", "killed")


class Killed(BaseException):
    """The end of a process in the middle of a call: nothing behind it runs."""


@dataclass(frozen=True)
class Said:
    """One update that was published."""

    incident: int
    number: int
    mail_at: datetime


class World:
    """What the providers have accepted, and what we know that they must never see."""

    def __init__(self) -> None:
        self.said: dict[str, Said] = {}
        self.newest: dict[int, int] = {}
        self.resolved: dict[int, int] = {}
        self.acts: list[str] = []
        self.posts: list[str] = []
        self.mails: dict[str, list[str]] = {}
        self.unwilling: set[str] = set()
        self.paused = False

    def act(self) -> str:
        """What happens to the next call: as told, else all goes well."""
        return self.acts.pop(0) if self.acts else "taken"

    def judge(self, key: str) -> Said:
        """Whether a message of this update may leave now at all."""
        assert not self.paused, "I10: a call began while the site was paused"
        said = self.said[key]
        newest = self.newest[said.incident]
        end = self.resolved.get(said.incident)
        assert end is None or said.number >= end, "I7: sent after the incident was resolved"
        assert said.number <= newest, "I3: sent before it was published"
        return said

    def happen(self, act: str, accept: Callable[[], object]) -> Outcome:
        """Let it happen; `accept` is called where the message is taken."""
        if "taken" in act:
            accept()
        if "killed" in act:
            raise Killed
        outcomes: dict[str, Outcome] = {
            "taken": Sent("ref"),
            "retry": Retry("busy"),
            "refused": Rejected("no"),
        }
        return outcomes.get(act, Unknown("the answer was lost"))


class Posts(FakePosts):
    """X: refuses what it has already, and shows what it has."""

    def __init__(self, world: World, is_claimed: Callable[[str], bool]) -> None:
        super().__init__(refuses_repeats=True)
        self._world = world
        self._is_claimed = is_claimed

    def send(self, text: str) -> Outcome:
        key = find_mark(text)
        said = self._world.judge(key)
        assert self._is_claimed(text), "I3: sent before its claim was committed"
        if key in self._world.posts:
            return self._take(text)
        earlier = [self._world.said[one] for one in self._world.posts]
        newer = [e for e in earlier if e.incident == said.incident and e.number > said.number]
        assert not newer, "I5: an older post left after a newer one"

        def accept() -> None:
            self._world.posts.append(key)
            self.sent.append(text)

        return self._world.happen(self._world.act(), accept)


class Mails(FakeMail):
    """SendGrid, one act for each batch."""

    def __init__(self, world: World, clock: FakeClock) -> None:
        super().__init__(batch_size=BATCH)
        self._world = world
        self._clock = clock

    def take(self, recipients: Sequence[Recipient], mail: Mail) -> BatchOutcome:
        key = find_mark(mail.text)
        said = self._world.judge(key)
        assert self._clock.now >= said.mail_at, "a mail left before its time"
        addresses = [recipient.address for recipient in recipients]
        assert not self._world.unwilling & set(addresses), "I6: mailed somebody who must have peace"

        def accept() -> None:
            for address in addresses:
                got = self._world.mails.setdefault(address, [])
                assert key not in got, "I2: mailed twice"
                assert all(self._is_older(one, said) for one in got), "I5: an older mail after"
                got.append(key)

        return BatchOutcome(self._world.happen(self._world.act(), accept))

    def _is_older(self, key: str, said: Said) -> bool:
        other = self._world.said[key]
        return other.incident != said.incident or other.number < said.number


def _open(
    database: Path, world: World, clock: FakeClock, is_claimed: Callable[[str], bool]
) -> Notifier:
    environ = {"NOTIFIER_DATABASE_URL": f"sqlite:///{database}", "NOTIFIER_SECRET_KEY": SECRET}
    return build(
        load_settings(path=Path(os.devnull), environ=environ),
        clock=clock,
        posts={"x": Posts(world, is_claimed)},
        mail=Mails(world, clock),
    )


@cache
def _database_with_readers() -> bytes:
    """A database file as each game begins with; making it takes longer than a game."""
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "notifier.db"
        n = _open(database, World(), FakeClock(), lambda _text: False)
        audience.put_component(n, slug_="heat", name="Heat")
        for i in range(READERS):
            zone = "UTC" if i % 2 else "Asia/Karachi"
            who = {"name": "", "language": "en", "time_zone": zone, "components": ("heat",)}
            made: Any = customer(external_id=f"c{i}", email=f"c{i}@example.com", **who)
            audience.put_customer(n, made)
        n.db.close()  # the last connection takes the write-ahead log into the file
        return database.read_bytes()


class Delivery(RuleBasedStateMachine):
    """The rules: what people, providers and machines do."""

    def __init__(self) -> None:
        super().__init__()
        memory = Path("/dev/shm")
        self.folder = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
        self.world = World()
        self.clock = FakeClock()
        self.lives = 0

    @initialize()
    def begin(self) -> None:
        database = self.folder / "notifier.db"
        database.write_bytes(_database_with_readers())
        self.n = _open(database, self.world, self.clock, self.is_claimed)

    def is_claimed(self, text: str) -> bool:
        """Whether another connection sees the post as being sent."""
        query = select(dispatches.c.state).where(dispatches.c.text == text)
        with self.n.db.read() as connection:
            return connection.scalars(query).one() in (State.SENDING, State.UNKNOWN)

    @rule(delay=st.sampled_from([0, 3]))
    @precondition(lambda self: len(self.world.newest) < 3)
    def declare(self, delay: int) -> None:
        key = mark(len(self.world.said) + 1)
        at = MailTime(delay=timedelta(minutes=delay))
        told = declaration(self.n, impact=f"No heat {key}.", mail=at)
        published = incidents.declare(self.n, told, by="Olga")
        self._published(key, published.incident.id, 1, delay)

    @rule(
        which=st.integers(0, 2),
        status=st.sampled_from(sorted(Status)),
        delay=st.sampled_from([0, 3]),
    )
    @precondition(lambda self: self.world.newest)
    def update(self, which: int, status: Status, delay: int) -> None:
        incident = sorted(self.world.newest)[which % len(self.world.newest)]
        over = incident in self.world.resolved
        if over or status is Status.POSTMORTEM:
            return
        key = mark(len(self.world.said) + 1)
        at = MailTime(delay=timedelta(minutes=delay))
        said = words(self.n, impact=f"No heat {key}.", mail=at)
        incidents.post_update(self.n, incident, status, said, by="Olga")
        number = self.world.newest[incident] + 1
        self._published(key, incident, number, delay)
        if status is Status.RESOLVED:
            self.world.resolved[incident] = number

    def _published(self, key: str, incident: int, number: int, delay: int) -> None:
        self.world.newest[incident] = number
        self.world.said[key] = Said(incident, number, self.clock.now + timedelta(minutes=delay))

    @rule(acts=st.lists(st.sampled_from(ACTS), min_size=1, max_size=4))
    def providers_will(self, acts: list[str]) -> None:
        self.world.acts = list(acts)

    @rule()
    def deliver(self) -> None:
        try:
            run_posts(self.n, "x")
            MailRun(self.n).run()
        except Killed:
            self.lives += 1
            self.n = replace(self.n, node=f"life {self.lives}")
            recover(self.n, alone=True)

    @rule(minutes=st.sampled_from([0.1, 1, 4, 30]))
    def time_passes(self, minutes: float) -> None:
        self.clock.move(minutes=minutes)
        recover(self.n, alone=True)

    @rule(who=st.integers(1, READERS))
    def unsubscribe(self, who: int) -> None:
        link = unsubscribe_links(self.n)(who)
        address = unsubscribe(self.n, link.rsplit("/", 1)[1])
        assert address
        self.world.unwilling.add(address)

    @rule(who=st.integers(0, READERS - 1))
    def suppress(self, who: int) -> None:
        address = f"c{who}@example.com"
        bounced = Suppression(address, Reason.BOUNCE, "", "test", self.clock.now, None)
        with self.n.db.transaction() as connection:
            suppressions.suppress(connection, [bounced])
        self.world.unwilling.add(address_key(address))

    @rule()
    @precondition(lambda self: not self.world.paused)
    def pause(self) -> None:
        pausing.pause(self.n, by="Olga", reason="a test")
        self.world.paused = True

    @rule()
    @precondition(lambda self: self.world.paused)
    def resume(self) -> None:
        pausing.resume(self.n, by="Olga")
        self.world.paused = False

    @invariant()
    def nothing_is_said_twice(self) -> None:
        assert len(self.world.posts) == len(set(self.world.posts)), "I2: posted twice"

    def teardown(self) -> None:
        try:
            if hasattr(self, "n"):
                self._let_all_end_well()
                self._check_nothing_is_lost()
        finally:
            if hasattr(self, "n"):
                self.n.db.close()
            shutil.rmtree(self.folder)

    def _let_all_end_well(self) -> None:
        """The providers are well again, nobody interferes, and time passes."""
        self.world.acts = []
        if self.world.paused:
            self.resume()
        for _ in range(60):
            self.deliver()
            if not self._is_anything_open():
                return
            self.time_passes(4)

    def _is_anything_open(self) -> bool:
        """Whether something waits, is in flight or will be looked up."""
        open_ = is_open(dispatches) | dispatches.c.look_at.is_not(None)
        with self.n.db.read() as connection:
            return connection.execute(select(dispatches.c.id).where(open_)).first() is not None

    def _check_nothing_is_lost(self) -> None:
        """I1: there is no row left to be sent, and what is said to be sent was."""
        with self.n.db.read() as connection:
            rows = connection.execute(select(dispatches)).all()
            lines = connection.execute(select(deliveries)).all()
        assert len({row.update_id for row in rows if row.lane == "post"}) == len(self.world.said)
        for row in rows:
            assert row.state not in (State.PLANNED, State.SENDING), "I1: it waits for ever"
            if row.lane == "post" and row.state == State.ACCEPTED:
                assert find_mark(row.text) in self.world.posts, "I1: called sent, and was not"
        key_of = {row.id: list(self.world.said)[row.update_id - 1] for row in rows}
        self._check_nobody_was_passed_over(rows, lines)
        for line in lines:
            assert line.state not in (State.PLANNED, State.SENDING), "I1: a reader waits for ever"
            if line.state == State.ACCEPTED:
                got = self.world.mails.get(line.address, [])
                assert key_of[line.dispatch_id] in got, "I1: called mailed, and was not"

    def _check_nobody_was_passed_over(self, rows: Sequence[Any], lines: Sequence[Any]) -> None:
        """Of a mail that no newer one replaced, each reader has a line or wants none."""
        everybody = {f"c{i}@example.com" for i in range(READERS)}
        for row in rows:
            if row.lane == "mail" and row.state != State.SUPERSEDED and not row.replaced:
                reached = {line.address for line in lines if line.dispatch_id == row.id}
                missing = everybody - reached - self.world.unwilling
                assert not missing, "I1: a reader was passed over"


#: Nothing here waits for the machine's own clock, so a slow machine is no failure.
PLAY = settings(deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)


def test_the_promises_hold_whatever_happens() -> None:
    games = settings(PLAY, max_examples=25, stateful_step_count=25)
    run_state_machine_as_test(Delivery, settings=games)  # type: ignore[no-untyped-call]
