"""`notifier work` as processes on a real PostgreSQL: shared, killed, restarted, left alone.

What the readers got stands in the sandbox's log; the ledger may only say less than that where
it says `unknown`.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import run_cli, server
from tests.queueing.cluster import Cluster, cluster, wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.postgres,
    pytest.mark.parametrize("database_url", ["postgresql"], indirect=True),
]
BATCH = 1_000


@pytest.fixture
def site(tmp_path: Path, database_url: str) -> Iterator[Cluster]:
    with cluster(tmp_path, database_url) as site:
        yield site


def test_two_workers_share_one_incident_and_each_reader_gets_one_mail(site: Cluster) -> None:
    site.add_customers(12 * BATCH)
    site.slow_mail(answers_per_second=4)
    seen: set[str] = set()
    with site.worker("one"), site.worker("two"):
        site.declare()

        def is_done() -> bool:
            seen.update(o for (o,) in site.query("SELECT lease_owner FROM batches") if o)
            return site.batch_states() == {"accepted": 12}

        assert wait_until(is_done, 30), site.batch_states()
    assert len(seen) == 2, "only one of them worked"
    mails = site.mails()
    assert len(mails) == 12 * BATCH
    assert max(mails.values()) == 1


def test_one_worker_is_killed_and_the_other_goes_on(site: Cluster) -> None:
    site.add_customers(20 * BATCH)
    site.slow_mail(answers_per_second=2)
    with site.worker("one") as doomed, site.worker("two"):
        site.declare()
        assert wait_until(lambda: site.batch_states()["sending"] == 2)
        doomed.kill()
        killed = time.monotonic()
        assert wait_until(lambda: site.batch_states()["unknown"], 60)
        taken_over = time.monotonic() - killed
        assert wait_until(lambda: site.batch_states() == {"accepted": 19, "unknown": 1}, 60)
        assert wait_until(lambda: not site.query("SELECT 1 FROM procrastinate_jobs"), 15)
    assert taken_over <= 45
    mails = site.mails()
    everybody = {f"heat{i}@example.com" for i in range(20 * BATCH)}
    states = dict(site.query("SELECT address, state FROM deliveries"))
    unknown = {address for address, state in states.items() if state == "unknown"}
    assert max(mails.values()) == 1, "somebody was told twice"
    assert set(states) == everybody
    assert len(unknown) == BATCH
    assert everybody - set(mails) <= unknown, "lost without a word"


def test_a_worker_that_is_asked_to_end_finishes_its_calls(site: Cluster) -> None:
    site.add_customers(20 * BATCH)
    site.slow_mail(answers_per_second=2)
    with site.worker("one", concurrency=2) as one:
        site.declare()
        assert wait_until(lambda: site.batch_states()["sending"] == 2)
        one.popen.send_signal(signal.SIGTERM)
        assert one.popen.wait(10) == 0
    states = site.batch_states()
    assert set(states) == {"accepted"}
    assert states["accepted"] < 20
    assert len(site.mails()) == states["accepted"] * BATCH
    assert site.query("SELECT name FROM nodes") == []
    assert "Traceback" not in one.output.read_text()


def test_a_post_is_not_delayed_by_a_running_fan_out(site: Cluster) -> None:
    site.add_customers(10 * BATCH)
    site.add_customers(1, "gas")
    site.slow_mail(answers_per_second=1)
    with site.worker("one", concurrency=2):
        site.declare()
        assert wait_until(lambda: site.batch_states()["sending"] == 2)
        declared = time.monotonic()
        site.declare("gas")
        assert len(site.box.wait_for(2, "x")) == 2
        assert time.monotonic() - declared < 1
        assert site.batch_states()["sending"] == 2, "the fan-out was over"


def test_what_was_declared_while_no_worker_ran_leaves_at_the_start(site: Cluster) -> None:
    site.add_customers(1)
    site.declare()
    assert site.box.messages() == []
    with site.worker("one"):
        started = time.monotonic()
        assert len(site.box.wait_for(1, "x")) == 1
        assert len(site.box.wait_for(1, "sendgrid")) == 1
        assert time.monotonic() - started < 2


def test_a_row_whose_ring_was_lost_is_found_by_the_sweep(site: Cluster) -> None:
    """So it is with a backup in which the jobs are older than the rows."""
    site.add_customers(1)
    site.declare()
    site.query("DELETE FROM procrastinate_jobs")
    with site.worker("one"):
        assert len(site.box.wait_for(1, "x")) == 1
        assert len(site.box.wait_for(1, "sendgrid")) == 1


def test_a_mail_leaves_when_it_is_due(site: Cluster) -> None:
    site.add_customers(1)
    with site.worker("one"):
        due = time.time() + 2
        site.declare(mail_after=2)
        assert len(site.box.wait_for(1, "x")) == 1
        assert site.box.messages("sendgrid") == []
        (mail,) = site.box.wait_for(1, "sendgrid")
    assert 0 <= mail["received_ns"] / 1e9 - due < 1.5


def test_a_mail_that_is_called_for_at_once_does_not_wait_for_its_time(site: Cluster) -> None:
    from notifier.services import waiting_mail

    site.add_customers(1)
    with site.worker("one"):
        site.declare(mail_after=3600)
        ((waiting,),) = site.query("SELECT id FROM dispatches WHERE lane = 'mail'")
        waiting_mail.send_now(site.n, waiting)
        assert len(site.box.wait_for(1, "sendgrid", seconds=2)) == 1


def test_serve_only_rings_and_leaves_the_delivery_to_the_workers(site: Cluster) -> None:
    site.add_customers(1)
    with server(site.folder, site.settings) as serving:
        site.declare()
        time.sleep(1.5)  # three sweeps of the embedded engine, if there were one
        assert site.box.messages() == []
        with site.worker("one"):
            assert len(site.box.wait_for(1, "x")) == 1
        assert serving.stop() == 0


def test_work_without_workers_to_be_is_refused(site: Cluster) -> None:
    settings = {**site.settings, "NOTIFIER_QUEUE": "embedded"}
    refused = run_cli("work", settings=settings, folder=site.folder)
    assert refused.returncode == 2
    assert "set NOTIFIER_QUEUE=distributed for `serve` and `work` alike" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
