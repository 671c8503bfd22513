"""What several pages look up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from notifier.domain.incident import Severity
from notifier.store import incidents, people
from notifier.store.incidents import Incident, Update
from notifier.store.people import Component


@dataclass(frozen=True, slots=True)
class Standing:
    """A disruption with what it affects and what was said about it last."""

    incident: Incident
    components: tuple[Component, ...]
    latest: Update


def standings(connection: Connection, found: Sequence[Incident]) -> list[Standing]:
    """How each of these disruptions stands; the worst first, and of equals the newest."""
    made = [
        Standing(
            incident,
            tuple(people.list_components(connection, incident_id=incident.id)),
            incidents.list_updates(connection, incident.id)[0],
        )
        for incident in found
    ]
    return sorted(made, key=lambda s: (-s.incident.severity.rank, -s.incident.id))


def grouped(components: Sequence[Component]) -> list[tuple[str, list[Component]]]:
    """Components by the name of their group, in their order; last, under "", those of none."""
    groups: dict[str, list[Component]] = {}
    for component in components:
        groups.setdefault(component.group, []).append(component)
    alone = groups.pop("", [])
    return [*groups.items(), *([("", alone)] if alone else [])]


def worst(found: Sequence[Standing]) -> dict[int, Severity]:
    """The severity of the worst disruption of each affected component, by its id."""
    severities: dict[int, Severity] = {}
    for standing in reversed(found):
        severities |= {c.id: standing.incident.severity for c in standing.components}
    return severities
