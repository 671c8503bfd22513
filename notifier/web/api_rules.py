"""The write API's rules and presets: where alerts belong, and which words are ready for them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Self

from flask import Response
from flask_openapi3.models.tag import Tag
from pydantic import BaseModel, Field
from sqlalchemy import Connection

from notifier.domain.access import Role
from notifier.domain.alerting import Rule as RuleRow
from notifier.domain.incident import Severity
from notifier.services import integrations as service
from notifier.services.incidents import NotFound
from notifier.store import integrations as store
from notifier.store.integrations import Preset as PresetRow
from notifier.web.api_alert_models import AddPreset, AddRule, PresetPath, RulePath
from notifier.web.api_blueprint import READS, WRITES, answer, make_blueprint
from notifier.web.api_integrations import slugs_of
from notifier.web.auth import access
from notifier.web.context import notifier_of_app

blueprint = make_blueprint("api_rules", __name__)

_TAGS = [Tag(name="rules", description="Where alerts belong, and which words are ready for them.")]


class Rule(BaseModel):
    """Where alerts belong whose labels all match."""

    id: int
    match: dict[str, str]
    component: str | None = Field(description="null: these alerts are ignored.")
    integration: int | None
    severity: Severity | None
    preset: int | None
    auto_minutes: int | None

    @classmethod
    def of(cls, rule: RuleRow, slugs: Mapping[int, str]) -> Self:
        """As kept now; `slugs` are the components' by id."""
        auto = rule.auto_after
        return cls(
            id=rule.id,
            match=dict(rule.match),
            component=slugs.get(rule.component_id or 0),
            integration=rule.integration_id,
            severity=rule.severity,
            preset=rule.preset_id,
            auto_minutes=None if auto is None else int(auto.total_seconds()) // 60,
        )


class Rules(BaseModel):
    """All rules, in the order in which they are tried; the first that matches decides."""

    rules: list[Rule]

    @classmethod
    def read(cls, connection: Connection) -> Self:
        """As kept now."""
        slugs = slugs_of(connection)
        return cls(rules=[Rule.of(rule, slugs) for rule in store.list_rules(connection)])


class Preset(BaseModel):
    """Words that were approved before anything happened."""

    id: int
    name: str
    title: str
    impact: str
    explanation: str

    @classmethod
    def of(cls, row: PresetRow) -> Self:
        """As kept now."""
        return cls(
            id=row.id,
            name=row.name,
            title=row.title,
            impact=row.impact,
            explanation=row.explanation,
        )


class Presets(BaseModel):
    """All presets, by name."""

    presets: list[Preset]

    @classmethod
    def read(cls, connection: Connection) -> Self:
        """As kept now."""
        return cls(presets=[Preset.of(row) for row in store.list_presets(connection)])


@blueprint.get("/alert-rules", responses={"200": Rules, **READS}, tags=_TAGS)
@access("token", role=Role.ADMIN)
def list_rules() -> Response:
    """The rules, in the order in which they are tried."""
    with notifier_of_app().db.read() as connection:
        return answer(Rules.read(connection))


@blueprint.post("/alert-rules", responses={"201": Rule, **WRITES}, tags=_TAGS)
@access("token", role=Role.ADMIN)
def add_rule(body: AddRule) -> Response:
    """A rule behind all others."""
    n, minutes = notifier_of_app(), body.auto_minutes
    rule_id = service.add_rule(
        n,
        match=body.match,
        component=body.component or "",
        integration_id=body.integration,
        severity=body.severity,
        preset_id=body.preset,
        auto_after=None if minutes is None else timedelta(minutes=minutes),
    )
    with n.db.read() as connection:
        found = Rules.read(connection).rules
    return answer(next(rule for rule in found if rule.id == rule_id), status=201)


@blueprint.delete("/alert-rules/<id>", responses={"204": None, **READS}, tags=_TAGS)
@access("token", role=Role.ADMIN)
def delete_rule(path: RulePath) -> Response:
    """Forget a rule; drafts that there are stay as they are."""
    n = notifier_of_app()
    with n.db.read() as connection:
        if path.id not in {rule.id for rule in store.list_rules(connection)}:
            raise NotFound(f"there is no rule {path.id}")
    service.remove_rule(n, path.id)
    return Response(status=204)


@blueprint.get("/presets", responses={"200": Presets, **READS}, tags=_TAGS)
@access("token", role=Role.ADMIN)
def list_presets() -> Response:
    """The words that were approved before anything happened."""
    with notifier_of_app().db.read() as connection:
        return answer(Presets.read(connection))


@blueprint.post("/presets", responses={"201": Preset, **WRITES}, tags=_TAGS)
@access("token", role=Role.ADMIN)
def add_preset(body: AddPreset) -> Response:
    """Approve words."""
    n = notifier_of_app()
    preset_id = service.add_preset(
        n, name=body.name, title=body.title, impact=body.impact, explanation=body.explanation
    )
    with n.db.read() as connection:
        found = Presets.read(connection).presets
    return answer(next(preset for preset in found if preset.id == preset_id), status=201)


@blueprint.delete("/presets/<id>", responses={"204": None, **READS}, tags=_TAGS)
@access("token", role=Role.ADMIN)
def delete_preset(path: PresetPath) -> Response:
    """Forget words that no rule uses."""
    n = notifier_of_app()
    with n.db.read() as connection:
        if store.find_preset(connection, path.id) is None:
            raise NotFound(f"there is no preset {path.id}")
    service.remove_preset(n, path.id)
    return Response(status=204)
