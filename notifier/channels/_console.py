"""Writing to the terminal, for the channels that show what would go out."""

from __future__ import annotations

from typing import TextIO

import click

from notifier.domain.delivery import Outcome, Retry, Sent


def show(text: str, stream: TextIO | None) -> Outcome:
    """Write `text` to `stream` (None: standard error, as it is at that moment). Never raises."""
    try:
        click.echo(text, file=stream, err=True)
    except (OSError, ValueError) as error:  # ValueError: closed, or cannot hold the letters
        return Retry(f"the terminal takes no text: {error}")
    return Sent("")
