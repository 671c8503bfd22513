"""The three forms in which operators write: a declaration, an update, the words of a mail."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from werkzeug.datastructures import MultiDict

from notifier.domain.access import Actor
from notifier.domain.incident import NEXT, Severity, Status
from notifier.domain.notice import (
    Between,
    Duration,
    LatestBy,
    Notice,
    NotKnown,
    Over,
    notice,
)
from notifier.domain.text import EXPLANATION_MAX, IMPACT_MAX, TITLE_MAX, line, paragraphs
from notifier.ports import Notifier
from notifier.rendering import times
from notifier.services.drafts import Outline
from notifier.services.evidence import SeenEnd
from notifier.services.incidents import Declaration, Expected, RepeatGuard, Words
from notifier.services.previews import Draft
from notifier.store.incidents import Incident, Update
from notifier.web.auth import CSRF_FIELD
from notifier.web.forms import Filled, local_value
from notifier.web.present import NEXT_UPDATE

#: The hidden field that makes a form's second arrival the same request.
ONCE = "once"

# In a preview, these stand where nothing was written yet.
_NO_TITLE = "(title)"
_NO_IMPACT = "(how customers are affected)"
_NO_EXPLANATION = "(explanation)"

#: The hidden field that says which of the monitoring's drafts a declaration is made of.
MADE_OF = "draft"

#: Words to begin with, so that an end can be told with one press.
_OVER = "Everything works again."
_OVER_AS_SEEN = "Everything works again, as far as our monitoring can tell."

# A whole number that every database can look for.
_ID = re.compile(r"[1-9][0-9]{0,8}")


@dataclass(frozen=True, slots=True)
class Written:
    """What somebody has written so far. `words` may be published when `errors` is empty.

    `draft` is the same with something in each empty place, so that it can be previewed.
    """

    form: MultiDict[str, str]
    errors: dict[str, str]
    words: Words
    draft: Draft

    @property
    def declaration(self) -> Declaration:
        """The declaration that was written."""
        d = self.draft
        title = self.form.get("title", "")
        return Declaration(title, d.severity, d.components, self.words, draft_id=made_of(self.form))


def blank_declaration(n: Notifier) -> MultiDict[str, str]:
    """A declaration form as it is opened."""
    form = MultiDict({"severity": Severity.MAJOR.value, "mail": "usual", **_once()})
    propose_next_update(n, form)
    return form


def proposed_declaration(n: Notifier, made: Outline) -> MultiDict[str, str]:
    """A declaration form filled in with what the monitoring proposes."""
    zone = n.settings.site.zone
    next_update = local_value(made.next_update_by, zone)
    values = {
        **_values_of(n, made.notice),
        MADE_OF: str(made.draft.id),
        "title": made.title,
        "severity": made.severity.value,
        "mail": "usual",
        "next_update_by": next_update,
        "proposed": next_update,
    }
    if made.component:
        values["components"] = made.component.slug
    return MultiDict({**values, **_once()})


def made_of(form: MultiDict[str, str]) -> int | None:
    """The draft that a declaration form was made of."""
    given = form.get(MADE_OF, "")
    return int(given) if _ID.fullmatch(given) else None


def say_seen_end(n: Notifier, form: MultiDict[str, str], seen: SeenEnd) -> None:
    """Tell the end as the monitoring knows it, and no better."""
    since = times.short(seen.since, n.settings.site.zone)
    form["impact"] = _OVER_AS_SEEN
    said = [] if form["explanation"] in seen.proposed else [form["explanation"]]
    form["explanation"] = "\n\n".join(
        [f"Our monitoring has found no problem since {since}.", *said]
    )


def blank_update(
    n: Notifier, incident: Incident, latest: Notice, status: Status
) -> MultiDict[str, str]:
    """An update form as it is opened: with what was said last, which is often still true."""
    values = {"status": status.value, "mail": "usual", **_once()}
    if status.is_open:
        values |= _values_of(n, latest)
    else:
        values |= {"impact": _OVER, "explanation": latest.explanation}
    form = MultiDict({**values, "next_update_by": ""})
    propose_next_update(n, form, incident.severity)
    return form


def blank_mail(n: Notifier, told: Notice) -> MultiDict[str, str]:
    """The form that changes a waiting mail, with its present words."""
    next_update = local_value(told.next_update_by, n.settings.site.zone)
    return MultiDict({"mail": "usual", **_values_of(n, told), "next_update_by": next_update})


def propose_next_update(
    n: Notifier, form: MultiDict[str, str], severity: Severity | None = None
) -> None:
    """Keep the proposed time of the next update true, unless somebody changed it.

    The form carries the last proposal in a hidden field; a value equal to it is untouched.
    """
    if form.get("next_update_by", "") != form.get("proposed", ""):
        return
    if severity is None:
        given = form.get("severity", "")
        severity = Severity(given) if given in list(Severity) else Severity.MAJOR
    # Rounded up to five minutes: a promise people can remember.
    at = n.clock() + NEXT_UPDATE[severity]
    at += timedelta(minutes=-at.minute % 5)
    form["proposed"] = form["next_update_by"] = local_value(at, n.settings.site.zone)


def read_declaration(n: Notifier, form: MultiDict[str, str]) -> Written:
    """What a filled-in declaration form says."""
    filled = _filled(n, form)
    chosen = tuple(dict.fromkeys(form.getlist("components")))
    if not chosen:
        filled.errors["components"] = "Choose what is affected."
    severity = filled.choice("severity", Severity, Severity.MAJOR, "Choose how bad it is.")
    title = filled.text("title", line, TITLE_MAX)
    words, told = _words(filled, Status.INVESTIGATING, over=None)
    draft = Draft(
        title=title or _NO_TITLE,
        severity=severity,
        status=Status.INVESTIGATING,
        components=chosen,
        notice=told,
        mail=words.mail,
    )
    return Written(form, filled.errors, words, draft)


def read_update(
    n: Notifier, form: MultiDict[str, str], incident: Incident, components: Sequence[str]
) -> Written:
    """What a filled-in update form says. `components` are the incident's slugs."""
    filled = _filled(n, form)
    status = filled.choice("status", Status, incident.status, "Choose where it stands.")
    over = None if status.is_open else Over(incident.started_at, incident.resolved_at or filled.now)
    words, told = _words(filled, status, over=over)
    draft = Draft(
        title=incident.title,
        severity=incident.severity,
        status=status,
        components=components,
        notice=told,
        mail=words.mail,
        incident=incident,
    )
    return Written(form, filled.errors, words, draft)


def read_mail(
    n: Notifier, form: MultiDict[str, str], incident: Incident, update: Update
) -> Written:
    """What a filled-in form for a waiting mail says. `update` is the one it tells of."""
    filled = _filled(n, form)
    duration = update.notice.duration
    over = duration if isinstance(duration, Over) else None
    words, told = _words(filled, update.status, over=over)
    draft = Draft(
        title=incident.title,
        severity=incident.severity,
        status=update.status,
        components=(),
        notice=told,
        mail=words.mail,
        incident=incident,
    )
    return Written(form, filled.errors, words, draft)


def following(incident: Incident) -> list[Status]:
    """The states an update may put the incident into, in the order of an incident's life."""
    return [status for status in Status if status in NEXT[incident.status]]


def repeat_guard(form: MultiDict[str, str], actor: Actor) -> RepeatGuard | None:
    """The identity of a form, by which a double click is one request; None when it has none."""
    if not form.get(ONCE):
        return None
    content = repr(sorted((k, v) for k, v in form.items(multi=True) if k != CSRF_FIELD))
    return RepeatGuard(f"form of {actor.name}", _digest(form[ONCE]), _digest(content))


def _filled(n: Notifier, form: MultiDict[str, str]) -> Filled:
    return Filled(form, n.settings.site.zone, n.clock())


def _words(filled: Filled, status: Status, *, over: Over | None) -> tuple[Words, Notice]:
    """The fields that every form has, in the order of the page."""
    impact = filled.text("impact", paragraphs, IMPACT_MAX)
    expected = Expected()
    duration: Duration | None = over
    if over is None:
        expected = filled.expected()
        duration = filled.duration(expected)
    explanation = filled.text("explanation", paragraphs, EXPLANATION_MAX)
    next_update_by = None
    if status.is_open:
        next_update_by = filled.instant("next_update_by", "Say when customers hear from you next.")
    shown = Notice(
        impact or _NO_IMPACT, duration or NotKnown(), explanation or _NO_EXPLANATION, next_update_by
    )
    if "next_update_by" not in filled.errors:
        filled.check(
            lambda: notice(
                status=status,
                impact=shown.impact,
                duration=shown.duration,
                explanation=shown.explanation,
                next_update_by=next_update_by,
                now=filled.now,
            )
        )
    return Words(impact, expected, explanation, next_update_by, filled.mail_time()), shown


def _values_of(n: Notifier, told: Notice) -> Mapping[str, str]:
    zone = n.settings.site.zone
    mode, start, end = _duration_fields(told.duration)
    return {
        "impact": told.impact,
        "duration": mode,
        "duration_from": local_value(start, zone),
        "duration_until": local_value(end, zone),
        "explanation": told.explanation,
    }


def _duration_fields(duration: Duration) -> tuple[str, datetime | None, datetime | None]:
    match duration:
        case Between(start, end):
            return "between", start, end
        case LatestBy(end):
            return "by", None, end
        case _:
            return "unknown", None, None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _once() -> dict[str, str]:
    return {ONCE: secrets.token_urlsafe(16)}
