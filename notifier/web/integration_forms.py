"""From a filled-in form to an integration and to a rule, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

from werkzeug.datastructures import MultiDict

from notifier.domain.incident import Severity
from notifier.domain.signal import Option
from notifier.domain.text import Invalid
from notifier.ports import SourceModule
from notifier.services.integrations import Wanted
from notifier.store.integrations import Integration
from notifier.store.people import Component

Form = MultiDict[str, str]

#: Fields as the services name them, in the sentence that says what is wrong.
_NAMES = {
    "name": "The name",
    "component": "The component",
    "header": "The header",
    "header_secret": "The header’s secret",
    "signing_secret": "The signing secret",
    "networks": "The allowed networks",
    "heartbeat_minutes": "The heartbeat",
    "options": "The tool’s own settings",
    "match": "The labels",
    "preset": "The preset",
    "integration": "The integration",
    "auto_minutes": "The delay",
    "title": "The title",
    "impact": "How customers are affected",
    "explanation": "The explanation",
}
_HEAD = "option-"
_MINUTES_DIGITS = 6


def options_of(module: SourceModule) -> Sequence[Option]:
    """The settings that only this tool needs."""
    return getattr(module, "OPTIONS", ())


def takes_secret(module: SourceModule) -> bool:
    """Whether the tool signs with a secret that it shares with us."""
    return module.SIGNS and not getattr(module, "ALWAYS_SIGNED", False)


def sentence(error: Invalid, module: SourceModule | None = None) -> tuple[str, str]:
    """(field on the page, what is wrong in one sentence) of a refusal."""
    own = {option.name: option.label for option in options_of(module)} if module else {}
    if error.field in own:
        return _HEAD + error.field, f"“{own[error.field]}” {error.reason}."
    return error.field, f"{_NAMES.get(error.field, error.field)} {error.reason}."


def blank(source: str, module: SourceModule) -> Form:
    """The form for a new integration with that tool."""
    options = {_HEAD + option.name: option.default for option in options_of(module)}
    first = {"source": source, "name": module.TITLE, "severity": Severity.MAJOR.value}
    return MultiDict(first | options)


def filled(one: Integration, components: Sequence[Component]) -> Form:
    """The form with what an integration is now; its secrets stay where they are."""
    options = {_HEAD + name: value for name, value in one.options.items()}
    now = {
        "name": one.name,
        "component": next((c.slug for c in components if c.id == one.component_id), ""),
        "severity": one.severity.value,
        "header": one.header,
        "networks": "\n".join(one.networks),
        "heartbeat_minutes": _in_minutes(one.heartbeat),
    }
    return MultiDict(now | options)


def read_wanted(form: Form, source: str, module: SourceModule) -> tuple[Wanted, dict[str, str]]:
    """What somebody wants, and what is wrong with it: field → sentence."""
    errors: dict[str, str] = {}
    secret = form.get("signing_secret", "")
    wanted = Wanted(
        source=source,
        name=form.get("name", ""),
        component=form.get("component", ""),
        severity=_severity(form, errors),
        header=form.get("header", "").strip(),
        header_secret=form.get("header_secret", ""),
        signing=[secret] if secret else [],
        networks=_lines(form.get("networks", "")),
        options=_options(form, module),
        heartbeat=read_minutes(form, "heartbeat_minutes", errors),
    )
    return wanted, errors


def read_minutes(form: Form, name: str, errors: dict[str, str]) -> timedelta | None:
    """A number of minutes; None where there is none, or none that is right."""
    typed = form.get(name, "").strip()
    if not typed:
        return None
    if not (typed.isascii() and typed.isdecimal() and len(typed) <= _MINUTES_DIGITS):
        errors[name] = f"{_NAMES[name]} must be a whole number of minutes, or empty."
        return None
    return timedelta(minutes=int(typed))


def read_match(form: Form, errors: dict[str, str]) -> dict[str, str]:
    """The labels of a rule, one `label=pattern` on each line."""
    found: dict[str, str] = {}
    for line in _lines(form.get("match", "")):
        label, equals, pattern = (part.strip() for part in line.partition("="))
        if not (label and equals and pattern):
            errors["match"] = f"Write each label as label=pattern; “{line}” is not."
        elif label in found:
            errors["match"] = f"The label “{label}” stands there twice; a rule can ask for it once."
        found[label] = pattern
    if not found:
        errors["match"] = "Write at least one label=pattern."
    return found


def read_headers(written: str, errors: dict[str, str]) -> dict[str, str]:
    """The headers of a test, one `Name: value` on each line; the names in lower case."""
    found: dict[str, str] = {}
    for line in _lines(written):
        name, colon, value = (part.strip() for part in line.partition(":"))
        if not (name and colon):
            errors["headers"] = f"Write each header as Name: value; “{line}” is not."
        found[name.lower()] = value
    return found


def write_headers(headers: Mapping[str, str]) -> str:
    """The lines that `read_headers` reads."""
    return "\n".join(f"{name}: {value}" for name, value in headers.items())


def _severity(form: Form, errors: dict[str, str]) -> Severity:
    try:
        return Severity(form.get("severity", ""))
    except ValueError:
        errors["severity"] = "Say how bad an alert is whose tool does not say so."
        return Severity.MAJOR


def _options(form: Form, module: SourceModule) -> dict[str, str]:
    return {
        option.name: form.get(_HEAD + option.name, "").replace("\r\n", "\n").strip()
        for option in options_of(module)
    }


def _lines(written: str) -> list[str]:
    return [line.strip() for line in written.splitlines() if line.strip()]


def _in_minutes(span: timedelta | None) -> str:
    return "" if span is None else str(int(span.total_seconds()) // 60)
