"""The write API's view of the ways out: how each channel does."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Self

from flask import Response
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, Field

from notifier.domain.access import Role
from notifier.domain.health import Breaker
from notifier.services import health
from notifier.services.health import ChannelReport
from notifier.web.api_blueprint import READS, answer, make_blueprint
from notifier.web.auth import access
from notifier.web.context import notifier_of_app

blueprint = make_blueprint("api_channels", __name__)

_TAGS = [Tag(name="channels", description="How the ways out do.")]


class Channel(BaseModel):
    """One channel. Calls are counted over the last 15 minutes."""

    channel: str
    lane: Literal["post", "mail"]
    needs_attention: bool
    breaker: Breaker = Field(
        description="closed: calls go; open: none does; half_open: one finds out if it works again."
    )
    since: datetime | None = Field(description="Since when it is not closed.")
    reason: str | None = Field(description="What went wrong last, until something goes well.")
    blocked_until: datetime | None = Field(description="No call is made before then.")
    weight: int | None = Field(description="Share of e-mail in percent, where there is a backup.")
    calls: int | None = Field(description="Null for posts: only their failures are counted.")
    failures: int
    slow: int = Field(description="Calls that took more than five seconds.")
    silent: int | None = Field(
        description="E-mails of the last day, accepted more than 15 minutes ago, of which no event"
        " has come since. Null where no events are configured."
    )

    @classmethod
    def of(cls, found: ChannelReport) -> Self:
        """As the services report it."""
        return cls(
            channel=found.name,
            lane=found.lane,
            needs_attention=found.needs_attention,
            breaker=found.breaker,
            since=found.troubled_since,
            reason=found.reason or None,
            blocked_until=found.blocked_until,
            weight=found.weight,
            calls=found.calls,
            failures=found.failures,
            slow=found.slow,
            silent=found.silent,
        )


class Channels(BaseModel):
    """All channels in use: posts first, then e-mail, the usual provider before its backup."""

    channels: list[Channel]


@blueprint.get("/channels", responses={"200": Channels, **READS}, tags=_TAGS)
@access("token", role=Role.VIEWER)
def list_channels() -> Response:
    """How every channel does."""
    n = notifier_of_app()
    with n.db.read() as connection:
        found = health.report(connection, n, n.clock())
    return answer(Channels(channels=[Channel.of(one) for one in found]))
