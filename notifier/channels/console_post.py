"""The terminal as a public channel: shows posts instead of publishing them."""

from __future__ import annotations

from typing import Literal, TextIO

from notifier.channels._console import show
from notifier.domain.delivery import Outcome, Unknown
from notifier.domain.health import Rate
from notifier.settings import Table

NAME = "console_post"
KIND: Literal["post"] = "post"


class Config(Table):
    """`[console_post]`: there is nothing to set."""


def build(_config: Config, stream: TextIO | None = None) -> ConsolePosts:
    """The channel; it writes to `stream`, or to standard error."""
    return ConsolePosts(stream)


class ConsolePosts:
    """Posts that nobody but the operator sees."""

    name = NAME
    limit = 280
    refuses_repeats = False
    rate: Rate | None = None

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream

    def measure(self, text: str) -> int:
        """Length in code points."""
        return len(text)

    def send(self, text: str) -> Outcome:
        """Show `text`. Never raises."""
        return show(f"--- post ---\n{text}\n", self._stream)

    def find(self, _text: str) -> Outcome:
        """Nobody can tell: what a terminal has shown cannot be read back."""
        return Unknown("a terminal cannot be read back: look whether the post was shown")

    def link(self, _reference: str) -> str:
        """Nothing: a terminal has no address."""
        return ""
