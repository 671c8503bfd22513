"""A progress bar for what takes long, where somebody watches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, TaskID


@contextmanager
def bar(console: Console) -> Iterator[Callable[[str, int, int], None]]:
    """A function that is told (what is being done, how much is done, of how much).

    Shows one bar for each thing that is done; nothing when the output is not a terminal.
    """
    tasks: dict[str, TaskID] = {}
    with Progress(console=console, disable=not console.is_terminal) as progress:

        def on_progress(doing: str, done: int, total: int) -> None:
            if doing not in tasks:
                tasks[doing] = progress.add_task(doing)
            progress.update(tasks[doing], completed=done, total=total)

        yield on_progress
