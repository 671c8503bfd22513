"""What is not certain: operators and programs look, and say what they found."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask

from notifier.domain.access import Role
from notifier.domain.delivery import BatchOutcome, Sent, State, Unknown
from notifier.domain.incident import Status
from notifier.ports import Notifier
from notifier.services import incidents, reports
from notifier.services.incidents import Expected, Published, Words
from notifier.services.mailing import MailRun
from notifier.services.pausing import pause
from notifier.services.posting import run_posts
from notifier.services.reconciling import LOOK_AFTER
from tests.fakes import FakeClock, FakeMail, FakePosts
from tests.web.pages import LintingClient, Page
from tests.web.programs import Program, refused

Declare = Callable[..., Published]
LOST = Unknown("the answer was lost")
CANNOT_LOOK = Unknown("we may not read the timeline")


@pytest.fixture
def mail() -> FakeMail:
    answers = [BatchOutcome(Sent("1"), {0: LOST, 3: LOST})]
    return FakeMail(answer=lambda _: answers.pop() if answers else BatchOutcome(Sent("2")))


@pytest.fixture
def said(
    n: Notifier, add_customers: Any, declare: Declare, posts: FakePosts, clock: FakeClock
) -> Published:
    """Post 1 of incident 1 is unknown, and two of the twelve readers of mail 2."""
    add_customers(12, components=("hot-water",))
    posts.answers, posts.found = [LOST], [CANNOT_LOOK]
    published = declare()
    run_posts(n, "x")
    clock.move(minutes=30)
    run_posts(n, "x")
    MailRun(n).run()
    return published


def post_of(n: Notifier) -> reports.PostReport:
    return reports.report(n, 1).updates[-1].posts[0]


def mail_of(n: Notifier) -> reports.MailReport:
    mail = reports.report(n, 1).updates[-1].mail
    assert mail is not None
    return mail


def badge(page: Page) -> str:
    (link,) = page.one("nav").find("a", href="/admin/unknown")
    return link.text


@pytest.mark.usefixtures("declare")
def test_where_all_is_certain_the_page_says_so(operator: LintingClient) -> None:
    page = operator.page("/admin/unknown")
    assert "Of every message it is known whether it arrived" in page.text
    assert badge(page) == "Not certain"


@pytest.mark.usefixtures("said")
def test_every_page_of_the_room_shows_how_much_is_not_certain(operator: LintingClient) -> None:
    for path in ("/admin/", "/admin/declare", "/admin/incidents/1", "/admin/unknown"):
        assert badge(operator.page(path)) == "Not certain 2", path
    operator.press(operator.page("/admin/unknown"), "/admin/unknown/1", {"ruling": "leave"})
    assert badge(operator.page("/admin/")) == "Not certain 1"


@pytest.mark.usefixtures("said")
def test_the_page_shows_what_there_is_to_know(operator: LintingClient) -> None:
    page = operator.page("/admin/unknown")
    post, mail = page.one("article", id="dispatch-1").text, page.one(id="dispatch-2").text
    assert post.startswith("Post on X INC-1.1 · No hot water in Harbour District")
    assert "About 4,200 homes have no hot water." in post
    assert "only an operator can tell: we may not read the timeline" in post
    assert "Only you can tell." in post
    assert mail.startswith("E-mail, 2 readers INC-1.1 ·")
    assert "the answer was lost" in mail
    for card in (post, mail):
        for word in ("It arrived", "Send it again", "Leave it"):
            assert word in card
    assert "All 2 get the same e-mail once more, perhaps for the second time." in mail


def test_what_is_looked_into_by_itself_says_when(
    operator: LintingClient, n: Notifier, declare: Declare, posts: FakePosts, clock: FakeClock
) -> None:
    posts.answers = [LOST]
    declare()
    run_posts(n, "x")
    seen = clock.now + LOOK_AFTER
    card = operator.page("/admin/unknown").one(id="dispatch-1")
    assert card.find("time")[0].attrs["datetime"] == seen.isoformat()
    assert "Will be looked into by itself on" in card.text
    pause(n, by="amina", reason="wait")
    card = operator.page("/admin/unknown").one(id="dispatch-1")
    assert "Will be looked into by itself once messages leave again." in card.text


@pytest.mark.usefixtures("said")
@pytest.mark.parametrize(
    ("ruling", "post_state", "readers"),
    [
        ("arrived", State.ACCEPTED, {State.ACCEPTED: 12}),
        ("send_again", State.PLANNED, {State.ACCEPTED: 10, State.PLANNED: 2}),
        ("leave", State.CANCELLED, {State.ACCEPTED: 10, State.CANCELLED: 2}),
    ],
)
def test_a_press_settles_a_post_or_all_readers_of_a_mail(
    operator: LintingClient,
    n: Notifier,
    ruling: str,
    post_state: State,
    readers: dict[State, int],
) -> None:
    page = operator.page("/admin/unknown")
    for message in (1, 2):
        answer = operator.press(page, f"/admin/unknown/{message}", {"ruling": ruling})
        assert (answer.status_code, answer.headers["Location"]) == (303, "/admin/unknown")
    assert post_of(n).state is post_state
    assert mail_of(n).states == readers
    assert "amina" in post_of(n).reason


@pytest.mark.usefixtures("said")
def test_whoever_comes_second_is_told_so(operator: LintingClient, n: Notifier) -> None:
    page = operator.page("/admin/unknown")
    operator.press(page, "/admin/unknown/1", {"ruling": "leave"})
    answer = operator.press(page, "/admin/unknown/1", {"ruling": "send_again"})
    assert answer.status_code == 409
    assert "Nothing of this message is unknown any more: somebody settled it." in answer.text
    assert post_of(n).state is State.CANCELLED


@pytest.mark.usefixtures("said")
@pytest.mark.parametrize(
    ("message", "ruling", "status", "sentence"),
    [
        (1, "", 400, "does not say what became of the message"),
        (1, "delete", 400, "does not say what became of the message"),
        (99, "leave", 404, "There is no message 99."),
    ],
)
def test_a_wrong_press_changes_nothing(
    operator: LintingClient, n: Notifier, message: int, ruling: str, status: int, sentence: str
) -> None:
    csrf = operator.page("/admin/unknown").find("input", name="csrf")[0].attrs["value"]
    answer = operator.post(f"/admin/unknown/{message}", data={"csrf": csrf, "ruling": ruling})
    assert answer.status_code == status
    assert sentence in Page(answer.text).text
    assert post_of(n).state is State.UNKNOWN


@pytest.mark.usefixtures("said")
def test_a_viewer_sees_and_settles_nothing(sign_in_as: Any, n: Notifier) -> None:
    viewer = sign_in_as(Role.VIEWER, "vera")
    page = viewer.page("/admin/unknown")
    assert "Post on X" in page.text
    assert "Send it again" not in page.text
    csrf = page.find("input", name="csrf")[0].attrs["value"]
    answer = viewer.post("/admin/unknown/1", data={"csrf": csrf, "ruling": "leave"})
    assert answer.status_code == 403
    assert post_of(n).state is State.UNKNOWN


def publish_another(n: Notifier, clock: FakeClock) -> None:
    words = Words("Still cold.", Expected(unknown=True), "A pump.", clock.now.replace(hour=11))
    incidents.post_update(n, 1, Status.IDENTIFIED, words, by="amina")


@pytest.mark.usefixtures("said")
def test_nothing_replaced_is_offered_to_be_sent_again(
    operator: LintingClient, n: Notifier, clock: FakeClock
) -> None:
    page = operator.page("/admin/unknown")
    publish_another(n, clock)
    answer = operator.press(page, "/admin/unknown/1", {"ruling": "send_again"})
    assert answer.status_code == 409
    assert "cannot be sent again" in answer.text
    page = operator.page("/admin/unknown")
    assert [b.attrs["value"] for b in page.find("button", name="ruling")] == [
        "arrived",
        "leave",
    ] * 2
    assert "a newer update was published" in page.text


@pytest.mark.usefixtures("said")
def test_the_receipt_leads_to_what_is_not_certain(operator: LintingClient) -> None:
    page = operator.page("/admin/incidents/1")
    (post,) = page.one(id="dispatch-1").find("a", href="/admin/unknown#dispatch-1")
    (mail,) = page.one(id="dispatch-2").find("a", href="/admin/unknown#dispatch-2")
    assert post.text == "Say what you found"
    assert mail.text == "Say what became of the 2 that are not certain"
    for message in (1, 2):
        operator.press(
            operator.page("/admin/unknown"), f"/admin/unknown/{message}", {"ruling": "arrived"}
        )
    page = operator.page("/admin/incidents/1")
    assert not page.find("a", href="/admin/unknown#dispatch-1")
    assert not page.find("a", href="/admin/unknown#dispatch-2")


def test_a_mail_that_was_left_is_not_called_one_that_nobody_got(
    operator: LintingClient, n: Notifier, add_customers: Any, declare: Declare, mail: FakeMail,
    clock: FakeClock,
) -> None:  # fmt: skip
    add_customers(3, components=("hot-water",))
    mail._answer = lambda _: BatchOutcome(LOST)
    declare()
    clock.move(minutes=30)
    MailRun(n).run()
    operator.press(operator.page("/admin/unknown"), "/admin/unknown/2", {"ruling": "leave"})
    card = operator.page("/admin/incidents/1").one(id="dispatch-2").text
    assert card.startswith("E-mail Not sent again")
    assert "nobody got it" not in card


# --- For programs ------------------------------------------------------------------------------


@pytest.mark.usefixtures("said")
def test_programs_get_the_same_list(app: Flask, n: Notifier) -> None:
    listed = json.loads(Program.of(app, n, Role.VIEWER).get("/unknown").text)
    post, mail = listed["messages"]
    assert post == {
        "id": 1, "incident": 1, "update": 1, "lane": "post", "channel": "x",
        "text": post_of(n).text, "readers": None,
        "reason": "only an operator can tell: we may not read the timeline",
        "look_at": None, "can_be_sent_again": True,
    }  # fmt: skip
    assert (mail["id"], mail["lane"], mail["readers"], mail["text"]) == (2, "mail", 2, None)


@pytest.mark.usefixtures("said")
def test_programs_settle(app: Flask, n: Notifier) -> None:
    program = Program.of(app, n)
    answer = program.post("/unknown/2", {"ruling": "arrived"})
    assert answer.status_code == 200
    assert json.loads(answer.text) == {"id": 2, "ruling": "arrived", "settled": 2}
    assert mail_of(n).states == {State.ACCEPTED: 12}
    again = refused(program.post("/unknown/2", {"ruling": "arrived"}), 409)
    assert again["detail"].startswith("Nothing of this message is unknown any more")


@pytest.mark.usefixtures("said")
@pytest.mark.parametrize(
    ("path", "body", "status", "detail"),
    [
        ("/unknown/99", {"ruling": "leave"}, 404, "There is no message 99."),
        ("/unknown/x", {"ruling": "leave"}, 404, "id must be the id of a message, such as 7."),
        ("/unknown/1", {}, 422, "ruling is missing."),
        ("/unknown/1", {"ruling": "gone"}, 422, "ruling must be one of 'arrived'"),
        ("/unknown/1", {"ruling": "leave", "by": "me"}, 422, "by is not a field"),
    ],
)
def test_a_wrong_request_changes_nothing(
    app: Flask, n: Notifier, path: str, body: dict[str, str], status: int, detail: str
) -> None:
    problem = refused(Program.of(app, n).post(path, body), status)
    assert problem["detail"].startswith(detail)
    assert post_of(n).state is State.UNKNOWN


@pytest.mark.usefixtures("said")
def test_a_viewers_token_settles_nothing(app: Flask, n: Notifier) -> None:
    refused(Program.of(app, n, Role.VIEWER).post("/unknown/1", {"ruling": "leave"}), 403)
    assert post_of(n).state is State.UNKNOWN
