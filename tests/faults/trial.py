"""What one try of a fault showed, and what a fault of the suite is."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

Kind = Literal["sqlite", "postgresql"]
BOTH: tuple[Kind, ...] = ("sqlite", "postgresql")

#: What docs/guarantees.md promises: delivery goes on this long after a restart, at most.
RESUME_SECONDS = 45.0


@dataclass(frozen=True, slots=True)
class Trial:
    """One try. Everything but `unknown`, which the product says, is from the referee's log.

    `mails_allowed`: doubled mails that a fault of this kind may cause (one batch per kill).
    `recovery`: seconds from the restart or the heal to the last message that was missing then.
    `broken`: further expectations that were not met, one sentence each.
    """

    lost: int = 0
    doubled_posts: int = 0
    doubled_mails: int = 0
    mails_allowed: int = 0
    unexpected: int = 0
    unknown: int = 0
    unknown_allowed: int = 0
    recovery: float | None = None
    broken: tuple[str, ...] = ()
    tries: int = 1

    @property
    def is_good(self) -> bool:
        """Whether every bound holds."""
        return not (
            self.lost
            or self.doubled_posts
            or self.unexpected
            or self.broken
            or self.doubled_mails > self.mails_allowed
            or self.unknown > self.unknown_allowed
            or (self.recovery or 0) > RESUME_SECONDS
        )


#: From a folder to the address of an empty database.
Maker = Callable[[Path], str]


@dataclass(frozen=True, slots=True)
class Ground:
    """Where one fault is tried: a folder and a database of its own, and its luck."""

    folder: Path
    kind: Kind
    url: str
    random: random.Random
    tries: int
    #: Makes another empty database of this kind.
    make: Maker

    def again(self, number: int) -> Ground:
        """A folder and a database of its own for one try."""
        folder = self.folder / f"try{number}"
        folder.mkdir()
        return replace(self, folder=folder, url=self.make(folder), tries=1)


@dataclass(frozen=True, slots=True)
class Fault:
    """One row of the table. `tries` are those of `make faults` and of `make faults-full`.

    `missing` says what this machine lacks for it ("" when nothing).
    """

    name: str
    what: str
    run: Callable[[Ground], Iterator[Trial]]
    tries: tuple[int, int]
    kinds: Sequence[Kind] = BOTH
    missing: Callable[[], str] = lambda: ""
