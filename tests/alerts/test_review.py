"""What went wrong once, or would have: races, silence that ends, downtime of our own, removals."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from pydantic import SecretStr

from notifier.domain.alerting import AUTOMATON, DraftState, word
from notifier.domain.incident import Severity
from notifier.domain.signal import Condition, Signal
from notifier.domain.text import Invalid
from notifier.ports import Notifier
from notifier.services import audience, correlating, incidents, integrations, pausing
from notifier.services import drafts as proposals
from notifier.services.hooks import redact
from notifier.services.incidents import Conflict, Declaration
from notifier.store import alerts, drafts, people
from notifier.store import incidents as kept
from notifier.store.db import take_turn
from tests.alerts.alarms import Alarms, allow_auto, open_alarms
from tests.fakes import FakeClock


@pytest.fixture
def alarms(n: Notifier) -> Alarms:
    for slug in ("sign-in", "billing"):
        audience.put_component(n, slug_=slug, name=slug.capitalize())
    return open_alarms(n, component="sign-in")


def post(n: Notifier, draft_id: int) -> int:
    return incidents.declare(n, proposals.declaration(n, draft_id), by="ada").incident.id


def open_incidents(n: Notifier) -> list[int]:
    with n.db.read() as connection:
        return [i.id for i in kept.list_incidents(connection, open_only=True)]


def test_what_is_stopped_in_the_last_moment_is_not_posted(alarms: Alarms, clock: FakeClock) -> None:
    allow_auto(alarms.n, component="sign-in")
    (draft,) = alarms.fire(service="sign-in")
    clock.move(minutes=2)
    about_to_leave = proposals.declaration(alarms.n, draft.id, automatic=True)
    proposals.stop(alarms.n, draft.id, by="ada")
    with pytest.raises(Conflict):
        incidents.declare(alarms.n, about_to_leave, by=AUTOMATON)
    assert open_incidents(alarms.n) == []


def test_of_two_nodes_that_post_by_themselves_the_second_waits(
    alarms: Alarms, clock: FakeClock
) -> None:
    allow_auto(alarms.n, component="sign-in")
    allow_auto(alarms.n, component="billing", name="second")
    alarms.fire("a", service="sign-in")
    one, two = alarms.fire("b", service="billing")
    clock.move(minutes=2)
    about_to_leave = [
        proposals.declaration(alarms.n, draft.id, automatic=True) for draft in (one, two)
    ]
    incidents.declare(alarms.n, about_to_leave[0], by=AUTOMATON)
    with pytest.raises(Conflict):
        incidents.declare(alarms.n, about_to_leave[1], by=AUTOMATON)
    assert len(open_incidents(alarms.n)) == 1


def test_a_draft_that_is_being_opened_belongs_to_the_incident_declared_meanwhile(
    alarms: Alarms,
) -> None:
    (first,) = alarms.fire()
    words = proposals.declaration(alarms.n, first.id).words
    proposals.dismiss(alarms.n, first.id, by="ada")
    by_hand = Declaration("Down", Severity.MAJOR, ["sign-in"], words)
    declaring = threading.Thread(
        target=incidents.declare, args=(alarms.n, by_hand), kwargs={"by": "ada"}
    )
    with alarms.n.db.transaction() as connection:  # as another node gathers
        take_turn(connection, "alerts")
        opened = drafts.add(
            connection,
            {
                "state": DraftState.WAITING,
                "component_id": first.component_id,
                "severity": Severity.MAJOR,
                "opened_at": alarms.n.clock(),
                "changed_at": alarms.n.clock(),
            },
        )
        declaring.start()
        declaring.join(0.5)
    declaring.join(5)
    assert alarms.waiting() == []
    assert alarms.newest().id == opened.id


def test_gathering_and_taking_alerts_do_not_wait_for_each_other(alarms: Alarms) -> None:
    alarms.say("firing", "b")
    alarms.say("firing", "a")  # younger, and before it in the order in which alerts are written
    failed: list[BaseException] = []

    def gather() -> None:
        try:
            correlating.run(alarms.n)
        except Exception as error:
            failed.append(error)

    def told(key: str) -> alerts.Told:
        now = alarms.n.clock()
        fired = Signal(key, Condition.FIRING, now, now, "again")
        return alerts.Told(alarms.integration_id, now, [word(fired)])

    gathering = threading.Thread(target=gather)
    with alarms.n.db.transaction() as connection:
        alerts.write(connection, [], [told("a")])
        gathering.start()
        gathering.join(0.5)
        alerts.write(connection, [], [told("b")])
    gathering.join(10)
    assert failed == []
    (draft,) = alarms.gather()
    with alarms.n.db.read() as connection:
        assert drafts.count_fed(connection, [draft.id]) == {draft.id: 2}


def test_what_is_heard_of_again_is_not_silent_any_more(alarms: Alarms, clock: FakeClock) -> None:
    start = clock()
    (draft,) = alarms.fire()
    post(alarms.n, draft.id)
    clock.move(hours=25)
    correlating.look_for_silence(alarms.n)
    assert alarms.newest().quiet_since
    alarms.say("firing", start=start)
    correlating.look_for_silence(alarms.n)
    alarms.gather()
    assert alarms.newest().quiet_since is None
    with alarms.n.db.read() as connection:
        (fed,) = proposals.fed_alerts(connection, draft.id)
    assert not fed.silent


def test_a_draft_that_was_withdrawn_in_silence_comes_back_with_its_alert(
    alarms: Alarms, clock: FakeClock
) -> None:
    start = clock()
    alarms.fire()
    clock.move(hours=25)  # or we were not there to hear of it
    correlating.look_for_silence(alarms.n)
    assert alarms.states() == [DraftState.WITHDRAWN]
    alarms.say("firing", start=start)
    correlating.look_for_silence(alarms.n)
    assert len(alarms.gather()) == 1


def test_what_was_dismissed_swallows_no_later_alerts(alarms: Alarms, clock: FakeClock) -> None:
    (draft,) = alarms.fire("noise")
    proposals.dismiss(alarms.n, draft.id, by="ada")
    for minute in range(0, 12, 4):
        clock.move(minutes=4)
        begun = clock()
        alarms.fire(f"noise {minute}")
        alarms.end(f"noise {minute}", start=begun)
    assert len(alarms.fire("outage")) == 1


def test_what_is_worse_than_what_was_dismissed_is_proposed(
    alarms: Alarms, clock: FakeClock
) -> None:
    (draft,) = alarms.fire("noise", severity="warning")
    proposals.dismiss(alarms.n, draft.id, by="ada")
    clock.move(minutes=1)
    assert len(alarms.fire("outage", severity="critical")) == 1


def test_an_alert_that_gets_worse_raises_its_draft(alarms: Alarms, clock: FakeClock) -> None:
    allow_auto(alarms.n, component="sign-in")
    (draft,) = alarms.fire(severity="warning")
    assert draft.severity is Severity.MINOR
    clock.move(minutes=1)
    (draft,) = alarms.fire(severity="critical")
    assert draft.severity is Severity.CRITICAL
    clock.move(minutes=1)
    (draft,) = alarms.fire(severity="critical", service="sign-in")
    assert draft.auto_at is not None


def test_what_was_due_while_we_were_away_is_left_to_an_operator(
    alarms: Alarms, clock: FakeClock
) -> None:
    allow_auto(alarms.n, component="sign-in")
    alarms.fire(service="sign-in")
    clock.move(hours=3)
    (draft,) = alarms.gather()
    assert open_incidents(alarms.n) == []
    assert (draft.auto_at, bool(draft.stopped)) == (None, True)


def test_nothing_posts_itself_while_the_site_is_paused(alarms: Alarms, clock: FakeClock) -> None:
    allow_auto(alarms.n, component="sign-in")
    alarms.fire(service="sign-in")
    pausing.pause(alarms.n, by="ada", reason="a test")
    clock.move(minutes=3)
    assert len(alarms.gather()) == 1
    pausing.resume(alarms.n, by="ada")
    alarms.gather()
    assert len(open_incidents(alarms.n)) == 1


def test_words_that_were_removed_are_not_replaced_by_ours(alarms: Alarms, clock: FakeClock) -> None:
    allow_auto(alarms.n, component="sign-in")
    (draft,) = alarms.fire(service="sign-in")
    with alarms.n.db.read() as connection:
        rules = integrations.store.list_rules(connection)
    integrations.remove_rule(alarms.n, rules[0].id)
    integrations.remove_preset(alarms.n, rules[0].preset_id or 0)
    clock.move(minutes=3)
    (draft,) = alarms.gather()
    assert (draft.auto_at, bool(draft.stopped)) == (None, True)
    assert open_incidents(alarms.n) == []


def test_what_posts_itself_does_so_in_the_words_of_the_rule_that_allows_it(alarms: Alarms) -> None:
    other = integrations.add_preset(
        alarms.n, name="slow", title="Slow", impact="It is slow.", explanation="We look."
    )
    integrations.add_rule(alarms.n, match={"kind": "slow"}, component="sign-in", preset_id=other)
    allow_auto(alarms.n, component="sign-in")
    alarms.fire("a", kind="slow")
    (draft,) = alarms.fire("b", service="sign-in")
    assert draft.auto_at
    assert proposals.declaration(alarms.n, draft.id).title == "You cannot sign in"


def test_without_its_integration_a_draft_does_not_post_itself(
    alarms: Alarms, clock: FakeClock
) -> None:
    allow_auto(alarms.n, component="sign-in")
    alarms.fire(service="sign-in")
    integrations.remove(alarms.n, alarms.integration_id)
    clock.move(minutes=3)
    alarms.gather()
    assert open_incidents(alarms.n) == []


def test_an_integration_that_is_removed_stays_in_the_history_and_ends_nothing(
    alarms: Alarms, clock: FakeClock
) -> None:
    other = open_alarms(alarms.n, component="sign-in", name="Second")
    start = clock()
    alarms.fire("a")
    (draft,) = other.fire("b")
    post(alarms.n, draft.id)
    integrations.remove(alarms.n, alarms.integration_id)
    clock.move(minutes=1)
    other.end("b", start=start)
    assert not alarms.newest().recovered
    with alarms.n.db.read() as connection:
        fed = proposals.fed_alerts(connection, draft.id)
    assert [one.integration for one in fed] == ["Prometheus", "Second"]


def test_a_headers_secret_may_have_letters_of_every_language(n: Notifier) -> None:
    secret = "gehëim-уведомитель"
    alarms = open_alarms(n, header="X-Notifier", header_secret=secret)
    sent = secret.encode().decode("latin-1")  # as a server reads what a tool wrote as UTF-8
    assert alarms.post({"alerts": []}, x_notifier=sent).status == 202
    assert alarms.post({"alerts": []}, x_notifier=sent + "x").status == 401


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (b'{"password": "ab\\"cd", "x": 1}', b'{"password": "[redacted]", "x": 1}'),
        (b'{"link":"https://a/?token=abc","x":1}', b'{"link":"https://a/?token=[redacted]","x":1}'),
    ],
)
def test_hiding_a_secret_hides_all_of_it_and_nothing_else(body: bytes, kept: bytes) -> None:
    assert redact(body, []) == kept


def test_the_address_that_an_operator_may_have_to_open_is_kept() -> None:
    address = b"https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription&Token=abc"
    body = b'{"SubscribeURL":"%b","Token":"abc"}' % address
    kept = redact(body, [], spare=address)
    assert kept == b'{"SubscribeURL":"%b","Token":"[redacted]"}' % address


def test_secrets_that_nobody_can_read_any_more_are_said_in_a_sentence(alarms: Alarms) -> None:
    other = alarms.n.settings.model_copy(update={"secret_key": SecretStr("another" * 5)})
    changed = replace(alarms.n, settings=other)
    wanted = integrations.Wanted(source="alertmanager", name="Prometheus")
    with pytest.raises(Invalid, match="encrypted with another secret_key"):
        integrations.change(changed, alarms.integration_id, wanted)


def test_a_tool_that_is_well_does_not_hide_that_the_right_one_is_silent(
    alarms: Alarms, clock: FakeClock
) -> None:
    five = timedelta(minutes=5)
    right = open_alarms(alarms.n, component="billing", name="Right", heartbeat=five)
    other = open_alarms(alarms.n, component="sign-in", name="Other", heartbeat=five)
    integrations.add_rule(alarms.n, match={"job": "billing"}, component="billing")
    right.say("resolved")
    clock.move(minutes=6)
    other.say("resolved")
    with alarms.n.db.read() as connection:
        silent = integrations.store.silent_components(connection, clock())
        (billing,) = people.list_components(connection, slugs=["billing"])
    assert silent == {billing.id}
