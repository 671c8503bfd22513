"""Who gets in, how, and for how long."""

from __future__ import annotations

import pytest

from notifier.domain.access import Role
from notifier.ports import Notifier
from notifier.services import access
from tests.fakes import FakeClock
from tests.web.conftest import SignIn
from tests.web.pages import BASE, LintingClient

PASSWORD = "correct horse battery staple"
COOKIE = "__Host-notifier"
FROM_US = {"Origin": BASE}


@pytest.fixture
def amina(n: Notifier) -> None:
    access.create_user(n, name="amina", password=PASSWORD, role=Role.PUBLISHER)


def test_before_the_first_user_the_page_says_how_to_make_one(anonymous: LintingClient) -> None:
    page = anonymous.page("/sign-in")
    assert "notifier users create NAME --role admin" in page.text
    assert not page.find("form")


@pytest.mark.usefixtures("amina")
def test_a_password_opens_the_room(anonymous: LintingClient) -> None:
    page = anonymous.page("/sign-in")
    answer = anonymous.press(page, "/sign-in", {"name": "amina", "password": PASSWORD})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/admin/")
    assert "amina" in anonymous.page("/admin/").text


@pytest.mark.usefixtures("amina")
def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(anonymous: LintingClient) -> None:
    answer = anonymous.post("/sign-in", data={"name": "amina", "password": PASSWORD})
    (cookie,) = answer.headers.getlist("Set-Cookie")
    name, *flags = [part.strip() for part in cookie.split(";")]
    assert name.startswith(COOKIE + "=")
    assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= set(flags)
    assert not any(flag.startswith("Domain") for flag in flags)


@pytest.mark.parametrize(
    ("name", "password"),
    [("amina", "wrong horse battery staple"), ("nobody", PASSWORD), ("", ""), ("amina", "x" * 300)],
)
@pytest.mark.usefixtures("amina")
def test_a_wrong_name_and_a_wrong_password_get_the_same_answer(
    anonymous: LintingClient, name: str, password: str
) -> None:
    answer = anonymous.post("/sign-in", data={"name": name, "password": password})
    assert answer.status_code == 401
    assert "do not belong together" in answer.text
    assert password == "" or password not in answer.text
    assert "Set-Cookie" not in answer.headers


@pytest.mark.usefixtures("amina")
def test_a_session_that_somebody_planted_does_not_become_ours(anonymous: LintingClient) -> None:
    anonymous.set_cookie(COOKIE, "planted", domain="status.example.com", secure=True)
    anonymous.post("/sign-in", data={"name": "amina", "password": PASSWORD})
    assert _cookie(anonymous) != "planted"


@pytest.mark.usefixtures("amina")
def test_signing_in_again_ends_the_session_before(anonymous: LintingClient, n: Notifier) -> None:
    sign_in = {"name": "amina", "password": PASSWORD}
    anonymous.post("/sign-in", data=sign_in)
    first = _cookie(anonymous)
    anonymous.post("/sign-in", data=sign_in, headers=FROM_US)
    assert _cookie(anonymous) != first
    assert access.session(n, first) is None


def test_signing_out_ends_the_session_on_the_server(operator: LintingClient, n: Notifier) -> None:
    token = _cookie(operator)
    answer = operator.press(operator.page("/admin/"), "/sign-out")
    assert answer.status_code == 303
    assert access.session(n, token) is None
    assert operator.get("/admin/").headers["Location"].startswith("/sign-in")


def test_half_an_hour_of_rest_ends_a_session(operator: LintingClient, clock: FakeClock) -> None:
    clock.move(minutes=29)
    assert operator.get("/admin/").status_code == 200
    clock.move(minutes=29)
    assert operator.get("/admin/").status_code == 200
    clock.move(minutes=31)
    assert operator.get("/admin/").status_code == 303


def test_twelve_hours_end_a_session_however_busy(operator: LintingClient, clock: FakeClock) -> None:
    for _ in range(12 * 60 // 20):
        clock.move(minutes=20)
        assert operator.get("/admin/").status_code == 200
    clock.move(minutes=1)
    assert operator.get("/admin/").status_code == 303


@pytest.mark.usefixtures("amina")
def test_a_new_password_ends_every_session(sign_in_as: SignIn, n: Notifier) -> None:
    one, two = sign_in_as(name="amina"), sign_in_as(name="amina")
    link = access.make_sign_in_link(n, "amina")
    access.set_password(n, name="amina", password="another long password")
    assert [c.get("/admin/").status_code for c in (one, two)] == [303, 303]
    assert access.use_sign_in_link(n, link.rpartition("/")[2]) is None


@pytest.mark.usefixtures("amina")
def test_a_link_opens_the_room_once(anonymous: LintingClient, n: Notifier) -> None:
    path = access.make_sign_in_link(n, "amina").removeprefix(BASE)
    assert anonymous.press(anonymous.page(path), path).status_code == 303
    assert anonymous.get("/admin/").status_code == 200
    assert anonymous.post(path, headers=FROM_US).status_code == 410


@pytest.mark.usefixtures("amina")
def test_looking_at_a_link_does_not_use_it_up(anonymous: LintingClient, n: Notifier) -> None:
    path = access.make_sign_in_link(n, "amina").removeprefix(BASE)
    for _ in range(3):
        anonymous.get(path)
        anonymous.head(path)
    assert anonymous.post(path).status_code == 303


@pytest.mark.usefixtures("amina")
def test_a_link_ends_after_its_minutes(
    anonymous: LintingClient, n: Notifier, clock: FakeClock
) -> None:
    path = access.make_sign_in_link(n, "amina", minutes=10).removeprefix(BASE)
    clock.move(minutes=11)
    assert anonymous.post(path).status_code == 410
    assert anonymous.get("/admin/").status_code == 303


@pytest.mark.usefixtures("amina")
def test_after_signing_in_one_is_where_one_wanted_to_be(anonymous: LintingClient) -> None:
    asked = anonymous.get("/admin/declare")
    page = anonymous.page(asked.headers["Location"])
    answer = anonymous.press(page, "/sign-in", {"name": "amina", "password": PASSWORD})
    assert answer.headers["Location"] == "/admin/declare"


@pytest.mark.parametrize(
    "elsewhere",
    [
        "//evil.example",
        "/\\evil.example",
        "https://evil.example/admin/",
        "https:evil.example",
        "/admin/..//evil.example",
        "/admin//evil.example/",
        "/admin/\n//evil.example",
        "\t//evil.example",
        "/admin/@evil.example",
        "/admin/?next=//evil.example",
        "javascript:alert(1)",
        "/adminevil",
        "%2F%2Fevil.example",
    ],
)
@pytest.mark.usefixtures("amina")
def test_no_address_leads_away_from_us(anonymous: LintingClient, elsewhere: str) -> None:
    given = {"name": "amina", "password": PASSWORD, "next": elsewhere}
    answer = anonymous.post("/sign-in", data=given)
    assert answer.headers["Location"] == "/admin/"


@pytest.mark.usefixtures("amina")
def test_the_eleventh_failure_in_a_minute_is_not_even_looked_at(anonymous: LintingClient) -> None:
    wrong = {"name": "amina", "password": "wrong horse battery"}
    answers = [anonymous.post("/sign-in", data=wrong).status_code for _ in range(11)]
    assert answers == [401] * 10 + [429]
    right = {"name": "amina", "password": PASSWORD}
    assert anonymous.post("/sign-in", data=right).status_code == 429


@pytest.mark.usefixtures("amina")
def test_failures_count_for_a_name_from_wherever_they_come(anonymous: LintingClient) -> None:
    wrong = {"name": "amina", "password": "wrong horse battery"}
    for i in range(10):
        anonymous.post("/sign-in", data=wrong, environ_base={"REMOTE_ADDR": f"192.0.2.{i}"})
    elsewhere = {"REMOTE_ADDR": "192.0.2.99"}
    answer = anonymous.post("/sign-in", data=wrong, environ_base=elsewhere)
    assert answer.status_code == 429
    assert "Wait a minute" in answer.text


@pytest.mark.usefixtures("amina")
def test_success_is_never_counted(anonymous: LintingClient) -> None:
    right = {"name": "amina", "password": PASSWORD}
    answers = {
        anonymous.post("/sign-in", data=right, headers=FROM_US).status_code for _ in "x" * 12
    }
    assert answers == {303}


def _cookie(client: LintingClient) -> str:
    cookie = client.get_cookie(COOKIE, domain="status.example.com")
    assert cookie is not None
    return cookie.value
