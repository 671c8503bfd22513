"""Making and changing integrations, the rules for their alerts, and the words ready for them."""

from __future__ import annotations

import hashlib
import ipaddress
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from notifier.domain.incident import Severity
from notifier.domain.text import (
    EXPLANATION_MAX,
    IMPACT_MAX,
    NAME_MAX,
    TITLE_MAX,
    Invalid,
    line,
    paragraphs,
)
from notifier.ports import Notifier, SourceModule
from notifier.services import correlating
from notifier.services.incidents import NotFound
from notifier.services.sealing import seal, unseal
from notifier.settings import SettingsError
from notifier.store import draft_posts, people
from notifier.store import integrations as store
from notifier.store.db import take_turn
from notifier.store.integrations import Integration

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_SECRET_MAX = 4_096
_OPTION_MAX = 10_000
_HEARTBEAT = (timedelta(minutes=1), timedelta(days=7))
_AUTO_MAX = timedelta(hours=1)
_RULE_LABELS_MAX = 20

#: After so much silence about it a firing alert is no longer reported: longer than any tool waits
#: before it says again that something fires (Alertmanager's default is four hours).
STALE_AFTER = timedelta(hours=24)
#: The same for tools that never say that something is over.
STALE_AFTER_WITHOUT_END = timedelta(hours=2)


@dataclass(frozen=True, slots=True)
class Wanted:
    """An integration as an operator describes it. `signing`: newest first, at most two.

    `component` is a slug, "" for none; `stale_after` None: what suits the tool.
    """

    source: str
    name: str
    header: str = ""
    header_secret: str = field(default="", repr=False)
    signing: Sequence[str] = field(default=(), repr=False)
    networks: Sequence[str] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    component: str = ""
    severity: Severity = Severity.MAJOR
    heartbeat: timedelta | None = None
    stale_after: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Keys:
    """What lets a request in, in plain."""

    header: str = field(default="", repr=False)
    signing: Sequence[str] = field(default=(), repr=False)


def create(n: Notifier, wanted: Wanted) -> tuple[int, str]:
    """(id, address) of a new integration. The address cannot be shown a second time.

    Raises Invalid naming the field.
    """
    module = source(n, wanted.source)
    values = _values(n, module, wanted)
    key = secrets.token_urlsafe(32)
    with n.db.transaction() as connection:
        component_id = _component_id(connection, wanted.component)
        row = values | {
            "source": wanted.source,
            "key_hash": hash_key(key),
            "component_id": component_id,
            "created_at": n.clock(),
        }
        if store.find_by_name(connection, values["name"]):
            raise Invalid("name", f"{values['name']!r} is already an integration; choose another")
        integration_id = store.add(connection, row)
    return integration_id, address(n, wanted.source, key)


def change(n: Notifier, integration_id: int, wanted: Wanted) -> None:
    """Change everything but the tool. Empty secrets stay what they were; without the name of its
    header, that secret is forgotten.

    Raises NotFound, or Invalid naming the field.
    """
    with n.db.transaction() as connection:
        found = get(connection, integration_id)
        before = _kept_keys(n, found)
        kept = Wanted(
            **{
                **{name: getattr(wanted, name) for name in Wanted.__slots__},
                "source": found.source,
                "header_secret": wanted.header_secret or (before.header if wanted.header else ""),
                "signing": wanted.signing or before.signing,
            }
        )
        values = _values(n, source(n, found.source), kept)
        other = store.find_by_name(connection, values["name"])
        if other and other.id != found.id:
            raise Invalid("name", f"{values['name']!r} is already an integration; choose another")
        values["component_id"] = _component_id(connection, wanted.component)
        store.change(connection, integration_id, values)


def rotate_signing_secret(
    n: Notifier, integration_id: int, secret: str, *, keep_last: bool = True
) -> None:
    """Believe a new signing secret, besides the last one unless that has got out.

    Raises NotFound or Invalid.
    """
    with n.db.transaction() as connection:
        found = get(connection, integration_id)
        before = _kept_keys(n, found)
        last = before.signing[:1] if keep_last else ()
        signing = [_signing_secret(source(n, found.source), secret), *last]
        sealed = seal(n, {"header": before.header, "signing": signing})
        store.change(connection, integration_id, {"sealed": sealed})


def new_address(n: Notifier, integration_id: int) -> str:
    """Another address; the old one is refused from now on. Raises NotFound."""
    key = secrets.token_urlsafe(32)
    with n.db.transaction() as connection:
        found = get(connection, integration_id)
        store.change(connection, integration_id, {"key_hash": hash_key(key)})
    return address(n, found.source, key)


def remove(n: Notifier, integration_id: int) -> None:
    """Forget an integration. The alerts that fed a draft stay with it, and count as no longer
    reported. Raises NotFound.
    """
    with n.db.transaction() as connection:
        get(connection, integration_id)
        correlating.let_go(connection, integration_id, n.clock())
        store.remove(connection, integration_id)


def add_preset(n: Notifier, *, name: str, title: str, impact: str, explanation: str) -> int:
    """Words that may be posted as they are. Raises Invalid naming the field."""
    values = {
        "name": line("name", name, limit=NAME_MAX),
        "title": line("title", title, limit=TITLE_MAX),
        "impact": paragraphs("impact", impact, limit=IMPACT_MAX),
        "explanation": paragraphs("explanation", explanation, limit=EXPLANATION_MAX),
    }
    try:
        with n.db.transaction() as connection:
            return store.add_preset(connection, values)
    except IntegrityError:
        raise Invalid("name", f"{values['name']!r} is already a preset; choose another") from None


def remove_preset(n: Notifier, preset_id: int) -> None:
    """Forget a preset. Raises Invalid while a rule uses it."""
    try:
        with n.db.transaction() as connection:
            store.remove_preset(connection, preset_id)
    except IntegrityError:
        raise Invalid("preset", "is used by a rule; remove that rule first") from None


def add_rule(
    n: Notifier,
    *,
    match: Mapping[str, str],
    component: str,
    integration_id: int | None = None,
    severity: Severity | None = None,
    preset_id: int | None = None,
    auto_after: timedelta | None = None,
) -> int:
    """A rule behind all others; its id. `component` "": the alerts are ignored.

    Raises Invalid naming the field.
    """
    if not match or len(match) > _RULE_LABELS_MAX:
        raise Invalid("match", f"needs 1 to {_RULE_LABELS_MAX} labels")
    if auto_after is not None:
        _check_auto(auto_after, component, preset_id)
    with n.db.transaction() as connection:
        if preset_id is not None and store.find_preset(connection, preset_id) is None:
            raise Invalid("preset", "is none that there is")
        if integration_id is not None and store.find(connection, integration_id) is None:
            raise Invalid("integration", "is none that there is")
        row = {
            "integration_id": integration_id,
            "match": {
                line("match", k, limit=100): line("match", v, limit=300) for k, v in match.items()
            },
            "component_id": _component_id(connection, component),
            "severity": severity,
            "preset_id": preset_id,
            "auto_seconds": None if auto_after is None else int(auto_after.total_seconds()),
        }
        return store.add_rule(connection, row)


def _check_auto(auto_after: timedelta, component: str, preset_id: int | None) -> None:
    """Only words that somebody wrote for it are posted by themselves, and only after a delay."""
    if not timedelta(0) <= auto_after <= _AUTO_MAX:
        raise Invalid("auto_minutes", "must be from 0 to 60")
    if not component or preset_id is None:
        raise Invalid("auto_minutes", "needs a component and a preset whose words are posted")


def remove_rule(n: Notifier, rule_id: int) -> None:
    """Forget a rule, and let nothing post itself because of it. Twice is once."""
    with n.db.transaction() as connection:
        take_turn(connection, "alerts")
        rules = {rule.id: rule for rule in store.list_rules(connection)}
        if rule_id not in rules:
            return
        store.remove_rule(connection, rule_id)
        component_id = rules[rule_id].component_id
        if component_id is not None:
            draft_posts.stop_counting(connection, component_id, "its rule was removed")


def move_rule_up(n: Notifier, rule_id: int) -> None:
    """Try a rule before the one that stands before it."""
    with n.db.transaction() as connection:
        store.move_rule_up(connection, rule_id)


def source(n: Notifier, name: str) -> SourceModule:
    """The tool of this name. Raises Invalid."""
    module = n.sources.get(name)
    if module is None:
        raise Invalid("source", f"must be one of: {', '.join(sorted(n.sources))}")
    return module


def get(connection: Connection, integration_id: int) -> Integration:
    """The integration of this id. Raises NotFound."""
    found = store.find(connection, integration_id)
    if found is None:
        raise NotFound(f"there is no integration {integration_id}")
    return found


def keys(n: Notifier, integration: Integration) -> Keys:
    """Its secrets. Raises SettingsError when they cannot be decrypted."""
    told = unseal(n, integration.sealed)
    return Keys(told["header"], tuple(told["signing"]))


def _kept_keys(n: Notifier, integration: Integration) -> Keys:
    """Its secrets, to keep those that nobody replaces. Raises Invalid where they are unreadable."""
    try:
        return keys(n, integration)
    except SettingsError as error:
        raise Invalid("signing_secret", f"cannot be changed: {error}") from None


def address(n: Notifier, source_name: str, key: str) -> str:
    """Where the tool posts to."""
    return f"{n.settings.base_url}/hooks/{source_name}/{key}"


def hash_key(key: str) -> str:
    """What is kept of the key in an address: it is random, so its plain hash is enough."""
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


def _signing_secret(module: SourceModule, secret: str) -> str:
    if not module.SIGNS:
        raise Invalid("signing_secret", f"is of no use: {module.TITLE} signs nothing")
    return _secret("signing_secret", secret)


def _values(n: Notifier, module: SourceModule, wanted: Wanted) -> dict[str, Any]:
    if len(wanted.signing) > 2:
        raise Invalid("signing_secret", "can be two at most: the new one and the last one")
    if wanted.header and not _HEADER.fullmatch(wanted.header):
        raise Invalid("header", "must be the name of a header such as X-Notifier-Token")
    if bool(wanted.header) != bool(wanted.header_secret):
        raise Invalid("header_secret", "and the name of its header are needed together")
    signing = [_signing_secret(module, secret) for secret in wanted.signing]
    header_secret = wanted.header_secret and _secret("header_secret", wanted.header_secret)
    return {
        "name": line("name", wanted.name, limit=NAME_MAX),
        "sealed": seal(n, {"header": header_secret, "signing": signing}),
        "header": wanted.header.lower(),
        "networks": [_network(one) for one in wanted.networks],
        "options": _options(module, wanted.options),
        "severity": wanted.severity,
        "heartbeat_seconds": _heartbeat(wanted.heartbeat),
        "stale_seconds": int((wanted.stale_after or _stale_after(module)).total_seconds()),
    }


def _stale_after(module: SourceModule) -> timedelta:
    return STALE_AFTER if getattr(module, "RESOLVES", True) else STALE_AFTER_WITHOUT_END


def _secret(name: str, value: str) -> str:
    if not 8 <= len(value) <= _SECRET_MAX or not value.isprintable():
        raise Invalid(name, "must have 8 to 4096 printable characters")
    return value


def _network(given: str) -> str:
    try:
        return str(ipaddress.ip_network(given.strip(), strict=False))
    except ValueError:
        raise Invalid("networks", f"must be such as 192.0.2.0/24; {given!r} is not") from None


def _heartbeat(given: timedelta | None) -> int | None:
    if given is None:
        return None
    shortest, longest = _HEARTBEAT
    if not shortest <= given <= longest:
        raise Invalid("heartbeat_minutes", "must be from 1 to 10080")
    return int(given.total_seconds())


def _options(module: SourceModule, given: Mapping[str, str]) -> dict[str, str]:
    known = {option.name: option.default for option in getattr(module, "OPTIONS", ())}
    if unknown := sorted(set(given) - set(known)):
        raise Invalid("options", f"of {module.TITLE} have no {unknown[0]!r}")
    if any(len(value) > _OPTION_MAX for value in given.values()):
        raise Invalid("options", f"must be shorter than {_OPTION_MAX} characters")
    options = known | dict(given)
    check = getattr(module, "check_options", None)
    if check:
        check(options)
    return options


def _component_id(connection: Connection, slug: str) -> int | None:
    if not slug:
        return None
    found = people.list_components(connection, slugs=[slug])
    if not found:
        raise Invalid("component", f"{slug!r} is none that there is")
    return found[0].id
