"""Rules and words for alerts, for administrators: where they belong, and what may be said."""

from __future__ import annotations

from flask import Blueprint, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from notifier.domain.access import Role
from notifier.domain.incident import Severity
from notifier.domain.text import EXPLANATION_MAX, IMPACT_MAX, NAME_MAX, TITLE_MAX, Invalid
from notifier.ports import Notifier
from notifier.services import integrations as service
from notifier.store import integrations as store
from notifier.store import people
from notifier.web.auth import access
from notifier.web.context import notifier_of_app
from notifier.web.integration_forms import Form, read_match, read_minutes, sentence
from notifier.web.reads import grouped

blueprint = Blueprint("rules", __name__)

_RULES = "/admin/rules"
_PRESETS = "/admin/presets"
_ID_DIGITS = 9
_ID = "<int(max=2147483647):{}_id>"

#: Where a rule can send alerts besides to a component; no slug can be this.
_IGNORE = "!ignore"


@blueprint.get(_RULES)
@access("session", Role.ADMIN)
def index() -> ResponseReturnValue:
    """The rules, in the order in which they are tried."""
    return _rules_page({})


@blueprint.post(_RULES)
@access("session", Role.ADMIN)
def add() -> ResponseReturnValue:
    """A rule behind all others."""
    errors: dict[str, str] = {}
    try:
        _add(notifier_of_app(), request.form, errors)
    except Invalid as error:
        errors.update([sentence(error)])
    return _rules_page(errors) if errors else redirect(url_for("rules.index"), code=303)


@blueprint.post(f"{_RULES}/{_ID.format('rule')}/up")
@access("session", Role.ADMIN)
def move_up(rule_id: int) -> ResponseReturnValue:
    """Try it before the one that stands before it."""
    service.move_rule_up(notifier_of_app(), rule_id)
    return redirect(url_for("rules.index"), code=303)


@blueprint.post(f"{_RULES}/{_ID.format('rule')}/remove")
@access("session", Role.ADMIN)
def remove(rule_id: int) -> ResponseReturnValue:
    """Forget it. Doing it twice is doing it once."""
    service.remove_rule(notifier_of_app(), rule_id)
    return redirect(url_for("rules.index"), code=303)


@blueprint.get(_PRESETS)
@access("session", Role.ADMIN)
def presets() -> ResponseReturnValue:
    """The words that were approved before anything happened."""
    return _presets_page({})


@blueprint.post(_PRESETS)
@access("session", Role.ADMIN)
def add_preset() -> ResponseReturnValue:
    """Approve words."""
    fields = ("name", "title", "impact", "explanation")
    try:
        service.add_preset(
            notifier_of_app(), **{name: request.form.get(name, "") for name in fields}
        )
    except Invalid as error:
        return _presets_page(dict([sentence(error)]))
    return redirect(url_for("rules.presets"), code=303)


@blueprint.post(f"{_PRESETS}/{_ID.format('preset')}/remove")
@access("session", Role.ADMIN)
def remove_preset(preset_id: int) -> ResponseReturnValue:
    """Forget words that no rule uses. Doing it twice is doing it once."""
    try:
        service.remove_preset(notifier_of_app(), preset_id)
    except Invalid as error:
        _, said = sentence(error)
        return _presets_page({f"preset-{preset_id}": said})
    return redirect(url_for("rules.presets"), code=303)


def _add(n: Notifier, form: Form, errors: dict[str, str]) -> None:
    """Add the rule that the form describes, unless something is wrong with it."""
    match = read_match(form, errors)
    auto_after = read_minutes(form, "auto_minutes", errors)
    component = form.get("component", "")
    if not component:
        errors["component"] = "Say which component these alerts are about, or to ignore them."
    if errors:
        return
    service.add_rule(
        n,
        match=match,
        component="" if component == _IGNORE else component,
        integration_id=_chosen(form, "integration"),
        severity=form.get("severity", type=Severity),
        preset_id=_chosen(form, "preset"),
        auto_after=auto_after,
    )


def _chosen(form: Form, name: str) -> int | None:
    """The id that was chosen; None for the first choice, which is none. Raises Invalid."""
    given = form.get(name, "")
    if not given:
        return None
    if not (given.isascii() and given.isdecimal() and len(given) <= _ID_DIGITS):
        raise Invalid(name, "is none that there is")
    return int(given)


def _rules_page(errors: dict[str, str]) -> ResponseReturnValue:
    n = notifier_of_app()
    with n.db.read() as connection:
        rules = store.list_rules(connection)
        components = people.list_components(connection)
        integrations = store.list_all(connection)
        presets = store.list_presets(connection)
    page = render_template(
        "web/rules.html",
        rules=rules,
        components={one.id: one for one in components},
        groups=grouped(components),
        integrations={one.id: one for one in integrations},
        presets={one.id: one for one in presets},
        ignore=_IGNORE,
        form=request.form,
        errors=errors,
    )
    return make_response(page, 422 if errors else 200)


def _presets_page(errors: dict[str, str]) -> ResponseReturnValue:
    n = notifier_of_app()
    with n.db.read() as connection:
        found = store.list_presets(connection)
        used = {rule.preset_id for rule in store.list_rules(connection)}
    page = render_template(
        "web/presets.html",
        found=found,
        used=used,
        form=request.form,
        errors=errors,
        most={
            "name": NAME_MAX,
            "title": TITLE_MAX,
            "impact": IMPACT_MAX,
            "explanation": EXPLANATION_MAX,
        },
    )
    return make_response(page, 422 if errors else 200)
