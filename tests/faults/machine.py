"""`python -m tests.faults.machine`: play the state machine of delivery for as long as asked.

The machine and its promises are in tests/services/test_delivery_machine.py, which `make test`
runs for a few games.
"""

from __future__ import annotations

import argparse
import logging

from hypothesis import Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.services.test_delivery_machine import PLAY, Delivery


def main() -> None:
    """Raises what a broken promise raises, with the shortest game that breaks it."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.machine", description=__doc__)
    parser.add_argument("--games", type=int, default=200)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--hunt", action="store_true", help="end at the first game that breaks one")
    parser.add_argument("--seed", type=int)
    asked = parser.parse_args()
    logging.disable()  # what a game does is nobody's warning
    phases = [Phase.generate] if asked.hunt else list(Phase)
    how = settings(PLAY, max_examples=asked.games, stateful_step_count=asked.steps, phases=phases)
    machine = Delivery if asked.seed is None else seed(asked.seed)(Delivery)
    if asked.hunt:
        how = settings(how, database=None, report_multiple_bugs=False)
    run_state_machine_as_test(machine, settings=how)


if __name__ == "__main__":
    main()
