"""Posting an update, which may be the end."""

from __future__ import annotations

from flask import Blueprint, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict

from notifier.domain.access import Role
from notifier.domain.incident import Status
from notifier.domain.text import Invalid
from notifier.ports import Notifier
from notifier.services import incidents as service
from notifier.services.evidence import seen_end
from notifier.store import incidents
from notifier.store.incidents import Incident
from notifier.web.admin import earlier_incident
from notifier.web.auth import access
from notifier.web.context import current_actor, notifier_of_app
from notifier.web.drafts import (
    ONCE,
    Written,
    blank_update,
    following,
    propose_next_update,
    read_update,
    repeat_guard,
    say_seen_end,
)
from notifier.web.forms import sentence
from notifier.web.preview import affected, panel

blueprint = Blueprint("updates", __name__)

_PATH = "/admin/incidents/<int(max=2147483647):incident_id>"


@blueprint.get(f"{_PATH}/update")
@access("session", Role.PUBLISHER)
def update(incident_id: int) -> ResponseReturnValue:
    """The form, with what was said last."""
    return _opened(incident_id, ends=False)


@blueprint.get(f"{_PATH}/resolve")
@access("session", Role.PUBLISHER)
def resolve(incident_id: int) -> ResponseReturnValue:
    """The same form, set to tell the end."""
    return _opened(incident_id, ends=True)


@blueprint.post(f"{_PATH}/update")
@access("session", Role.PUBLISHER)
def submit(incident_id: int) -> ResponseReturnValue:
    """Publish, or show what publishing would do."""
    n = notifier_of_app()
    form = MultiDict(request.form)
    incident, components = affected(n, incident_id)
    if form.get("action") != "publish":
        propose_next_update(n, form, incident.severity)
        return _page(n, incident, read_update(n, form, incident, components))
    written = read_update(n, form, incident, components)
    if written.errors:
        return _page(n, incident, written, status=422)
    return _publish(n, incident, written)


def _opened(incident_id: int, *, ends: bool) -> ResponseReturnValue:
    n = notifier_of_app()
    incident, components = affected(n, incident_id)
    with n.db.read() as connection:
        latest = incidents.list_updates(connection, incident_id)[0]
        seen = seen_end(connection, incident_id, n.clock())
    status = Status.RESOLVED if ends and incident.status.is_open else incident.status
    if status not in following(incident):
        status = following(incident)[0]
    form = blank_update(n, incident, latest.notice, status)
    if seen and status is Status.RESOLVED:
        say_seen_end(n, form, seen)
    return _page(n, incident, read_update(n, form, incident, components))


def _publish(n: Notifier, incident: Incident, written: Written) -> ResponseReturnValue:
    actor = current_actor()
    guard = repeat_guard(written.form, actor)
    try:
        service.post_update(
            n, incident.id, written.draft.status, written.words, by=actor.name, guard=guard
        )
    except Invalid as error:
        written.errors.update([sentence(error)])
        return _page(n, incident, written, status=422)
    except service.Conflict:
        earlier = earlier_incident(n, guard)
        return _page(n, incident, written, status=409, earlier=earlier)
    return redirect(url_for("admin.incident", incident_id=incident.id), code=303)


def _page(
    n: Notifier,
    incident: Incident,
    written: Written,
    *,
    status: int = 200,
    earlier: int | None = None,
) -> ResponseReturnValue:
    page = render_template(
        "web/update.html",
        incident=incident,
        form=written.form,
        errors=written.errors if status == 422 else {},
        following=following(incident),
        once=written.form.get(ONCE, ""),
        earlier=earlier,
        preview_url=url_for("preview.update", incident_id=incident.id),
        **panel(n, written),
    )
    return make_response(page, status)
