"""What the monitoring proposes to say, for the operators: looking at it, and deciding on it."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, abort, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import Connection

from notifier.domain.access import Role
from notifier.domain.alerting import DraftState
from notifier.domain.text import Invalid
from notifier.services import drafts as service
from notifier.services.incidents import Conflict, NotFound, declare
from notifier.services.previews import preview
from notifier.store import drafts
from notifier.store.drafts import Draft
from notifier.web.admin import declare_page
from notifier.web.auth import access
from notifier.web.context import current_actor, notifier_of_app
from notifier.web.drafts import proposed_declaration, read_declaration
from notifier.web.forms import sentence
from notifier.web.present import draft_fate, publish_label

blueprint = Blueprint("drafts", __name__)

_RECENT = 50
_PATH = "/admin/drafts/<int(max=2147483647):draft_id>"


@blueprint.get("/admin/drafts")
@access("session", Role.VIEWER)
def index() -> str:
    """Drafts that wait, and what became of the last ones."""
    n = notifier_of_app()
    with n.db.read() as connection:
        waiting = service.outlines(connection, drafts.list_waiting(connection), n.clock())
        newest = drafts.list_newest(connection, limit=_RECENT)
        decided = [one for one in newest if one.state is not DraftState.WAITING]
        recent = service.outlines(connection, decided, n.clock())
    return render_template("web/drafts.html", waiting=waiting, recent=recent)


@blueprint.get(_PATH)
@access("session", Role.VIEWER)
def show(draft_id: int) -> str:
    """One draft: what would be said, what publishing it would do, and every alert that fed it."""
    n = notifier_of_app()
    with n.db.read() as connection:
        made = service.proposal(connection, _get(connection, draft_id), n.clock())
    written = read_declaration(n, proposed_declaration(n, made))
    effect = preview(n, written.draft)
    return render_template(
        "web/draft.html", made=made, effect=effect, label=publish_label(n, effect)
    )


@blueprint.get(f"{_PATH}/edit")
@access("session", Role.PUBLISHER)
def edit(draft_id: int) -> ResponseReturnValue:
    """The declaration form, filled in with what is proposed."""
    n = notifier_of_app()
    with n.db.read() as connection:
        draft = _get(connection, draft_id)
        (made,) = service.outlines(connection, [draft], n.clock())
    if draft.state is not DraftState.WAITING:
        return _nothing_changed(draft, draft_fate(draft), 409)
    return declare_page(n, read_declaration(n, proposed_declaration(n, made)))


@blueprint.post(f"{_PATH}/post")
@access("session", Role.PUBLISHER)
def post(draft_id: int) -> ResponseReturnValue:
    """Publish it as it is proposed. A second press of the same person leads to the first one's."""
    n = notifier_of_app()
    by = current_actor().name
    try:
        published = declare(n, service.declaration(n, draft_id), by=by)
    except NotFound:
        abort(404)
    except Invalid as error:
        return _nothing_changed(_now(draft_id), sentence(error)[1], 422)
    except Conflict as error:
        draft = _now(draft_id)
        if draft.incident_id and draft.decided_by == by:
            return redirect(url_for("admin.incident", incident_id=draft.incident_id), code=303)
        return _nothing_changed(draft, draft_fate(draft) or f"{error}.", 409)
    return redirect(url_for("admin.incident", incident_id=published.incident.id), code=303)


@blueprint.post(f"{_PATH}/stop")
@access("session", Role.PUBLISHER)
def stop(draft_id: int) -> ResponseReturnValue:
    """Keep it from posting itself; then look at it, or write it anew."""
    view = "drafts.edit" if request.form.get("then") == "edit" else "drafts.show"
    return _decide(service.stop, draft_id, then=url_for(view, draft_id=draft_id))


@blueprint.post(f"{_PATH}/dismiss")
@access("session", Role.PUBLISHER)
def dismiss(draft_id: int) -> ResponseReturnValue:
    """Say nothing because of these alerts."""
    return _decide(service.dismiss, draft_id, then=url_for("admin.index"))


def _decide(decide: Callable[..., None], draft_id: int, *, then: str) -> ResponseReturnValue:
    try:
        decide(notifier_of_app(), draft_id, by=current_actor().name)
    except NotFound:
        abort(404)
    except Conflict:
        draft = _now(draft_id)
        return _nothing_changed(draft, draft_fate(draft), 409)
    return redirect(then, code=303)


def _get(connection: Connection, draft_id: int) -> Draft:
    try:
        return service.get(connection, draft_id)
    except NotFound:
        abort(404)


def _now(draft_id: int) -> Draft:
    """A draft as somebody else has left it."""
    with notifier_of_app().db.read() as connection:
        return _get(connection, draft_id)


def _nothing_changed(draft: Draft, why: str, status: int) -> ResponseReturnValue:
    """Why not, with the way to go on from there."""
    back, back_to = url_for("drafts.show", draft_id=draft.id), f"See draft {draft.id}"
    if draft.incident_id:
        back = url_for("admin.incident", incident_id=draft.incident_id)
        back_to = f"See INC-{draft.incident_id}"
    elif draft.state is DraftState.WAITING:
        back, back_to = url_for("drafts.edit", draft_id=draft.id), "Edit it first"
    reason = why.removesuffix(".")
    page = render_template("web/nothing_changed.html", reason=reason, back=back, back_to=back_to)
    return make_response(page, status)
