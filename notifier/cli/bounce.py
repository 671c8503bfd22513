"""`notifier bounce`: mail that came back, as the mail server hands it over."""

from __future__ import annotations

import os
import sys

import click

# Bytes. A bounce may bring the whole mail back; what says why stands before it.
_READ_MAX = 4 * 1024 * 1024


class _NotNow(click.ClickException):
    """The mail server keeps the message and tries again later."""

    exit_code = os.EX_TEMPFAIL


class _NoMail(click.ClickException):
    exit_code = os.EX_DATAERR


@click.command()
@click.option("--recipient", default="", help="Where it was sent to. [default: as its header says]")
def bounce(recipient: str) -> None:
    """Record a mail that came back.

    A mail server pipes it into standard input. Exits as such programs do (sysexits.h): 0 also
    for a message that is none of our business, 65 for what is no mail, and 75 when it should be
    tried again later.

    \b
    Example: a line in /etc/aliases, for Postfix with recipient_delimiter = +
      bounces: "|notifier bounce"
    """
    from notifier.cli.faults import explain
    from notifier.cli.session import opened
    from notifier.domain.receipt import Unreadable
    from notifier.services import bouncing

    raw = sys.stdin.buffer.read(_READ_MAX)
    try:
        with opened() as n:
            done = bouncing.take(n, raw, recipient=recipient)
    except Unreadable as error:
        raise _NoMail(str(error)) from None
    except Exception as error:
        # Any other code would make the mail server throw the message away; once the fault is
        # removed, whatever it is, the message comes again.
        fault = explain(error)
        if fault is None:
            raise _NotNow(f"this went wrong on our side: {error!r}") from error
        raise _NotNow(fault.format_message()) from None
    click.echo(f"This message {done}.")
