"""The table of a run, and the same as JSON."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.faults.trial import Fault, Trial

_COLUMNS = (
    ("fault", "<"),
    ("database", "<"),
    ("tries", ">"),
    ("lost", ">"),
    ("posts twice", ">"),
    ("mails twice (bound)", ">"),
    ("unknown (bound)", ">"),
    ("back after p50 / p99", ">"),
    ("verdict", "<"),
)


@dataclass(frozen=True, slots=True)
class Row:
    """What became of all tries of one fault on one kind of database."""

    fault: Fault
    database: str
    trials: Sequence[Trial]
    #: Why it could not be tried, or how the harness itself failed; "" when all went well.
    skipped: str = ""
    failed: str = ""

    @property
    def is_good(self) -> bool:
        """Whether every bound holds. What was skipped breaks none, and proves nothing."""
        was_tried = bool(self.skipped) or self.total("tries") > 0
        return not self.failed and was_tried and all(trial.is_good for trial in self.trials)

    @property
    def verdict(self) -> str:
        """One word, or what is wrong."""
        if self.skipped:
            return f"skipped: {self.skipped}"
        if self.failed:
            return f"BROKEN: {self.failed}"
        if self.is_good:
            return "ok"
        if not self.total("tries"):
            return "BROKEN: it came to no try"
        said = dict.fromkeys(sentence for trial in self.trials for sentence in trial.broken)
        return "BROKEN" + (f": {'; '.join(said)}" if said else "")

    def total(self, name: str) -> int:
        """Sum of one of the trials' numbers."""
        return sum(getattr(trial, name) for trial in self.trials)

    def recovery(self, share: float) -> float | None:
        """Seconds within which this share of the tries was back; None when none was measured."""
        found = sorted(t.recovery for t in self.trials if t.recovery is not None)
        return found[min(len(found) - 1, int(share * len(found)))] if found else None

    def cells(self) -> list[str]:
        """The row as text."""
        p50, p99 = self.recovery(0.5), self.recovery(0.99)
        return [
            self.fault.name,
            self.database,
            str(self.total("tries")),
            str(self.total("lost")),
            str(self.total("doubled_posts")),
            f"{self.total('doubled_mails')} ({self.total('mails_allowed')})",
            f"{self.total('unknown')} ({self.total('unknown_allowed')})",
            "" if p50 is None or p99 is None else f"{p50:.1f} s / {p99:.1f} s",
            self.verdict,
        ]

    def as_json(self) -> dict[str, Any]:
        """The row with all its numbers."""
        sums = ("tries", "lost", "doubled_posts", "doubled_mails", "mails_allowed", "unexpected")
        return {
            "fault": self.fault.name,
            "what": self.fault.what,
            "database": self.database,
            **{name: self.total(name) for name in (*sums, "unknown", "unknown_allowed")},
            "recovery_p50_seconds": self.recovery(0.5),
            "recovery_p99_seconds": self.recovery(0.99),
            "tried": not self.skipped,
            "verdict": self.verdict,
        }


def print_table(rows: Sequence[Row]) -> None:
    """All rows under their heads, what each fault is, and which of them were not tried at all."""
    lines = [[name for name, _ in _COLUMNS], *(row.cells() for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(_COLUMNS) - 1)]
    for line in lines:
        cells = zip(line, _COLUMNS, [*widths, 0], strict=True)
        print("  ".join(f"{text:{side}{width}}" for text, (_, side), width in cells).rstrip())
    print()
    for fault in dict.fromkeys(row.fault for row in rows):
        print(f"{fault.name}: {fault.what}")
    untried = [row for row in rows if row.skipped]
    print(f"\n{len(rows) - len(untried)} of {len(rows)} rows were tried")
    for row in untried:
        print(f"NOT TRIED: {row.fault.name} on {row.database}: {row.skipped}")


def write_json(rows: Sequence[Row], *, seed: int, seconds: float) -> None:
    """Where FAULTS_JSON names a file, write everything there."""
    path = os.environ.get("FAULTS_JSON")
    if not path:
        return
    document = {
        "seed": seed,
        "seconds": round(seconds, 1),
        "python": platform.python_version(),
        "system_sqlite": sqlite3.sqlite_version,
        "rows": [row.as_json() for row in rows],
    }
    Path(path).write_text(json.dumps(document, indent=2) + "\n")
