"""The write API's integrations: which tools may tell us something, and how each is connected.

No secret is in any answer; the address of an integration is in the one that made it, and never
again.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Self

from flask import Response
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, Field
from sqlalchemy import Connection

from notifier.domain import signal
from notifier.domain.access import Role
from notifier.domain.incident import Severity
from notifier.domain.text import Invalid
from notifier.ports import Notifier, SourceModule
from notifier.services import integrations as service
from notifier.services.integrations import Wanted
from notifier.store import integrations as store
from notifier.store import people
from notifier.store.integrations import Integration as IntegrationRow
from notifier.web.api_alert_models import (
    AddIntegration,
    ChangeIntegration,
    IntegrationPath,
    RotateSigningSecret,
)
from notifier.web.api_blueprint import READS, WRITES, answer, make_blueprint
from notifier.web.auth import access
from notifier.web.context import notifier_of_app

blueprint = make_blueprint("api_integrations", __name__)

_TAGS = [Tag(name="integrations", description="Monitoring tools that tell us about alerts.")]
_LIST = "/integrations"
_ONE = f"{_LIST}/<id>"


class Option(BaseModel):
    """A setting that only one tool needs."""

    name: str
    label: str
    help: str
    default: str
    long: bool = Field(description="Whether it takes several lines.")


class Setup(BaseModel):
    """How the tool is connected. In the address, KEY stands for an integration's own key."""

    steps: list[str]
    template_name: str | None = Field(description="Where `template` is pasted.")
    template: str | None
    notes: list[str]
    documents: str | None = Field(description="The vendor's page.")


class Source(BaseModel):
    """A tool that we understand."""

    name: str
    title: str
    signs: bool = Field(description="Whether it can sign what it sends.")
    resolves: bool = Field(description="Whether it says that an alert is over.")
    evidence: signal.Evidence = Field(
        description="What it was tested with: bodies of the running program (recorded), those that"
        " the vendor documents, or only the vendor's list of fields."
    )
    options: list[Option]
    setup: Setup

    @classmethod
    def of(cls, module: SourceModule, address: str) -> Self:
        """As the tool's file describes it."""
        setup = module.SETUP.at(address)
        return cls(
            name=module.NAME,
            title=module.TITLE,
            signs=module.SIGNS,
            resolves=getattr(module, "RESOLVES", True),
            evidence=module.EVIDENCE,
            options=[_option(one) for one in getattr(module, "OPTIONS", ())],
            setup=Setup(
                steps=list(setup.steps),
                template_name=setup.template_name or None,
                template=setup.template or None,
                notes=list(setup.notes),
                documents=setup.documents or None,
            ),
        )


class Sources(BaseModel):
    """All tools that we understand, by title."""

    sources: list[Source]

    @classmethod
    def of(cls, n: Notifier) -> Self:
        """Every file among the sources."""
        modules = sorted(n.sources.values(), key=lambda module: module.TITLE.lower())
        return cls(sources=[Source.of(one, service.address(n, one.NAME, "KEY")) for one in modules])


class Integration(BaseModel):
    """Who may tell us something, without the secrets by which they are known."""

    id: int
    source: str
    name: str
    component: str | None
    severity: Severity
    header: str | None
    networks: list[str]
    options: dict[str, str]
    heartbeat_minutes: int | None
    stale_minutes: int = Field(
        description="After so much silence about it a firing alert is no longer reported."
    )
    created_at: datetime
    heard_at: datetime | None = Field(description="When it last sent what could be understood.")
    silent: bool = Field(description="Whether it has been silent for longer than its heartbeat.")

    @classmethod
    def of(cls, row: IntegrationRow, slugs: Mapping[int, str], now: datetime) -> Self:
        """As kept now; `slugs` are the components' by id."""
        return cls(**_values(row, slugs, now))


class NewIntegration(Integration):
    """The same with its address, which cannot be shown a second time."""

    address: str = Field(description="Where the tool posts to. Who knows it may send.")


class Integrations(BaseModel):
    """All integrations, by name."""

    integrations: list[Integration]

    @classmethod
    def read(cls, connection: Connection, now: datetime) -> Self:
        """As kept now."""
        slugs = slugs_of(connection)
        rows = store.list_all(connection)
        return cls(integrations=[Integration.of(row, slugs, now) for row in rows])


class Address(BaseModel):
    """The new address of an integration, which cannot be shown a second time."""

    id: int
    address: str


class SigningSecrets(BaseModel):
    """How many secrets are believed from now on: one, or two while a tool changes over."""

    id: int
    believed: int


@blueprint.get("/sources", responses={"200": Sources, **READS}, tags=_TAGS)
@access("token", role=Role.VIEWER)
def list_sources() -> Response:
    """Every tool that we understand, with how it is connected."""
    return answer(Sources.of(notifier_of_app()))


@blueprint.get(_LIST, responses={"200": Integrations, **READS}, tags=_TAGS)
@access("token", role=Role.ADMIN)
def list_integrations() -> Response:
    """Who may tell us something."""
    n = notifier_of_app()
    with n.db.read() as connection:
        return answer(Integrations.read(connection, n.clock()))


@blueprint.post(_LIST, responses={"201": NewIntegration, **WRITES}, tags=_TAGS)
@access("token", role=Role.ADMIN)
def add_integration(body: AddIntegration) -> Response:
    """Connect a tool; its address is in this answer alone."""
    n = notifier_of_app()
    try:
        integration_id, address = service.create(n, body.wanted())
    except Invalid as error:
        raise _named(error, n.sources.get(body.source)) from None
    made = _read(n, integration_id)
    response = answer(NewIntegration(**dict(made), address=address), status=201)
    response.headers["Location"] = f"/api/v1/integrations/{integration_id}"
    return response


@blueprint.get(_ONE, responses={"200": Integration, **READS}, tags=_TAGS)
@access("token", role=Role.ADMIN)
def get_integration(path: IntegrationPath) -> Response:
    """One integration."""
    return answer(_read(notifier_of_app(), path.id))


@blueprint.patch(_ONE, responses={"200": Integration, **WRITES}, tags=_TAGS)
@access("token", role=Role.ADMIN)
def change_integration(path: IntegrationPath, body: ChangeIntegration) -> Response:
    """Change what is given; the rest stays. Felt within a second."""
    n = notifier_of_app()
    with n.db.read() as connection:
        row = service.get(connection, path.id)
        now = _wanted(row, slugs_of(connection))
    try:
        service.change(n, path.id, body.wanted(now))
    except Invalid as error:
        raise _named(error, n.sources.get(row.source)) from None
    return answer(_read(n, path.id))


@blueprint.delete(_ONE, responses={"204": None, **READS}, tags=_TAGS)
@access("token", role=Role.ADMIN)
def delete_integration(path: IntegrationPath) -> Response:
    """Forget an integration with its alerts; what was posted stays."""
    service.remove(notifier_of_app(), path.id)
    return Response(status=204)


@blueprint.post(f"{_ONE}/address", responses={"200": Address, **READS}, tags=_TAGS)
@access("token", role=Role.ADMIN)
def renew_address(path: IntegrationPath) -> Response:
    """Another address, in this answer alone; the old one is refused within a second."""
    return answer(Address(id=path.id, address=service.new_address(notifier_of_app(), path.id)))


@blueprint.post(f"{_ONE}/signing-secret", responses={"200": SigningSecrets, **WRITES}, tags=_TAGS)
@access("token", role=Role.ADMIN)
def rotate_signing_secret(path: IntegrationPath, body: RotateSigningSecret) -> Response:
    """Believe a new signing secret, besides the last one unless that has got out."""
    n = notifier_of_app()
    service.rotate_signing_secret(n, path.id, body.signing_secret, keep_last=body.keep_last)
    with n.db.read() as connection:
        believed = service.keys(n, service.get(connection, path.id)).signing
    return answer(SigningSecrets(id=path.id, believed=len(believed)))


def slugs_of(connection: Connection) -> dict[int, str]:
    """The slugs of all components by their id."""
    return {one.id: one.slug for one in people.list_components(connection)}


def _option(one: signal.Option) -> Option:
    return Option(name=one.name, label=one.label, help=one.help, default=one.default, long=one.long)


def _read(n: Notifier, integration_id: int) -> Integration:
    with n.db.read() as connection:
        row = service.get(connection, integration_id)
        return Integration.of(row, slugs_of(connection), n.clock())


def _values(row: IntegrationRow, slugs: Mapping[int, str], now: datetime) -> dict[str, Any]:
    return {
        "id": row.id,
        "source": row.source,
        "name": row.name,
        "component": slugs.get(row.component_id or 0),
        "severity": row.severity,
        "header": row.header or None,
        "networks": list(row.networks),
        "options": dict(row.options),
        "heartbeat_minutes": row.heartbeat and int(row.heartbeat.total_seconds()) // 60,
        "stale_minutes": int(row.stale_after.total_seconds()) // 60,
        "created_at": row.created_at,
        "heard_at": row.seen_at,
        "silent": row.is_silent(now),
    }


def _wanted(row: IntegrationRow, slugs: Mapping[int, str]) -> Wanted:
    """What is kept, as somebody would have asked for it; its secrets stay where they are."""
    return Wanted(
        source=row.source,
        name=row.name,
        header=row.header,
        networks=row.networks,
        options=row.options,
        component=slugs.get(row.component_id or 0, ""),
        severity=row.severity,
        heartbeat=row.heartbeat,
        stale_after=row.stale_after,
    )


def _named(error: Invalid, module: SourceModule | None) -> Invalid:
    """The same, for one of a tool's own settings under the name by which it is given here."""
    own = {option.name for option in getattr(module, "OPTIONS", ())}
    return Invalid(f"options.{error.field}", error.reason) if error.field in own else error
