"""Any JSON, read by JMESPath expressions that the operator gives (https://jmespath.org).

The expressions are the operator's, and trusted like every setting; the body is anybody's. JMESPath
can neither call out nor loop, and whatever a body makes an expression end in becomes a refusal.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError

from notifier.domain.receipt import Unreadable
from notifier.domain.signal import (
    Condition,
    Evidence,
    Hook,
    Option,
    Reading,
    Secrets,
    Setup,
    Signal,
)
from notifier.domain.text import Invalid
from notifier.sources._canonical import condition_of, filled, filled_labels
from notifier.sources._hub import HEADER, check_hub_signature
from notifier.sources._reading import objects, read_flat, read_json, text, time_of

NAME = "generic"
TITLE = "Any JSON"
SIGNS = True
EVIDENCE: Evidence = "documented"

_EXPRESSIONS = (
    Option("alerts", "List of alerts", "Where the alerts are, if a body holds several."),
    Option("key", "Key", "What stays the same from firing to resolved.", "dedup_key"),
    Option("status", "Status", "Where it says firing or resolved.", "status"),
    Option("title", "Title", "One line for the operator.", "title"),
    Option("description", "Description", "More about it.", "description"),
    Option("severity", "Severity", "The tool's own word for it.", "severity"),
    Option("start", "Start", "RFC 3339, or seconds or milliseconds since 1970.", "starts_at"),
    Option("url", "Link back", "Where the tool shows the alert.", "url"),
    Option("labels", "Labels", 'An object, or tags such as "env:prod".', "labels"),
)
_WORDS = (
    Option(
        "firing", "Words for firing", "With commas between. Empty: firing, down, open and alike."
    ),
    Option(
        "resolved", "Words for resolved", "With commas between. Empty: resolved, ok, up and alike."
    ),
)
OPTIONS = (
    *_EXPRESSIONS,
    *_WORDS,
    Option("signature_header", "Signature header", "Holds sha256=<hex HMAC-SHA256>.", HEADER),
)
SETUP = Setup(
    steps=(
        "Have the tool POST its JSON to {url}.",
        "Send a test, look at the body that arrived, and give a JMESPath expression for each field:"
        " for instance event.check.id as the key and event.state as the status.",
        "Where a body holds several alerts, name their list; the other expressions are then read"
        " within each of them.",
    ),
    template_name="the options for the body"
    ' {"events": [{"check": {"id": 7}, "state": "bad", "tags": ["env:prod"]}]}',
    template="""\
alerts: events
key: to_string(check.id)
status: state
firing: bad
resolved: good
title: join(' ', ['Check', to_string(check.id)])
labels: tags
""",
    notes=(
        "Only the key has to be found; without a status, every body counts as firing.",
        "Forms and queries are read too, as one flat object.",
    ),
    documents="https://jmespath.org/tutorial.html",
)

_DEFAULTS = {option.name: option.default for option in _EXPRESSIONS}
_EXPRESSION_MAX = 500
#: Seconds since 1970 reach this in the year 5138, milliseconds did in 1973.
_MILLISECONDS_FROM = 1e11
#: What an expression may end in for a body it does not fit, seen in jmespath 1.1's functions.
_MISFITS = (JMESPathError, ArithmeticError, LookupError, TypeError, ValueError, RecursionError)


def check_options(options: Mapping[str, str]) -> None:
    """Compile the expressions. Raises Invalid naming the option."""
    for option in _EXPRESSIONS:
        _check_expression(option.name, options.get(option.name, option.default))
    if not options.get("key", "dedup_key").strip():
        raise Invalid("key", "is missing: without it a firing and its end cannot be told to belong")


def verify(hook: Hook, secrets: Secrets) -> None:
    """HMAC-SHA256 of the body in the header that the options name. Raises Untrusted."""
    header = secrets.options.get("signature_header", "").strip() or HEADER
    check_hub_signature(hook, secrets, header=header)


def parse(hook: Hook, options: Mapping[str, str]) -> Reading:
    """One signal for each alert. Raises Unreadable."""
    found = [_signal(alert, hook, options) for alert in _alerts(_read(hook), options)]
    signals = [signal for signal in found if signal]
    if not found:
        return Reading(ignored="the body lists no alert")
    return Reading(signals, ignored="" if signals else "its status is neither firing nor resolved")


def _read(hook: Hook) -> object:
    """The JSON in a request, else the fields of its form or query."""
    if hook.body.lstrip().startswith((b"{", b"[")):
        return read_json(hook)
    try:
        return read_json(hook)
    except Unreadable:
        return read_flat(hook)


def _alerts(body: object, options: Mapping[str, str]) -> list[dict[str, Any]]:
    found = _find("alerts", body, options) if options.get("alerts", "").strip() else body
    if not isinstance(found, dict | list):
        raise Unreadable("The expression for 'alerts' finds neither a list nor an object.")
    return objects(found if isinstance(found, list) else [found])


def _signal(alert: dict[str, Any], hook: Hook, options: Mapping[str, str]) -> Signal | None:
    key = filled(_find("key", alert, options))
    if not key:
        raise Unreadable("The expression for 'key' finds nothing in the body.")
    condition = _condition(filled(_find("status", alert, options)), options)
    if condition is None:
        return None
    start = _time(_find("start", alert, options)) or hook.received_at
    return Signal(
        key=key,
        condition=condition,
        position=start,
        at=max(start, hook.received_at) if condition is Condition.RESOLVED else start,
        title=filled(_find("title", alert, options)) or key,
        description=filled(_find("description", alert, options)),
        severity=filled(_find("severity", alert, options)),
        labels=filled_labels(_find("labels", alert, options)),
        url=filled(_find("url", alert, options)),
    )


def _condition(word: str, options: Mapping[str, str]) -> Condition | None:
    """What the status says: by the operator's words first, then by the usual ones."""
    if not word:
        return Condition.FIRING
    for condition in (Condition.FIRING, Condition.RESOLVED):
        words = {each.strip().lower() for each in options.get(condition, "").split(",")}
        if word.lower() in words:
            return condition
    return condition_of(word)


def _find(name: str, value: object, options: Mapping[str, str]) -> Any:
    """What the expression of option `name` finds. Raises Unreadable."""
    expression = options.get(name, _DEFAULTS[name]).strip()
    try:
        return jmespath.search(expression, value) if expression else None
    except _MISFITS:
        raise Unreadable(f"The expression for {name!r} cannot be applied to the body.") from None


def _check_expression(name: str, expression: str) -> None:
    if len(expression) > _EXPRESSION_MAX:
        raise Invalid(name, f"has more than {_EXPRESSION_MAX} characters")
    if not expression.strip():
        return
    try:
        jmespath.compile(expression.strip())
    except (JMESPathError, ValueError, RecursionError) as error:
        reason = str(error).splitlines()[0] if str(error) else "it is nested too deeply"
        raise Invalid(name, f"is not a JMESPath expression: {reason}") from None


def _time(value: object) -> datetime | None:
    """A time as the option's help says."""
    written = text(value).strip()
    number = float(written) if written.replace(".", "", 1).isdecimal() else 0
    return time_of(value, scale=1000 if number >= _MILLISECONDS_FROM else 1)
