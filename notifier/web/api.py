"""The write API, `/api/v1`: declare, update, look up; components and customers.

A view only translates. What was asked is done, and the posts are on their way, before the
answer is put together.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from http import HTTPStatus

from flask import Response, request
from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.models.tag import Tag
from flask_openapi3.types import ResponseDict
from pydantic import BaseModel

from notifier.domain.access import Role
from notifier.domain.text import Invalid
from notifier.services import audience, incidents, reports
from notifier.services.incidents import Conflict, NotFound, Published, RepeatGuard
from notifier.store import incidents as store
from notifier.store import ledger
from notifier.web import api_answers
from notifier.web.api_input import invalid_problem, refuse_body
from notifier.web.api_models import (
    ComponentPath,
    CustomerPath,
    DeclareIncident,
    DeliveriesQuery,
    IncidentPath,
    PublishUpdate,
    PutComponent,
    PutCustomer,
    RepeatHeaders,
)
from notifier.web.auth import access
from notifier.web.context import current_actor, notifier_of_app
from notifier.web.problems import problem

PAGE = 500

_PROBLEM_SCHEMA = {"$ref": f"#/components/schemas/{api_answers.Problem.__name__}"}


def _problems(*statuses: int) -> ResponseDict:
    return {
        str(status): {
            "description": HTTPStatus(status).phrase,
            "content": {"application/problem+json": {"schema": _PROBLEM_SCHEMA}},
        }
        for status in statuses
    }


_READS = _problems(401, 403, 404, 422)
_WRITES = _problems(400, 401, 403, 404, 413, 415, 422)


def _operation_id(*, name: str, **_where: str) -> str:
    """The view's name: it becomes a method's name in clients that are generated."""
    return name


blueprint = APIBlueprint(
    "api",
    __name__,
    url_prefix="/api/v1",
    abp_security=[{"bearer": []}],
    operation_id_callback=_operation_id,
)
blueprint.before_request(refuse_body)
blueprint.register_error_handler(Invalid, invalid_problem)

_INCIDENTS = [Tag(name="incidents", description="Declare a disruption and follow it to its end.")]
_PEOPLE = [Tag(name="audience", description="What customers use, and who they are.")]


@blueprint.errorhandler(NotFound)
def _not_found(error: NotFound) -> Response:
    return problem(404, "There is no such thing", _sentence(error))


@blueprint.errorhandler(Conflict)
def _conflict(error: Conflict) -> Response:
    # The only one there is here: an Idempotency-Key that came before with another body.
    return problem(422, "The key was used before", _sentence(error))


def _sentence(error: Exception) -> str:
    text = str(error)
    return f"{text[:1].upper()}{text[1:]}."


@blueprint.post("/incidents", responses={"201": api_answers.Receipt, **_WRITES}, tags=_INCIDENTS)
@access("token", role=Role.PUBLISHER)
def declare_incident(header: RepeatHeaders, body: DeclareIncident) -> Response:
    """Declare a disruption: posts leave at once, the e-mail when it is due."""
    n = notifier_of_app()
    published = incidents.declare(
        n, body.declaration(), by=current_actor().name, guard=_guard(header, body)
    )
    return _receipt(published)


@blueprint.post(
    "/incidents/<id>/updates", responses={"201": api_answers.Receipt, **_WRITES}, tags=_INCIDENTS
)
@access("token", role=Role.PUBLISHER)
def publish_update(path: IncidentPath, header: RepeatHeaders, body: PublishUpdate) -> Response:
    """Publish the next update of an incident, or with the status resolved its end."""
    n = notifier_of_app()
    published = incidents.post_update(
        n,
        path.id,
        body.status,
        body.words(),
        by=current_actor().name,
        guard=_guard(header, body),
    )
    return _receipt(published)


@blueprint.get(
    "/incidents/<id>", responses={"200": api_answers.Incident, **_READS}, tags=_INCIDENTS
)
@access("token", role=Role.VIEWER)
def get_incident(path: IncidentPath) -> Response:
    """How an incident stands: everything said about it, and what became of each message."""
    return _answer(api_answers.Incident.whole(reports.report(notifier_of_app(), path.id)))


@blueprint.get(
    "/incidents/<id>/deliveries",
    responses={"200": api_answers.Deliveries, **_READS},
    tags=_INCIDENTS,
)
@access("token", role=Role.VIEWER)
def list_deliveries(path: IncidentPath, query: DeliveriesQuery) -> Response:
    """Who got which e-mail of an incident, 500 a page, in the order of sending."""
    with notifier_of_app().db.read() as connection:
        if store.find(connection, path.id) is None:
            raise NotFound(f"there is no incident {path.id}")
        rows = ledger.list_deliveries(
            connection,
            path.id,
            state=query.state,
            after=_read_cursor(query.cursor),
            limit=PAGE + 1,
        )
    page = rows[:PAGE]
    return _answer(
        api_answers.Deliveries(
            deliveries=[api_answers.Delivery.of(row) for row in page],
            next_cursor=_cursor(page[-1]) if len(rows) > PAGE else None,
        )
    )


@blueprint.put(
    "/components/<slug>", responses={"200": api_answers.Component, **_WRITES}, tags=_PEOPLE
)
@access("token", role=Role.PUBLISHER)
def put_component(path: ComponentPath, body: PutComponent) -> Response:
    """Make or change a component."""
    component = audience.put_component(
        notifier_of_app(), slug_=path.slug, name=body.name, group=body.group, position=body.position
    )
    return _answer(
        api_answers.Component(
            slug=component.slug,
            name=component.name,
            group=component.group,
            position=body.position,
        )
    )


@blueprint.put(
    "/customers/<path:external_id>",
    responses={"200": api_answers.Customer, **_WRITES},
    tags=_PEOPLE,
)
@access("token", role=Role.PUBLISHER)
def put_customer(path: CustomerPath, body: PutCustomer) -> Response:
    """Make or change a customer. Sends nothing, now or later, about what was before."""
    n = notifier_of_app()
    customer = body.customer(path.external_id, n.settings.site)
    audience.put_customer(n, customer)
    return _answer(
        api_answers.Customer(
            external_id=customer.external_id,
            email=customer.email,
            name=customer.name,
            language=customer.language,
            time_zone=customer.time_zone,
            components=list(customer.components),
        )
    )


def _guard(header: RepeatHeaders, body: BaseModel) -> RepeatGuard | None:
    """The identity of a request that has an Idempotency-Key.

    The fingerprint covers the address too: a key is not reused for another incident. Fields
    that are not given are left out, so that it stays the same when a later version has more.
    """
    if header.key is None:
        return None
    said = f"{request.path}\n{body.model_dump_json(exclude_unset=True)}"
    return RepeatGuard(
        actor=f"token {current_actor().name}",
        key=header.key,
        fingerprint=hashlib.sha256(said.encode()).hexdigest(),
    )


def _receipt(published: Published) -> Response:
    report = reports.report(notifier_of_app(), published.incident.id)
    update = next(u for u in report.updates if u.update.id == published.update.id)
    response = _answer(api_answers.Receipt.of(report, update), status=201)
    response.headers["Location"] = f"/api/v1/incidents/{published.incident.id}"
    if published.repeated:
        response.headers["Idempotency-Replayed"] = "true"
    return response


def _answer(body: BaseModel, *, status: int = 200) -> Response:
    """The model's own JSON, which keeps the order of its fields; Flask's would sort them."""
    return Response(
        body.model_dump_json(by_alias=True), status=status, content_type="application/json"
    )


def _cursor(row: ledger.DeliveryRow) -> str:
    place = f"{row.dispatch_id}.{row.seq}".encode()
    return base64.urlsafe_b64encode(place).decode().rstrip("=")


def _read_cursor(cursor: str) -> tuple[int, int]:
    if not cursor:
        return 0, 0
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        dispatch_id, _, seq = base64.b64decode(padded, altchars=b"-_", validate=True).partition(
            b"."
        )
        place = int(dispatch_id), int(seq)
    except (ValueError, binascii.Error):
        place = -1, -1
    if not all(0 <= part < 2**63 for part in place):
        raise Invalid("cursor", "is not one that this API gave: take next_cursor of the last page")
    return place
