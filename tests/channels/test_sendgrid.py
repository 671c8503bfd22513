"""The SendGrid channel over real sockets: what it sends, and what it makes of each answer."""

from __future__ import annotations

import html
import json
import time
from datetime import timedelta
from email.utils import formatdate
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.channels import sendgrid
from notifier.channels._sendgrid_body import Body
from notifier.domain.delivery import BatchOutcome, Rejected, Retry, Sent, Unknown
from notifier.domain.message import GREETING, SLOTS, UNSUBSCRIBE, Recipient
from notifier.sandbox.sendgrid_rules import find_problems
from notifier.settings import SANDBOX_HTTP, SANDBOX_KEY, SettingsError, load
from tests.channels.samples import API_KEY, make_mail, make_readers, open_sendgrid
from tests.channels.scripted import Server, answer

TAKEN = answer(202, "", {"X-Message-Id": "abc.123"})


def _send(
    status: int, body: Any, headers: dict[str, str] | None = None, readers: int = 5
) -> BatchOutcome:
    text = body if isinstance(body, str) else json.dumps(body)
    with Server(answer(status, text, headers)) as server:
        return open_sendgrid(server.url).prepare(make_mail()).send(make_readers(readers))


def _load(tmp_path: Any, **environ: str) -> sendgrid.Config:
    empty = tmp_path / "notifier.toml"
    empty.touch()
    loaded = load({"sendgrid": sendgrid.Config}, environ=environ, path=empty).channels["sendgrid"]
    assert isinstance(loaded, sendgrid.Config)
    return loaded


def test_one_request_carries_a_thousand_readers() -> None:
    readers = make_readers(1000)
    with Server(TAKEN) as server:
        channel = open_sendgrid(server.url)
        assert channel.batch_size == 1000
        assert channel.prepare(make_mail()).send(readers) == BatchOutcome(Sent("abc.123"))
    [request] = server.requests
    assert (request.method, request.target) == ("POST", "/v3/mail/send")
    assert request.headers["authorization"] == f"Bearer {API_KEY}"
    assert request.headers["content-type"] == "application/json"
    body = json.loads(request.body)
    assert find_problems(body, now=time.time()) == []
    to = [one["to"][0]["email"] for one in body["personalizations"]]
    assert to == [reader.address for reader in readers]


def test_the_request_says_who_writes_and_why() -> None:
    with Server(TAKEN) as server:
        open_sendgrid(server.url).prepare(make_mail()).send(make_readers(1))
    body = json.loads(server.requests[0].body)
    assert body["from"] == {"email": "status@example.com", "name": "Northvale Heat, Ltd."}
    assert body["reply_to"] == {"email": "help@example.com"}
    assert body["subject"] == "No heat in Northvale until about 16:00"
    assert body["headers"] == {
        "Auto-Submitted": "auto-generated",
        "In-Reply-To": "<inc-1@example.com>",
        "References": "<inc-1@example.com>",
        "List-Id": "<incidents.example.com>",
    }
    assert body["categories"] == ["notifier"]
    assert [part["type"] for part in body["content"]] == ["text/plain", "text/html"]
    enabled = [setting["enable"] for setting in body["tracking_settings"].values()]
    assert enabled == [False] * 4


def test_each_reader_can_leave_with_one_click() -> None:
    with Server(TAKEN) as server:
        open_sendgrid(server.url).prepare(make_mail()).send(make_readers(2))
    for number, one in enumerate(json.loads(server.requests[0].body)["personalizations"]):
        assert one["headers"] == {
            "List-Unsubscribe": f"<https://status.example.com/u/{number}?k=a&l=b>",
            "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        }
        assert one["custom_args"] == {"notifier_delivery_id": f"d{number}"}


def test_a_part_that_is_empty_is_left_out() -> None:
    body = json.loads(Body(make_mail(html="")).fill(make_readers(1)))
    assert [part["type"] for part in body["content"]] == ["text/plain"]


def _received(body: Any, number: int) -> tuple[str, str]:
    """The two parts as SendGrid makes them for one reader, at the worst: tag after tag."""
    parts = []
    for part in body["content"]:
        text = part["value"]
        for tag, value in body["personalizations"][number]["substitutions"].items():
            text = text.replace(tag, value)
        parts.append(text)
    return parts[0], parts[1]


ANY = st.text(max_size=30)
# What would break out of JSON, HTML, a header or a slot, and tags as one could guess them.
NASTY = st.sampled_from(
    ['"', "\\", "</a>", "&amp;", "'", "{name}", "\r\nBcc: x@y.z", "\u2028", "\x00", "a;b,c",
     "-greeting-text-", "-link-html-", "<x@y.z>", "%s", "{0}", "\U0001f525", "عائشہ", *SLOTS]
)  # fmt: skip
# Escapes beside escapes, and what looks like one: a page of readers is encoded as one text.
ESCAPES = st.text(alphabet='\\"&<\n\x00\x7fu0n,', max_size=12)
VALUE = st.one_of(ANY, ESCAPES, st.lists(st.one_of(ANY, NASTY), max_size=4).map("".join))
READER = st.builds(Recipient, VALUE, VALUE, VALUE, VALUE)


def _shown(name: str) -> str:
    """What of a name may stand in a To header that nobody quotes."""
    return "".join(c for c in name if c not in ';,<>"\\\x7f' and c >= " ")


@settings(max_examples=100)
@given(
    readers=st.lists(READER, min_size=1, max_size=5),
    named=st.one_of(VALUE, VALUE.map("Dear {name}, {name}".__add__)),
    plain=VALUE,
    subject=VALUE,
)
def test_each_reader_gets_exactly_what_is_theirs(
    readers: list[Recipient], named: str, plain: str, subject: str
) -> None:
    mail = make_mail(greeting_named=named, greeting_plain=plain, subject=subject)
    raw = Body(mail).fill(readers)
    body = json.loads(raw)
    assert raw.isascii()
    assert body["subject"] == subject
    assert len(body["personalizations"]) == len(readers)
    for number, reader in enumerate(readers):
        one = body["personalizations"][number]
        [box] = one["to"]
        assert box["email"] == reader.address
        assert box.get("name") == (_shown(reader.name) or None)
        assert one["custom_args"] == {"notifier_delivery_id": reader.delivery_id}
        assert one["headers"]["List-Unsubscribe"] == f"<{reader.unsubscribe_url}>"
        greeting, url = mail.greet(reader.name), reader.unsubscribe_url
        text, page = _received(body, number)
        assert text == f"{greeting}\n\nNo heat.\n\nUnsubscribe: {url}\n"
        assert page == (
            f"<p>{html.escape(greeting)}</p><p>No heat.</p>"
            f'<a href="{html.escape(url)}">Unsubscribe</a>'
        )


@pytest.mark.parametrize("mark", [*"&<>\"'\\\n\x00\x7f", "\u00e1", "\u0639", "\U0001f525"])
def test_one_special_character_among_plain_readers_is_kept(mark: str) -> None:
    name = f"A{mark}B"
    readers = [*make_readers(2), make_readers(1)[0]._replace(name=name)]
    body = json.loads(Body(make_mail()).fill(readers))
    assert body["personalizations"][2]["to"][0].get("name") == _shown(name)
    text, page = _received(body, 2)
    assert text.startswith(f"Dear {name} & family,\n")
    assert page.startswith(f"<p>{html.escape(f'Dear {name} & family,')}</p>")


def test_no_tag_is_part_of_another_or_of_the_mail() -> None:
    mail = make_mail()
    [one] = json.loads(Body(mail).fill(make_readers(1)))["personalizations"]
    tags = list(one["substitutions"])
    assert len(tags) == 4
    assert [(a, b) for a in tags for b in tags if a != b and a in b] == []
    assert [tag for tag in tags if tag in mail.text + mail.html] == []


def test_tags_are_not_the_same_twice() -> None:
    """Or a reader could take one as a name."""
    bodies = [json.loads(Body(make_mail()).fill(make_readers(1))) for _ in range(2)]
    first, second = (body["personalizations"][0]["substitutions"].keys() for body in bodies)
    assert first.isdisjoint(second)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Khan, Ayesha", {"name": "Khan Ayesha"}),
        ("Mallory <victim@example.com>", {"name": "Mallory victim@example.com"}),
        (";,", {}),
        ("", {}),
        ("O'Brien (Ltd.)", {"name": "O'Brien (Ltd.)"}),
    ],
)
def test_a_name_cannot_be_taken_for_an_address(name: str, shown: dict[str, str]) -> None:
    reader = Recipient("d", "a@example.com", name, "https://u.example/1")
    [one] = json.loads(Body(make_mail()).fill([reader]))["personalizations"]
    assert one["to"] == [{"email": "a@example.com"} | shown]


def test_an_address_in_other_letters_is_set_aside() -> None:
    readers = make_readers(4)
    readers[2] = readers[2]._replace(address="READER0@Example.com")
    with Server(TAKEN) as server:
        outcome = open_sendgrid(server.url).prepare(make_mail()).send(readers)
    assert outcome == BatchOutcome(Sent("abc.123"), {2: sendgrid.TWICE})
    body = json.loads(server.requests[0].body)
    ids = [one["custom_args"]["notifier_delivery_id"] for one in body["personalizations"]]
    assert ids == ["d0", "d1", "d3"]


def test_nobody_to_write_to_needs_no_request() -> None:
    with Server(TAKEN) as server:
        outcome = open_sendgrid(server.url).prepare(make_mail()).send([])
    assert outcome == BatchOutcome(Sent(""))
    assert server.requests == []


def _errors(*fields: Any) -> dict[str, Any]:
    return {"errors": [{"message": f"bad {f}", "field": f, "help": None} for f in fields]}


def test_only_the_readers_that_are_named_are_refused() -> None:
    outcome = _send(400, _errors("personalizations.1.to.0.email", "personalizations.3.to"))
    assert outcome.rest == sendgrid.INNOCENT
    assert sendgrid.INNOCENT.after == timedelta(0)
    assert set(outcome.each) == {1, 3}
    assert all(isinstance(one, Rejected) for one in outcome.each.values())
    assert "bad personalizations.3.to" in outcome.each[3].reason


def test_a_refused_reader_is_found_behind_one_that_was_set_aside() -> None:
    readers = make_readers(4)
    readers[1] = readers[1]._replace(address="Reader0@example.com")
    refusal = answer(400, json.dumps(_errors("personalizations.2")))
    with Server(refusal) as server:
        outcome = open_sendgrid(server.url).prepare(make_mail()).send(readers)
    assert set(outcome.each) == {1, 3}
    assert outcome.each[1] == sendgrid.TWICE
    assert outcome.rest == sendgrid.INNOCENT


@pytest.mark.parametrize(
    "body",
    [
        _errors("from.email"),
        _errors("personalizations.1.to", "subject"),
        _errors("personalizations"),
        _errors("personalizations.5.to"),
        _errors("personalizations.x.to"),
        _errors("personalizations.1x"),
        _errors(None),
        {"errors": []},
        {"errors": ["personalizations.1.to"]},
        {"errors": {"personalizations.1.to": "no"}},
        [],
        "",
        "<html>",
    ],
)
def test_any_other_refusal_is_for_all(body: Any) -> None:
    outcome = _send(400, body)
    assert isinstance(outcome.rest, Rejected)
    assert outcome.each == {}


def test_accepted_without_an_id_is_accepted() -> None:
    assert _send(202, "") == BatchOutcome(Sent(""))


def test_valid_but_not_queued_is_not_accepted() -> None:
    assert isinstance(_send(200, "").rest, Unknown)


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [
        (400, _errors("from.email"), ["bad from.email", "(400)"]),
        (401, {"errors": [{"message": "authorization required"}]}, ["api_key", "required"]),
        (403, {"errors": [{"message": "access forbidden"}]}, ["address is verified", "forbidden"]),
        (404, "", ["api_url"]),
        (405, "", ["api_url"]),
        (413, "<html>", ["too large"]),
        (415, "", ["api_url"]),
        (302, "", ["api_url", "302"]),
        (429, {"errors": [{"message": "too many requests"}]}, ["rate limit", "too many"]),
        (502, "<html>", ["(502)"]),
    ],
)
def test_the_reason_says_what_happened_and_what_to_do(
    status: int, body: Any, words: list[str]
) -> None:
    outcome = _send(status, body).rest
    assert isinstance(outcome, Rejected | Retry | Unknown)
    assert [word for word in words if word not in outcome.reason] == []


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_concerns_the_account_and_no_reader(status: int) -> None:
    outcome = _send(status, "").rest
    assert isinstance(outcome, Retry)
    assert (outcome.account, outcome.after) == (True, timedelta(minutes=1))


NOW = int(time.time())


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "120"}, 120),
        ({"Retry-After": formatdate(NOW + 240, usegmt=True)}, 240),
        ({"Retry-After": formatdate(NOW - 240, usegmt=True)}, 0),
        ({"X-RateLimit-Reset": str(NOW + 30)}, 30),
        ({"Retry-After": "7", "X-RateLimit-Reset": str(NOW + 30)}, 7),
        ({"Retry-After": "in a while", "X-RateLimit-Reset": str(NOW + 30)}, 30),
        ({"Retry-After": "31536000"}, 60),
        ({"Retry-After": "-1", "X-RateLimit-Reset": "x"}, 60),
        ({}, 60),
    ],
)
def test_it_waits_as_long_as_it_is_told(headers: dict[str, str], seconds: int) -> None:
    outcome = _send(429, "", headers | {"Date": formatdate(NOW, usegmt=True)}).rest
    assert isinstance(outcome, Retry)
    assert outcome.after == timedelta(seconds=seconds)


def test_without_a_key_it_talks_to_the_sandbox(tmp_path: Any) -> None:
    config = _load(tmp_path, NOTIFIER_SENDGRID__API_KEY="")
    assert config.api_url == SANDBOX_HTTP
    assert config.api_key.get_secret_value() == SANDBOX_KEY


def test_with_a_key_it_talks_to_sendgrid(tmp_path: Any) -> None:
    config = _load(tmp_path, NOTIFIER_SENDGRID__API_KEY=API_KEY)
    assert config.api_url == "https://api.sendgrid.com"


@pytest.mark.parametrize("host", ["api.sendgrid.com", "api.eu.sendgrid.com"])
def test_sendgrid_itself_is_not_called_without_a_key(tmp_path: Any, host: str) -> None:
    with pytest.raises(SettingsError, match="api_key is missing"):
        _load(tmp_path, NOTIFIER_SENDGRID__API_URL=f"https://{host}")


def test_the_slots_are_gone() -> None:
    body = Body(make_mail()).fill(make_readers(1)).decode()
    assert GREETING[0] not in json.loads(body)["content"][0]["value"]
    assert UNSUBSCRIBE[0] not in json.loads(body)["content"][1]["value"]
