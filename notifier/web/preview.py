"""Live previews: a fragment of the form's page, and the mail in a document of its own."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, abort, make_response, render_template, request, url_for
from itsdangerous import BadSignature, URLSafeTimedSerializer
from werkzeug.datastructures import MultiDict

from notifier.domain.access import Role
from notifier.ports import Notifier
from notifier.services import previews
from notifier.store import incidents, people
from notifier.store.incidents import Incident
from notifier.web.auth import access
from notifier.web.context import notifier_of_app
from notifier.web.drafts import (
    Written,
    propose_next_update,
    read_declaration,
    read_update,
)
from notifier.web.forms import name_of
from notifier.web.headers import MAIL_POLICY
from notifier.web.present import publish_label, usual_label

blueprint = Blueprint("preview", __name__)

#: The fields a mail's words come from; nothing else belongs into an address.
_WORDS = (
    "title",
    "severity",
    "status",
    "components",
    "impact",
    "duration",
    "duration_from",
    "duration_until",
    "explanation",
    "next_update_by",
)
_HOUR = 3600


@blueprint.post("/admin/declare/preview")
@access("session", Role.PUBLISHER)
def declaration() -> str:
    """What publishing this declaration would do."""
    n = notifier_of_app()
    form = MultiDict(request.form)
    propose_next_update(n, form)
    return fragment(n, read_declaration(n, form))


@blueprint.post("/admin/incidents/<int(max=2147483647):incident_id>/update/preview")
@access("session", Role.PUBLISHER)
def update(incident_id: int) -> str:
    """What publishing this update would do."""
    n = notifier_of_app()
    form = MultiDict(request.form)
    incident, components = affected(n, incident_id)
    propose_next_update(n, form, incident.severity)
    return fragment(n, read_update(n, form, incident, components))


@blueprint.get("/admin/preview/mail/<packed>")
@access("session", Role.PUBLISHER)
def mail(packed: str) -> Response:
    """The mail as a document: without script, origin or network (`headers.MAIL_POLICY`)."""
    n = notifier_of_app()
    try:
        fields = _packer(n).loads(packed, max_age=_HOUR)
    except BadSignature:
        abort(404)
    form = MultiDict((name, value) for name, value in fields["words"])
    if fields["incident"] is None:
        written = read_declaration(n, form)
    else:
        written = read_update(n, form, *affected(n, fields["incident"]))
    response = make_response(previews.preview_mail(n, written.draft).html)
    response.headers["Content-Security-Policy"] = MAIL_POLICY
    return response


def fragment(n: Notifier, written: Written) -> str:
    """The preview panel alone."""
    return render_template("web/_preview.html", **panel(n, written))


def panel(n: Notifier, written: Written) -> dict[str, Any]:
    """What the preview panel shows.

    The mail's address carries its words, signed, so that no draft has to be kept anywhere.
    """
    draft = written.draft
    words = [(k, v) for k, v in written.form.items(multi=True) if k in _WORDS]
    packed = _packer(n).dumps(
        {"words": words, "incident": draft.incident.id if draft.incident else None}
    )
    shown = previews.preview(n, draft)
    return {
        "preview": shown,
        "label": publish_label(n, shown),
        "usual": usual_label(n, shown),
        "waits": _waits(n),
        "mail_url": url_for("preview.mail", packed=packed),
        "missing": [name_of(field) for field in written.errors],
        "next_update_by": written.form.get("next_update_by", ""),
        "proposed": written.form.get("proposed", ""),
    }


def affected(n: Notifier, incident_id: int) -> tuple[Incident, list[str]]:
    """An incident and the slugs of its components; the page 404 when there is none."""
    with n.db.read() as connection:
        incident = incidents.find(connection, incident_id)
        if incident is None:
            abort(404)
        components = people.list_components(connection, incident_id=incident_id)
    return incident, [c.slug for c in components]


def _waits(n: Notifier) -> str:
    delays = n.settings.email.delay_minutes
    return (
        f"The usual wait: critical {delays.critical}, major {delays.major},"
        f" minor {delays.minor} minutes."
    )


def _packer(n: Notifier) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(n.settings.key(), salt="mail preview")
