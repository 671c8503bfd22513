"""The referee: what the providers' log says, beside what should stand in it.

Nothing of the product is asked here. The log of the sandbox was written by another process,
line by line before the sender was answered; what is missing in it was not sent, what stands in
it twice was sent twice, and what nobody expected was sent to somebody who should have had peace.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

#: Stands in the impact of every update, which is the first sentence of its post and its mails.
_MARK = re.compile(r"\bmark-[0-9a-z]+-end\b")
NO_MARK = "no mark"


def mark(number: int, kind: str = "d") -> str:
    """Words by which every message of one update is known again."""
    return f"mark-{kind}{number}-end"


def find_mark(text: str) -> str:
    """The mark in a message; `NO_MARK` when it has none."""
    found = _MARK.search(text)
    return found.group() if found else NO_MARK


@dataclass(frozen=True, slots=True)
class Expected:
    """One update: it is posted once, and mailed once to each of `readers`."""

    mark: str
    readers: frozenset[str]
    posts: int = 1


@dataclass(frozen=True, slots=True)
class Finding:
    """What the log says of one update. The counts of doubled ones are of those too many."""

    missing_posts: int
    doubled_posts: int
    missing: frozenset[str]
    doubled: Mapping[str, int]
    unexpected: tuple[str, ...]
    #: When the last message that was expected arrived, in `time.time_ns()`; 0 when none did.
    last_ns: int

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return not self.missing and not self.missing_posts

    @property
    def doubled_mails(self) -> int:
        """Mails too many."""
        return sum(self.doubled.values())


@dataclass(slots=True)
class Referee:
    """Reads the log of accepted messages as it grows, and remembers who got what."""

    posts: Counter[str] = field(default_factory=Counter)
    mails: dict[str, Counter[str]] = field(default_factory=dict)
    last_ns: dict[str, int] = field(default_factory=dict)

    def read(self, messages: Iterable[Mapping[str, Any]]) -> None:
        """Take note of messages that were not read before."""
        for message in messages:
            key = find_mark(message["text"] or "")
            self.last_ns[key] = max(self.last_ns.get(key, 0), message["received_ns"])
            if message["service"] == "x":
                self.posts[key] += 1
            else:
                self.mails.setdefault(key, Counter())[message["to"].lower()] += 1

    def judge(self, expected: Expected) -> Finding:
        """Missing, doubled and unexpected messages of one update."""
        mails = self.mails.get(expected.mark, Counter())
        posts = self.posts[expected.mark]
        return Finding(
            missing_posts=max(0, expected.posts - posts),
            doubled_posts=max(0, posts - expected.posts),
            missing=expected.readers - set(mails),
            doubled={who: count - 1 for who, count in mails.items() if count > 1},
            unexpected=tuple(sorted(set(mails) - expected.readers)),
            last_ns=self.last_ns.get(expected.mark, 0),
        )

    def strangers(self, expected: Sequence[Expected]) -> tuple[str, ...]:
        """Marks of messages that belong to no update which anybody published."""
        known = {one.mark for one in expected}
        return tuple(sorted((set(self.posts) | set(self.mails)) - known))
