"""Customers from a CSV file: every row is checked before the first one is written.

The file is read once. What passes is staged beside the database (`notifier.store.bulk`), so a
file of a million rows needs no more memory than one of a thousand.
"""

from __future__ import annotations

import csv
import difflib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO

from notifier.domain.audience import Customer, customer
from notifier.domain.text import Invalid
from notifier.ports import Notifier
from notifier.settings import Site
from notifier.store import bulk, people
from notifier.store.bulk import RowProblem, Staging

COLUMNS = ("external_id", "email", "name", "language", "time_zone", "components")
#: Who is told first. A file without it changes nobody's: a list from elsewhere must not silently
#: put those back who depend on it.
PRIORITY = "priority"

#: Rows per transaction: a declaration waits for the write lock no longer than one takes.
_PAGE = 2_000
#: Bytes. The longest row there can be is far below; a file without line ends is no CSV.
_LINE_MAX = 100_000

#: (what is being done, how much of it is done, how much there is)
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of a file: rows in it, rows that are wrong, customers written."""

    rows: int
    wrong: int
    written: int


def import_customers(
    n: Notifier,
    file: BinaryIO,
    *,
    on_problem: Callable[[RowProblem], None],
    on_progress: Progress,
    dry_run: bool = False,
    skip_bad_rows: bool = False,
) -> Imported:
    """Make or change the customers of a CSV file. Sends nothing to anybody.

    With a wrong row nothing is written, unless `skip_bad_rows`; with `dry_run` nothing ever is.
    `on_problem` is told of every wrong row, in the order of the file. Raises Invalid when the
    file as a whole cannot be read, naming the line.
    """
    with bulk.staging(n.db) as staging:
        rows, columns = _stage(n, file, staging, on_progress)
        staging.judge()
        wrong = _report(staging, on_problem)
        if dry_run or (wrong and not skip_bad_rows):
            return Imported(rows, wrong, 0)
        keep = () if PRIORITY in columns else ("wave",)
        written = _write(n, staging, keep, on_progress)
        return Imported(rows, wrong + _report(staging, on_problem), written)


def _stage(
    n: Notifier, file: BinaryIO, staging: Staging, on_progress: Progress
) -> tuple[int, Sequence[str]]:
    """Check and stage the rows; how many there are, and the columns."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    with n.db.read() as connection:
        known = {c.slug: c.id for c in people.list_components(connection)}
    read = _read(file)
    check = _Check(_header(read), known, n.settings.site)
    rows = 0
    while page := list(islice(read, _PAGE)):
        rows += len(page)
        checked = [check(line, values) for line, values in page]
        staging.add(
            [row for row in checked if not isinstance(row, RowProblem)],
            [row for row in checked if isinstance(row, RowProblem)],
        )
        on_progress("Checking", file.tell(), size)
    if not rows:
        raise Invalid("the file", "has a header and no rows")
    return rows, check.columns


def _report(staging: Staging, on_problem: Callable[[RowProblem], None]) -> int:
    """Tell of the problems; how many rows have one."""
    rows = last = 0
    for problem in staging.take_problems():
        rows += problem.line != last
        last = problem.line
        on_problem(problem)
    return rows


def _write(n: Notifier, staging: Staging, keep: Sequence[str], on_progress: Progress) -> int:
    first, last = staging.lines()
    if not last:
        return 0
    written = 0
    for line in range(first, last + 1, _PAGE):
        written += staging.write(line, line + _PAGE - 1, keep=keep, now=n.clock())
        on_progress("Writing", min(line + _PAGE, last) - first, last - first)
    return written


def _read(file: BinaryIO) -> Iterator[tuple[int, list[str]]]:
    """(line in which it begins, values) of the header and of each row."""
    reader = csv.reader(_lines(file), strict=True)
    try:
        while True:
            line = reader.line_num + 1
            values = next(reader, None)
            if values is None:
                break
            if values:
                yield line, values
    except csv.Error as error:
        raise Invalid(f"line {reader.line_num}", f"is not CSV: {error}") from None


def _lines(file: BinaryIO) -> Iterator[str]:
    number = 0
    while raw := file.readline(_LINE_MAX):
        number += 1
        if len(raw) == _LINE_MAX:
            raise Invalid(f"line {number}", f"is longer than {_LINE_MAX} bytes: this is no CSV")
        try:
            # Spreadsheets put a byte order mark before the first column's name.
            yield raw.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            raise Invalid(f"line {number}", 'is not UTF-8 text: save it as "CSV UTF-8"') from None


def _header(read: Iterator[tuple[int, list[str]]]) -> Sequence[str]:
    """The names of the columns, in the order of the file. Raises Invalid."""
    for _, header in read:
        return _columns([name.strip() for name in header])
    raise Invalid("the file", "is empty")


def _columns(names: Sequence[str]) -> Sequence[str]:
    for name in names:
        if name not in (*COLUMNS, PRIORITY):
            raise Invalid("line 1", f"is not the header: {_wrong_column(name)}")
    for name in dict.fromkeys((*COLUMNS, *names)):
        if names.count(name) != 1:
            how = "is missing" if name not in names else "stands there twice"
            raise Invalid("line 1", f"is not the header: the column {name!r} {how}")
    return names


def _wrong_column(name: str) -> str:
    if any(separator in name for separator in ";\t|"):
        return "columns must be separated by commas"
    close = difflib.get_close_matches(name[:60].lower(), (*COLUMNS, PRIORITY), n=1)
    wanted = f"did you mean {close[0]!r}?" if close else f"it must be {','.join(COLUMNS)}"
    return f"there is no column {name[:60]!r}; {wanted}"


@dataclass(frozen=True, slots=True)
class _Check:
    """Turns values into a customer, or into what is wrong with them."""

    columns: Sequence[str]
    known: Mapping[str, int]
    site: Site

    def __call__(
        self, line: int, values: Sequence[str]
    ) -> tuple[int, Customer, list[int]] | RowProblem:
        if len(values) != len(self.columns):
            said = f"has {len(values)} values, the header {len(self.columns)}"
            return RowProblem(line, "row", said)
        given = {name: value.strip() for name, value in zip(self.columns, values, strict=True)}
        try:
            made = self._customer(given)
            return line, made, [self._component(slug) for slug in made.components]
        except Invalid as error:
            return RowProblem(line, error.field, error.reason)

    def _customer(self, given: Mapping[str, str]) -> Customer:
        slugs = (slug.strip() for slug in given["components"].split(";"))
        return customer(
            external_id=given["external_id"],
            email=given["email"],
            name=given["name"],
            language=given["language"] or self.site.language,
            time_zone=given["time_zone"] or self.site.time_zone,
            components=tuple(slug for slug in slugs if slug),
            priority=_truth(PRIORITY, given.get(PRIORITY, "")),
        )

    def _component(self, slug: str) -> int:
        if slug not in self.known:
            raise Invalid("components", f"names no known component: {slug}")
        return self.known[slug]


def _truth(field: str, value: str) -> bool:
    """Spreadsheets write TRUE; an empty cell is false. Raises Invalid."""
    if value.lower() not in ("true", "false", ""):
        raise Invalid(field, f"must be true or false, not {value[:40]!r}")
    return value.lower() == "true"
