"""SendGrid as its SDK sees it: what is taken, what each recipient gets, what is refused."""

from __future__ import annotations

import copy
import json
import time
from contextlib import closing
from http.client import HTTPConnection
from typing import Any
from urllib.parse import urlsplit

import pytest
from sendgrid.helpers.mail import Mail, Personalization, To

from notifier.sandbox.process import Sandbox
from notifier.settings import SANDBOX_KEY
from tests.sandbox.clients import MAIL, accepted, send_mail, sendgrid_client

PEOPLE = 1000


def personal(number: int, **more: Any) -> dict[str, Any]:
    return {
        "to": [{"email": f"c{number}@example.org", "name": f"Reader {number}"}],
        "substitutions": {"-name-": f"Reader {number}"},
        "custom_args": {"notifier_delivery_id": f"d{number}"},
        "headers": {"List-Unsubscribe": f"<https://status.example.com/u/{number}>"},
        **more,
    }


def a_mail(**changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(MAIL), **changes}


# What is taken


def test_the_sdk_s_plain_dict_is_taken(box: Sandbox) -> None:
    answer = sendgrid_client(box).send(a_mail())
    assert answer.status_code == 202
    assert answer.body == b""
    reference = answer.headers["X-Message-Id"]
    [line] = accepted(box)
    assert line["id"] == f"{reference}.1"
    assert line["to"] == "ayesha@example.org"
    assert line["subject"] == "No hot water"


def test_the_sdk_s_own_classes_are_taken(box: Sandbox) -> None:
    mail = Mail("status@example.com", subject="Hello", plain_text_content="Text")
    mail.add_content("<p>HTML</p>", "text/html")
    one = Personalization()
    one.add_to(To("bob@example.org", "Bob"))
    mail.add_personalization(one)
    assert sendgrid_client(box).send(mail).status_code == 202
    assert [(m["to"], m["name"], m["text"]) for m in accepted(box)] == [
        ("bob@example.org", "Bob", "Text")
    ]


def test_each_of_a_thousand_gets_a_mail_of_their_own(box: Sandbox) -> None:
    mail = a_mail(personalizations=[personal(i) for i in range(PEOPLE)])
    status, _, headers = send_mail(box, mail)
    assert status == 202
    lines = accepted(box)
    assert [line["to"] for line in lines] == [f"c{i}@example.org" for i in range(PEOPLE)]
    assert [line["delivery_id"] for line in lines] == [f"d{i}" for i in range(PEOPLE)]
    assert {line["id"].split(".")[0] for line in lines} == {headers["x-message-id"]}
    assert {line["request"] for line in lines} == {1}
    assert lines[7]["text"] == "Dear Reader 7, no hot water."
    assert lines[7]["html"] == "<p>Dear Reader 7, no hot water.</p>"
    assert lines[7]["name"] == "Reader 7"
    assert lines[7]["headers"] == {
        "From": "Northvale Heat <status@example.com>",
        "To": "Reader 7 <c7@example.org>",
        "List-Unsubscribe": "<https://status.example.com/u/7>",
    }


def test_what_is_personal_goes_over_what_is_common(box: Sandbox) -> None:
    mail = a_mail(
        subject="For -name-",
        reply_to={"email": "help@example.com", "name": 'Help, "24 h"'},
        headers={"X-Ref": "common", "X-Kind": "outage"},
        custom_args={"kind": "outage", "batch": "1"},
        personalizations=[
            personal(1, headers={"x-ref": "own"}, custom_args={"batch": "2"}),
            personal(2, subject="Only for -name-", **{"from": {"email": "other@example.com"}}),
        ],
    )
    assert send_mail(box, mail)[0] == 202
    first, second = accepted(box)
    assert first["subject"] == "For Reader 1"
    assert first["headers"] == {
        "From": "Northvale Heat <status@example.com>",
        "Reply-To": '"Help, \\"24 h\\"" <help@example.com>',
        "X-Kind": "outage",
        "To": "Reader 1 <c1@example.org>",
        "x-ref": "own",
    }
    assert first["custom_args"] == {"kind": "outage", "batch": "2"}
    assert second["subject"] == "Only for Reader 2"
    assert second["headers"]["From"] == "other@example.com"
    assert second["headers"]["X-Ref"] == "common"
    assert second["custom_args"] == {
        "kind": "outage",
        "batch": "1",
        "notifier_delivery_id": "d2",
    }


def test_everybody_in_one_personalization_sees_the_others(box: Sandbox) -> None:
    one = {
        "to": [{"email": "a@example.org"}, {"email": "b@example.org"}],
        "cc": [{"email": "c@example.org"}],
        "bcc": [{"email": "d@example.org"}],
    }
    assert send_mail(box, a_mail(personalizations=[one]))[0] == 202
    lines = accepted(box)
    assert [(line["to"][0], line["role"], line["id"][-2:]) for line in lines] == [
        ("a", "to", ".1"),
        ("b", "to", ".2"),
        ("c", "cc", ".3"),
        ("d", "bcc", ".4"),
    ]
    assert {line["headers"]["To"] for line in lines} == {"a@example.org, b@example.org"}
    assert "bcc" not in {name.lower() for line in lines for name in line["headers"]}


@pytest.mark.parametrize(
    ("text", "values", "expected"),
    [
        ("-a- and -a-", {"-a-": "x"}, "x and x"),
        ("-a--ab-", {"-a-": "-ab-", "-ab-": "y"}, "-ab-y"),
        ("[n][name]", {"[n": "1", "[name]": "2"}, "1]2"),
        ('100 % "q" \\ %(0)s\n-a-', {"-a-": '5 % "é" \\ 水'}, '100 % "q" \\ %(0)s\n5 % "é" \\ 水'),
        ("n", {"n": "\n"}, "\n"),
        ("-a-", {"": "x", "-a-": ""}, ""),
        ("plain", {}, "plain"),
    ],
)  # fmt: skip
def test_substitutions_replace_exactly_their_tags(
    text: str, values: dict[str, str], expected: str, box: Sandbox
) -> None:
    mail = a_mail(
        subject=f"S {text}".replace("\n", " "),
        content=[{"type": "text/plain", "value": text}],
        personalizations=[{"to": [{"email": "a@example.org"}], "substitutions": values}],
    )
    assert send_mail(box, mail)[0] == 202
    [line] = accepted(box)
    assert line["text"] == expected
    assert line["html"] is None


def test_the_vendor_s_own_sandbox_mode_delivers_nothing(box: Sandbox) -> None:
    answer = sendgrid_client(box).send(a_mail(mail_settings={"sandbox_mode": {"enable": True}}))
    assert answer.status_code == 200
    assert accepted(box) == []


def test_a_mail_for_later_is_taken_with_its_time(box: Sandbox) -> None:
    at = int(time.time()) + 3600
    assert send_mail(box, a_mail(send_at=at))[0] == 202
    assert accepted(box)[0]["send_at"] == at


@pytest.mark.parametrize(
    "kind", ["application/json", "application/json; charset=utf-8", "Application/JSON"]
)
def test_json_is_taken_under_any_of_its_names(kind: str, box: Sandbox) -> None:
    assert send_mail(box, a_mail(), Content_Type=kind)[0] == 202


def test_answers_do_not_wait_for_the_client_s_acknowledgement(box: Sandbox) -> None:
    """Nagle and delayed ACKs together would cost each answer on a kept connection 40 ms."""
    url = urlsplit(box.http_url)
    headers = {"Authorization": f"Bearer {SANDBOX_KEY}", "Content-Type": "application/json"}
    durations = []
    with closing(HTTPConnection(str(url.hostname), url.port, timeout=5)) as connection:
        for _ in range(20):
            start = time.perf_counter()
            connection.request("POST", "/v3/mail/send", json.dumps(MAIL), headers)
            assert connection.getresponse().read() == b""
            durations.append(time.perf_counter() - start)
    assert min(durations[5:]) < 0.03
    assert len(accepted(box)) == 20
