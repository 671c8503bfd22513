"""What the browser gets, and what the sandbox tells programs about itself."""

from __future__ import annotations

import re
from typing import Any

import pytest
import tweepy

from notifier.sandbox.process import Sandbox
from tests.sandbox.clients import MAIL, call, order, send_mail
from tests.sandbox.test_smtp import a_mail, connected

HOSTILE = '<script>alert("x")</script>'


def page(box: Sandbox, path: str) -> tuple[int, str, dict[str, str]]:
    status, body, headers = call(box, "GET", path)
    return status, body.decode(), headers


def many(count: int, name: str = "Reader") -> dict[str, Any]:
    to = [{"to": [{"email": f"c{i}@example.org", "name": f"{name} {i}"}]} for i in range(count)]
    return {**MAIL, "personalizations": to}


def test_the_first_page_shows_posts_and_mails(box: Sandbox, x: tweepy.Client) -> None:
    ident = x.create_tweet(text=f"No hot water {HOSTILE}").data["id"]
    send_mail(box, many(2, name=f"Ann {HOSTILE}"))
    status, body, _ = page(box, "/")
    assert status == 200
    assert "No hot water &lt;script&gt;" in body
    assert "Ann &lt;script&gt;" in body
    assert "<script" not in body
    assert "40 of 280" in body
    assert f'href="/x/i/web/status/{ident}"' in body
    assert "1 post<" in body
    assert "2 mails<" in body


def test_the_first_page_without_anything(box: Sandbox) -> None:
    _, body, _ = page(box, "/")
    assert "No post yet." in body
    assert "No mail yet." in body


def test_the_first_page_keeps_up_until_it_is_told_not_to(box: Sandbox) -> None:
    refresh = '<meta http-equiv="refresh"'
    assert refresh in page(box, "/")[1]
    assert refresh not in page(box, "/?refresh=off")[1]


def test_many_mails_are_leafed_through(box: Sandbox) -> None:
    send_mail(box, many(120))
    seen: list[str] = []
    path = "/"
    while path:
        _, body, _ = page(box, path)
        seen += re.findall(r"<bdi>Reader (\d+)</bdi>", body)
        older = re.search(r'href="(/\?before=\d+)"', body)
        path = older[1] if older else ""
    assert seen == [str(number) for number in reversed(range(120))]


def test_one_post_has_a_page_until_it_is_deleted(box: Sandbox, x: tweepy.Client) -> None:
    first = x.create_tweet(text="No hot water").data["id"]
    second = x.create_tweet(text="Crew on site", in_reply_to_tweet_id=first).data["id"]
    status, body, _ = page(box, f"/x/i/web/status/{second}")
    assert status == 200
    assert "Crew on site" in body
    assert f'answers <a href="/x/i/web/status/{first}">' in body
    x.delete_tweet(second)
    assert page(box, f"/x/i/web/status/{second}")[0] == 404


def test_a_mail_s_page_shows_all_of_it(box: Sandbox) -> None:
    with connected(box) as client:
        client.send_message(a_mail(List_Unsubscribe="<https://status.example.com/u/1>"))
    status, body, headers = page(box, "/mail/1")
    assert status == 200
    assert "<title>No hot water: ß" in body
    assert "No hot water until 16:00 ü." in body
    assert "<dt>List-Unsubscribe</dt>" in body
    assert "&lt;https://status.example.com/u/1&gt;" in body
    assert '<iframe sandbox="" src="/mail/1/html"' in body
    assert headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'")


def test_a_mail_s_html_can_do_nothing(box: Sandbox) -> None:
    html = f"<p>Hello</p>{HOSTILE}<img src=https://evil.example/p.png>"
    mail = {**MAIL, "content": [{"type": "text/html", "value": html}]}
    send_mail(box, mail)
    status, body, headers = page(box, "/mail/1/html")
    assert (status, body) == (200, html)
    policy = headers["content-security-policy"].split("; ")
    assert {"sandbox", "default-src 'none'", "form-action 'none'"} <= set(policy)
    assert not any(part.startswith(("script-src", "img-src", "connect-src")) for part in policy)
    assert headers["x-content-type-options"] == "nosniff"
    assert "This mail has no text part." in page(box, "/mail/1")[1]


@pytest.mark.parametrize(
    "path",
    ["/mail/2", "/mail/0", "/mail/x", "/mail/%D9%A3", "/mail/1/html", "/mail/3", "/nothing",
     "/x/i/web/status/5", "/../etc/passwd"],
)  # fmt: skip
def test_what_is_not_there_is_said_to_be_missing(path: str, box: Sandbox, x: tweepy.Client) -> None:
    x.create_tweet(text="Line 1 is a post")
    order(box, "sendgrid", "202_then_lost")
    send_mail(box, MAIL)
    status, body, _ = page(box, path)
    assert status == 404
    assert "<h1>Not found</h1>" in body


def test_healthz_answers(box: Sandbox) -> None:
    assert call(box, "GET", "/healthz")[:2] == (200, {"status": "ok"})


def test_accepted_messages_can_be_asked_for(box: Sandbox, x: tweepy.Client) -> None:
    x.create_tweet(text="No hot water")
    send_mail(box, many(3))

    def asked(query: str) -> list[int]:
        found = call(box, "GET", f"/_sandbox/messages{query}")[1]["messages"]
        return [message["seq"] for message in found]

    assert asked("") == [1, 2, 3, 4]
    assert asked("?service=x") == [1]
    assert asked("?service=sendgrid&to=C1@example.org") == [3]
    assert asked("?after=2") == [3, 4]
    assert asked("?after=1&limit=1") == [2]
    assert asked("?service=smtp") == []
    assert call(box, "GET", "/_sandbox/messages?after=x")[0] == 400


def test_pages_are_only_read(box: Sandbox) -> None:
    assert call(box, "POST", "/", {})[0] == 405
    assert call(box, "PUT", "/_sandbox/faults", {})[0] == 405
    status, body, headers = call(box, "HEAD", "/")
    assert (status, body) == (200, b"")
    assert int(headers["content-length"]) > 100
