"""The seams: what the services need from the outside world, and the object that carries it.

A channel is one file in `notifier/channels/`, found by listing that folder. It offers the
names of `ChannelModule` below; nothing else has to be edited to add one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol

from notifier.domain.delivery import BatchOutcome, Outcome
from notifier.domain.message import Mail, Recipient

if TYPE_CHECKING:
    from pydantic import BaseModel

    from notifier.rendering.renderer import Renderer
    from notifier.settings import Settings
    from notifier.store.db import Database


class PostChannel(Protocol):
    """A public channel: one text, read by everybody."""

    name: str
    #: The greatest `measure` of a text this channel takes.
    limit: int

    def measure(self, text: str) -> int:
        """Length of `text` as this channel counts it."""

    def send(self, text: str) -> Outcome:
        """Publish `text`. Never raises; never waits longer than the channel's timeouts."""

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

    def prepare(self, mail: Mail) -> PreparedMail:
        """Encode `mail` once for all recipients of its variant."""


class ChannelModule(Protocol):
    """What each file in `notifier/channels/` offers.

    `Config` is the pydantic model of the channel's table in the settings (`[<NAME>]`).
    """

    NAME: str
    KIND: Literal["post", "mail"]
    Config: type[BaseModel]

    def build(self, config: Any) -> PostChannel | MailChannel:
        """The channel for a validated `Config`. Opens no connection."""


class Doorbell(Protocol):
    """Wakes whoever delivers. The rows in the outbox are the truth; a lost ring only delays."""

    def ring(self, lane: str, at: datetime | None = None) -> None:
        """There is something to do in `lane`, now or at `at`. Called after the commit."""

    def give_way(self, lane: str) -> None:
        """Let what was just rung for happen first, if that takes no more than a moment."""


class NoDoorbell:
    """For a process that only writes: whoever serves finds the rows at its next sweep."""

    def ring(self, lane: str, at: datetime | None = None) -> None:
        """Do nothing."""

    def give_way(self, lane: str) -> None:
        """Do nothing."""


@dataclass(frozen=True, slots=True)
class Notifier:
    """Everything a use case needs; built in `notifier.app`, where tests put their fakes."""

    settings: Settings
    db: Database
    renderer: Renderer
    posts: Mapping[str, PostChannel]
    mail: MailChannel
    doorbell: Doorbell
    clock: Callable[[], datetime]
    #: Who holds a lease: unique per process start.
    node: str
