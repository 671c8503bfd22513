"""The write API's list of addresses that get no mail."""

from __future__ import annotations

from flask import Response
from flask_openapi3.models.tag import Tag

from notifier.domain.access import Role
from notifier.domain.audience import address_key
from notifier.services import suppressing
from notifier.services.incidents import NotFound
from notifier.store.suppressions import find_suppression
from notifier.store.suppressions import list_suppressions as list_rows
from notifier.web import api_answers
from notifier.web.api_blueprint import READS, WRITES, answer, make_blueprint
from notifier.web.api_models import PutSuppression, SuppressionPath, SuppressionsQuery
from notifier.web.auth import access
from notifier.web.context import current_actor, notifier_of_app
from notifier.web.cursors import read_place, write_place

PAGE = 500

blueprint = make_blueprint("api_suppressions", __name__)

_TAGS = [Tag(name="suppressions", description="Addresses that get no mail.")]
_PATH = "/suppressions/<path:address>"


@blueprint.get("/suppressions", responses={"200": api_answers.Suppressions, **READS}, tags=_TAGS)
@access("token", role=Role.VIEWER)
def list_suppressions(query: SuppressionsQuery) -> Response:
    """Addresses that get no mail, 500 a page, the newest first."""
    n = notifier_of_app()
    after = read_place(query.cursor)
    with n.db.read() as connection:
        rows = list_rows(connection, now=n.clock(), after=after, limit=PAGE + 1)
    page = rows[:PAGE]
    return answer(
        api_answers.Suppressions(
            suppressions=[api_answers.Suppression.of(row) for row in page],
            next_cursor=write_place(page[-1].created_at, page[-1].key) if rows[PAGE:] else None,
        )
    )


@blueprint.get(_PATH, responses={"200": api_answers.Suppression, **READS}, tags=_TAGS)
@access("token", role=Role.VIEWER)
def get_suppression(path: SuppressionPath) -> Response:
    """Why an address gets no mail."""
    n = notifier_of_app()
    with n.db.read() as connection:
        found = find_suppression(connection, address_key(path.address), now=n.clock())
    if found is None:
        raise _not_listed(path)
    return answer(api_answers.Suppression.of(found))


@blueprint.put(_PATH, responses={"200": api_answers.Suppression, **WRITES}, tags=_TAGS)
@access("token", role=Role.PUBLISHER)
def put_suppression(path: SuppressionPath, body: PutSuppression) -> Response:
    """Send no more mail to an address; one that gets none for ever stays as it is."""
    by = current_actor().name
    kept = suppressing.suppress(notifier_of_app(), path.address, detail=body.detail, by=by)
    return answer(api_answers.Suppression.of(kept))


@blueprint.delete(_PATH, responses={"204": None, **READS}, tags=_TAGS)
@access("token", role=Role.PUBLISHER)
def delete_suppression(path: SuppressionPath) -> Response:
    """Let an address get mail again, from the next update on."""
    if not suppressing.lift(notifier_of_app(), path.address):
        raise _not_listed(path)
    return Response(status=204)


def _not_listed(path: SuppressionPath) -> NotFound:
    return NotFound(f"the address {path.address!r} is not on the list: it gets mail")
