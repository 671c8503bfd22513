"""The operators' view of the ways out: how each does, and trying one again before its time."""

from __future__ import annotations

from flask import Blueprint, abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from notifier.domain.access import Role
from notifier.services import health
from notifier.web.auth import access
from notifier.web.context import notifier_of_app

blueprint = Blueprint("channels", __name__)


@blueprint.get("/admin/channels")
@access("session", Role.VIEWER)
def index() -> str:
    """Every channel: whether it is called, since when not, and why."""
    n = notifier_of_app()
    with n.db.read() as connection:
        found = health.report(connection, n, n.clock())
    return render_template("web/channels.html", found=found)


@blueprint.post("/admin/channels/try-again")
@access("session", Role.PUBLISHER)
def try_again() -> ResponseReturnValue:
    """Let the next message to a channel go at once. Doing it twice is doing it once."""
    try:
        health.try_again(notifier_of_app(), request.form.get("channel", ""))
    except health.NoSuchChannel:
        abort(404)
    return redirect(url_for("channels.index"), code=303)
