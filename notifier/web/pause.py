"""The kill switch, for the operators. Its banner is on every page (templates/web/room.html)."""

from __future__ import annotations

from flask import Blueprint, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from notifier.domain.access import Role
from notifier.domain.text import Invalid
from notifier.services import pausing
from notifier.services.incidents import Conflict
from notifier.web.auth import access
from notifier.web.context import current_actor, notifier_of_app

blueprint = Blueprint("pause", __name__)


@blueprint.post("/admin/pause")
@access("session", Role.PUBLISHER)
def pause() -> ResponseReturnValue:
    """Let nothing leave any more."""
    reason = request.form.get("reason", "")
    try:
        pausing.pause(notifier_of_app(), by=current_actor().name, reason=reason)
    except Invalid as error:
        errors = {"reason": f"The reason {error.reason}."}
        page = render_template("web/pause.html", form=request.form, errors=errors)
        return make_response(page, 422)
    return redirect(url_for("admin.index"), code=303)


@blueprint.post("/admin/resume")
@access("session", Role.PUBLISHER)
def resume() -> ResponseReturnValue:
    """Let messages leave again, and say how many do."""
    cancel = request.form.get("cancel_waiting") == "yes"
    try:
        done = pausing.resume(notifier_of_app(), by=current_actor().name, cancel_waiting=cancel)
    except Conflict as error:
        page = render_template(
            "web/nothing_changed.html",
            reason=str(error),
            back=url_for("admin.index"),
            back_to="Disruptions",
        )
        return make_response(page, 409)
    return render_template("web/resumed.html", done=done)
