"""`notifier`, and `python -m notifier`."""

from __future__ import annotations

from notifier.cli.main import notifier


def main() -> None:
    """Run the command line and end the process with its exit code."""
    notifier(prog_name="notifier")


if __name__ == "__main__":
    main()
