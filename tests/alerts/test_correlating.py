"""Alerts become drafts: together where they belong together, once, and never by guess."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from notifier.domain.access import Role
from notifier.domain.alerting import AUTOMATON, DraftState
from notifier.domain.incident import Severity, Status
from notifier.domain.text import Invalid
from notifier.ports import Notifier
from notifier.services import access, audience, correlating, incidents, integrations
from notifier.services import drafts as proposals
from notifier.services.incidents import Conflict, Expected, Words
from notifier.store import drafts
from notifier.store import incidents as kept
from notifier.store import integrations as rules
from tests.alerts.alarms import Alarms, allow_auto, open_alarms
from tests.fakes import FakeClock


@pytest.fixture
def alarms(n: Notifier) -> Alarms:
    for slug in ("sign-in", "billing"):
        audience.put_component(n, slug_=slug, name=slug.capitalize())
    return open_alarms(n, component="sign-in")


def post(n: Notifier, draft_id: int) -> int:
    return incidents.declare(n, proposals.declaration(n, draft_id), by="ada").incident.id


def resolve(n: Notifier, incident_id: int) -> None:
    words = Words("All is well again.", Expected(), "It was repaired.", None)
    incidents.post_update(n, incident_id, Status.RESOLVED, words, by="ada")


def open_incidents(n: Notifier) -> list[int]:
    with n.db.read() as connection:
        return [i.id for i in kept.list_incidents(connection, open_only=True)]


def test_it_proposes_an_alert_on_its_component(alarms: Alarms) -> None:
    (draft,) = alarms.fire()
    assert draft.severity is Severity.CRITICAL
    with alarms.n.db.read() as connection:
        made = proposals.proposal(connection, draft, alarms.n.clock())
    assert made.component is not None
    assert made.component.slug == "sign-in"
    assert made.impact == "You may have problems with Sign-in."
    assert made.expected is None
    assert [one.facts.title for one in made.alerts] == ["alert a"]


def test_it_never_puts_a_tools_words_into_what_may_be_posted(alarms: Alarms) -> None:
    hostile = "<script>alert(1)</script>"
    (draft,) = alarms.fire(hostile, severity="critical", service=hostile)
    declared = proposals.declaration(alarms.n, draft.id)
    written = f"{declared.title} {declared.words.impact} {declared.words.explanation}"
    assert "script" not in written


def test_several_tools_on_one_component_make_one_draft(alarms: Alarms) -> None:
    other = open_alarms(alarms.n, component="sign-in", name="Second Prometheus")
    alarms.fire("a")
    assert len(other.fire("a")) == 1
    with alarms.n.db.read() as connection:
        fed = proposals.fed_alerts(connection, alarms.newest().id)
    assert [one.integration for one in fed] == ["Prometheus", "Second Prometheus"]


def test_alerts_of_an_unknown_component_are_gathered_for_an_operator(n: Notifier) -> None:
    alarms = open_alarms(n)
    alarms.fire("a")
    (draft,) = alarms.fire("b")
    assert draft.component_id is None
    with pytest.raises(Conflict, match="choose one"):
        proposals.declaration(n, draft.id)


def test_a_rule_sends_alerts_to_their_component(alarms: Alarms) -> None:
    integrations.add_rule(
        alarms.n, match={"service": "bill*"}, component="billing", severity=Severity.MINOR
    )
    (draft,) = alarms.fire(service="Billing-api")
    assert draft.severity is Severity.MINOR
    with alarms.n.db.read() as connection:
        made = proposals.proposal(connection, draft, alarms.n.clock())
    assert made.component is not None
    assert made.component.slug == "billing"


def test_a_rule_may_ignore_alerts(alarms: Alarms) -> None:
    integrations.add_rule(alarms.n, match={"env": "staging"}, component="")
    assert alarms.fire(env="staging") == []


def test_information_is_no_disruption(alarms: Alarms) -> None:
    assert alarms.fire(severity="info") == []


def test_a_worse_alert_raises_the_draft_and_a_milder_one_does_not_lower_it(alarms: Alarms) -> None:
    alarms.fire("a", severity="warning")
    (draft,) = alarms.fire("b", severity="critical")
    assert draft.severity is Severity.CRITICAL
    (draft,) = alarms.fire("c", severity="warning")
    assert draft.severity is Severity.CRITICAL


def test_a_draft_whose_alerts_are_over_is_withdrawn(alarms: Alarms, clock: FakeClock) -> None:
    start = clock()
    alarms.fire()
    clock.move(minutes=1)
    assert alarms.end(start=start) == []
    assert alarms.states() == [DraftState.WITHDRAWN]


def test_what_flaps_is_one_draft(alarms: Alarms, clock: FakeClock) -> None:
    for _ in range(5):
        start = clock()
        alarms.fire()
        clock.move(seconds=10)
        alarms.end(start=start)
        clock.move(seconds=10)
    assert alarms.states() == [DraftState.WITHDRAWN]
    assert alarms.newest().relapses == 4


def test_a_press_makes_one_incident_and_its_alerts_stay_with_it(
    alarms: Alarms, clock: FakeClock
) -> None:
    start = clock()
    (draft,) = alarms.fire()
    incident_id = post(alarms.n, draft.id)
    assert alarms.fire("b") == []
    clock.move(minutes=3)
    alarms.end("a", start=start)
    alarms.end("b", start=start)
    after = alarms.newest()
    assert (after.id, after.incident_id, after.state) == (draft.id, incident_id, DraftState.POSTED)
    assert after.recovered
    assert after.quiet_since == clock()
    assert open_incidents(alarms.n) == [incident_id]


def test_two_presses_declare_once(alarms: Alarms) -> None:
    (draft,) = alarms.fire()
    declaration = proposals.declaration(alarms.n, draft.id)
    incidents.declare(alarms.n, declaration, by="ada")
    with pytest.raises(Conflict, match="posted already as INC-1"):
        incidents.declare(alarms.n, declaration, by="ben")
    assert open_incidents(alarms.n) == [1]


def test_an_incident_that_an_operator_declares_takes_the_draft_along(alarms: Alarms) -> None:
    (draft,) = alarms.fire()
    by_hand = proposals.declaration(alarms.n, draft.id)
    by_hand = incidents.Declaration(
        "Sign-in is down", Severity.CRITICAL, ["sign-in"], by_hand.words
    )
    incident = incidents.declare(alarms.n, by_hand, by="ada").incident
    assert alarms.newest().incident_id == incident.id


def test_alerts_join_an_incident_that_was_there_before_them(alarms: Alarms) -> None:
    (first,) = alarms.fire()
    declaration = proposals.declaration(alarms.n, first.id)
    proposals.dismiss(alarms.n, first.id, by="ada")
    by_hand = incidents.Declaration("Down", Severity.MAJOR, ["sign-in"], declaration.words)
    incident = incidents.declare(alarms.n, by_hand, by="ada").incident
    alarms.n.clock.move(minutes=11)  # type: ignore[attr-defined]
    assert alarms.fire("b") == []
    assert alarms.newest().incident_id == incident.id


def test_a_dismissed_draft_stays_so_while_its_alerts_fire(alarms: Alarms, clock: FakeClock) -> None:
    start = clock()
    (draft,) = alarms.fire()
    proposals.dismiss(alarms.n, draft.id, by="ada")
    clock.move(hours=1)
    alarms.say("firing", start=start)
    assert alarms.gather() == []
    assert alarms.fire("b") != []


def test_a_new_occurrence_after_the_end_of_the_incident_is_a_new_draft(
    alarms: Alarms, clock: FakeClock
) -> None:
    start = clock()
    (draft,) = alarms.fire()
    incident_id = post(alarms.n, draft.id)
    clock.move(minutes=5)
    alarms.end(start=start)
    resolve(alarms.n, incident_id)
    clock.move(minutes=5)
    (again,) = alarms.fire()
    assert again.id != draft.id


def test_what_is_no_longer_reported_is_not_called_over(alarms: Alarms, clock: FakeClock) -> None:
    (draft,) = alarms.fire()
    post(alarms.n, draft.id)
    clock.move(hours=25)
    correlating.look_for_silence(alarms.n)
    after = alarms.newest()
    assert after.quiet_since == clock()
    assert not after.recovered
    alarms.say("firing", start=clock() - timedelta(hours=25))
    alarms.gather()


def test_it_proposes_how_long_such_things_took(alarms: Alarms, clock: FakeClock) -> None:
    for minutes in (10, 20, 60):
        (draft,) = alarms.fire(start := f"k{minutes}")
        began: datetime = clock()
        incident_id = post(alarms.n, draft.id)
        clock.move(minutes=minutes)
        alarms.end(start, start=began)
        resolve(alarms.n, incident_id)
        clock.move(hours=1)
    (draft,) = alarms.fire("z")
    with alarms.n.db.read() as connection:
        made = proposals.proposal(connection, draft, clock())
    assert made.expected is not None
    assert made.expected.median == timedelta(minutes=20)
    assert made.expected.p80 == timedelta(minutes=60)
    assert made.expected.past == 3


def test_it_posts_by_itself_after_the_delay_where_a_rule_allows_it(
    alarms: Alarms, clock: FakeClock
) -> None:
    allow_auto(alarms.n, component="sign-in")
    (draft,) = alarms.fire(service="sign-in")
    assert draft.auto_at == clock() + timedelta(minutes=2)
    clock.move(minutes=1, seconds=59)
    assert alarms.gather() != []
    clock.move(seconds=1)
    assert alarms.gather() == []
    assert alarms.newest().decided_by == AUTOMATON
    assert len(open_incidents(alarms.n)) == 1


def test_what_is_stopped_or_over_in_time_is_not_posted(alarms: Alarms, clock: FakeClock) -> None:
    allow_auto(alarms.n, component="sign-in")
    (draft,) = alarms.fire(service="sign-in")
    proposals.stop(alarms.n, draft.id, by="ada")
    clock.move(minutes=3)
    alarms.fire("b", service="sign-in")
    clock.move(minutes=3)
    (draft,) = alarms.gather()
    assert (draft.auto_at, draft.stopped) == (None, "stopped by ada")
    assert open_incidents(alarms.n) == []


def test_it_posts_at_most_once_in_ten_minutes_by_itself(alarms: Alarms, clock: FakeClock) -> None:
    allow_auto(alarms.n, component="sign-in", after=timedelta(0))
    allow_auto(alarms.n, component="billing", after=timedelta(0), name="second")
    alarms.fire("a", service="sign-in")
    (draft,) = alarms.fire("b", service="billing")
    assert draft.auto_at == clock() + timedelta(minutes=10)
    clock.move(minutes=10)
    assert alarms.gather() == []
    assert len(open_incidents(alarms.n)) == 2


def test_what_flaps_after_an_operators_last_word_waits_as_well(
    alarms: Alarms, clock: FakeClock
) -> None:
    allow_auto(alarms.n, component="sign-in", after=timedelta(0))
    (draft,) = alarms.fire(severity="warning")
    incident_id = post(alarms.n, draft.id)
    clock.move(minutes=5)
    alarms.end("a", start=clock())
    resolve(alarms.n, incident_id)
    resolved_at = clock()
    clock.move(minutes=1)
    (again,) = alarms.fire("b", service="sign-in")
    assert again.auto_at == resolved_at + timedelta(minutes=10)


def test_nothing_posts_itself_by_a_rule_that_was_removed(alarms: Alarms, clock: FakeClock) -> None:
    allow_auto(alarms.n, component="sign-in")
    alarms.fire(service="sign-in")
    with alarms.n.db.read() as connection:
        (rule,) = rules.list_rules(connection)
    integrations.remove_rule(alarms.n, rule.id)
    clock.move(minutes=3)
    (draft,) = alarms.gather()
    assert (draft.auto_at, draft.stopped) == (None, "its rule was removed")


def test_nobody_is_called_what_posts_by_itself(n: Notifier) -> None:
    with pytest.raises(Invalid, match="posts by itself"):
        access.create_token(n, role=Role.ADMIN, name=AUTOMATON.title())


def test_only_approved_words_may_be_posted_by_themselves(alarms: Alarms) -> None:
    with pytest.raises(Invalid, match="preset"):
        integrations.add_rule(
            alarms.n, match={"a": "b"}, component="sign-in", auto_after=timedelta(0)
        )


def test_a_storm_is_one_draft(alarms: Alarms) -> None:
    members = [alarms.alert("firing", f"{i:016x}") for i in range(2_000)]
    for start in range(0, len(members), 500):
        assert alarms.post({"alerts": members[start : start + 500]}).status == 200
    (draft,) = alarms.gather()
    with alarms.n.db.read() as connection:
        assert drafts.count_fed(connection, [draft.id]) == {draft.id: 2_000}
