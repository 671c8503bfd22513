"""However the words about alerts are ordered, repeated or cut into requests, it ends the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from notifier.domain.alerting import Word, is_firing, word
from notifier.domain.signal import Condition, Signal
from notifier.store import alerts as store
from notifier.store.alerts import Told
from notifier.store.db import Database, open_database
from notifier.store.schema_alerts import alerts, integrations

START = datetime(2026, 11, 22, 8, tzinfo=UTC)


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    path: Path = tmp_path_factory.mktemp("merge") / "notifier.db"
    database = open_database(f"sqlite:///{path}")
    with database.transaction() as connection:
        row = {"source": "canonical", "sealed": "", "networks": [], "options": {}}
        row |= {"severity": "major", "stale_seconds": 60, "created_at": START}
        connection.execute(integrations.insert(), [row | {"id": 1, "name": "a", "key_hash": "a"}])
    yield database
    database.close()


signals = st.builds(
    lambda key, condition, start, later, title: Signal(
        key=key,
        condition=condition,
        position=START + timedelta(minutes=start),
        at=START + timedelta(minutes=start + later),
        title=title,
    ),
    st.sampled_from("ab"),
    st.sampled_from(Condition),
    st.integers(0, 3),
    st.integers(0, 2),
    st.sampled_from(["one", "two"]),
)


def end_state(database: Database, told: Sequence[Sequence[Word]]) -> list[tuple[object, ...]]:
    with database.transaction() as connection:
        connection.execute(alerts.delete())
        for words in told:
            store.write(connection, [], [Told(1, START, words)])
        columns = ("key", "fired_at", "cleared_at", "acknowledged_at", "facts_at", "facts")
        found = connection.execute(select(*(alerts.c[c] for c in columns)).order_by("key"))
        return [tuple(row) for row in found]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data(), said=st.lists(signals, min_size=1, max_size=8))
def test_order_and_repetition_and_grouping_make_no_difference(
    scratch: Database, data: st.DataObject, said: list[Signal]
) -> None:
    words = [word(signal) for signal in said]
    again = data.draw(st.lists(st.sampled_from(words), max_size=6))
    mixed = data.draw(st.permutations([*words, *again]))
    cut = data.draw(st.integers(0, len(mixed)))
    one_by_one = [[each] for each in words]
    assert end_state(scratch, one_by_one) == end_state(scratch, [mixed[:cut], mixed[cut:]])


def fires(said: Sequence[tuple[Condition, int]]) -> bool:
    """What the merged row says after these words of one alert."""
    words = [word(Signal("k", c, at := START + timedelta(minutes=m), at, "t")) for c, m in said]
    return is_firing(max(w.fired_at for w in words), max(w.cleared_at for w in words))


F, R, A = Condition.FIRING, Condition.RESOLVED, Condition.ACKNOWLEDGED


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ([(F, 1)], True),
        ([(F, 1), (R, 1)], False),  # a tool whose end has the position of its start
        ([(F, 1), (R, 5)], False),  # a tool that only knows when something happened
        ([(R, 5), (F, 1)], False),  # the end came first
        ([(F, 1), (R, 5), (F, 3)], False),  # late "it still fires"
        ([(F, 1), (R, 5), (A, 4)], False),  # late "somebody has taken it"
        ([(F, 1), (R, 5), (F, 6)], True),  # it happened again
        ([(F, 6), (R, 5), (F, 1)], True),
        ([(A, 1)], True),  # who takes it saw it fire
        ([(R, 1)], False),
    ],
)
def test_an_alert_fires_exactly_while_its_newest_occurrence_is_not_over(
    said: list[tuple[Condition, int]], expected: bool
) -> None:
    assert fires(said) is expected
    assert fires([*reversed(said)]) is expected
    assert fires(said * 2) is expected
