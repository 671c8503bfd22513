"""The write API's kill switch."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from flask import Response
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, Field

from notifier.domain.access import Role
from notifier.services import pausing
from notifier.services.incidents import Conflict
from notifier.services.pausing import Waiting
from notifier.web.api_blueprint import READS, WRITES, answer, make_blueprint, problems, sentence
from notifier.web.api_models import ChangePause
from notifier.web.auth import access
from notifier.web.context import current_actor, notifier_of_app
from notifier.web.problems import problem

blueprint = make_blueprint("api_pause", __name__)

_TAGS = [Tag(name="pause", description="Let nothing leave, for as long as it takes.")]


class Pause(BaseModel):
    """Whether messages leave. Where they do, `since`, `by` and `reason` are null."""

    paused: bool
    since: datetime | None
    by: str | None
    reason: str | None
    waiting: int = Field(
        description="Messages that wait, also for their time; an e-mail to all its readers is one."
    )
    cancelled: int = Field(0, description="How many messages this request has cancelled.")

    @classmethod
    def of(cls, found: Waiting, *, cancelled: int = 0) -> Self:
        """As the services report it."""
        pause = found.pause
        return cls(
            paused=pause is not None,
            since=pause.since if pause else None,
            by=pause.by if pause else None,
            reason=pause.reason if pause else None,
            waiting=found.messages,
            cancelled=cancelled,
        )


@blueprint.errorhandler(Conflict)
def _conflict(error: Conflict) -> Response:
    return problem(409, "Nothing was changed", sentence(error))


@blueprint.get("/pause", responses={"200": Pause, **READS}, tags=_TAGS)
@access("token", role=Role.VIEWER)
def get_pause() -> Response:
    """Whether messages leave; if not, since when, on whose word and why."""
    return answer(Pause.of(pausing.look(notifier_of_app())))


@blueprint.post("/pause", responses={"200": Pause, **WRITES, **problems(409)}, tags=_TAGS)
@access("token", role=Role.PUBLISHER)
def change_pause(body: ChangePause) -> Response:
    """Let nothing leave any more; or let messages leave again, or cancel those that wait."""
    n, by = notifier_of_app(), current_actor().name
    if body.paused:
        pausing.pause(n, by=by, reason=body.reason)
        return answer(Pause.of(pausing.look(n)))
    done = pausing.resume(n, by=by, cancel_waiting=body.cancel_waiting)
    return answer(Pause.of(pausing.look(n), cancelled=done.cancelled))
