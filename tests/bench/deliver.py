"""Process: declare a disruption in a database full of customers and send all its mail.

    python -m tests.bench.deliver DATABASE sendgrid|smtp PEER

The only thing that is not real is the provider at the address PEER. Prints one JSON object; the
time is that of the whole fan-out: rendering, encoding, ledger rows committed before each call
and marked after it.
"""

from __future__ import annotations

import json
import re
import resource
import sys
import time
from pathlib import Path

from notifier.cli.server import settle_memory
from notifier.domain.delivery import State
from notifier.services.mailing import MailRun
from notifier.store import ledger
from tests.bench.house import declare, open_notifier


def main(database: str, provider: str, peer: str) -> None:
    """Deliver, then say how many mails the ledger holds as accepted, and how long it took."""
    n = open_notifier(Path(database), provider=provider, peer=peer)
    dispatch_id = declare(n)
    settle_memory()  # as `notifier serve` and `notifier work` do
    started_ns = time.time_ns()
    MailRun(n).run()
    seconds = (time.time_ns() - started_ns) / 1e9
    peak_mb = _peak_mb()
    with n.db.read() as connection:
        states = ledger.count_states(connection, dispatch_id)
    if set(states) != {State.ACCEPTED}:
        sys.exit(f"the ledger does not say that every mail was accepted: {states}")
    print(
        json.dumps(
            {
                "mails": states[State.ACCEPTED],
                "seconds": seconds,
                "started_ns": started_ns,
                "peak_mb": peak_mb,
            }
        )
    )


def _peak_mb() -> float:
    """The most memory this process ever had, in units of 1,000,000 bytes.

    Not from getrusage where Linux can say it better: there a process also counts the memory of
    the one that started it (fs/exec.c, `setmax_mm_hiwater_rss`).
    """
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.search(r"VmHWM:\s+([0-9]+) kB", status.read_text())[1]) * 1024 / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


if __name__ == "__main__":
    main(*sys.argv[1:])
