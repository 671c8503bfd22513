"""Mail as servers send it back: a report in fields, a letter, a complaint."""

from __future__ import annotations


def crlf(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode()


def dsn(
    *,
    to: str = "bounces@example.com",
    action: str = "failed",
    status: str = "5.1.1",
    diagnostic: str = "smtp; 550 5.1.1 <amina@example.net>: no such user",
) -> bytes:
    """A delivery status notification (RFC 3464) as Postfix writes it."""
    return crlf(f"""\
Return-Path: <>
Delivered-To: {to}
From: MAILER-DAEMON@mx.example.net (Mail Delivery System)
To: {to}
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary="B"

--B
Content-Type: text/plain

I'm sorry to have to inform you that your message could not be delivered.

--B
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.net
Arrival-Date: Sun, 22 Nov 2026 08:12:00 +0000

Final-Recipient: rfc822; amina@example.net
Action: {action}
Status: {status}
Diagnostic-Code: {diagnostic}

--B
Content-Type: message/rfc822

From: Northvale Heat <status@northvale.example>
To: amina@example.net
Subject: No hot water

Words.

--B--
""")


def letter(to: str = "bounces@example.com") -> bytes:
    """A bounce without fields, as qmail writes it."""
    return crlf(f"""\
From: MAILER-DAEMON@old.example.net
To: {to}
Subject: failure notice

Hi. This is the qmail-send program at old.example.net.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<amina@example.net>:
Sorry, no mailbox here by that name. (#5.1.1)

--- Below this line is a copy of the message.

Subject: No hot water
""")


def complaint(*, about: str, kind: str = "abuse", to: str = "fbl@example.com") -> bytes:
    """A feedback report (RFC 5965) about the mail whose return path was `about`."""
    return crlf(f"""\
From: <abusedesk@example.net>
To: <{to}>
Subject: FW: No hot water
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="B"

--B
Content-Type: text/plain

This is an email abuse report.

--B
Content-Type: message/feedback-report

Feedback-Type: {kind}
User-Agent: SomeGenerator/1.0
Version: 1
Original-Mail-From: <{about}>
Original-Rcpt-To: <amina@example.net>

--B
Content-Type: message/rfc822

From: <status@northvale.example>
Subject: No hot water

Words.
--B--
""")


def out_of_office(to: str) -> bytes:
    """What a reader's own program answers."""
    return crlf(f"""\
From: Amina <amina@example.net>
To: {to}
Subject: Out of office: No hot water
Auto-Submitted: auto-replied

I am away until Monday.
""")
