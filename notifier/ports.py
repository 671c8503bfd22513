"""The seams: what the services need from the outside world, and the object that carries it.

A channel is one file in `notifier/channels/`, found by listing that folder. It offers the
names of `ChannelModule` below; nothing else has to be edited to add one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol

from notifier.domain.delivery import BatchOutcome, Outcome
from notifier.domain.health import Rate
from notifier.domain.message import Mail, Recipient
from notifier.domain.receipt import ProviderEvent
from notifier.domain.signal import Evidence, Hook, Reading, Secrets, Setup

if TYPE_CHECKING:
    from pydantic import BaseModel
    from sqlalchemy import Connection

    from notifier.rendering.renderer import Renderer
    from notifier.settings import Settings
    from notifier.store.db import Database


class PostChannel(Protocol):
    """A public channel: one text, read by everybody."""

    name: str
    #: The greatest `measure` of a text this channel takes.
    limit: int
    #: Whether a text that is already there is refused (`Repeated`). Then sending the very same
    #: text again after an `Unknown` can make no second post.
    refuses_repeats: bool
    #: How fast the account may be used; None: as fast as it goes.
    rate: Rate | None

    def measure(self, text: str) -> int:
        """Length of `text` as this channel counts it."""

    def send(self, text: str) -> Outcome:
        """Publish `text`. Never raises; never waits longer than the channel's timeouts."""

    def find(self, text: str) -> Outcome:
        """Look for a post of our own with exactly this text. Publishes nothing, never raises.

        `Sent` with its reference when it is there, `Retry` when what we have posted was read
        and it is not there, `Unknown` when nobody can tell.
        """

    def link(self, reference: str) -> str:
        """Address at which the post with this reference can be read ("" if there is none)."""


class PreparedMail(Protocol):
    """A mail whose encoding is done; only the recipients' own values are still missing."""

    def send(self, recipients: Sequence[Recipient]) -> BatchOutcome:
        """Hand the mail to the provider for each recipient. Never raises."""


class MailChannel(Protocol):
    """A private channel: one mail to many readers, who never see each other."""

    name: str
    #: Recipients per batch: the most one request takes, and the most a crash leaves unknown.
    batch_size: int
    #: How fast the account may be used, in recipients; None: as fast as it goes.
    rate: Rate | None

    def prepare(self, mail: Mail) -> PreparedMail:
        """Encode `mail` once for all recipients of its variant."""


class EventReader(Protocol):
    """Reads what a provider posts to us about mail that it has taken."""

    #: Whether the settings say by what the provider is known. Without that, nothing is believed.
    listens: bool

    def read(
        self, headers: Mapping[str, str], body: bytes, *, now: datetime
    ) -> Sequence[ProviderEvent]:
        """The events in the raw `body` that are about our mail.

        Raises Untrusted when nothing proves that the provider has sent them, and Unreadable.
        """


class ChannelModule(Protocol):
    """What each file in `notifier/channels/` offers.

    `Config` is the pydantic model of the channel's table in the settings (`[<NAME>]`). A module
    whose provider tells what became of the mail also offers
    `build_event_reader(config) -> EventReader`.
    """

    NAME: str
    KIND: Literal["post", "mail"]
    Config: type[BaseModel]

    def build(self, config: Any) -> PostChannel | MailChannel:
        """The channel for a validated `Config`. Opens no connection."""


class SourceModule(Protocol):
    """What each file in `notifier/sources/` offers: one monitoring tool.

    `verify` and `parse` touch nothing but what they are given. A module may also offer `OPTIONS`
    (a sequence of `domain.signal.Option`, whose values `parse` gets), `check_options(options)`,
    which raises Invalid, `RESOLVES = False` where the tool never says that an alert is over, and
    `ALWAYS_SIGNED = True` where `verify` needs no secret of ours.
    """

    NAME: str
    TITLE: str
    #: Whether the tool can sign what it sends.
    SIGNS: bool
    EVIDENCE: Evidence
    SETUP: Setup

    def verify(self, hook: Hook, secrets: Secrets) -> None:
        """Called where signatures are asked for. Raises Untrusted."""

    def parse(self, hook: Hook, options: Mapping[str, str]) -> Reading:
        """What the request says. Raises Unreadable with the place of the mistake."""


#: The steps of an update's route after which what is on disk differs, each reported as it is
#: done. Here the fault suite ends or holds a process (tests/faults); otherwise nothing happens.
Step = Literal[
    "declare.before_commit",
    "declare.after_commit",
    "update.before_commit",
    "update.after_commit",
    "resolve.before_commit",
    "resolve.after_commit",
    "post.claimed",
    "post.answered",
    "post.settled",
    "mail.claimed",
    "mail.answered",
    "mail.settled",
]


class Doorbell(Protocol):
    """Wakes whoever delivers. The rows in the outbox are the truth; a lost ring only delays."""

    def enlist(self, connection: Connection, lane: str, at: datetime | None = None) -> None:
        """Called inside the caller's transaction: this rings only if that is committed."""

    def ring(self, lane: str, at: datetime | None = None) -> None:
        """There is something to do in `lane`, now or at `at`. Called after the commit."""

    def is_idle(self, lane: str) -> bool:
        """Whether a thread of this process waits in `lane` and does at once what it is handed."""

    def hand(self, lane: str, work: Callable[[], object]) -> None:
        """Let an idle lane do `work`, then look for more. Called after the commit.

        What is handed is claimed already and no other process may do it. Where the process dies
        before it is done, the claim is what is left, as after any other claim.
        """

    def give_way(self, lane: str) -> None:
        """Let what was just rung for happen first, if that takes no more than a moment."""


class NoDoorbell:
    """For a process that only writes: whoever serves finds the rows at its next sweep."""

    def enlist(self, connection: Connection, lane: str, at: datetime | None = None) -> None:
        """Do nothing."""

    def ring(self, lane: str, at: datetime | None = None) -> None:
        """Do nothing."""

    def is_idle(self, lane: str) -> bool:  # noqa: ARG002 (the port's signature)
        """No: nobody delivers here."""
        return False

    def hand(self, lane: str, work: Callable[[], object]) -> None:
        """Never called, since no lane is idle. Raises RuntimeError."""
        raise RuntimeError(f"nobody in this process delivers in lane {lane}: {work}")

    def give_way(self, lane: str) -> None:
        """Do nothing."""


def go_on(_step: Step) -> None:
    """Do nothing, as every process does but those of the fault suite."""


@dataclass(frozen=True, slots=True)
class Notifier:
    """Everything a use case needs; built in `notifier.app`, where tests put their fakes."""

    settings: Settings
    db: Database
    renderer: Renderer
    posts: Mapping[str, PostChannel]
    mail: MailChannel
    #: The provider that stands in for `mail` while it is sick.
    backup: MailChannel | None
    doorbell: Doorbell
    clock: Callable[[], datetime]
    #: Who holds a lease: unique per process start.
    node: str
    #: Told of each step of a message's route as it is done.
    failpoint: Callable[[Step], None] = go_on
    #: By channel, for those whose provider tells what became of the mail.
    event_readers: Mapping[str, EventReader] = field(default_factory=dict)
    #: The monitoring tools we understand, by name.
    sources: Mapping[str, SourceModule] = field(default_factory=dict)
    #: Gets the document at an https address of a vendor; raises OSError. None: nothing is fetched.
    fetch: Callable[[str], bytes] | None = None
    #: Below which each mail has a return path of its own (`domain.verp`); "": it has none.
    bounce_address: str = ""

    @property
    def mail_channels(self) -> Mapping[str, MailChannel]:
        """The mail providers by name, the usual one first."""
        both = [self.mail, self.backup] if self.backup else [self.mail]
        return {channel.name: channel for channel in both}
