"""What the benchmark prints: one row per measurement, in a table and in a JSON file.

`ratio` is `ours / reference`. Where more is better (anything per second) that is how many times
better we are, and its goal says "at least"; where less is better (milliseconds, memory) the goal
says "at most". `ours`, `reference` and `ratio` are each the median over the rounds, and a
round's ratio is taken within the round; so the first two need not divide to the third.
"""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class Goal:
    """What a row is held against."""

    of: Literal["ratio", "ours"]
    sense: Literal["at least", "at most"]
    limit: float

    def __str__(self) -> str:
        return f"{self.of} {self.sense} {self.limit:g}"

    def is_met(self, row: Row) -> bool | None:
        """Whether `row` meets this goal; None where what is needed was not measured."""
        value = row.ratio if self.of == "ratio" else row.ours
        if value is None:
            return None
        return value >= self.limit if self.sense == "at least" else value <= self.limit


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement. `name` ends with the unit of `ours` and `reference`."""

    name: str
    method: str
    ours: float | None = None
    reference: float | None = None
    ratio: float | None = None
    goal: Goal | None = None
    #: Why there is no reference.
    skipped: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None without a goal or without a figure for it."""
        return self.goal.is_met(self) if self.goal else None

    def as_json(self) -> dict[str, object]:
        """The row as BENCH_JSON has it; what was not measured is null."""
        return {
            "name": self.name,
            "ours": self.ours,
            "reference": self.reference,
            "ratio": self.ratio,
            "goal": str(self.goal) if self.goal else None,
            "met": self.met,
        }


def compare(
    name: str,
    method: str,
    *,
    ours: Sequence[float],
    reference: Sequence[float],
    goal: Goal | None = None,
    skipped: str = "",
) -> Row:
    """The row of several rounds. `reference` is empty where the peer is not there."""
    ratios = [mine / theirs for mine, theirs in zip(ours, reference, strict=bool(reference))]
    return Row(
        name=name,
        method=method,
        ours=statistics.median(ours),
        reference=statistics.median(reference) if reference else None,
        ratio=statistics.median(ratios) if ratios else None,
        goal=goal,
        skipped=skipped,
    )


def print_table(rows: Sequence[Row]) -> None:
    """The table, and below it how each row was measured."""
    cells = [["", "ours", "reference", "ratio", "goal", "met"], *map(_cells, rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    for number, line in enumerate(cells):
        first, *others = [text.ljust(width) for text, width in zip(line, widths, strict=True)]
        print("  ".join([first, *others]).rstrip())
        if number == 0:
            print("-" * (sum(widths) + 2 * (len(widths) - 1)))
    print("\nratio = ours / reference, the median of the rounds' own ratios. How it was measured:")
    for row in rows:
        print(f"- {row.name}: {row.method}")


def write_json(rows: Sequence[Row]) -> None:
    """Write the rows to the file that BENCH_JSON names, if it names one."""
    if path := os.environ.get("BENCH_JSON"):
        Path(path).write_text(json.dumps([row.as_json() for row in rows], indent=1) + "\n")


def _cells(row: Row) -> list[str]:
    met = {True: "yes", False: "NO", None: ""}[row.met]
    return [
        row.name,
        _number(row.ours),
        f"skipped: {row.skipped}" if row.skipped else _number(row.reference),
        _number(row.ratio),
        str(row.goal or "none"),
        met,
    ]


def _number(value: float | None) -> str:
    if value is None:
        return ""
    if value >= 1_000:
        return f"{value:,.0f}"
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"
