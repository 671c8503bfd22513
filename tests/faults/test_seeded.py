"""The suite sees each of six bugs that are put into a copy of the tree."""

from pathlib import Path

import pytest

from tests.faults.seeded import BUGS, Bug, copy_with, is_caught, run_check

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name.split(":")[0].replace(" ", "-"))
def test_the_suite_sees_the_bug(bug: Bug, tmp_path: Path) -> None:
    run = run_check(bug, copy_with(bug, tmp_path))
    assert is_caught(bug, run), run.stdout[-3000:] + run.stderr[-3000:]
