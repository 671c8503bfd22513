"""The operators' room: what is going on, declaring a disruption, and its receipt."""

from __future__ import annotations

from flask import Blueprint, abort, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict

from notifier.domain.access import Role
from notifier.domain.text import Invalid
from notifier.ports import Notifier
from notifier.services import incidents as service
from notifier.services.reports import IncidentReport, report
from notifier.store import incidents, people
from notifier.web.auth import access
from notifier.web.context import current_actor, notifier_of_app
from notifier.web.drafts import (
    ONCE,
    Written,
    blank_declaration,
    propose_next_update,
    read_declaration,
    repeat_guard,
)
from notifier.web.forms import sentence
from notifier.web.present import poll_seconds
from notifier.web.preview import panel
from notifier.web.reads import grouped, standings

blueprint = Blueprint("admin", __name__)

_SHOWN = 50


@blueprint.get("/admin/")
@access("session", Role.VIEWER)
def index() -> str:
    """All disruptions, those that go on first."""
    n = notifier_of_app()
    with n.db.read() as connection:
        now = standings(connection, incidents.list_incidents(connection, open_only=True))
        newest = incidents.list_incidents(connection, limit=_SHOWN)
    past = [i for i in newest if not i.status.is_open]
    return render_template("web/incidents.html", now=now, past=past, clock=n.clock())


@blueprint.get("/admin/declare")
@access("session", Role.PUBLISHER)
def declare() -> ResponseReturnValue:
    """The empty form."""
    n = notifier_of_app()
    return _declare_page(n, read_declaration(n, blank_declaration(n)))


@blueprint.post("/admin/declare")
@access("session", Role.PUBLISHER)
def submit_declaration() -> ResponseReturnValue:
    """Publish, or show what publishing would do."""
    n = notifier_of_app()
    form = MultiDict(request.form)
    if form.get("action") != "publish":
        propose_next_update(n, form)
        return _declare_page(n, read_declaration(n, form))
    written = read_declaration(n, form)
    if written.errors:
        return _declare_page(n, written, status=422)
    actor = current_actor()
    guard = repeat_guard(form, actor)
    try:
        published = service.declare(n, written.declaration, by=actor.name, guard=guard)
    except Invalid as error:
        written.errors.update([sentence(error)])
        return _declare_page(n, written, status=422)
    except service.Conflict:
        return _declare_page(n, written, status=409, earlier=earlier_incident(n, guard))
    return redirect(url_for("admin.incident", incident_id=published.incident.id), code=303)


@blueprint.get("/admin/incidents/<int(max=2147483647):incident_id>")
@access("session", Role.VIEWER)
def incident(incident_id: int) -> str:
    """The receipt: what became of every message."""
    found = _report(incident_id)
    return render_template(
        "web/receipt.html", report=found, poll=poll_seconds(found, notifier_of_app().clock())
    )


@blueprint.get("/admin/incidents/<int(max=2147483647):incident_id>/state")
@access("session", Role.VIEWER, by_itself=True)
def incident_state(incident_id: int) -> str:
    """The part of the receipt that changes by itself."""
    found = _report(incident_id)
    return render_template(
        "web/_receipt.html", report=found, poll=poll_seconds(found, notifier_of_app().clock())
    )


def earlier_incident(n: Notifier, guard: service.RepeatGuard | None) -> int | None:
    """The incident that a form with this key published before."""
    if guard is None:
        return None
    with n.db.read() as connection:
        found = incidents.find_repeated(connection, actor=guard.actor, key=guard.key)
        return incidents.get_update(connection, found[1]).incident_id if found else None


def _declare_page(
    n: Notifier, written: Written, *, status: int = 200, earlier: int | None = None
) -> ResponseReturnValue:
    with n.db.read() as connection:
        components = people.list_components(connection)
    page = render_template(
        "web/declare.html",
        form=written.form,
        errors=written.errors if status == 422 else {},
        groups=grouped(components),
        once=written.form.get(ONCE, ""),
        earlier=earlier,
        preview_url=url_for("preview.declaration"),
        **panel(n, written),
    )
    return make_response(page, status)


def _report(incident_id: int) -> IncidentReport:
    try:
        return report(notifier_of_app(), incident_id)
    except service.NotFound:
        abort(404)
