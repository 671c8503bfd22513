"""Six bugs that somebody could make one day, each put into a copy of this tree.

A suite that does not notice a removed commit proves nothing. Each bug is a replacement of text;
it fails loudly when the text is gone, and then whoever changed it moves the bug along.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import notifier

ROOT = Path(notifier.__file__).parents[1]
_PYTEST = ("-m", "pytest", "-q", "-x", "-p", "no:cacheprovider")
_MACHINE = ("-m", "tests.faults.machine", "--hunt", "--seed", "1")


_REPEATED = "        return None\n    fingerprint, update_id = found\n"


@dataclass(frozen=True, slots=True)
class Change:
    """One replacement. `before` stands exactly once in the file."""

    file: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Bug:
    """A bug, the cheapest part of the suite that sees it, and what that part then says."""

    name: str
    changes: Sequence[Change]
    check: Sequence[str]
    says: str


BUGS = (
    Bug(
        "a removed commit: the claim of a post is not on disk when X is called",
        [
            Change(
                "notifier/services/posting.py",
                "        return post\n",
                "        connection.rollback()\n        return post\n",
            )
        ],
        _MACHINE,
        "I3: sent before its claim was committed",
    ),
    Bug(
        "a removed fence: who was overtaken writes his outcome over a newer one",
        [
            Change(
                "notifier/store/posts.py",
                "            dispatches.c.fence == post.fence,\n",
                "",
            )
        ],
        (*_PYTEST, "tests/store/test_claims.py", "-k", "overtaken and sqlite"),
        "test_who_was_overtaken_on_a_post_writes_nothing",
    ),
    Bug(
        "resend on unknown: a batch in flight at a crash is simply sent again",
        [
            Change(
                "notifier/store/leases.py",
                '        "state": State.UNKNOWN,\n        "settled_at": now,',
                '        "state": State.PLANNED,\n        "settled_at": now,',
            ),
            Change(
                "notifier/store/leases.py",
                ".values(state=State.UNKNOWN, reason=_REASON)",
                ".values(state=State.PLANNED, reason=_REASON)",
            ),
        ],
        (*_PYTEST, "tests/services/test_mail_in_flight.py", "-k", "unknown and sqlite"),
        "test_a_batch_in_flight_when_its_sender_died_is_unknown_and_the_rest_goes_on",
    ),
    Bug(
        "a swallowed exception: no answer at all is taken for success",
        [
            Change(
                "notifier/channels/x.py",
                'return judge_silence("X", self._wire, failure)',
                'return Sent("")',
            )
        ],
        (*_PYTEST, "tests/channels/test_contract.py", "-k", "test_each_answer and no and x"),
        "test_each_answer_has_its_outcome[x-no answer]",
    ),
    Bug(
        "a cursor before the send: it moves past a reader who has no line in the ledger",
        [
            Change(
                "notifier/store/fanout.py",
                '"cursor_customer": customer,',
                '"cursor_customer": customer + 2,',
            )
        ],
        (*_PYTEST, "tests/services/test_delivering_mail.py", "-k", "every_reader and sqlite"),
        "test_every_reader_gets_one_mail",
    ),
    Bug(
        "missing dedupe: a request that came before is carried out again",
        [
            Change(
                "notifier/services/incidents.py",
                f"    if found is None:\n{_REPEATED}",
                f"    if not found or found:\n{_REPEATED}",
            )
        ],
        (*_PYTEST, "tests/services/test_repeats.py", "-k", "declaration and sqlite"),
        "test_the_repetition_of_a_declaration_answers_as_the_first",
    ),
)


def copy_with(bug: Bug, folder: Path) -> Path:
    """A copy of the tree that has the bug. Raises AssertionError when its place is gone."""
    tree = folder / "tree"
    skipped = shutil.ignore_patterns("__pycache__", "*.pyc")
    for name in ("notifier", "templates", "config", "tests"):
        shutil.copytree(ROOT / name, tree / name, ignore=skipped)
    shutil.copy(ROOT / "pyproject.toml", tree)
    for change in bug.changes:
        path = tree / change.file
        text = path.read_text()
        found = text.count(change.before)
        assert found == 1, f"{change.file} has {found} times, instead of once: {change.before!r}"
        path.write_text(text.replace(change.before, change.after))
    return tree


def run_check(bug: Bug, tree: Path) -> subprocess.CompletedProcess[str]:
    """Run the part of the suite that must see the bug, on the copy."""
    return subprocess.run(
        [sys.executable, *bug.check],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def is_caught(bug: Bug, run: subprocess.CompletedProcess[str]) -> bool:
    """Whether the suite failed, and for this bug's reason."""
    return run.returncode != 0 and bool(re.search(re.escape(bug.says), run.stdout + run.stderr))
