"""Our own schema, which the templates we give for tools without a fixed body write.

{"dedup_key", "status", "severity", "title", "description", "component", "labels": {}, "url",
"starts_at", "ends_at"}: `dedup_key` and `status` are needed, the rest may be missing. What a
template did not fill in counts as missing too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from notifier.domain.signal import Condition, Hook, Signal
from notifier.sources._reading import labels_of, tags_of, text, time_of

_WORDS: Mapping[Condition, str] = {
    Condition.FIRING: "firing fired triggered trigger alerting alert alarm problem down open opened"
    " active failing failed failure error unhealthy",
    Condition.ACKNOWLEDGED: "acknowledged acknowledge acked ack",
    Condition.RESOLVED: "resolved resolve recovered recovery ok up closed close cleared clear"
    " inactive passing healthy normal success",
}
_CONDITIONS = {word: condition for condition, words in _WORDS.items() for word in words.split()}

#: A value that is nothing but what a template names: UptimeRobot's and Zabbix's *…*, Datadog's and
#: Healthchecks' $…, Nagios' $…$, Zabbix's and Dynatrace's {…}, Mustache's {{…}}, Gatus' […].
_PLACEHOLDER = re.compile(
    r"\*[A-Za-z]\w*\*|\$\{?[A-Za-z]\w*\}?\$?|\{\$?[A-Za-z][\w.:#]*\}|\{\{.*\}\}|\[[A-Z]+_[A-Z_]+\]"
)


def read_canonical(body: Mapping[str, Any], hook: Hook) -> Signal | None:
    """The signal in a body of our schema; None where it names no key, or no status we know."""
    key, condition = filled(body.get("dedup_key")), condition_of(filled(body.get("status")))
    if not key or condition is None:
        return None
    start, end = time_of(body.get("starts_at")), time_of(body.get("ends_at"))
    ended = end if condition is Condition.RESOLVED else None
    title, description = filled(body.get("title")), filled(body.get("description"))
    return Signal(
        key=key,
        condition=condition,
        position=start or ended or hook.received_at,
        at=_latest(start, ended) or hook.received_at,
        title=title or description or key,
        description=description,
        severity=filled(body.get("severity")),
        labels=filled_labels(body.get("labels"), component=body.get("component")),
        url=filled(body.get("url")),
    )


def condition_of(word: str) -> Condition | None:
    """What a tool's word for an alert's state means; None for one we do not know."""
    return _CONDITIONS.get(word.strip().lower())


def filled(value: object) -> str:
    """A template's value as trimmed text; "" where its placeholder was left standing."""
    found = text(value).strip()
    return "" if _PLACEHOLDER.fullmatch(found) else found


def filled_labels(labels: object, **named: object) -> dict[str, str]:
    """Labels from an object, or from tags such as "env:prod", without what was not filled in."""
    given = labels_of(labels if isinstance(labels, Mapping) else tags_of(labels), **named)
    return {
        filled(name): kept
        for name, value in given.items()
        if filled(name) and (kept := filled(value))
    }


def _latest(*times: datetime | None) -> datetime | None:
    return max((time for time in times if time), default=None)
