"""Components and customers: put one, or import many."""

from __future__ import annotations

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from notifier.domain.audience import Customer
from notifier.domain.text import NAME_MAX, Invalid, line, slug
from notifier.ports import Notifier
from notifier.store import people
from notifier.store.people import Component


def put_component(
    n: Notifier, *, slug_: str, name: str, group: str = "", position: int = 0
) -> Component:
    """Make or change a component. Raises Invalid naming the field."""
    slug_ = slug("slug", slug_)
    name = line("name", name, limit=NAME_MAX)
    group = line("group", group, limit=NAME_MAX) if group else ""
    with n.db.transaction() as connection:
        return people.put_component(
            connection, slug=slug_, name=name, group=group, position=position
        )


def put_customer(n: Notifier, customer: Customer) -> int:
    """Make or change a customer; their number. Raises Invalid naming the field."""
    try:
        return _put_customer(n, customer)
    except IntegrityError:
        # Somebody else took the address between our look and our write. Now we see who.
        return _put_customer(n, customer)


def _put_customer(n: Notifier, customer: Customer) -> int:
    with n.db.transaction() as connection:
        return write_customer(n, connection, customer)


def write_customer(n: Notifier, connection: Connection, customer: Customer) -> int:
    """As `put_customer`, in a transaction of the caller's."""
    unknown = people.unknown_components(connection, customer.components)
    if unknown:
        raise Invalid("components", f"names no known component: {', '.join(unknown)}")
    owner = people.owner_of(connection, customer.email_key)
    if owner not in (None, customer.external_id):
        raise Invalid("email", f"{customer.email} is already the address of customer {owner}")
    return people.put_customer(connection, customer, now=n.clock())
