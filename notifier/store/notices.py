"""A notice as columns of a row, and as JSON where a mail got words of its own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from notifier.domain.notice import Between, Duration, LatestBy, Notice, NotKnown, Over


def split_duration(duration: Duration) -> tuple[str, datetime | None, datetime | None]:
    """(kind, start, end), from which `join_duration` makes the same duration again."""
    match duration:
        case Between(start, end):
            return "between", start, end
        case LatestBy(end):
            return "latest_by", None, end
        case NotKnown():
            return "unknown", None, None
        case Over(start, end):
            return "over", start, end


def join_duration(kind: str, start: datetime | None, end: datetime | None) -> Duration:
    """The duration that `split_duration` took apart."""
    if start and end:
        return Over(start, end) if kind == "over" else Between(start, end)
    return LatestBy(end) if end else NotKnown()


def to_json(notice: Notice) -> dict[str, Any]:
    """A notice as JSON values."""
    kind, start, end = split_duration(notice.duration)
    return {
        "impact": notice.impact,
        "duration": [kind, _text(start), _text(end)],
        "explanation": notice.explanation,
        "next_update_by": _text(notice.next_update_by),
    }


def from_json(stored: Mapping[str, Any]) -> Notice:
    """The notice that `to_json` wrote."""
    kind, start, end = stored["duration"]
    return Notice(
        impact=stored["impact"],
        duration=join_duration(kind, _instant(start), _instant(end)),
        explanation=stored["explanation"],
        next_update_by=_instant(stored["next_update_by"]),
    )


def _text(at: datetime | None) -> str | None:
    return at.isoformat() if at else None


def _instant(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
