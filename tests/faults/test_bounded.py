"""A part of the fault suite that is short enough for `make test`; the rest is `make faults`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from notifier.ports import Step
from tests.faults.__main__ import ALL, try_one
from tests.faults.report import Row
from tests.faults.site import open_site
from tests.faults.trial import Fault, Ground, Trial

pytestmark = pytest.mark.slow

#: Each for another reason: nothing sent that was not committed; a lost answer of X looked up; a
#: batch in flight named and not repeated; one disruption however often the button is pressed.
_CHOSEN = ("F1", "F3", "F5 mail.answered", "O2")
_SEED = 1


def test_each_step_of_the_route_is_reached() -> None:
    def run(ground: Ground) -> Iterator[Trial]:
        with open_site(ground) as site:
            told = site.say()
            yield site.conclude(told)
            for status in ("monitoring", "resolved"):
                told = site.prepare_next(told, status)
                site.declare(told)
                yield site.conclude(told)
            steps = site.node.steps
            missed = sorted(set(get_args(Step)) - steps)
            yield Trial(tries=0, broken=tuple(f"{step} was not reached" for step in missed))

    _must_be_good(try_one(Fault("steps", "", run, (1, 1)), "sqlite", _sqlite, tries=1, seed=_SEED))


@pytest.mark.parametrize("name", _CHOSEN)
def test_nothing_is_lost_and_nothing_said_twice(name: str) -> None:
    fault = next(fault for fault in ALL if fault.name == name)
    _must_be_good(try_one(fault, "sqlite", _sqlite, tries=1, seed=_SEED))


def _sqlite(folder: Path) -> str:
    return f"sqlite:///{folder / 'notifier.db'}"


def _must_be_good(row: Row) -> None:
    assert row.is_good, f"{row.verdict}: {row.as_json()}"
