"""The write API, `/api/v1`: declare, update, look up; components and customers.

A view only translates. What was asked is done, and the posts are on their way, before the
answer is put together.
"""

from __future__ import annotations

import base64
import binascii
import hashlib

from flask import Response, request
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel

from notifier.domain.access import Role
from notifier.domain.text import Invalid
from notifier.services import audience, incidents, reports
from notifier.services.incidents import NotFound, Published, RepeatGuard
from notifier.store import incidents as store
from notifier.store import ledger
from notifier.web import api_answers
from notifier.web.api_blueprint import READS, WRITES, answer, make_blueprint
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

PAGE = 500

blueprint = make_blueprint("api", __name__)

_INCIDENTS = [Tag(name="incidents", description="Declare a disruption and follow it to its end.")]
_PEOPLE = [Tag(name="audience", description="What customers use, and who they are.")]


@blueprint.post("/incidents", responses={"201": api_answers.Receipt, **WRITES}, tags=_INCIDENTS)
@access("token", role=Role.PUBLISHER)
def declare_incident(header: RepeatHeaders, body: DeclareIncident) -> Response:
    """Declare a disruption: posts leave at once, the e-mail when it is due."""
    n = notifier_of_app()
    published = incidents.declare(
        n, body.declaration(), by=current_actor().name, guard=_guard(header, body)
    )
    return receipt(published)


@blueprint.post(
    "/incidents/<id>/updates", responses={"201": api_answers.Receipt, **WRITES}, tags=_INCIDENTS
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
    return receipt(published)


@blueprint.get("/incidents/<id>", responses={"200": api_answers.Incident, **READS}, tags=_INCIDENTS)
@access("token", role=Role.VIEWER)
def get_incident(path: IncidentPath) -> Response:
    """How an incident stands: everything said about it, and what became of each message."""
    return answer(api_answers.Incident.whole(reports.report(notifier_of_app(), path.id)))


@blueprint.get(
    "/incidents/<id>/deliveries",
    responses={"200": api_answers.Deliveries, **READS},
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
    return answer(
        api_answers.Deliveries(
            deliveries=[api_answers.Delivery.of(row) for row in page],
            next_cursor=_cursor(page[-1]) if len(rows) > PAGE else None,
        )
    )


@blueprint.put(
    "/components/<slug>", responses={"200": api_answers.Component, **WRITES}, tags=_PEOPLE
)
@access("token", role=Role.PUBLISHER)
def put_component(path: ComponentPath, body: PutComponent) -> Response:
    """Make or change a component."""
    component = audience.put_component(
        notifier_of_app(), slug_=path.slug, name=body.name, group=body.group, position=body.position
    )
    return answer(
        api_answers.Component(
            slug=component.slug,
            name=component.name,
            group=component.group,
            position=body.position,
        )
    )


@blueprint.put(
    "/customers/<path:external_id>",
    responses={"200": api_answers.Customer, **WRITES},
    tags=_PEOPLE,
)
@access("token", role=Role.PUBLISHER)
def put_customer(path: CustomerPath, body: PutCustomer) -> Response:
    """Make or change a customer. Sends nothing, now or later, about what was before."""
    n = notifier_of_app()
    customer = body.customer(path.external_id, n.settings.site)
    audience.put_customer(n, customer)
    return answer(
        api_answers.Customer(
            external_id=customer.external_id,
            email=customer.email,
            name=customer.name,
            language=customer.language,
            time_zone=customer.time_zone,
            components=list(customer.components),
            priority=customer.priority,
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


def receipt(published: Published) -> Response:
    """What a declaration or an update set in motion, as an answer."""
    report = reports.report(notifier_of_app(), published.incident.id)
    update = next(u for u in report.updates if u.update.id == published.update.id)
    response = answer(api_answers.Receipt.of(report, update), status=201)
    response.headers["Location"] = f"/api/v1/incidents/{published.incident.id}"
    if published.repeated:
        response.headers["Idempotency-Replayed"] = "true"
    return response


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
