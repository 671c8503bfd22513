"""What a monitoring tool tells: the request as it came, and the signals that are read from it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Literal

from notifier.domain.incident import Severity
from notifier.domain.receipt import one_line

KEY_MAX = 200
TITLE_MAX = 300
DESCRIPTION_MAX = 2_000
URL_MAX = 2_000
LABELS_MAX = 50


class Condition(StrEnum):
    """What a signal says about its alert."""

    FIRING = "firing"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


@dataclass(frozen=True, slots=True)
class Hook:
    """A request as it came: nothing is decoded, because signatures are made over raw bytes.

    `headers` have names in lower case. `query` is what stands behind "?", as it came. `body` has
    been de-chunked by the server and nothing else.
    """

    method: str
    headers: Mapping[str, str]
    query: str
    body: bytes
    received_at: datetime

    @property
    def mimetype(self) -> str:
        """The Content-Type without its parameters, in lower case; often wrong (see `_reading`)."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True)
class Secrets:
    """What an integration shares with its tool. `signing`: any of these may have signed, the
    newest first; empty: signatures are not asked for.

    `options` are the integration's (a certificate, the name of a header). `fetch` gets the document
    at an https address which the source has judged to be the vendor's; raises OSError.
    """

    signing: Sequence[str] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    fetch: Callable[[str], bytes] | None = None


@dataclass(frozen=True, slots=True)
class Signal:
    """One alert's word: it fires, somebody has taken it, or it is over.

    `key` is the tool's own and the same from firing to resolved. `position` puts the words about
    one key in order: the start of the occurrence where the tool gives one (a firing and its
    resolved share it), else when it happened. A resolved ends every occurrence up to its position,
    so repeated, late and swapped requests end in the same state.

    `severity` is the tool's own word (`severity_of` reads it). Everything here is untrusted: it is
    shown to operators, and to the public never.
    """

    key: str
    condition: Condition
    position: datetime
    at: datetime
    title: str
    description: str = ""
    severity: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    url: str = ""


@dataclass(frozen=True, slots=True)
class Annotation:
    """Something that happened and is no alert: a deployment, for instance. Equally untrusted."""

    key: str
    at: datetime
    title: str
    url: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reading:
    """What was understood of a request.

    `ignored` says why nothing follows from it (a test button, a kind we do not use). `confirm` is
    an address of the vendor that has to be fetched once to complete a subscription. `headers` go
    into the answer.
    """

    signals: Sequence[Signal] = ()
    annotations: Sequence[Annotation] = ()
    ignored: str = ""
    confirm: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Option:
    """A setting that only one tool needs, asked for where an integration is made."""

    name: str
    label: str
    help: str
    default: str = ""
    #: Whether it takes several lines.
    long: bool = False


#: "recorded": bodies of the running program; "documented": the vendor's own bodies; "fields": no
#: genuine body was to be had, only the vendor's list of fields.
Evidence = Literal["recorded", "documented", "fields"]


@dataclass(frozen=True, slots=True)
class Setup:
    """How an operator connects a tool. "{url}" stands for the address of the integration.

    `steps` are sentences. `template` is what has to be pasted, and `template_name` where.
    `notes` are what the tool does that an operator should know. `documents` is the vendor's page.
    """

    steps: Sequence[str]
    template: str = ""
    template_name: str = ""
    notes: Sequence[str] = ()
    documents: str = ""

    def at(self, url: str) -> Setup:
        """The same with that address in it. No format(), because templates hold braces."""
        return replace(
            self,
            steps=[step.replace("{url}", url) for step in self.steps],
            template=self.template.replace("{url}", url),
        )


def clean(signal: Signal) -> Signal:
    """The signal with everything in it cut and made printable, and a key of bounded length."""
    return Signal(
        key=bounded_key(signal.key),
        condition=signal.condition,
        position=signal.position,
        at=signal.at,
        title=_cut(signal.title, TITLE_MAX),
        description=_cut(signal.description, DESCRIPTION_MAX),
        severity=_cut(signal.severity, 40),
        labels=clean_labels(signal.labels),
        url=safe_url(signal.url),
    )


def clean_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """At most 50 labels, made printable; those without a name or a value are left out."""
    kept = ((_cut(name, 100), _cut(value, 300)) for name, value in labels.items())
    return dict(sorted((n, v) for n, v in kept if n and v)[:LABELS_MAX])


def bounded_key(key: str) -> str:
    """The key itself, or its hash where it is long; never empty for something."""
    if len(key) <= KEY_MAX and key.isprintable():
        return key
    return "sha256:" + hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


def safe_url(url: str) -> str:
    """The link back, or "" for anything a browser might run instead of open."""
    whole = url.strip()
    is_web = whole.lower().startswith(("https://", "http://"))
    return whole if is_web and whole.isprintable() and len(whole) <= URL_MAX else ""


_WORDS: Mapping[Severity | None, str] = {
    Severity.CRITICAL: "critical crit page fatal emergency emerg disaster sev0 sev-0 p1 down"
    " unreachable urgent highest blocker availability",
    Severity.MAJOR: "major error err high sev1 sev-1 p2 problem",
    Severity.MINOR: "minor warning warn average medium moderate sev2 sev-2 p3 trouble degraded"
    " performance",
    None: "info information informational notice none ok debug low lowest p4 p5 sev3 sev-3 sev4"
    " sev-4",
}
_LEVELS = {word: level for level, words in _WORDS.items() for word in words.split()}


def severity_of(word: str, *, default: Severity | None) -> Severity | None:
    """What a tool's word for severity means to us; None: it is only information.

    An unknown word means the default, and never "critical" by a guess.
    """
    return _LEVELS.get(word.strip().lower(), default)


def _cut(text: str, limit: int) -> str:
    if limit <= TITLE_MAX:
        return one_line(text)[:limit]
    if text.isprintable():
        return text.strip()[:limit]
    shown = "".join(c for c in text[: 2 * limit] if c.isprintable() or c == "\n")
    return shown.strip()[:limit]
