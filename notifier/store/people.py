"""Components and customers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)

from notifier.domain.audience import Customer
from notifier.store.db import upsert
from notifier.store.postgres import asked_of_each
from notifier.store.schema import (
    component_groups,
    components,
    customer_components,
    customers,
    incident_components,
)
from notifier.store.suppressions import is_suppressed, suppressed_keys


@dataclass(frozen=True, slots=True)
class Component:
    """A part of the service that customers use. `group` is "" when it stands alone."""

    id: int
    slug: str
    name: str
    group: str


def put_component(
    connection: Connection, *, slug: str, name: str, group: str, position: int
) -> Component:
    """Make or change the component `slug`."""
    group_id = _group_id(connection, group) if group else None
    row = {"slug": slug, "name": name, "group_id": group_id, "position": position}
    upsert(connection, components, [row], key=["slug"], update=["name", "group_id", "position"])
    return list_components(connection, slugs=[slug])[0]


_COMPONENTS = (
    select(components.c.id, components.c.slug, components.c.name, component_groups.c.name)
    .outerjoin(component_groups)
    .order_by(component_groups.c.name, components.c.position, components.c.name)
)
_COMPONENTS_NAMED = _COMPONENTS.where(components.c.slug.in_(bindparam("slugs", expanding=True)))
_COMPONENTS_OF = _COMPONENTS.join(incident_components).where(
    incident_components.c.incident_id == bindparam("incident")
)


def list_components(
    connection: Connection, *, slugs: Sequence[str] | None = None, incident_id: int | None = None
) -> list[Component]:
    """All components, or those of `slugs`, or of an incident; by group, position and name."""
    if slugs is not None:
        rows = connection.execute(_COMPONENTS_NAMED, {"slugs": list(slugs)})
    elif incident_id is not None:
        rows = connection.execute(_COMPONENTS_OF, {"incident": incident_id})
    else:
        rows = connection.execute(_COMPONENTS)
    return [Component(i, s, n, g or "") for i, s, n, g in rows]


def put_customer(connection: Connection, customer: Customer, *, now: datetime) -> int:
    """Make or change the customer of this external id; its id. Components are replaced.

    The components must exist and the address must not be another customer's; ask
    `unknown_components` and `owner_of` first.
    """
    row = {
        "external_id": customer.external_id,
        "email": customer.email,
        "email_key": customer.email_key,
        "name": customer.name,
        "language": customer.language,
        "time_zone": customer.time_zone,
        "wave": customer.wave,
        "created_at": now,
        "updated_at": now,
    }
    changeable = [name for name in row if name not in ("external_id", "created_at")]
    upsert(connection, customers, [row], key=["external_id"], update=changeable)
    customer_id: int = connection.scalars(
        select(customers.c.id).where(customers.c.external_id == customer.external_id)
    ).one()
    connection.execute(
        delete(customer_components).where(customer_components.c.customer_id == customer_id)
    )
    ids = _component_ids(connection, customer.components)
    if ids:
        connection.execute(
            insert(customer_components),
            [{"customer_id": customer_id, "component_id": i} for i in ids.values()],
        )
    return customer_id


def unknown_components(connection: Connection, slugs: Iterable[str]) -> list[str]:
    """Those of `slugs` that are no component's."""
    wanted = list(dict.fromkeys(slugs))
    known = _component_ids(connection, wanted)
    return [slug for slug in wanted if slug not in known]


def owner_of(connection: Connection, email_key: str) -> str | None:
    """External id of the customer who has this address (in one letter case)."""
    return connection.scalars(
        select(customers.c.external_id).where(customers.c.email_key == email_key)
    ).one_or_none()


def affected_by(incident_id: int | BindParameter[int]) -> ColumnElement[bool]:
    """Condition on `customers`, for walks through them: uses a component of the incident."""
    # IN and not a join: SQLite then looks up the incident's components once, not per customer.
    components = select(incident_components.c.component_id).where(
        incident_components.c.incident_id == incident_id
    )
    used = (
        select(1)
        .where(
            customer_components.c.customer_id == customers.c.id,
            customer_components.c.component_id.in_(components),
        )
        .correlate(customers)
    )
    return asked_of_each(used)


def count_readers(
    connection: Connection, component_ids: Sequence[int], *, now: datetime
) -> Mapping[str, int]:
    """How many customers use these components, by whether a mail reaches them.

    {"reachable": …, "unsubscribed": …, "suppressed": …}. Who unsubscribed counts as that only.
    """
    users = (
        select(customer_components.c.customer_id)
        .where(customer_components.c.component_id.in_(component_ids))
        .distinct()
        .subquery()
    )
    gone = customers.c.unsubscribed_at.is_not(None)
    # A list and not `is_suppressed`: it is short, and asking of each customer takes longer.
    refused = customers.c.email_key.in_(suppressed_keys())
    total = connection.scalars(select(func.count()).select_from(users)).one()

    def count(*which: ColumnElement[bool]) -> int:
        query = select(func.count()).select_from(
            customers.join(users, users.c.customer_id == customers.c.id)
        )
        return connection.execute(query.where(*which), {"now": now}).scalar_one()

    unsubscribed, suppressed = count(gone), count(~gone, refused)
    return {
        "reachable": total - unsubscribed - suppressed,
        "unsubscribed": unsubscribed,
        "suppressed": suppressed,
    }


_ANY_READER = (
    select(1)
    .select_from(customer_components.join(customers))
    .where(
        customer_components.c.component_id.in_(bindparam("components", expanding=True)),
        customers.c.unsubscribed_at.is_(None),
        ~is_suppressed(customers.c.email_key),
    )
    .limit(1)
)


def has_readers(connection: Connection, component_ids: Sequence[int], *, now: datetime) -> bool:
    """Whether anybody who uses these components can be reached."""
    given = {"components": component_ids, "now": now}
    return connection.execute(_ANY_READER, given).first() is not None


def unsubscribe(connection: Connection, customer_id: int, *, now: datetime) -> str | None:
    """Stop all mail to a customer; their address, or None when there is no such customer."""
    connection.execute(
        update(customers)
        .where(customers.c.id == customer_id, customers.c.unsubscribed_at.is_(None))
        .values(unsubscribed_at=now)
    )
    return address_of(connection, customer_id)


def address_of(connection: Connection, customer_id: int) -> str | None:
    """A customer's address, or None when there is no such customer."""
    return connection.scalars(
        select(customers.c.email).where(customers.c.id == customer_id)
    ).one_or_none()


def _component_ids(connection: Connection, slugs: Iterable[str]) -> dict[str, int]:
    query = select(components.c.slug, components.c.id).where(components.c.slug.in_(list(slugs)))
    return {slug: id_ for slug, id_ in connection.execute(query)}


def _group_id(connection: Connection, name: str) -> int:
    upsert(connection, component_groups, [{"name": name}], key=["name"], update=[])
    query = select(component_groups.c.id).where(component_groups.c.name == name)
    group_id: int = connection.scalars(query).one()
    return group_id
