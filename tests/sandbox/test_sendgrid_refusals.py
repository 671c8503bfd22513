"""What SendGrid refuses, with the field it names."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from python_http_client.exceptions import BadRequestsError, UnauthorizedError

from notifier.sandbox.process import Sandbox
from tests.sandbox.clients import MAIL, accepted, call, send_mail, sendgrid_client

#: A value that stands for "take this field away".
GONE = object()
LATE = int(time.time()) + 72 * 3600 + 86_400
FIRST = "personalizations.0"
HELP = "http://sendgrid.com/docs/API_Reference/Web_API_v3/Mail/errors.html#message."


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """One sandbox for all of them, since none may leave a trace."""
    with Sandbox(tmp_path_factory.mktemp("strict") / "log.jsonl") as box:
        yield box
        assert accepted(box) == []


def spoilt(changes: Mapping[str, Any]) -> dict[str, Any]:
    """A right mail with other values at some paths."""
    mail = copy.deepcopy(MAIL)
    for path, value in changes.items():
        *parents, last = path.split(".")
        place: Any = mail
        for name in parents:
            place = place[int(name)] if isinstance(place, list) else place[name]
        if value is GONE:
            del place[last]
        else:
            place[last] = value
    return mail


def people(*addresses: str) -> list[dict[str, Any]]:
    return [{"to": [{"email": address}]} for address in addresses]


def boxes(count: int) -> list[dict[str, str]]:
    return [{"email": f"c{number}@example.org"} for number in range(count)]


def on(*settings: str) -> dict[str, Any]:
    return {name: {"enable": True} for name in settings}


# (what, where the mail is spoilt and how, the field that is named)
WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("nobody", {"personalizations": []}, "personalizations"),
    ("no list", {"personalizations": {}}, "personalizations"),
    ("no personalizations", {"personalizations": GONE}, "personalizations"),
    ("1001 people", {"personalizations": [{"to": [b]} for b in boxes(1001)]}, "personalizations"),
    ("1001 in one", {f"{FIRST}.to": boxes(1001)}, "personalizations"),
    ("1001 with cc", {f"{FIRST}.to": boxes(1000), f"{FIRST}.cc": people("x@example.org")[0]["to"]},
     "personalizations"),
    ("no to", {f"{FIRST}.to": GONE}, f"{FIRST}.to"),
    ("empty to", {f"{FIRST}.to": []}, f"{FIRST}.to"),
    ("to without address", {f"{FIRST}.to": [{"name": "A"}]}, f"{FIRST}.to.0.email"),
    ("half an address", {"personalizations": people("a@example.org", "b@")},
     "personalizations.1.to.0.email"),
    ("address without a dot", {"personalizations": people("a@localhost")}, f"{FIRST}.to.0.email"),
    ("address in Urdu", {"personalizations": people("عائشہ@example.org")}, f"{FIRST}.to.0.email"),
    ("long local part", {"personalizations": people("a" * 65 + "@example.org")},
     f"{FIRST}.to.0.email"),
    ("address with a line break", {"personalizations": people("a@example.org\nBcc: b@example.org")},
     f"{FIRST}.to.0.email"),
    ("address as a number", {f"{FIRST}.to": [{"email": 5}]}, f"{FIRST}.to.0.email"),
    ("somebody twice", {"personalizations": people("a@example.org", "A@Example.ORG")},
     "personalizations"),
    ("to and cc", {f"{FIRST}.cc": MAIL["personalizations"][0]["to"]}, "personalizations"),
    ("name with a comma", {f"{FIRST}.to": [{"email": "a@example.org", "name": "Khan, Ayesha"}]},
     f"{FIRST}.to.0.name"),
    ("name with a semicolon", {f"{FIRST}.to": [{"email": "a@example.org", "name": "A;B"}]},
     f"{FIRST}.to.0.name"),
    ("more than an address", {f"{FIRST}.to": [{"email": "a@example.org", "phone": "1"}]},
     f"{FIRST}.to.0.phone"),
    ("bad cc", {f"{FIRST}.cc": [{"email": "x"}]}, f"{FIRST}.cc.0.email"),
    ("bad bcc", {f"{FIRST}.bcc": [{"email": "x"}]}, f"{FIRST}.bcc.0.email"),
    ("unknown in one", {f"{FIRST}.text": "x"}, f"{FIRST}.text"),
    ("number to substitute", {f"{FIRST}.substitutions": {"a": 1}}, f"{FIRST}.substitutions"),
    ("10,000 bytes and more to substitute", {f"{FIRST}.substitutions": {"a": "é" * 5000}},
     f"{FIRST}.substitutions"),
    ("number in custom_args", {f"{FIRST}.custom_args": {"a": 1}}, f"{FIRST}.custom_args"),
    ("empty custom_args", {f"{FIRST}.custom_args": {}}, f"{FIRST}.custom_args"),
    ("10,000 bytes and more of custom_args",
     {f"{FIRST}.custom_args": {"a": "x" * 5000}, "custom_args": {"b": "x" * 5000}},
     f"{FIRST}.custom_args"),
    ("empty subject", {"subject": ""}, "subject"),
    ("no subject", {"subject": GONE}, "subject"),
    ("subject for one of two",
     {"subject": GONE, "personalizations": [{**people("a@example.org")[0], "subject": "S"},
                                            *people("b@example.org")]}, "subject"),
    ("subject with a line break", {"subject": "A\r\nBcc: b@example.org"}, "subject"),
    ("no content", {"content": GONE}, "content"),
    ("empty content", {"content": []}, "content"),
    ("empty text", {"content": [{"type": "text/plain", "value": ""}]}, "content.0.value"),
    ("content without type", {"content": [{"value": "A"}]}, "content.0.type"),
    ("type with parameters", {"content": [{"type": "text/plain; charset=utf-8", "value": "A"}]},
     "content.0.type"),
    ("HTML first", {"content": MAIL["content"][::-1]}, "content"),
    ("no from", {"from": GONE}, "from"),
    ("from in Urdu", {"from": {"email": "عائشہ@example.org"}}, "from.email"),
    ("from as text", {"from": "status@example.com"}, "from"),
    ("both kinds of reply_to", {"reply_to": {"email": "a@example.org"}, "reply_to_list": boxes(1)},
     "reply_to_list"),
    ("reserved header", {"headers": {"subject": "x"}}, "headers.subject"),
    ("reserved header for one", {f"{FIRST}.headers": {"Reply-To": "x"}},
     f"{FIRST}.headers.Reply-To"),
    ("header with a space", {"headers": {"X A": "x"}}, "headers.X A"),
    ("header that is a number", {"headers": {"X-A": 1}}, "headers"),
    ("header in two spellings", {"headers": {"X-A": "1", "x-a": "2"}}, "headers"),
    ("header with a line break", {"headers": {"X-A": "1\r\nBcc: b@example.org"}}, "headers.X-A"),
    ("later than in 72 hours", {"send_at": LATE}, "send_at"),
    ("later than in 72 hours for one", {f"{FIRST}.send_at": LATE}, f"{FIRST}.send_at"),
    ("send_at as text", {"send_at": "tomorrow"}, "send_at"),
    ("11 categories", {"categories": [str(i) for i in range(11)]}, "categories"),
    ("a category twice", {"categories": ["a", "a"]}, "categories"),
    ("a long category", {"categories": ["a" * 256]}, "categories.0"),
    ("a template", {"template_id": "d-1"}, "template_id"),
    ("sandbox_mode as text", {"mail_settings": {"sandbox_mode": {"enable": "true"}}},
     "mail_settings.sandbox_mode.enable"),
    ("two bypasses", {"mail_settings": on("bypass_list_management", "bypass_spam_management")},
     "mail_settings.bypass_list_management"),
    ("attachment that is no base64", {"attachments": [{"content": "ä", "filename": "a.txt"}]},
     "attachments.0.content"),
    ("attachment without a name", {"attachments": [{"content": "YQ=="}]}, "attachments.0.filename"),
    ("unknown at the top", {"colour": "red"}, "colour"),
    ("to at the top", {"to": boxes(1)}, "to"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "field"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
def test_it_is_refused_with_the_field_named(
    changes: dict[str, Any], field: str, strict: Sandbox
) -> None:
    with pytest.raises(BadRequestsError) as caught:
        sendgrid_client(strict).send(spoilt(changes))
    [error] = caught.value.to_dict["errors"]
    assert error["field"] == field
    assert error["message"]
    assert error["help"].startswith(HELP)


def test_every_wrong_field_is_named_at_once(strict: Sandbox) -> None:
    status, answer, _ = send_mail(strict, {"subject": ""})
    assert status == 400
    assert [e["field"] for e in answer["errors"]] == [
        "personalizations",
        "from",
        "content",
        "subject",
    ]


def test_one_wrong_address_of_a_thousand_spoils_the_request(strict: Sandbox) -> None:
    mail = spoilt({"personalizations": [{"to": [box]} for box in boxes(1000)]})
    mail["personalizations"][998]["to"][0]["email"] = "nobody"
    status, answer, _ = send_mail(strict, mail)
    assert (status, answer["errors"][0]["field"]) == (400, "personalizations.998.to.0.email")


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"subject=Hello", {"Content_Type": "application/x-www-form-urlencoded"}, 415),
        (b'{"subject": "\xff"}', {}, 415),
        (b"{}", {"Content_Encoding": "gzip"}, 415),
        (b'{"subject": ', {}, 400),
        (b'{"subject": NaN}', {}, 400),
        (b"[]", {}, 400),
        (b"[" * 100_000, {}, 400),
        (b"", {}, 400),
    ],
)
def test_an_unreadable_body_is_refused(
    body: bytes, headers: dict[str, str], status: int, strict: Sandbox
) -> None:
    answered, answer, _ = send_mail(strict, body, **headers)
    assert answered == status
    assert answer["errors"][0]["message"]


def test_a_body_beyond_30_mb_is_refused(strict: Sandbox) -> None:
    status, body, _ = send_mail(strict, b" " * (30 * 1024 * 1024 + 1))
    assert status == 413
    assert b"<html>" in body, "as the vendor's front server answers"


def test_a_wrong_key_and_no_key_get_the_vendor_s_two_sentences(strict: Sandbox) -> None:
    with pytest.raises(UnauthorizedError) as caught:
        sendgrid_client(strict, "SG.another").send(MAIL)
    said = caught.value.to_dict["errors"][0]["message"]
    assert said == "The provided authorization grant is invalid, expired, or revoked"
    status, answer, _ = call(strict, "POST", "/v3/mail/send", MAIL)
    assert status == 401
    assert answer["errors"] == [
        {"message": "Permission denied, wrong credentials", "field": None, "help": None}
    ]


def test_other_paths_and_methods_are_not_played(strict: Sandbox) -> None:
    key = {"Authorization": "Bearer SG.sandbox.not-a-secret"}
    assert call(strict, "GET", "/v3/mail/send", **key)[0] == 405
    assert call(strict, "POST", "/v3/mail/batch", {}, **key)[0] == 404
