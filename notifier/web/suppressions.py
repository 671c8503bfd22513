"""The operators' list of addresses that get no mail."""

from __future__ import annotations

from datetime import datetime

from flask import Blueprint, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from notifier.domain.access import Role
from notifier.domain.text import Invalid
from notifier.services import suppressing
from notifier.store.suppressions import list_suppressions
from notifier.web.auth import access
from notifier.web.context import current_actor, notifier_of_app
from notifier.web.cursors import read_place, write_place

blueprint = Blueprint("suppressions", __name__)

_PAGE = 50


@blueprint.get("/admin/suppressions")
@access("session", Role.VIEWER)
def index() -> ResponseReturnValue:
    """The newest, or those behind the one that the address names."""
    return _page()


@blueprint.post("/admin/suppressions")
@access("session", Role.PUBLISHER)
def add() -> ResponseReturnValue:
    """Send no more mail to an address."""
    form = request.form
    given, detail = form.get("address", ""), form.get("detail", "")
    try:
        suppressing.suppress(notifier_of_app(), given, detail=detail, by=current_actor().name)
    except Invalid as error:
        said = f"{_LABELS[error.field]} {error.reason}."
        return make_response(_page(errors={error.field: said}), 422)
    return redirect(url_for("suppressions.index"), code=303)


@blueprint.post("/admin/suppressions/lift")
@access("session", Role.PUBLISHER)
def lift() -> ResponseReturnValue:
    """Let an address get mail again. Doing it twice is doing it once."""
    suppressing.lift(notifier_of_app(), request.form.get("address", ""))
    return redirect(url_for("suppressions.index"), code=303)


_LABELS = {"address": "The address", "detail": "The reason"}


def _page(errors: dict[str, str] | None = None) -> str:
    n = notifier_of_app()
    with n.db.read() as connection:
        found = list_suppressions(connection, now=n.clock(), after=_after(), limit=_PAGE + 1)
    page = found[:_PAGE]
    more = write_place(page[-1].created_at, page[-1].key) if found[_PAGE:] else ""
    return render_template(
        "web/suppressions.html", found=page, more=more, form=request.form, errors=errors or {}
    )


def _after() -> tuple[datetime, str] | None:
    """The place that a link to the next page names; an address somebody has changed names none."""
    try:
        return read_place(request.args.get("after", ""))
    except Invalid:
        return None
