"""The operators' room: what is going on, declaring a disruption, and its receipt."""

from __future__ import annotations

from flask import Blueprint, abort, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict

from notifier.domain.access import Role
from notifier.domain.text import Invalid
from notifier.ports import Notifier
from notifier.services import drafts as proposals
from notifier.services import incidents as service
from notifier.services.evidence import evidence
from notifier.services.reports import IncidentReport, report
from notifier.store import drafts, incidents, integrations, people
from notifier.web.auth import access
from notifier.web.context import current_actor, notifier_of_app
from notifier.web.drafts import (
    ONCE,
    Written,
    blank_declaration,
    made_of,
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
    """What the monitoring proposes, and all disruptions, those that go on first."""
    n = notifier_of_app()
    with n.db.read() as connection:
        waiting = proposals.outlines(connection, drafts.list_waiting(connection), n.clock())
        silent = integrations.silent_components(connection, n.clock())
        unheard = [c for c in people.list_components(connection) if c.id in silent]
        now = standings(connection, incidents.list_incidents(connection, open_only=True))
        newest = incidents.list_incidents(connection, limit=_SHOWN)
    past = [i for i in newest if not i.status.is_open]
    return render_template(
        "web/incidents.html",
        waiting=sorted(waiting, key=lambda one: -one.severity.rank),
        now=now,
        past=past,
        unheard=unheard,
        clock=n.clock(),
    )


@blueprint.get("/admin/declare")
@access("session", Role.PUBLISHER)
def declare() -> ResponseReturnValue:
    """The empty form."""
    n = notifier_of_app()
    return declare_page(n, read_declaration(n, blank_declaration(n)))


@blueprint.post("/admin/declare")
@access("session", Role.PUBLISHER)
def submit_declaration() -> ResponseReturnValue:
    """Publish, or show what publishing would do."""
    n = notifier_of_app()
    form = MultiDict(request.form)
    if form.get("action") != "publish":
        propose_next_update(n, form)
        return declare_page(n, read_declaration(n, form))
    written = read_declaration(n, form)
    if written.errors:
        return declare_page(n, written, status=422)
    actor = current_actor()
    guard = repeat_guard(form, actor)
    declaration = proposals.with_start(n, written.declaration)
    try:
        published = service.declare(n, declaration, by=actor.name, guard=guard)
    except Invalid as error:
        written.errors.update([sentence(error)])
        return declare_page(n, written, status=422)
    except (service.Conflict, service.NotFound):
        return declare_page(n, written, status=409, earlier=earlier_incident(n, guard))
    return redirect(url_for("admin.incident", incident_id=published.incident.id), code=303)


@blueprint.get("/admin/incidents/<int(max=2147483647):incident_id>")
@access("session", Role.VIEWER)
def incident(incident_id: int) -> str:
    """The receipt: what became of every message; and what the monitoring saw."""
    n = notifier_of_app()
    found = _report(incident_id)
    with n.db.read() as connection:
        seen = evidence(connection, found.incident, n.clock())
    poll = poll_seconds(found, n.clock())
    return render_template("web/receipt.html", report=found, poll=poll, seen=seen)


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


def declare_page(
    n: Notifier, written: Written, *, status: int = 200, earlier: int | None = None
) -> ResponseReturnValue:
    """The form as far as it is filled in, with what publishing it would do."""
    draft_id = made_of(written.form)
    with n.db.read() as connection:
        components = people.list_components(connection)
        draft = drafts.find(connection, draft_id) if draft_id else None
    page = render_template(
        "web/declare.html",
        form=written.form,
        errors=written.errors if status == 422 else {},
        groups=grouped(components),
        once=written.form.get(ONCE, ""),
        earlier=earlier,
        draft_id=draft_id,
        draft=draft,
        preview_url=url_for("preview.declaration"),
        **panel(n, written),
    )
    return make_response(page, status)


def _report(incident_id: int) -> IncidentReport:
    try:
        return report(notifier_of_app(), incident_id)
    except service.NotFound:
        abort(404)
