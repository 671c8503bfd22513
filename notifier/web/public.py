"""What everybody may see: how things stand, each disruption, and the way out of the mail."""

from __future__ import annotations

import re

from flask import Blueprint, Response, abort, make_response, render_template
from flask.typing import ResponseReturnValue

from notifier.services import unsubscribing
from notifier.store import incidents, integrations, people
from notifier.web.auth import access
from notifier.web.context import notifier_of_app
from notifier.web.reads import grouped, standings, worst

blueprint = Blueprint("public", __name__)

_REFERENCE = re.compile(r"INC-([1-9][0-9]{0,17})")
_RECENT = 10


@blueprint.get("/")
@access("public")
def index() -> Response:
    """How everything stands now."""
    n = notifier_of_app()
    with n.db.read() as connection:
        components = people.list_components(connection)
        silent = integrations.silent_components(connection, n.clock())
        now = standings(connection, incidents.list_incidents(connection, open_only=True))
        newest = incidents.list_incidents(connection, limit=_RECENT)
        past = standings(connection, [i for i in newest if not i.status.is_open])
    return _shared(
        render_template(
            "web/status.html",
            now=now,
            past=sorted(past, key=lambda s: -s.incident.id),
            groups=grouped(components),
            worst=worst(now),
            unheard=[c for c in components if c.id in silent - worst(now).keys()],
        )
    )


@blueprint.get("/incidents/<reference>")
@access("public")
def incident(reference: str) -> Response:
    """Everything that was said about one disruption, the newest first."""
    number = _REFERENCE.fullmatch(reference)
    with notifier_of_app().db.read() as connection:
        found = incidents.find(connection, int(number[1])) if number else None
        if found is None:
            abort(404)
        components = people.list_components(connection, incident_id=found.id)
        updates = incidents.list_updates(connection, found.id)
    return _shared(
        render_template("web/incident.html", incident=found, components=components, updates=updates)
    )


@blueprint.get("/u/<token>")
@access("signed")
def show_unsubscribe(token: str) -> ResponseReturnValue:
    """Only a button: programs that look at links in mails must not unsubscribe anybody."""
    if unsubscribing.customer_of(notifier_of_app(), token) is None:
        return make_response(render_template("web/unsubscribe_unknown.html"), 404)
    return render_template("web/unsubscribe.html", token=token)


@blueprint.post("/u/<token>")
@access("signed")
def unsubscribe(token: str) -> ResponseReturnValue:
    """Stop the mail. A mail program's one click (RFC 8058) comes here as well."""
    address = unsubscribing.unsubscribe(notifier_of_app(), token)
    if address is None:
        return make_response(render_template("web/unsubscribe_unknown.html"), 404)
    return render_template("web/unsubscribed.html")


def _shared(page: str) -> Response:
    """A page that is the same for everybody, so that a cache in front of us may keep it."""
    response = make_response(page)
    response.headers["Cache-Control"] = "public, max-age=10"
    return response
