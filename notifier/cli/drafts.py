"""`notifier drafts`: what the monitoring proposes to say, and deciding on it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from notifier.web.api_answers import PublishedDuration
    from notifier.web.api_drafts import Alert, Draft, WholeDraft

_ID = click.IntRange(1, 2**63 - 1)


@click.group()
def drafts() -> None:
    """What the monitoring proposes to say."""


@drafts.command("list")
@click.option(
    "--state",
    type=click.Choice(["waiting", "posted", "dismissed", "withdrawn"]),
    default="waiting",
    show_default=True,
)
@click.option("--json", "as_json", is_flag=True, help="Print what the API would answer.")
def list_(state: str, as_json: bool) -> None:
    """Drafts in that state, the newest first; at most a hundred.

    \b
    Example:
      notifier drafts list
    """
    from notifier.cli.session import opened
    from notifier.domain.alerting import DraftState
    from notifier.web.api_drafts import Drafts

    with opened() as n:
        with n.db.read() as connection:
            found = Drafts.read(connection, n.clock(), state=DraftState(state))
        zone = n.settings.site.zone
    if as_json:
        click.echo(found.model_dump_json(by_alias=True))
        return
    for draft in found.drafts:
        click.echo(_line(draft, zone))
    if not found.drafts:
        click.echo(f"No draft is {state}.")


@drafts.command()
@click.argument("id", type=_ID)
@click.option("--json", "as_json", is_flag=True, help="Print what the API would answer.")
def show(id: int, as_json: bool) -> None:
    """What the draft ID proposes to say, and the alerts that made it.

    \b
    Example:
      notifier drafts show 7
    """
    from notifier.cli.session import opened
    from notifier.web.api_drafts import WholeDraft

    with opened() as n:
        with n.db.read() as connection:
            draft = WholeDraft.read(connection, n.clock(), id)
        zone = n.settings.site.zone
    if as_json:
        click.echo(draft.model_dump_json(by_alias=True))
        return
    click.echo("\n".join(_lines(draft, zone)))


@drafts.command()
@click.argument("id", type=_ID)
@click.option("--json", "as_json", is_flag=True, help="Print what the API would answer.")
def post(id: int, as_json: bool) -> None:
    """Declare what the draft ID proposes: posts leave at once, the e-mail when it is due.

    \b
    Example:
      notifier drafts post 7
    """
    from notifier.cli.receipt import show as show_receipt
    from notifier.cli.session import opened, operator
    from notifier.services import drafts as service
    from notifier.services.incidents import declare

    with opened() as n:
        published = declare(n, service.declaration(n, id), by=operator())
        show_receipt(n, published, as_json=as_json, wait=None)


@drafts.command()
@click.argument("id", type=_ID)
def stop(id: int) -> None:
    """Keep the draft ID from posting itself.

    \b
    Example:
      notifier drafts stop 7
    """
    from notifier.cli.session import opened, operator
    from notifier.services import drafts as service

    with opened() as n:
        service.stop(n, id, by=operator())
    click.echo(f"Draft {id} waits for somebody to post it.")


@drafts.command()
@click.argument("id", type=_ID)
def dismiss(id: int) -> None:
    """Say nothing because of the alerts of the draft ID.

    \b
    Example:
      notifier drafts dismiss 7
    """
    from notifier.cli.session import opened, operator
    from notifier.services import drafts as service

    with opened() as n:
        service.dismiss(n, id, by=operator())
    click.echo(f"Draft {id} is dismissed: nothing is said.")


def _line(draft: Draft, zone: ZoneInfo) -> str:
    count = "1 alert" if draft.alerts_count == 1 else f"{draft.alerts_count:,} alerts"
    about = draft.component or "no component"
    return f"{draft.id}: {draft.title} ({about}, {draft.severity}, {count}){_fate(draft, zone)}"


def _fate(draft: Draft, zone: ZoneInfo) -> str:
    from notifier.rendering import times

    if draft.posts_itself_at:
        return f"; posts itself {times.full(draft.posts_itself_at, zone)}"
    if draft.incident:
        return f"; INC-{draft.incident}"
    if draft.decided_by:
        return f"; {draft.state} by {draft.decided_by}"
    return f"; {draft.stopped}" if draft.stopped else ""


def _lines(draft: WholeDraft, zone: ZoneInfo) -> Iterator[str]:
    from notifier.rendering import times

    notice = draft.notice
    yield _line(draft, zone)
    yield f"Impact: {notice.impact}"
    yield f"Expected: {_expected(notice.expected_duration, zone)}{_past(draft)}"
    yield f"Explanation: {notice.explanation}"
    if notice.next_update_by:
        yield f"Next update by: {times.full(notice.next_update_by, zone)}"
    for alert in draft.alerts:
        yield from _alert_lines(alert, zone)
    if draft.alerts_count > len(draft.alerts):
        yield f"    and {draft.alerts_count - len(draft.alerts):,} more"


def _expected(duration: PublishedDuration, zone: ZoneInfo) -> str:
    from notifier.rendering import times

    if duration.until is None:
        return "not known yet"
    if duration.from_ is None:
        return f"until {times.full(duration.until, zone)}"
    return f"between {times.full_span(duration.from_, duration.until, zone)}"


def _past(draft: Draft) -> str:
    found = draft.estimate
    if found is None:
        return ""
    return (
        f" (the last {found.past} took {found.median_minutes} min at the median,"
        f" 80 % of them at most {found.p80_minutes} min)"
    )


def _alert_lines(alert: Alert, zone: ZoneInfo) -> Iterator[str]:
    from notifier.rendering import times

    state = alert.state.replace("_", " ")
    yield f"  {state}: {alert.title} ({alert.integration}, {times.full(alert.fired_at, zone)})"
    if alert.url:
        yield f"    {alert.url}"
