"""After publishing: what became of every message, and what can still be done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from notifier.domain.delivery import BatchOutcome, Rejected, Retry, Sent, State, Unknown
from notifier.domain.message import Recipient
from notifier.ports import Notifier
from notifier.services import reports
from notifier.services.incidents import Published
from notifier.services.mailing import MailRun
from notifier.services.posting import run_posts
from tests.fakes import FakeClock, FakeMail, FakePosts
from tests.web.pages import LintingClient, Page

RECEIPT = "/admin/incidents/1"
Declare = Callable[..., Published]


@pytest.fixture
def readers(add_customers: Any) -> None:
    add_customers(12, components=("hot-water",))


def post_card(page: Page) -> str:
    return page.find("article", class_="card post")[0].text


def mail_card(page: Page) -> str:
    return page.find("article", class_="card mail")[0].text


def dispatch(n: Notifier) -> int:
    mail = reports.report(n, 1).latest.mail
    assert mail is not None
    return mail.id


def test_a_post_is_shown_with_its_words_and_its_link(
    operator: LintingClient, n: Notifier, declare: Declare
) -> None:
    declare()
    assert "Waiting to be posted" in post_card(operator.page(RECEIPT))
    run_posts(n, "x")
    page = operator.page(RECEIPT)
    assert "Posted" in post_card(page)
    assert "About 4,200 homes have no hot water." in post_card(page)
    assert page.find("a", href="https://posts.example/1000")


@pytest.mark.parametrize(
    ("outcome", "word", "next_step"),
    [
        (Rejected("403 duplicate"), "Refused, not posted", "Post it by hand"),
        (Unknown("no answer in 10 s"), "Not certain", "Look at the account"),
        (Retry("429 until 14:00"), "Waiting to be posted", "429 until 14:00"),
    ],
)
def test_a_post_that_failed_says_why_and_what_to_do(
    operator: LintingClient,
    n: Notifier,
    declare: Declare,
    posts: FakePosts,
    outcome: Any,
    word: str,
    next_step: str,
) -> None:
    posts.answers.append(outcome)
    declare()
    run_posts(n, "x")
    card = post_card(operator.page(RECEIPT))
    assert word in card
    assert next_step in card
    assert outcome.reason in card


@pytest.mark.usefixtures("readers")
def test_a_waiting_mail_says_when_it_leaves_and_to_how_many(
    operator: LintingClient, declare: Declare
) -> None:
    declare()
    card = mail_card(operator.page(RECEIPT))
    assert "Leaves Sun 22 Nov 2026, 13:17 PKT (UTC+5)" in card
    assert "to 12 customers" in card


def refuse_first(_recipients: Sequence[Recipient]) -> BatchOutcome:
    return BatchOutcome(Sent("batch"), {0: Rejected("no such mailbox")})


@pytest.mark.parametrize("mail", [FakeMail(batch_size=10, answer=refuse_first)])
@pytest.mark.usefixtures("readers")
def test_a_mail_that_left_is_counted_by_what_became_of_it(
    operator: LintingClient, n: Notifier, declare: Declare, clock: FakeClock
) -> None:
    declare()
    clock.move(minutes=6)
    MailRun(n).run()
    card = mail_card(operator.page(RECEIPT))
    assert "Sent, but perhaps not to 2" in card
    assert "taken by the mail service 10" in card
    assert "refused 2" in card
    lost = operator.page(f"/admin/mails/{dispatch(n)}/lost").find("li", class_="row")
    assert [row.text for row in lost] == [
        "c0@example.com c0 refused: no such mailbox",
        "c10@example.com c10 refused: no such mailbox",
    ]


def test_nobody_to_mail_is_said_plainly(operator: LintingClient, declare: Declare) -> None:
    declare()
    assert "no customer with an address uses what is affected" in mail_card(operator.page(RECEIPT))


@pytest.mark.usefixtures("readers")
def test_the_page_looks_again_only_while_something_can_change(
    operator: LintingClient, n: Notifier, declare: Declare, clock: FakeClock
) -> None:
    def poll() -> str:
        fragment = Page(operator.get(f"{RECEIPT}/state").text).one(id="receipt").attrs["data-poll"]
        page = operator.page(RECEIPT)
        assert page.one(id="receipt").attrs["data-poll"] == fragment
        assert bool(page.find("noscript")) == (fragment != "0")
        return fragment

    declare()
    assert poll() == "1"
    run_posts(n, "x")
    assert poll() == "60"
    clock.move(minutes=1)
    assert poll() == "5"
    clock.move(minutes=5)
    MailRun(n).run()
    assert poll() == "0"


def test_a_page_that_looks_by_itself_keeps_nobody_signed_in(
    operator: LintingClient, declare: Declare, clock: FakeClock
) -> None:
    declare()
    for _ in range(3):
        assert operator.get(f"{RECEIPT}/state").status_code == 200
        clock.move(minutes=12)
    assert operator.get(f"{RECEIPT}/state").status_code == 303


@pytest.mark.usefixtures("readers")
def test_a_waiting_mail_can_be_sent_now(
    operator: LintingClient, n: Notifier, declare: Declare, mail: FakeMail
) -> None:
    declare()
    path = f"/admin/mails/{dispatch(n)}/send-now"
    assert operator.press(operator.page(RECEIPT), path).status_code == 303
    MailRun(n).run()
    assert len(mail.sent) == 12


@pytest.mark.usefixtures("readers")
def test_a_waiting_mail_can_be_cancelled_for_good(
    operator: LintingClient,
    n: Notifier,
    declare: Declare,
    mail: FakeMail,
    clock: FakeClock,
) -> None:
    declare()
    path = f"/admin/mails/{dispatch(n)}/cancel"
    assert operator.press(operator.page(RECEIPT), path).status_code == 303
    clock.move(minutes=25)
    MailRun(n).run()
    assert mail.sent == []
    card = mail_card(operator.page(RECEIPT))
    assert "Cancelled, nobody got it" in card
    assert "cancelled by amina" in card


@pytest.mark.usefixtures("readers")
def test_a_waiting_mail_can_get_other_words(
    operator: LintingClient,
    n: Notifier,
    declare: Declare,
    mail: FakeMail,
    clock: FakeClock,
) -> None:
    declare()
    path = f"/admin/mails/{dispatch(n)}/edit"
    page = operator.page(path)
    assert "About 4,200 homes have no hot water." in page.one("textarea", id="impact").text
    changes = {"impact": "About 5,000 homes have no hot water."}
    assert operator.press(page, path, changes).status_code == 303
    assert "Its words were changed after publishing" in mail_card(operator.page(RECEIPT))
    clock.move(minutes=6)
    MailRun(n).run()
    assert "About 5,000 homes" in mail.sent[0][1].text
    assert "4,200" in operator.get("/incidents/INC-1").text


@pytest.mark.usefixtures("readers")
def test_wrong_words_for_a_waiting_mail_are_named_and_kept(
    operator: LintingClient, n: Notifier, declare: Declare
) -> None:
    declare()
    path = f"/admin/mails/{dispatch(n)}/edit"
    changes = {"impact": "", "explanation": "A valve failed.", "mail": "at", "mail_at": "x"}
    answer = operator.press(operator.page(path), path, changes)
    page = Page(answer.text)
    assert answer.status_code == 422
    assert [a.attrs["href"] for a in page.one(id="problems").find("a")] == ["#impact", "#mail_at"]
    assert page.one("textarea", id="explanation").text == "A valve failed."
    assert page.one("title").text.startswith("Error: ")


@pytest.mark.parametrize("action", ["send-now", "cancel", "edit"])
@pytest.mark.usefixtures("readers")
def test_a_mail_that_has_left_cannot_be_changed_and_the_page_says_what_can_be_done(
    operator: LintingClient,
    n: Notifier,
    declare: Declare,
    clock: FakeClock,
    action: str,
) -> None:
    declare()
    number = dispatch(n)
    edit = operator.page(f"/admin/mails/{number}/edit")
    receipt = operator.page(RECEIPT)
    clock.move(minutes=6)
    MailRun(n).run()
    page = edit if action == "edit" else receipt
    answer = operator.press(page, f"/admin/mails/{number}/{action}")
    assert answer.status_code == 409
    assert "This came too late" in answer.text
    assert Page(answer.text).find("a", href=f"{RECEIPT}/update")
    assert reports.report(n, 1).latest.mail.state is State.ACCEPTED  # type: ignore[union-attr]


@pytest.mark.usefixtures("readers")
def test_an_update_begins_with_what_was_said_last(
    operator: LintingClient, n: Notifier, declare: Declare, clock: FakeClock
) -> None:
    declare()
    clock.move(minutes=3)
    path = f"{RECEIPT}/update"
    page = operator.page(path)
    assert "About 4,200 homes" in page.one("textarea", id="impact").text
    changes = {"status": "identified", "explanation": "A pump failed.", "action": "publish"}
    assert operator.press(page, path, changes).headers["Location"] == RECEIPT
    report = reports.report(n, 1)
    assert [u.update.status for u in report.updates] == ["identified", "investigating"]
    assert "a newer update replaced it" in operator.page(RECEIPT).text


@pytest.mark.usefixtures("readers")
def test_resolving_asks_for_no_times_and_tells_how_long_it_lasted(
    operator: LintingClient, declare: Declare, clock: FakeClock
) -> None:
    declare()
    clock.move(minutes=25)
    page = operator.page(f"{RECEIPT}/resolve")
    assert page.one("button", id="publish").text == "Post now and send the e-mail at once"
    changes = {"explanation": "The pump was replaced.", "action": "publish"}
    assert operator.press(page, f"{RECEIPT}/update", changes).status_code == 303
    page = operator.page(RECEIPT)
    assert "This lasted 25 minutes" in page.text
    assert "Everything works again." in page.text
    assert not page.find("a", href=f"{RECEIPT}/resolve")


def test_a_double_click_updates_once(
    operator: LintingClient, n: Notifier, declare: Declare
) -> None:
    declare()
    page = operator.page(f"{RECEIPT}/resolve")
    for _ in range(2):
        answer = operator.press(page, f"{RECEIPT}/update", {"action": "publish"})
        assert answer.status_code == 303
    assert len(reports.report(n, 1).updates) == 2


def test_a_wrong_update_is_named_and_kept(
    operator: LintingClient, n: Notifier, declare: Declare
) -> None:
    declare()
    path = f"{RECEIPT}/update"
    changes = {"status": "postmortem", "impact": "Still cold.", "action": "publish"}
    answer = operator.press(operator.page(path), path, changes)
    page = Page(answer.text)
    assert answer.status_code == 422
    assert "cannot become postmortem while it is investigating" in page.one(id="problems").text
    assert page.one("textarea", id="impact").text == "Still cold."
    assert len(reports.report(n, 1).updates) == 1


@pytest.mark.usefixtures("readers")
def test_a_viewer_sees_all_and_changes_nothing(
    sign_in_as: Any, n: Notifier, declare: Declare
) -> None:
    declare()
    viewer = sign_in_as(role="viewer", name="vera")
    page = viewer.page(RECEIPT)
    assert "About 4,200 homes" in page.text
    actions = {f.attrs["action"] for f in page.find("form")}
    assert actions == {"/sign-out"}
    (out,) = page.find("form")
    token = page.values(out)["csrf"]
    cancel = viewer.post(f"/admin/mails/{dispatch(n)}/cancel", data={"csrf": token})
    assert cancel.status_code == 403
    assert "needs the role publisher; yours is viewer" in cancel.text
    assert reports.report(n, 1).latest.mail.state is State.PLANNED  # type: ignore[union-attr]


def test_an_overdue_promise_is_marked_in_the_list(
    sign_in_as: Any, declare: Declare, clock: FakeClock
) -> None:
    declare()
    assert "Next update by Sun 22 Nov 2026, 15:12" in sign_in_as().page("/admin/").text
    clock.move(hours=3)
    assert "Next update was promised by Sun 22 Nov" in sign_in_as().page("/admin/").text


@pytest.mark.parametrize(
    "path",
    ["/admin/incidents/7", "/admin/incidents/7/state", "/admin/incidents/7/update",
     "/admin/incidents/7/resolve", "/admin/mails/7/edit", "/admin/mails/7/lost",
     "/admin/incidents/99999999999999999999",
     "/admin/preview/mail/forged", "/admin/incidents/0x1"],
)  # fmt: skip
def test_what_does_not_exist_is_not_there(operator: LintingClient, path: str) -> None:
    assert operator.get(path).status_code == 404
