"""PostgreSQL plans by its statistics, which know nothing of a mail that has only just begun.

Taken for a mail without readers, it is read as a whole where one reader, or one page, is wanted.
"""

from __future__ import annotations

from time import sleep

import pytest
from sqlalchemy import text

from notifier.app import build
from notifier.domain.delivery import State
from notifier.ports import Notifier
from notifier.services import audience
from notifier.services.mailing import MailRun
from notifier.settings import Settings
from notifier.store.db import Database
from tests.fakes import FakeMail, FakePosts
from tests.services.saying import declare, states

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.parametrize("database_url", ["postgresql"], indirect=True),
]

READERS = 2_000
#: Each row of a mail is read when it is claimed and when it is marked, and looked for before that.
#: It came to 3.8 a reader; with plans for the values at hand to 16, and growing with the mail.
AT_MOST_READ = 6 * READERS

ADD_CUSTOMERS = text("""
INSERT INTO customers (external_id, email, email_key, name, language, time_zone,
                       created_at, updated_at)
SELECT 'c' || i, i || '@example.com', i || '@example.com', '', 'en', 'UTC', now(), now()
FROM generate_series(1, :count) AS i
""")
ADD_THEIR_USE = text(
    "INSERT INTO customer_components (customer_id, component_id) SELECT id, :heat FROM customers"
)
OTHERS = text(
    "SELECT pid FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    " AND backend_type = 'client backend'"
)
ROWS_READ = text("""
SELECT (SELECT seq_tup_read FROM pg_stat_user_tables WHERE relname = 'deliveries')
     + (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE relname = 'deliveries')
""")


@pytest.fixture
def n(settings: Settings, database: Database) -> Notifier:
    """Readers who have been told of five disruptions, of which the statistics know."""
    n = build(settings, posts={"x": FakePosts()}, mail=FakeMail(batch_size=100), database=database)
    heat = audience.put_component(n, slug_="heat", name="Heat")
    with database.transaction() as connection:
        connection.execute(ADD_CUSTOMERS, {"count": READERS})
        connection.execute(ADD_THEIR_USE, {"heat": heat.id})
    for _ in range(5):
        declare(n)
        MailRun(n).run()
    alone = database.engine.execution_options(isolation_level="AUTOCOMMIT")
    with alone.connect() as connection:
        connection.execute(text("VACUUM (ANALYZE)"))
    return n


def rows_read(database: Database) -> int:
    """Rows of the ledger that were read so far, which a connection tells before it has ended."""
    database.close()
    alone = database.engine.execution_options(isolation_level="AUTOCOMMIT")
    with alone.connect() as connection:
        while connection.scalars(OTHERS).first():
            sleep(0.01)
        return int(connection.scalars(ROWS_READ).one())


def test_a_mail_reads_each_line_of_the_ledger_a_few_times_however_new_it_is(n: Notifier) -> None:
    before = rows_read(n.db)
    said = declare(n)
    MailRun(n).run()
    assert states(n, said) == {State.ACCEPTED: READERS}
    assert rows_read(n.db) - before < AT_MOST_READ


def test_who_is_changed_during_a_mail_is_looked_up_and_not_searched_for(n: Notifier) -> None:
    run = MailRun(n)
    declare(n)
    with n.db.transaction() as connection:
        connection.execute(text("UPDATE customers SET updated_at = now() + interval '1 hour'"))
    before = rows_read(n.db)
    run.run()
    assert rows_read(n.db) - before < AT_MOST_READ
