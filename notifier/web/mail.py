"""The mail that waits: change it, let it go now, or stop it."""

from __future__ import annotations

from collections.abc import Callable

from flask import Blueprint, abort, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.datastructures import MultiDict

from notifier.domain.access import Role
from notifier.domain.notice import Over
from notifier.domain.text import Invalid
from notifier.ports import Notifier
from notifier.services import waiting_mail
from notifier.services.incidents import Conflict
from notifier.store import incidents, ledger, outbox
from notifier.store.incidents import Incident, Update
from notifier.store.outbox import DispatchRow
from notifier.web.auth import access
from notifier.web.context import current_actor, notifier_of_app
from notifier.web.drafts import Written, blank_mail, read_mail
from notifier.web.forms import sentence
from notifier.web.present import LOST

blueprint = Blueprint("mail", __name__)

_SHOWN = 200
_PATH = "/admin/mails/<int(max=2147483647):dispatch_id>"


@blueprint.get(f"{_PATH}/edit")
@access("session", Role.PUBLISHER)
def edit(dispatch_id: int) -> ResponseReturnValue:
    """The form, with the mail's present words."""
    n = notifier_of_app()
    row, incident, update = _mail(n, dispatch_id)
    form = blank_mail(n, row.edited or update.notice)
    return _page(row, incident, update, read_mail(n, form, incident, update))


@blueprint.post(f"{_PATH}/edit")
@access("session", Role.PUBLISHER)
def change(dispatch_id: int) -> ResponseReturnValue:
    """Give it these words, and another time where one was chosen."""
    n = notifier_of_app()
    row, incident, update = _mail(n, dispatch_id)
    written = read_mail(n, MultiDict(request.form), incident, update)
    if written.errors:
        return _page(row, incident, update, written, status=422)
    try:
        waiting_mail.edit(n, dispatch_id, written.words)
    except Invalid as error:
        written.errors.update([sentence(error)])
        return _page(row, incident, update, written, status=422)
    except Conflict as error:
        return _page(row, incident, update, written, status=409, conflict=str(error))
    return _to_receipt(incident)


@blueprint.post(f"{_PATH}/send-now")
@access("session", Role.PUBLISHER)
def send_now(dispatch_id: int) -> ResponseReturnValue:
    """Let it leave at once."""
    return _decide(dispatch_id, lambda n: waiting_mail.send_now(n, dispatch_id))


@blueprint.post(f"{_PATH}/cancel")
@access("session", Role.PUBLISHER)
def cancel(dispatch_id: int) -> ResponseReturnValue:
    """Never send it."""
    by = current_actor().name
    return _decide(dispatch_id, lambda n: waiting_mail.cancel(n, dispatch_id, by=by))


@blueprint.get(f"{_PATH}/lost")
@access("session", Role.VIEWER)
def lost(dispatch_id: int) -> str:
    """The first customers who did not get it, or perhaps did not, and why."""
    n = notifier_of_app()
    _row, incident, update = _mail(n, dispatch_id)
    with n.db.read() as connection:
        found = [
            reader
            for state in LOST
            for reader in ledger.list_deliveries(
                connection, incident.id, state=state, after=(dispatch_id, 0), limit=_SHOWN
            )
            if reader.dispatch_id == dispatch_id
        ]
    return render_template("web/lost.html", incident=incident, update=update, found=found[:_SHOWN])


def _decide(dispatch_id: int, act: Callable[[Notifier], None]) -> ResponseReturnValue:
    n = notifier_of_app()
    _row, incident, _update = _mail(n, dispatch_id)
    try:
        act(n)
    except Conflict as error:
        page = render_template("web/too_late.html", incident=incident, reason=str(error))
        return make_response(page, 409)
    return _to_receipt(incident)


def _mail(n: Notifier, dispatch_id: int) -> tuple[DispatchRow, Incident, Update]:
    with n.db.read() as connection:
        row = outbox.find_dispatch(connection, dispatch_id)
        if row is None or row.lane != "mail":
            abort(404)
        return (
            row,
            incidents.get(connection, row.incident_id),
            incidents.get_update(connection, row.update_id),
        )


def _to_receipt(incident: Incident) -> ResponseReturnValue:
    return redirect(url_for("admin.incident", incident_id=incident.id), code=303)


def _page(
    row: DispatchRow,
    incident: Incident,
    update: Update,
    written: Written,
    *,
    status: int = 200,
    conflict: str = "",
) -> ResponseReturnValue:
    page = render_template(
        "web/mail.html",
        mail=row,
        incident=incident,
        update=update,
        over=isinstance(update.notice.duration, Over),
        form=written.form,
        errors=written.errors if status == 422 else {},
        conflict=conflict,
    )
    return make_response(page, status)
