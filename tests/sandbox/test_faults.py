"""Every fault, and what the real client makes of it."""

from __future__ import annotations

import smtplib
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
import tweepy
from python_http_client.exceptions import (
    HTTPError,
    ServiceUnavailableError,
    TooManyRequestsError,
)

from notifier.sandbox.faults import Fault, Faults
from notifier.sandbox.process import Sandbox
from tests.sandbox.clients import (
    MAIL,
    accepted,
    call,
    order,
    raw_lines,
    send_mail,
    sendgrid_client,
    speak_smtp,
)
from tests.sandbox.test_smtp import a_mail, connected

# Statuses


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, tweepy.Unauthorized),
        (402, tweepy.HTTPException),
        (403, tweepy.Forbidden),
        (418, tweepy.HTTPException),
        (429, tweepy.TooManyRequests),
        (500, tweepy.TwitterServerError),
        (502, tweepy.TwitterServerError),
        (503, tweepy.TwitterServerError),
        (504, tweepy.TwitterServerError),
    ],
)
def test_x_fails_with_a_status_once(
    status: int, error: type[Exception], box: Sandbox, x: tweepy.Client
) -> None:
    order(box, "x", status)
    with pytest.raises(error) as caught:
        x.create_tweet(text="Hello")
    assert caught.value.response.status_code == status
    assert caught.value.response.headers["x-rate-limit-limit"]
    assert accepted(box) == []
    assert x.create_tweet(text="Hello").data["id"]


def test_out_of_credits_is_said_in_x_s_words(box: Sandbox, x: tweepy.Client) -> None:
    order(box, "x", 402)
    with pytest.raises(tweepy.HTTPException, match="does not have any credits"):
        x.create_tweet(text="Hello")


def test_a_limit_of_x_says_when_it_ends(box: Sandbox, x: tweepy.Client) -> None:
    order(box, "x", 429, reset=42)
    with pytest.raises(tweepy.TooManyRequests) as caught:
        x.create_tweet(text="Hello")
    assert caught.value.reset_time == pytest.approx(time.time() + 42, abs=3)


def test_a_limit_of_x_can_end_at_a_nonsensical_time(box: Sandbox, x: tweepy.Client) -> None:
    order(box, "x", 429, reset="soon")
    with pytest.raises(ValueError, match="soon"):
        x.create_tweet(text="Hello")


@pytest.mark.parametrize("value", [7, "7", "Wed, 21 Oct 2026 07:28:00 GMT", "soon"])
def test_a_limit_of_sendgrid_says_when_to_retry(value: Any, box: Sandbox) -> None:
    order(box, "sendgrid", "429", retry_after=value, reset=60)
    with pytest.raises(TooManyRequestsError) as caught:
        sendgrid_client(box).send(MAIL)
    assert caught.value.headers["Retry-After"] == str(value)
    assert int(caught.value.headers["X-RateLimit-Reset"]) > time.time()
    assert caught.value.to_dict["errors"][0]["message"] == "too many requests"


def test_sendgrid_fails_with_a_status(box: Sandbox) -> None:
    order(box, "sendgrid", 503)
    with pytest.raises(ServiceUnavailableError):
        sendgrid_client(box).send(MAIL)
    assert accepted(box) == []


def test_the_mail_can_be_accepted_before_the_failure(box: Sandbox) -> None:
    order(box, "sendgrid", 502, accept=True)
    with pytest.raises(HTTPError) as caught:
        sendgrid_client(box).send(MAIL)
    assert caught.value.status_code == 502
    assert len(accepted(box)) == 1


# No answer


@pytest.mark.parametrize("fault", ["reset", "accept_then_reset"])
def test_a_reset_is_a_broken_connection(fault: str, box: Sandbox, x: tweepy.Client) -> None:
    order(box, "x", fault)
    with pytest.raises(requests.ConnectionError, match="Connection reset by peer"):
        x.create_tweet(text="Hello")
    assert len(accepted(box)) == (1 if fault == "accept_then_reset" else 0)


def test_a_reset_can_come_before_the_body(box: Sandbox, x: tweepy.Client) -> None:
    order(box, "x", "reset_before_body")
    # urllib3 may meet the reset while it sends; then it only sees the connection's end
    with pytest.raises(requests.ConnectionError, match=r"reset by peer|without response"):
        x.create_tweet(text="Hello")
    assert accepted(box) == []


def test_after_a_lost_answer_the_repetition_is_a_duplicate(box: Sandbox, x: tweepy.Client) -> None:
    order(box, "x", "accept_then_reset")
    with pytest.raises(requests.ConnectionError):
        x.create_tweet(text="Hello")
    with pytest.raises(tweepy.Forbidden, match="duplicate content"):
        x.create_tweet(text="Hello")
    me = x.get_me().data.id
    assert [post.text for post in x.get_users_tweets(me, user_auth=True).data] == ["Hello"]


@pytest.mark.parametrize("count", [5, 100, 350])
def test_the_answer_can_break_off_anywhere(count: int, box: Sandbox, x: tweepy.Client) -> None:
    """In the status line, in the headers, in the body."""
    order(box, "x", "accept_then_reset", bytes=count)
    with pytest.raises(requests.RequestException, match="reset by peer"):
        x.create_tweet(text="Hello" * 20)
    assert len(accepted(box)) == 1


@pytest.mark.parametrize("accept", [False, True])
def test_a_client_tires_of_a_silent_service(accept: bool, box: Sandbox, x: tweepy.Client) -> None:
    order(box, "x", "hang", seconds=30, accept=accept)
    x.session.get_adapter("https://api.twitter.com").timeout = 0.2
    with pytest.raises(requests.ReadTimeout):
        x.create_tweet(text="Hello")
    assert len(accepted(box)) == int(accept)


def test_a_silent_service_hangs_up_in_the_end(box: Sandbox) -> None:
    order(box, "sendgrid", "hang", seconds=0.1)
    with pytest.raises(OSError, match="closed connection without response"):
        sendgrid_client(box).send(MAIL)
    assert accepted(box) == []


def test_a_slow_answer_is_right_but_slow(box: Sandbox, x: tweepy.Client) -> None:
    order(box, "x", "slow", bytes_per_second=2000)
    start = time.monotonic()
    assert x.create_tweet(text="Hello").data["text"] == "Hello"
    assert time.monotonic() - start > 0.15
    assert len(accepted(box)) == 1


# Wrong answers


@pytest.mark.parametrize("kind", ["html", "truncated", "empty", "binary"])
def test_garbage_is_no_json_though_the_post_stands(
    kind: str, box: Sandbox, x: tweepy.Client
) -> None:
    order(box, "x", "garbage", kind=kind)
    with pytest.raises((requests.JSONDecodeError, UnicodeDecodeError)):
        x.create_tweet(text="Hello")
    assert len(accepted(box)) == 1


def test_an_answer_without_an_id(box: Sandbox, x: tweepy.Client) -> None:
    order(box, "x", "garbage", kind="no_id", accept=False)
    assert x.create_tweet(text="Hello").data == {}
    assert accepted(box) == []


def test_an_answer_that_is_a_list(box: Sandbox, x: tweepy.Client) -> None:
    order(box, "x", "garbage", kind="list")
    with pytest.raises((AttributeError, TypeError)):
        x.create_tweet(text="Hello")


def test_sendgrid_s_garbage_has_no_message_id(box: Sandbox) -> None:
    order(box, "sendgrid", "garbage")
    answer = sendgrid_client(box).send(MAIL)
    assert answer.status_code == 202
    assert "X-Message-Id" not in answer.headers
    assert b"<html>" in answer.body
    assert len(accepted(box)) == 1


def test_a_lost_mail_is_answered_but_not_accepted(box: Sandbox) -> None:
    order(box, "sendgrid", "202_then_lost")
    answer = sendgrid_client(box).send(MAIL)
    assert answer.status_code == 202
    assert accepted(box) == []
    assert box.log.count_mails() == 0
    [line] = raw_lines(box)
    assert line["lost"] is True
    assert "to" not in line
    assert line["message"]["to"] == "ayesha@example.org"
    assert line["message"]["id"] == f"{answer.headers['X-Message-Id']}.1"


def test_a_lost_post_is_not_on_the_timeline(box: Sandbox, x: tweepy.Client) -> None:
    order(box, "x", "202_then_lost")
    assert x.create_tweet(text="Hello").data["id"]
    assert x.get_users_tweets(x.get_me().data.id, user_auth=True).data is None
    assert accepted(box) == []
    x.create_tweet(text="Hello")
    assert len(accepted(box)) == 1


def test_a_duplicate_that_is_none(box: Sandbox, x: tweepy.Client) -> None:
    order(box, "x", "duplicate")
    with pytest.raises(tweepy.Forbidden, match="duplicate content"):
        x.create_tweet(text="Never said before")
    assert accepted(box) == []


# Which request it strikes


def test_a_fault_strikes_as_often_as_ordered(box: Sandbox) -> None:
    order(box, "sendgrid", 500, times=2)
    assert [send_mail(box, MAIL)[0] for _ in range(3)] == [500, 500, 202]


def test_a_fault_without_end_lasts_until_it_is_cleared(box: Sandbox) -> None:
    order(box, "sendgrid", 500, times=None)
    assert [send_mail(box, MAIL)[0] for _ in range(3)] == [500, 500, 500]
    listed = call(box, "GET", "/_sandbox/faults")[1]["faults"]
    assert [(f["fault"], f["left"], f["struck"]) for f in listed] == [("500", None, 3)]
    assert call(box, "DELETE", "/_sandbox/faults")[1] == {"faults": []}
    assert send_mail(box, MAIL)[0] == 202


def test_a_fault_can_spare_the_first(box: Sandbox) -> None:
    order(box, "sendgrid", 500, after=2)
    assert [send_mail(box, MAIL)[0] for _ in range(4)] == [202, 202, 500, 202]


def test_a_fault_can_strike_what_contains_a_text(box: Sandbox) -> None:
    order(box, "sendgrid", 500, match="bob@")
    bob = {**MAIL, "personalizations": [{"to": [{"email": "bob@example.org"}]}]}
    assert [send_mail(box, mail)[0] for mail in (MAIL, bob, bob)] == [202, 500, 202]


def test_a_fault_of_one_service_leaves_the_others_alone(box: Sandbox, x: tweepy.Client) -> None:
    order(box, "x", 500)
    assert send_mail(box, MAIL)[0] == 202
    with pytest.raises(tweepy.TwitterServerError):
        x.create_tweet(text="Hello")


def test_reading_can_fail_while_writing_goes_on(box: Sandbox, x: tweepy.Client) -> None:
    order(box, "x", 503, method="GET")
    x.create_tweet(text="Hello")
    with pytest.raises(tweepy.TwitterServerError):
        x.get_me()


def test_one_way_of_reading_can_fail_and_the_other_not(box: Sandbox, x: tweepy.Client) -> None:
    order(box, "x", 403, method="GET", match="/tweets")
    assert x.get_me().data.username == "sandbox"
    with pytest.raises(tweepy.Forbidden):
        x.get_users_tweets(1, user_auth=True)


def test_garbage_in_place_of_a_timeline_comes_with_200(box: Sandbox, x: tweepy.Client) -> None:
    order(box, "x", "garbage", method="GET")
    with pytest.raises(requests.JSONDecodeError):
        x.get_me()
    assert [entry["answer"] for entry in box.traffic.remembered("x")] == ["fault garbage"]


def test_faults_strike_in_the_order_they_were_given(box: Sandbox) -> None:
    both = [{"service": "sendgrid", "fault": 500}, {"service": "sendgrid", "fault": "503"}]
    assert call(box, "POST", "/_sandbox/faults", both)[0] == 200
    assert [send_mail(box, MAIL)[0] for _ in range(3)] == [500, 503, 202]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"service": "x", "fault": "flood"}, "fault 'flood' is unknown for x"),
        ({"service": "x", "fault": 200}, "fault '200' is unknown for x"),
        ({"service": "sendgrid", "fault": "duplicate"}, "unknown for sendgrid"),
        ({"service": "smtp", "fault": "garbage"}, "unknown for smtp"),
        ({"service": "fax", "fault": 500}, "service: "),
        ({"service": "x", "fault": 500, "times": 0}, "times: "),
        ({"service": "x", "fault": 500, "tiems": 2}, "tiems: "),
        ({"service": "x", "fault": "reset_before_body", "match": "a"}, "match cannot be used"),
        (b"fault", "Invalid JSON"),
    ],
)
def test_an_order_that_makes_no_sense_is_explained(body: Any, why: str, box: Sandbox) -> None:
    status, answer, _ = call(box, "POST", "/_sandbox/faults", body)
    assert status == 400
    assert why in answer["error"]
    assert box.faults.pending() == []


def test_a_form_of_another_site_cannot_order_faults(box: Sandbox) -> None:
    body = b'{"service": "x", "fault": "500"}'
    assert call(box, "POST", "/_sandbox/faults", body, Content_Type="text/plain")[0] == 415


def test_a_fault_is_used_up_once_however_many_ask() -> None:
    faults = Faults()
    faults.order(Fault(service="x", fault="500", times=10))
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(lambda _: faults.take("x", "body", b"", "POST"), range(100)))
    assert sum(fault is not None for fault in taken) == 10
    assert faults.pending() == []


# SMTP


@pytest.mark.parametrize(
    ("at", "error"),
    [
        ("mail", smtplib.SMTPSenderRefused),
        ("rcpt", smtplib.SMTPRecipientsRefused),
        ("data", smtplib.SMTPDataError),
    ],
)
@pytest.mark.parametrize("code", [450, 550])
def test_smtp_refuses_at_each_command(
    at: str, error: type[Exception], code: int, box: Sandbox
) -> None:
    order(box, "smtp", code, at=at)
    with connected(box) as client:
        with pytest.raises(error, match=f"{code}"):
            client.send_message(a_mail())
        assert accepted(box) == []
        assert client.send_message(a_mail()) == {}


def test_smtp_refuses_one_recipient_of_two(box: Sandbox) -> None:
    order(box, "smtp", 550, at="rcpt", match="bob@")
    with connected(box) as client:
        to = ["ann@example.org", "bob@example.org"]
        assert list(client.send_message(a_mail(), to_addrs=to)) == ["bob@example.org"]
    assert [m["to"] for m in accepted(box)] == ["ann@example.org"]


@pytest.mark.parametrize("at", ["mail", "rcpt", "data"])
def test_421_ends_the_session(at: str, box: Sandbox) -> None:
    order(box, "smtp", 421, at=at)
    with connected(box) as client:
        with pytest.raises(smtplib.SMTPException, match="421"):
            client.send_message(a_mail())
        with pytest.raises(smtplib.SMTPServerDisconnected):
            client.noop()
    assert accepted(box) == []


@pytest.mark.parametrize("at", ["mail", "rcpt", "data"])
def test_smtp_breaks_off_at_each_command(at: str, box: Sandbox) -> None:
    order(box, "smtp", "reset", at=at)
    with connected(box) as client, pytest.raises(smtplib.SMTPServerDisconnected, match="reset"):
        client.send_message(a_mail())
    assert accepted(box) == []


def test_smtp_breaks_off_after_it_has_accepted(box: Sandbox) -> None:
    order(box, "smtp", "accept_then_reset")
    with connected(box) as client, pytest.raises(smtplib.SMTPServerDisconnected, match="reset"):
        client.send_message(a_mail())
    assert len(accepted(box)) == 1


def test_smtp_accepts_answers_and_hangs_up(box: Sandbox) -> None:
    order(box, "smtp", "close_after")
    with connected(box) as client:
        assert client.send_message(a_mail()) == {}
        with pytest.raises(smtplib.SMTPServerDisconnected):
            client.noop()
    assert len(accepted(box)) == 1


def test_smtp_answers_250_and_loses_the_mail(box: Sandbox) -> None:
    order(box, "smtp", "202_then_lost")
    with connected(box) as client:
        assert client.send_message(a_mail()) == {}
    assert accepted(box) == []
    assert [line["message"]["to"] for line in raw_lines(box)] == ["zoe@example.org"]


def test_smtp_hangs(box: Sandbox) -> None:
    order(box, "smtp", "hang", seconds=30, accept=True)
    with connected(box) as client:
        assert client.sock is not None
        client.sock.settimeout(0.3)
        with pytest.raises((smtplib.SMTPServerDisconnected, socket.timeout), match="timed out"):
            client.send_message(a_mail())
    assert len(accepted(box)) == 1


def test_the_sandbox_ends_at_once_though_somebody_hangs(tmp_path: Path) -> None:
    with Sandbox(tmp_path / "log.jsonl") as box:
        order(box, "x", "hang", seconds=600)
        order(box, "smtp", "hang", seconds=600, at="mail")
        with pytest.raises(requests.ReadTimeout):
            requests.post(f"{box.http_url}/2/tweets", json={}, timeout=0.1)
        connection = speak_smtp(box)
        connection.sendall(b"EHLO a\r\nMAIL FROM:<a@example.org>\r\n")
        while box.faults.pending():
            time.sleep(0.01)
        start = time.monotonic()
    assert time.monotonic() - start < 2
    connection.close()


def test_every_request_is_remembered_with_what_became_of_it(box: Sandbox) -> None:
    order(box, "sendgrid", 500)
    for _ in range(2):
        send_mail(box, MAIL)
    send_mail(box, {})
    remembered = call(box, "GET", "/_sandbox/requests?service=sendgrid")[1]["requests"]
    assert [(r["request"], r["line"], r["answer"]) for r in remembered] == [
        (1, "POST /v3/mail/send", "fault 500"),
        (2, "POST /v3/mail/send", "202"),
        (3, "POST /v3/mail/send", "400"),
    ]
    assert call(box, "GET", "/_sandbox/requests?service=x")[1]["requests"] == []
