"""`python -m tests.bench [--quick] [--only NAME]`: print how fast we are beside our peers.

Ends by itself, with 0 when everything could be measured (a goal that is missed is shown, and is
no error), and with 1 when a measurement broke. BENCH_JSON=FILE also writes the rows there.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Callable, Iterator

from tests.bench import growth, hooks, mail_api, mail_smtp, posts, storm, workers
from tests.bench.report import Row, print_table, write_json
from tests.bench.workshop import FULL, QUICK, Sizes, Workshop, open_workshop, say

_MEASUREMENTS: dict[str, Callable[[Workshop], Iterator[Row]]] = {
    "posts": posts.measure,
    "sendgrid": mail_api.measure_speed,
    "smtp": mail_smtp.measure,
    "memory": mail_api.measure_memory,
    "workers": workers.measure,
    "growth": growth.measure,
    "hooks": hooks.measure,
    "storm": storm.measure,
}

#: Left out of a quick run, which would take longer than a minute with it, unless it is asked for.
_SLOW = "growth"


def main() -> int:
    """Measure, print, and say by the exit code whether anything broke."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller numbers, under a minute")
    parser.add_argument("--only", choices=_MEASUREMENTS, action="append", help="only this part")
    arguments = parser.parse_args()
    names = arguments.only or list(_MEASUREMENTS)
    if arguments.quick and not arguments.only:
        names.remove(_SLOW)
        say(f"{_SLOW} is left out; --quick --only {_SLOW} measures it")
    rows, broken = _measure(names, QUICK if arguments.quick else FULL)
    print_table(rows)
    print(f"\nLoad of this machine in the last minute: {os.getloadavg()[0]:.1f}")
    write_json(rows)
    if broken:
        print(f"Broken, so not in the table: {', '.join(broken)}", file=sys.stderr)
    return 1 if broken else 0


def _measure(names: list[str], sizes: Sizes) -> tuple[list[Row], list[str]]:
    """The rows, and the names of the measurements that broke."""
    rows: list[Row] = []
    broken: list[str] = []
    with open_workshop(sizes) as shop:
        for name in names:
            try:
                rows += _MEASUREMENTS[name](shop)
            except Exception:
                traceback.print_exc()
                broken.append(name)
                say(f"{name} broke")
    return rows, broken


if __name__ == "__main__":
    sys.exit(main())
