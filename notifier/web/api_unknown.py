"""The write API's view of what is unknown, and settling it."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, Self

from flask import Response
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, Field

from notifier.domain.access import Role
from notifier.services import settling
from notifier.services.incidents import Conflict
from notifier.services.settling import Ruling, Unknowns
from notifier.store.unknown import UnknownRow
from notifier.web.api_blueprint import READS, WRITES, answer, make_blueprint, problems, sentence
from notifier.web.api_models import SettleUnknown, UnknownPath
from notifier.web.auth import access
from notifier.web.context import current_actor, notifier_of_app
from notifier.web.problems import problem

blueprint = make_blueprint("api_unknown", __name__)

_TAGS = [Tag(name="unknown", description="Messages of which nobody knows whether they arrived.")]


class UnknownMessage(BaseModel):
    """A post, or an e-mail with readers of whom nobody knows whether it reached them."""

    id: int
    incident: int
    update: int = Field(description="Its number within the incident.")
    lane: Literal["post", "mail"]
    channel: str
    text: str | None = Field(description="The words of a post.")
    readers: int | None = Field(description="How many readers of an e-mail are unknown.")
    reason: str
    look_at: datetime | None = Field(
        description="When it is looked into by itself; null: only an operator can settle it."
    )
    can_be_sent_again: bool = Field(
        description="False once a newer update was published or what waited was cancelled."
    )

    @classmethod
    def of(cls, row: UnknownRow) -> Self:
        """As the store lists it."""
        return cls(
            id=row.dispatch_id,
            incident=row.incident_id,
            update=row.number,
            lane=row.lane,
            channel=row.channel,
            text=row.text or None,
            readers=row.readers or None,
            reason=row.reason,
            look_at=row.look_at,
            can_be_sent_again=not row.replaced,
        )


class UnknownMessages(BaseModel):
    """Everything that is unknown: posts first, of each kind the newest first."""

    messages: list[UnknownMessage]

    @classmethod
    def of(cls, found: Unknowns) -> Self:
        """As the services list it."""
        return cls(messages=[UnknownMessage.of(row) for row in (*found.posts, *found.mails)])


class Settled(BaseModel):
    """What was settled: one post, or so many readers of an e-mail."""

    id: int
    ruling: Ruling
    settled: int


@blueprint.errorhandler(Conflict)
def _conflict(error: Conflict) -> Response:
    return problem(409, "Nothing was changed", sentence(error))


@blueprint.get("/unknown", responses={"200": UnknownMessages, **READS}, tags=_TAGS)
@access("token", role=Role.VIEWER)
def list_unknown() -> Response:
    """Everything of which nobody knows whether it arrived."""
    return answer(UnknownMessages.of(settling.list_unknown(notifier_of_app())))


@blueprint.post("/unknown/<id>", responses={"200": Settled, **WRITES, **problems(409)}, tags=_TAGS)
@access("token", role=Role.PUBLISHER)
def settle_unknown(path: UnknownPath, body: SettleUnknown) -> Response:
    """Say that it arrived, have it sent again, or leave it."""
    by = current_actor().name
    count = settling.settle(notifier_of_app(), path.id, body.ruling, by=by)
    return answer(Settled(id=path.id, ruling=body.ruling, settled=count))
