"""What is not certain, for the operators: looking at it, and saying what they found."""

from __future__ import annotations

from flask import Blueprint, abort, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from notifier.domain.access import Role
from notifier.services import settling
from notifier.services.incidents import Conflict, NotFound
from notifier.services.settling import Ruling
from notifier.web.auth import access
from notifier.web.context import current_actor, notifier_of_app

blueprint = Blueprint("unknown", __name__)


@blueprint.get("/admin/unknown")
@access("session", Role.VIEWER)
def index() -> str:
    """Each post, and each mail with readers, of which nobody knows whether it arrived."""
    return render_template("web/unknown.html", found=settling.list_unknown(notifier_of_app()))


@blueprint.post("/admin/unknown/<int(max=2147483647):dispatch_id>")
@access("session", Role.PUBLISHER)
def settle(dispatch_id: int) -> ResponseReturnValue:
    """Settle one of them."""
    try:
        ruling = Ruling(request.form.get("ruling", ""))
    except ValueError:
        abort(400, "The form does not say what became of the message, so nothing was changed.")
    try:
        settling.settle(notifier_of_app(), dispatch_id, ruling, by=current_actor().name)
    except NotFound as error:
        return make_response(_nothing_changed(str(error)), 404)
    except Conflict as error:
        return make_response(_nothing_changed(str(error)), 409)
    return redirect(url_for("unknown.index"), code=303)


def _nothing_changed(reason: str) -> str:
    return render_template(
        "web/nothing_changed.html",
        reason=reason,
        back=url_for("unknown.index"),
        back_to="What is not certain",
    )
