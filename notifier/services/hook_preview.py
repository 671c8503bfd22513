"""What a request would come to: understood as it is now, and where its alerts would belong.

Pure reading. No signature is asked for, nothing is stored, and nobody hears of it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from sqlalchemy import Connection

from notifier.domain.alerting import Facts, Rule, Target, rule_for, target
from notifier.domain.incident import Severity
from notifier.domain.receipt import Unreadable, one_line
from notifier.domain.signal import (
    Annotation,
    Condition,
    Hook,
    Reading,
    Signal,
    clean,
    safe_url,
)
from notifier.ports import Notifier
from notifier.services.drafts import Wording, wording
from notifier.store import integrations, people
from notifier.store.alerts import Body
from notifier.store.integrations import Integration, Preset
from notifier.store.people import Component

#: A storm's body lists thousands; nobody reads more than this.
SHOWN_MAX = 100


@dataclass(frozen=True, slots=True)
class Proposed:
    """What would be proposed because of a signal.

    `component` None: an operator has to say which. `preset` "": the words are ours.
    `auto_after` None: only an operator posts it.
    """

    component: Component | None
    severity: Severity
    words: Wording
    preset: str
    auto_after: timedelta | None


@dataclass(frozen=True, slots=True)
class Understood:
    """One signal, cut and cleaned as it would be kept.

    `rule` is the number of the rule that decides, as the page of the rules counts them; None: the
    integration's own settings do. Exactly one of `proposed` and `ignored` is something, but for
    an end, which proposes nothing by itself.
    """

    signal: Signal
    rule: int | None
    proposed: Proposed | None
    ignored: str


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is understood of a request. `unreadable` says in a sentence why nothing is.

    `signals` are the first hundred of `count`.
    """

    signals: Sequence[Understood] = ()
    count: int = 0
    annotations: Sequence[Annotation] = ()
    ignored: str = ""
    confirm: bool = False
    unreadable: str = ""


def understand(
    n: Notifier, connection: Connection, integration: Integration, hook: Hook
) -> Outlook:
    """What a request to this integration would come to."""
    try:
        reading = n.sources[integration.source].parse(hook, integration.options)
    except Unreadable as error:
        return Outlook(unreadable=str(error))
    return _look(_Places.read(connection), integration, reading)


def kept_hook(body: Body) -> Hook:
    """A kept request, as it would come again: without the secrets in it."""
    return Hook(body.method, json.loads(body.headers), body.query, body.body, body.received_at)


@dataclass(frozen=True, slots=True)
class _Places:
    """What decides where alerts belong, and what each place is called."""

    rules: Sequence[Rule]
    components: dict[int, Component]
    presets: dict[int, Preset]

    @staticmethod
    def read(connection: Connection) -> _Places:
        return _Places(
            integrations.list_rules(connection),
            {one.id: one for one in people.list_components(connection)},
            {one.id: one for one in integrations.list_presets(connection)},
        )

    def propose(self, place: Target) -> Proposed:
        component = self.components.get(place.component_id or 0)
        preset = self.presets.get(place.preset_id or 0)
        return Proposed(
            component,
            place.severity,
            wording(component, preset),
            preset.name if preset else "",
            place.auto_after,
        )


def _look(places: _Places, integration: Integration, reading: Reading) -> Outlook:
    shown = reading.signals[:SHOWN_MAX]
    return Outlook(
        signals=[_place(places, integration, clean(signal)) for signal in shown],
        count=len(reading.signals),
        annotations=[_clean_note(note) for note in reading.annotations[:SHOWN_MAX]],
        ignored=reading.ignored,
        confirm=bool(reading.confirm),
    )


def _clean_note(note: Annotation) -> Annotation:
    return replace(note, title=one_line(note.title), url=safe_url(note.url))


def _place(places: _Places, integration: Integration, signal: Signal) -> Understood:
    if signal.condition is Condition.RESOLVED:
        return Understood(signal, None, None, "")
    facts = Facts(signal.title, signal.description, signal.severity, signal.url, signal.labels)
    rule = rule_for(integration.origin, facts, places.rules)
    number = places.rules.index(rule) + 1 if rule else None
    place = target(integration.origin, facts, places.rules)
    if place is None:
        return Understood(signal, number, None, _why_ignored(rule, facts))
    return Understood(signal, number, places.propose(place), "")


def _why_ignored(rule: Rule | None, facts: Facts) -> str:
    if rule and rule.component_id is None:
        return "the rule says so"
    return f"{facts.severity!r} is no more than information"
