"""Integrations, for administrators: connecting a tool, changing it, and what it said."""

from __future__ import annotations

import shlex
import unicodedata
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, abort, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import Connection
from werkzeug.datastructures import MultiDict

from notifier.domain.access import Role
from notifier.domain.signal import Condition, Evidence, Hook
from notifier.domain.text import Invalid
from notifier.ports import Notifier, SourceModule
from notifier.services import hook_preview
from notifier.services import integrations as service
from notifier.services.incidents import NotFound
from notifier.settings import SettingsError
from notifier.store import hook_bodies, people
from notifier.store import integrations as store
from notifier.store.alerts import Body
from notifier.store.hook_bodies import Entry
from notifier.store.integrations import Integration
from notifier.store.people import Component
from notifier.web import integration_forms as forms
from notifier.web.auth import access
from notifier.web.context import notifier_of_app
from notifier.web.integration_forms import Form
from notifier.web.present import Standing
from notifier.web.reads import grouped

blueprint = Blueprint("integrations", __name__)

_LIST = "/admin/integrations"
_ONE = f"{_LIST}/<int(max=2147483647):integration_id>"
_LAST = 5
#: Of a body that is longer a page shows the beginning.
_SHOWN_MAX = 50_000

VERDICTS = {
    "understood": Standing("check", "good", "Understood"),
    "ignored": Standing("skip", "quiet", "Nothing follows"),
    "refused": Standing("cross", "bad", "Refused"),
    "unreadable": Standing("cross", "bad", "Not understood"),
}

CONDITIONS = {
    Condition.FIRING: Standing("alert", "major", "Fires"),
    Condition.ACKNOWLEDGED: Standing("clock", "waiting", "Fires, somebody has taken it"),
    Condition.RESOLVED: Standing("check", "good", "Over"),
}

EVIDENCE: dict[Evidence, str] = {
    "recorded": "Tested with requests that were recorded from the running program.",
    "documented": "Tested with the requests that the vendor’s documentation shows.",
    "fields": "Tested with requests written after the vendor’s list of fields: no genuine one was"
    " to be had. Send a test before you rely on it.",
}

#: Headers that belong to the way a request took, and not to what it says.
_OF_THE_WAY = frozenset(
    ("accept", "accept-encoding", "connection", "content-length", "host", "user-agent")
)


@dataclass(frozen=True, slots=True)
class Heard:
    """An integration in the list."""

    one: Integration
    module: SourceModule
    component: Component | None
    standing: Standing
    last: list[Standing]


@blueprint.get(_LIST)
@access("session", Role.ADMIN)
def index() -> str:
    """The integrations that there are, and every tool with how it is connected."""
    n = notifier_of_app()
    with n.db.read() as connection:
        components = {one.id: one for one in people.list_components(connection)}
        found = [_heard(n, connection, one, components) for one in store.list_all(connection)]
    return render_template("web/integrations.html", found=found, **_tools(n))


@blueprint.get(f"{_LIST}/new")
@access("session", Role.ADMIN)
def new() -> ResponseReturnValue:
    """The form for one tool."""
    n, source = notifier_of_app(), request.args.get("source", "")
    return _new_page(n, source, forms.blank(source, _module(n, source)))


@blueprint.post(f"{_LIST}/new")
@access("session", Role.ADMIN)
def create() -> ResponseReturnValue:
    """Make it, and show its address this once."""
    n, form = notifier_of_app(), MultiDict(request.form)
    source = form.get("source", "")
    module = _module(n, source)
    wanted, errors = forms.read_wanted(form, source, module)
    if errors:
        return _new_page(n, source, form, errors)
    try:
        integration_id, address = service.create(n, wanted)
    except Invalid as error:
        return _new_page(n, source, form, dict([forms.sentence(error, module)]))
    return _address_page(n, integration_id, address, "is connected")


@blueprint.get(_ONE)
@access("session", Role.ADMIN)
def show(integration_id: int) -> ResponseReturnValue:
    """What it said last, trying it, and its settings."""
    return _page(integration_id)


@blueprint.post(_ONE)
@access("session", Role.ADMIN)
def change(integration_id: int) -> ResponseReturnValue:
    """Change its settings; an empty secret stays what it is."""
    n, form = notifier_of_app(), MultiDict(request.form)
    one = _find(n, integration_id)
    module = n.sources[one.source]
    wanted, errors = forms.read_wanted(form, one.source, module)
    if errors:
        return _page(integration_id, form=form, errors=errors)
    try:
        service.change(n, integration_id, wanted)
    except Invalid as error:
        return _page(integration_id, form=form, errors=dict([forms.sentence(error, module)]))
    return redirect(url_for("integrations.show", integration_id=integration_id), code=303)


@blueprint.post(f"{_ONE}/signing-secret")
@access("session", Role.ADMIN)
def rotate(integration_id: int) -> ResponseReturnValue:
    """Believe a new signing secret."""
    n = notifier_of_app()
    if not forms.takes_secret(n.sources[_find(n, integration_id).source]):
        abort(404)
    secret = request.form.get("signing_secret", "")
    keep_last = request.form.get("forget_last") != "yes"
    try:
        service.rotate_signing_secret(n, integration_id, secret, keep_last=keep_last)
    except Invalid as error:
        return _page(integration_id, errors=dict([forms.sentence(error)]))
    return redirect(url_for("integrations.show", integration_id=integration_id), code=303)


@blueprint.post(f"{_ONE}/address")
@access("session", Role.ADMIN)
def readdress(integration_id: int) -> ResponseReturnValue:
    """Another address, shown this once."""
    n = notifier_of_app()
    try:
        address = service.new_address(n, integration_id)
    except NotFound:
        abort(404)
    return _address_page(n, integration_id, address, "has a new address")


@blueprint.post(f"{_ONE}/remove")
@access("session", Role.ADMIN)
def remove(integration_id: int) -> ResponseReturnValue:
    """Forget it, once its name was typed."""
    n = notifier_of_app()
    one = _find(n, integration_id)
    typed = unicodedata.normalize("NFC", request.form.get("confirm", "").strip())
    if typed != one.name:
        said = f"To remove it, type its name exactly: {one.name}"
        return _page(integration_id, errors={"confirm": said})
    service.remove(n, integration_id)
    return redirect(url_for("integrations.index"), code=303)


@blueprint.get(f"{_ONE}/requests/<int(max=9223372036854775807):request_id>")
@access("session", Role.ADMIN)
def show_request(integration_id: int, request_id: int) -> ResponseReturnValue:
    """One request as it is kept, and what is understood of it now."""
    n = notifier_of_app()
    one = _find(n, integration_id)
    with n.db.read() as connection:
        kept = hook_bodies.find(connection, integration_id, request_id)
        if kept is None:
            abort(404, "Only the last 100 requests of an integration are kept; this is none.")
        hook = hook_preview.kept_hook(kept)
        outlook = hook_preview.understand(n, connection, one, hook)
    return render_template(
        "web/integration_request.html",
        one=one,
        kept=kept,
        headers=forms.write_headers(hook.headers),
        body=_shown(kept.body),
        verdict=VERDICTS.get(kept.verdict),
        outlook=outlook,
        conditions=CONDITIONS,
    )


@blueprint.post(f"{_ONE}/test")
@access("session", Role.ADMIN)
def test(integration_id: int) -> ResponseReturnValue:
    """What would be understood of a request, which nobody sends."""
    n, form, errors = notifier_of_app(), request.form, dict[str, str]()
    one = _find(n, integration_id)
    body = form.get("body", "").replace("\r\n", "\n")
    headers = forms.read_headers(form.get("headers", ""), errors)
    outlook = None
    if not errors:
        hook = Hook("POST", headers, "", body.encode(), n.clock())
        with n.db.read() as connection:
            outlook = hook_preview.understand(n, connection, one, hook)
    page = render_template(
        "web/integration_test.html",
        one=one,
        form=form,
        errors=errors,
        outlook=outlook,
        conditions=CONDITIONS,
    )
    return make_response(page, 422 if errors else 200)


def _module(n: Notifier, source: str) -> SourceModule:
    return n.sources.get(source) or abort(404)


def _find(n: Notifier, integration_id: int) -> Integration:
    with n.db.read() as connection:
        return store.find(connection, integration_id) or abort(404)


def _heard(
    n: Notifier, connection: Connection, one: Integration, components: dict[int, Component]
) -> Heard:
    entries = hook_bodies.list_entries(connection, one.id, limit=_LAST)
    return Heard(
        one,
        n.sources[one.source],
        components.get(one.component_id or 0),
        _standing(n, one),
        _verdicts(entries),
    )


def _verdicts(entries: list[Entry]) -> list[Standing]:
    return [VERDICTS[entry.verdict] for entry in entries if entry.verdict in VERDICTS]


def _standing(n: Notifier, one: Integration) -> Standing:
    """Whether we hear of it."""
    if one.is_silent(n.clock()):
        return Standing("question", "unsure", "Silent: no data")
    if one.seen_at is None:
        return Standing("clock", "waiting", "Nothing heard yet")
    return Standing("check", "good", "Heard")


def _tools(n: Notifier) -> dict[str, Any]:
    tools = sorted(n.sources.items(), key=lambda item: item[1].TITLE.lower())
    address = {name: service.address(n, name, "…") for name in n.sources}
    return {"tools": tools, "address": address, "evidence": EVIDENCE}


def _new_page(
    n: Notifier, source: str, form: Form, errors: dict[str, str] | None = None
) -> ResponseReturnValue:
    module = _module(n, source)
    page = render_template(
        "web/integration_new.html",
        module=module,
        form=form,
        errors=errors or {},
        **_choices(n, module),
    )
    return make_response(page, 422 if errors else 200)


def _choices(n: Notifier, module: SourceModule) -> dict[str, Any]:
    """What the settings' form needs besides its values."""
    with n.db.read() as connection:
        groups = grouped(people.list_components(connection))
    return {
        "groups": groups,
        "options": forms.options_of(module),
        "takes_secret": forms.takes_secret(module),
    }


def _address_page(n: Notifier, integration_id: int, address: str, what: str) -> str:
    one = _find(n, integration_id)
    return render_template(
        "web/integration_address.html",
        one=one,
        module=n.sources[one.source],
        address=address,
        what=what,
        command=_command(address, one.header),
        evidence=EVIDENCE,
    )


def _command(address: str, header: str) -> str:
    """What a person pastes into a shell to see whether the address is reached."""
    secret = f" -H {shlex.quote(f'{header}: YOUR-SECRET')}" if header else ""
    return (
        f"curl -i {shlex.quote(address)}{secret} -H 'Content-Type: application/json'"
        ' -d \'{"hello": "notifier"}\''
    )


def _page(
    integration_id: int, *, form: Form | None = None, errors: dict[str, str] | None = None
) -> ResponseReturnValue:
    n = notifier_of_app()
    one = _find(n, integration_id)
    module = n.sources[one.source]
    with n.db.read() as connection:
        components = people.list_components(connection)
        entries = hook_bodies.list_entries(connection, integration_id)
        newest = hook_bodies.find_newest(connection, integration_id)
    page = render_template(
        "web/integration.html",
        one=one,
        module=module,
        address=service.address(n, one.source, "…"),
        hearing=_standing(n, one),
        entries=entries,
        verdicts=VERDICTS,
        trial=_trial(module, newest),
        form=form or forms.filled(one, components),
        errors=errors or {},
        believed=_believed(n, one),
        evidence=EVIDENCE,
        component=next((c for c in components if c.id == one.component_id), None),
        **_choices(n, module),
    )
    return make_response(page, 422 if errors else 200)


def _believed(n: Notifier, one: Integration) -> int:
    """How many signing secrets are believed: none while nobody can read them."""
    try:
        return len(service.keys(n, one).signing)
    except SettingsError:
        return 0


def _trial(module: SourceModule, newest: Body | None) -> dict[str, str]:
    """The request that a test begins with: the last that came, else our
    template where that is a body and no settings file."""
    if newest and newest.body.strip() and len(newest.body) <= _SHOWN_MAX:
        kept = hook_preview.kept_hook(newest)
        told = {
            name: value
            for name, value in kept.headers.items()
            if name not in _OF_THE_WAY and "[redacted]" not in value
        }
        return {"body": _shown(newest.body), "headers": forms.write_headers(told)}
    template = module.SETUP.template
    written = template if template.startswith("{") else ""
    return {"body": written, "headers": "content-type: application/json"}


def _shown(body: bytes) -> str:
    return body[:_SHOWN_MAX].decode("utf-8", "replace")
