"""Mail that came back, and what it says about the address."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.domain.bounces import read_report
from notifier.domain.receipt import Fact, Unreadable
from tests.mail_that_came_back import complaint, dsn, letter, out_of_office


@pytest.mark.parametrize(
    ("action", "status", "fact"),
    [
        ("failed", "5.1.1", Fact.BOUNCED),
        ("Failed (mailbox unknown)", "5.1.1 (bad mailbox)", Fact.BOUNCED),
        ("error", "5.0.0", Fact.BOUNCED),
        ("failed", "5.2.1", Fact.BOUNCED),
        ("failed", "", Fact.BOUNCED),
        # A full mailbox; the sender's own address; an opinion of the sender; the network.
        ("failed", "5.2.2", Fact.BLOCKED),
        ("failed", "5.1.8", Fact.BLOCKED),
        ("failed", "5.7.1", Fact.BLOCKED),
        ("failed", "5.4.4", Fact.BLOCKED),
        ("failed", "4.4.7", Fact.BLOCKED),
        ("delayed", "4.4.1", Fact.DELAYED),
        ("delayed", "5.1.1", Fact.DELAYED),
        ("delivered", "2.0.0", None),
        ("relayed", "2.0.0", None),
    ],
)
def test_a_status_says_whose_fault_it_is(action: str, status: str, fact: Fact | None) -> None:
    report = read_report(dsn(action=action, status=status))
    assert report.fact is fact


def test_the_reason_is_the_servers_own_words() -> None:
    report = read_report(dsn())
    assert report.detail == "5.1.1 smtp; 550 5.1.1 <amina@example.net>: no such user"
    assert set(report.recipients) == {"bounces@example.com"}


def test_a_letter_without_fields_is_understood() -> None:
    report = read_report(letter("b@example.com"))
    assert (report.fact, report.recipients) == (Fact.BOUNCED, ("b@example.com",))


@pytest.mark.parametrize(
    ("kind", "fact"),
    [("abuse", Fact.COMPLAINED), ("Fraud", Fact.COMPLAINED), ("not-spam", None), ("virus", None)],
)
def test_a_complaint_names_the_mail_by_its_return_path(kind: str, fact: Fact | None) -> None:
    report = read_report(complaint(about="bounces+1-2-mac@example.com", kind=kind))
    assert report.fact is fact
    assert "bounces+1-2-mac@example.com" in report.recipients


def test_what_is_no_bounce_reports_nothing() -> None:
    assert read_report(out_of_office("b@example.com")).fact is None
    assert read_report(b"Subject: Lunch?\r\n\r\nAt one?\r\n").fact is None


@pytest.mark.parametrize("raw", [b"", b"\r\n\r\n", b"no header at all\r\nno", b"\x00\xff"])
def test_what_is_no_mail_is_refused(raw: bytes) -> None:
    with pytest.raises(Unreadable):
        read_report(raw)


samples = st.sampled_from([dsn(), letter(), complaint(about="a@example.com")])


@settings(deadline=None)
@given(samples, st.integers(0, 900), st.integers(0, 40), st.binary(max_size=20))
def test_no_broken_mail_can_bring_it_down(raw: bytes, at: int, gone: int, put: bytes) -> None:
    broken = raw[:at] + put + raw[at + gone :]
    try:
        report = read_report(broken)
    except Unreadable:
        return
    report.detail.encode()
    assert "\x00" not in report.detail


def test_a_mail_of_a_thousand_layers_is_read_without_falling() -> None:
    layers = b"".join(
        b'Content-Type: multipart/mixed; boundary="%d"\r\n\r\n--%d\r\n' % (i, i)
        for i in range(1500)
    )
    assert read_report(layers).fact is None
