"""PostgreSQL takes a page by walking the index, however many readers there are behind it.

Left to itself it joins the whole audience for each page: with 100,000 customers half a second
for 1,000 of them, while no other worker can go on (store/postgres.py, `asked_of_each`).
"""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import event, text

from notifier.ports import Notifier
from notifier.services import audience
from tests.fakes import FakeMail
from tests.services.saying import declare, deliver

pytestmark = [
    pytest.mark.postgres,
    pytest.mark.parametrize("database_url", ["postgresql"], indirect=True),
]
CUSTOMERS = 20_000
ADD = text("""
WITH added AS (
    INSERT INTO customers (external_id, email, email_key, name, language, time_zone,
                           created_at, updated_at)
    SELECT i, i || '@example.com', i || '@example.com', '', 'en', 'UTC', :now, :now
    FROM generate_series(1, :count) AS i RETURNING id
)
INSERT INTO customer_components (customer_id, component_id) SELECT id, :component FROM added
""")


def test_a_page_is_a_walk_along_the_index_and_nothing_is_sorted_or_hashed(
    n: Notifier, mail: FakeMail
) -> None:
    made = audience.put_component(n, slug_="heat", name="Heat")
    with n.db.transaction() as connection:
        given = {"count": CUSTOMERS, "component": made.id, "now": n.clock()}
        connection.execute(ADD, given)
        connection.execute(text("ANALYZE"))
    mail.batch_size = 5_000
    pages = []

    def remember(_c: Any, _cursor: Any, sql: str, given: Any, _context: Any, _many: bool) -> None:
        if sql.startswith("INSERT INTO deliveries"):
            pages.append((sql, given))

    event.listen(n.db.engine, "before_cursor_execute", remember)
    declare(n)
    deliver(n)
    assert len(mail.sent) == CUSTOMERS
    sql, given = pages[1]
    with n.db.read() as connection:
        plan = [step for (step,) in connection.exec_driver_sql(f"EXPLAIN {sql}", given)]
    # With a single variant the walk by number is the same walk.
    walks = ("Index Scan using ix_customers_variant on ", "Index Scan using pk_customers on ")
    assert any(walk in step for step in plan for walk in walks), plan
    assert not any("Sort" in step or "Hash" in step for step in plan), plan
