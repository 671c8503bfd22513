"""A CSV of customers: every wrong row is named, and a wrong file changes nothing."""

from __future__ import annotations

import io
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from notifier.domain.audience import Customer, customer
from notifier.domain.text import Invalid
from notifier.ports import Notifier
from notifier.services import audience, unsubscribing
from notifier.services.importing import COLUMNS, Imported, import_customers
from notifier.store.bulk import RowProblem
from notifier.store.schema import components, customer_components, customers
from tests.fakes import FakeClock

HEADER = ",".join(COLUMNS)


@pytest.fixture(autouse=True)
def used(n: Notifier) -> None:
    for slug in ("heat", "water"):
        audience.put_component(n, slug_=slug, name=slug.title())


def run(n: Notifier, content: str | bytes, **options: bool) -> tuple[Imported, list[RowProblem]]:
    problems: list[RowProblem] = []
    raw = content if isinstance(content, bytes) else content.encode()
    done = import_customers(
        n,
        io.BytesIO(raw),
        on_problem=problems.append,
        on_progress=lambda _doing, done, total: _check_progress(done, total),
        **options,
    )
    return done, problems


def _check_progress(done: int, total: int) -> None:
    assert 0 <= done <= total


def table(*rows: str) -> str:
    return "\n".join([HEADER, *rows])


def everybody(n: Notifier) -> dict[str, tuple[Any, ...]]:
    """external id → (email, name, language, time zone, components)"""
    with n.db.read() as connection:
        uses: dict[int, set[str]] = {}
        for customer_id, slug in connection.execute(
            select(customer_components.c.customer_id, components.c.slug).join(components)
        ):
            uses.setdefault(customer_id, set()).add(slug)
        rows = connection.execute(select(customers)).all()
    return {
        r.external_id: (r.email, r.name, r.language, r.time_zone, uses.get(r.id, set()))
        for r in rows
    }


def test_rows_become_customers(n: Notifier) -> None:
    done, problems = run(
        n,
        table(
            "c1,Amina@Example.COM,Amina Yusuf,ur,Asia/Karachi,heat;water",
            'c2,b@example.com,"Bakery, Mill Street",en,UTC,heat',
            "c3,c@example.com,,,,",
        ),
    )
    assert problems == []
    assert done == Imported(rows=3, wrong=0, written=3)
    assert everybody(n) == {
        "c1": ("Amina@example.com", "Amina Yusuf", "ur", "Asia/Karachi", {"heat", "water"}),
        "c2": ("b@example.com", "Bakery, Mill Street", "en", "UTC", {"heat"}),
        "c3": ("c@example.com", "", "en", "Asia/Karachi", set()),
    }


def test_columns_come_in_any_order_and_a_spreadsheet_s_file_is_read(n: Notifier) -> None:
    content = "email,external_id,components,time_zone,language,name\r\n"
    content += 'a@example.com, c1 ," heat ; water ;",UTC,en,"Amina ""Mina"" Yusuf"\r\n\r\n'
    done, problems = run(n, content.encode("utf-8-sig"))
    assert (done.written, problems) == (1, [])
    assert everybody(n) == {
        "c1": ("a@example.com", 'Amina "Mina" Yusuf', "en", "UTC", {"heat", "water"})
    }


def test_importing_again_changes_what_changed(n: Notifier, clock: FakeClock) -> None:
    run(n, table("c1,a@example.com,Amina,ur,UTC,heat;water", "c2,b@example.com,B,en,UTC,heat"))
    clock.move(days=1)
    run(n, table("c1,new@example.com,Amina,en,UTC,water"))
    assert everybody(n) == {
        "c1": ("new@example.com", "Amina", "en", "UTC", {"water"}),
        "c2": ("b@example.com", "B", "en", "UTC", {"heat"}),
    }
    with n.db.read() as connection:
        row = connection.execute(select(customers).where(customers.c.external_id == "c1")).one()
    assert row.updated_at - row.created_at == clock.now - row.created_at
    assert (row.updated_at - row.created_at).days == 1


def test_who_is_told_first_is_said_in_a_column_of_its_own(n: Notifier) -> None:
    def first() -> set[str]:
        with n.db.read() as connection:
            query = select(customers.c.external_id).where(customers.c.wave == 0)
            return set(connection.scalars(query))

    rows = [f"c{i},{i}@example.com,,,,heat" for i in range(4)]
    given = ("true", "false", "", "TRUE")
    marked = "\n".join(f"{row},{mark}" for row, mark in zip(rows, given, strict=True))
    done, problems = run(n, f"{HEADER},priority\n{marked}")
    assert (done.written, problems) == (4, [])
    assert first() == {"c0", "c3"}
    run(n, table(*rows, "c4,4@example.com,,,,heat"))
    assert first() == {"c0", "c3"}, "a list that does not say it changes nobody"
    run(n, f"{HEADER},priority\n{rows[0]},false\n{rows[1]},true")
    assert first() == {"c1", "c3"}
    _, wrong = run(n, f"{HEADER},priority\n{rows[0]},yes")
    assert wrong == [RowProblem(2, "priority", "must be true or false, not 'yes'")]


def test_who_left_stays_away_when_imported_again(n: Notifier) -> None:
    content = table("c1,a@example.com,Amina,ur,UTC,heat")
    run(n, content)
    with n.db.read() as connection:
        customer_id = connection.scalars(select(customers.c.id)).one()
    token = unsubscribing.unsubscribe_links(n)(customer_id).rpartition("/")[2]
    assert unsubscribing.unsubscribe(n, token) == "a@example.com"
    run(n, content)
    with n.db.read() as connection:
        assert connection.scalars(select(customers.c.unsubscribed_at)).one() is not None


WRONG = table(
    "c1,Zed@EXAMPLE.com,,,,heat",  # line 2: another customer's address
    "c2,c2@example.com,,en,,heat",  # right
    'c3,c3@example.com,"two',  # lines 4 and 5
    'lines",en,,heat',
    "c4,c4@example.com,,en,UTC,heat;gas",
    "c5,nobody,,,,",
    "c6,c6@example.com,,English,,",
    "c7,c7@example.com,,,Karachi,",
    "c8,C2@EXAMPLE.com,,,,",
    "c2,c9@example.com,,,,",
    "c10,c10@example.com",
    "c11,c11@example.com,,,,,more",
    ",c12@example.com,,,,",
    "c13,c13@example.com,,,,Heat",
    "c14,c14@example.com,=cmd|'/C calc'!A0,,,water",  # right: only text to us
)
FOUND = [
    (2, "email", "Zed@example.com is already the address of customer old"),
    (4, "name", "must be one line"),
    (6, "components", "names no known component: gas"),
    (7, "email", "is not an e-mail address"),
    (8, "language", "must be a language tag"),
    (9, "time_zone", "must be an IANA time zone"),
    (10, "email", "stands in line 3 already"),
    (11, "external_id", "c2 stands in line 3 already"),
    (12, "row", "has 2 values, the header 6"),
    (13, "row", "has 7 values, the header 6"),
    (14, "external_id", "is missing"),
    (15, "components", "small letters"),
]


@pytest.fixture
def old(n: Notifier) -> None:
    run(n, table("old,zed@example.com,Zed,en,UTC,heat"))


def compare(problems: Sequence[RowProblem]) -> None:
    assert [(p.line, p.field) for p in problems] == [(line, field) for line, field, _ in FOUND]
    for problem, (_, _, sentence) in zip(problems, FOUND, strict=True):
        assert sentence in problem.message


@pytest.mark.usefixtures("old")
def test_every_wrong_row_is_named_and_nothing_is_written(n: Notifier) -> None:
    before = everybody(n)
    done, problems = run(n, WRONG)
    compare(problems)
    assert done == Imported(rows=14, wrong=12, written=0)
    assert everybody(n) == before


@pytest.mark.usefixtures("old")
def test_wrong_rows_can_be_left_out(n: Notifier) -> None:
    done, problems = run(n, WRONG, skip_bad_rows=True)
    compare(problems)
    assert done == Imported(rows=14, wrong=12, written=2)
    assert set(everybody(n)) == {"old", "c2", "c14"}


@pytest.mark.usefixtures("old")
def test_a_dry_run_says_the_same_and_writes_nothing(n: Notifier) -> None:
    before = everybody(n)
    done, problems = run(n, WRONG, dry_run=True, skip_bad_rows=True)
    compare(problems)
    assert done == Imported(rows=14, wrong=12, written=0)
    assert run(n, table("c1,a@example.com,,,,heat"), dry_run=True)[0] == Imported(1, 0, 0)
    assert everybody(n) == before


@pytest.mark.parametrize(
    ("content", "field", "sentence"),
    [
        (b"", "the file", "is empty"),
        (b"\n\n", "the file", "is empty"),
        (HEADER.encode(), "the file", "has a header and no rows"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "line 1", "is not UTF-8 text"),
        ("external_id,email".encode("utf-16"), "line 1", "is not UTF-8 text"),
        (table("c1,a@example.com,Réal,,,").encode("latin-1"), "line 2", "is not UTF-8 text"),
        (HEADER.replace(",", ";").encode(), "line 1", "must be separated by commas"),
        (HEADER.replace(",", "\t").encode(), "line 1", "must be separated by commas"),
        (HEADER.replace("email", "e-mail").encode(), "line 1", "'e-mail'; did you mean 'email'?"),
        (HEADER.replace("email", "Email").encode(), "line 1", "'Email'; did you mean 'email'?"),
        (HEADER.replace(",components", "").encode(), "line 1", "'components' is missing"),
        ((HEADER + ",email").encode(), "line 1", "'email' stands there twice"),
        ((HEADER + ",").encode(), "line 1", "there is no column ''"),
        (b"c1,a@example.com,A,en,UTC,heat\n", "line 1", "it must be external_id,email,"),
        (table('c1,"a@example.com,A,en,UTC,heat').encode(), "line 2", "is not CSV"),
        (table('c1,"a"b@example.com,A,en,UTC,heat').encode(), "line 2", "is not CSV"),
        (table("c1,a@example.com,A,en,UTC,heat\rc2,b").encode(), "line 2", "is not CSV"),
        (b"x" * 200_000, "line 1", "is longer than 100000 bytes"),
        ((HEADER + "\n" + "x" * 200_000).encode(), "line 2", "is longer than 100000 bytes"),
        (b"\x00" * 100, "line 1", "is not the header"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_its_line(
    n: Notifier, content: bytes, field: str, sentence: str
) -> None:
    with pytest.raises(Invalid) as caught:
        run(n, content)
    assert caught.value.field == field
    assert sentence in caught.value.reason
    assert everybody(n) == {}


def test_the_next_import_starts_anew_after_one_that_was_refused(n: Notifier) -> None:
    with pytest.raises(Invalid):
        run(n, table("c1,a@example.com,A,en,UTC,heat", 'c2,"'))
    done, problems = run(n, table("c1,a@example.com,A,en,UTC,heat"))
    assert (done.written, problems) == (1, [])


def test_more_rows_than_one_page_are_all_written(n: Notifier) -> None:
    rows = [f"c{i},c{i}@example.com,,,,heat" for i in range(4_500)]
    rows[3_000] = "c1,x@example.com,,,,heat"
    done, problems = run(n, table(*rows), skip_bad_rows=True)
    assert done == Imported(rows=4_500, wrong=1, written=4_499)
    assert [p.line for p in problems] == [3_002]
    assert len(everybody(n)) == 4_499


def test_nobody_waits_for_an_import(n: Notifier) -> None:
    """Between any two steps the database can be written by others."""
    written = []

    def write_meanwhile(doing: str, _done: int, _total: int) -> None:
        slug = f"made-while-{doing.lower()}"
        thread = threading.Thread(
            target=lambda: written.append(audience.put_component(n, slug_=slug, name="x").slug)
        )
        thread.start()
        thread.join(5)

    rows = [f"c{i},c{i}@example.com,,,,heat" for i in range(10)]
    file = io.BytesIO(table(*rows).encode())
    import_customers(n, file, on_problem=print, on_progress=write_meanwhile)
    assert written == ["made-while-checking", "made-while-writing"]


def test_an_address_taken_between_checking_and_writing_is_a_problem(n: Notifier) -> None:
    problems: list[RowProblem] = []
    rows = [f"c{i},c{i}@example.com,,,,heat" for i in range(2_500)]

    def take(doing: str, _done: int, _total: int) -> None:
        if doing == "Writing" and not problems:
            audience.put_customer(n, thief("c2400@example.com"))

    done = import_customers(
        n, io.BytesIO(table(*rows).encode()), on_problem=problems.append, on_progress=take
    )
    assert done == Imported(rows=2_500, wrong=1, written=2_499)
    assert [(p.line, p.field) for p in problems] == [(2_402, "email")]
    assert "customer thief" in problems[0].message


def thief(email: str) -> Customer:
    return customer(
        external_id="thief",
        email=email,
        name="",
        language="en",
        time_zone="UTC",
        components=(),
    )


cells = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    ["c1", "a@example.com", "heat", "heat;water", "en", "UTC", '"', '""', ";", "\x00"]
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=st.lists(st.lists(cells, max_size=8), max_size=6), junk=st.binary(max_size=20))
def test_whatever_the_file_holds_it_is_imported_or_refused(
    n: Notifier, rows: list[list[str]], junk: bytes
) -> None:
    content = table(*(",".join(row) for row in rows)).encode() + junk
    with suppress(Invalid):  # the file as a whole cannot be read
        done, problems = run(n, content, skip_bad_rows=True)
        assert done.written + done.wrong == done.rows
        assert len({p.line for p in problems}) == done.wrong
