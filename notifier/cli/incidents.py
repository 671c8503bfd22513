"""`notifier declare`, `update`, `resolve`: what the API does, from a terminal or a script."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, TypedDict, TypeVar, cast

import click

from notifier.cli.times import When

if TYPE_CHECKING:
    from notifier.ports import Notifier
    from notifier.services.incidents import Published, Words

Command = TypeVar("Command", bound=Callable[..., Any])
WHEN = When()


class Said(TypedDict):
    """The options that all three commands have."""

    impact: str
    explanation: str
    expect_from: datetime | None
    expect_until: datetime | None
    expect_unknown: bool
    next_update_by: datetime | None
    email_delay_minutes: int | None
    email_send_at: datetime | None


class Shown(TypedDict):
    """How the result is shown."""

    as_json: bool
    wait: float | None


def _split(_ctx: click.Context, _param: click.Parameter, given: tuple[str, ...]) -> list[str]:
    return [slug.strip() for one in given for slug in one.split(",") if slug.strip()]


def _options(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


_words = _options(
    click.option("--impact", required=True, help="What customers cannot do."),
    click.option("--explanation", required=True, help="Why."),
    click.option("--next-update-by", type=WHEN, help="When customers hear from us again."),
    click.option("--expect-until", type=WHEN, help="When it ends at the latest."),
    click.option("--expect-from", type=WHEN, help="When it ends at the earliest."),
    click.option("--expect-unknown", is_flag=True, help="Nobody can say yet how long."),
    click.option(
        "--email-delay-minutes", type=click.IntRange(0, 1440), help="How long the e-mail waits."
    ),
    click.option("--email-send-at", type=WHEN, help="When the e-mail leaves."),
)
_result = _options(
    click.option("--json", "as_json", is_flag=True, help="Print what the API would answer."),
    click.option(
        "--wait",
        type=click.FloatRange(0, 3600),
        metavar="SECONDS",
        help="Wait until the posts are out; exit 1 if one is not.",
    ),
)


@click.command()
@click.option("--title", required=True, help="What it is called.")
@click.option("--severity", type=click.Choice(["minor", "major", "critical"]), required=True)
@click.option(
    "--components",
    "--component",
    multiple=True,
    callback=_split,
    metavar="SLUG",
    help="What is affected; several times, or joined by commas.",
)
@click.option("--started-at", type=WHEN, help="When it began, if not now.")
@_words
@_result
def declare(
    title: str,
    severity: str,
    components: list[str],
    started_at: datetime | None,
    as_json: bool,
    wait: float | None,
    **said: Any,
) -> None:
    """Declare a disruption: posts leave at once, the e-mail when it is due.

    Times are +30m, +2h, +1d12h, or 2026-11-22T16:00:00+05:00.

    \b
    Example:
      notifier declare --title "No hot water in Old Town" --severity major \\
        --components hot-water --impact "Taps run cold in 400 homes." \\
        --expect-until +3h --next-update-by +45m --explanation "A pump failed."
    """
    from notifier.domain.incident import Severity
    from notifier.services import incidents

    declaration = incidents.Declaration(
        title=title,
        severity=Severity(severity),
        components=components,
        words=_make_words(cast(Said, said)),
        started_at=started_at,
    )
    _publish(
        lambda n, by: incidents.declare(n, declaration, by=by), Shown(as_json=as_json, wait=wait)
    )


@click.command()
@click.argument("incident")
@click.option(
    "--status",
    type=click.Choice(["investigating", "identified", "monitoring", "resolved", "postmortem"]),
    required=True,
)
@_words
@_result
def update(incident: str, status: str, as_json: bool, wait: float | None, **said: Any) -> None:
    """Publish the next update of an incident. INCIDENT is its reference, such as INC-7.

    \b
    Example:
      notifier update INC-7 --status identified --impact "Taps run cold in 400 homes." \\
        --expect-from +1h --expect-until +2h --next-update-by +45m \\
        --explanation "The new pump is being fitted."
    """
    _post_update(incident, status, said, Shown(as_json=as_json, wait=wait))


@click.command()
@click.argument("incident")
@_words
@_result
def resolve(incident: str, as_json: bool, wait: float | None, **said: Any) -> None:
    """Tell everybody that an incident is over. INCIDENT is its reference, such as INC-7.

    The e-mail leaves at once too.

    \b
    Example:
      notifier resolve INC-7 --impact "Hot water is back in every home." \\
        --explanation "The pump was replaced."
    """
    _post_update(incident, "resolved", said, Shown(as_json=as_json, wait=wait))


def _post_update(incident: str, status: str, said: Any, shown: Shown) -> None:
    from notifier.domain.incident import Status
    from notifier.services import incidents

    number, words = _number(incident), _make_words(cast(Said, said))
    _publish(lambda n, by: incidents.post_update(n, number, Status(status), words, by=by), shown)


def _publish(publish: Callable[[Notifier, str], Published], shown: Shown) -> None:
    from notifier.cli.receipt import show
    from notifier.cli.session import opened, operator
    from notifier.domain.text import Invalid

    with opened() as n:
        try:
            published = publish(n, operator())
        except Invalid as error:
            raise Invalid(_option(error.field), error.reason) from None
        show(n, published, as_json=shown["as_json"], wait=shown["wait"])


def _make_words(said: Said) -> Words:
    from notifier.domain.plan import MailTime
    from notifier.services.incidents import Expected, Words

    minutes = said["email_delay_minutes"]
    return Words(
        impact=said["impact"],
        expected=Expected(
            start=said["expect_from"], until=said["expect_until"], unknown=said["expect_unknown"]
        ),
        explanation=said["explanation"],
        next_update_by=said["next_update_by"],
        mail=MailTime(
            delay=None if minutes is None else timedelta(minutes=minutes),
            at=said["email_send_at"],
        ),
    )


def _number(incident: str) -> int:
    """The number of "INC-7" or "7"."""
    digits = incident.upper().removeprefix("INC-")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 19):
        raise click.BadParameter(f"{incident!r} is not a reference such as INC-7")
    return int(digits)


def _option(field: str) -> str:
    """The option by which a field of the API is given here."""
    name = field.replace("expected_duration.", "expect_").replace(
        "expected_duration", "expect_until"
    )
    return "--" + name.replace("_", "-").replace(".", "-")
