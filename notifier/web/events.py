"""What others tell about mail that has left: providers' events, and mail that came back."""

from __future__ import annotations

from collections.abc import Iterable

from flask import Blueprint, Response, request

from notifier.domain.access import Role
from notifier.domain.receipt import Unreadable, Untrusted
from notifier.services import bouncing, receipts
from notifier.settings import SettingsError
from notifier.web.auth import access
from notifier.web.context import notifier_of_app
from notifier.web.problems import problem

blueprint = Blueprint("events", __name__)

# Of all requests of the application, none may be larger than 1 MiB (`web.application`); the
# largest that SendGrid posts has 768 KB.


@blueprint.post("/events/<channel>")
@access("signed")
def take_events(channel: str) -> Response:
    """What a provider tells. Its signature over the body is what lets it in."""
    n = notifier_of_app()
    reader = n.event_readers.get(channel)
    if reader is None:
        return problem(404, "Nobody tells us anything here", _known(n.event_readers))
    try:
        events = reader.read(dict(request.headers), request.get_data(), now=n.clock())
    except Untrusted as error:
        return problem(403, "This may be from anybody", str(error))
    except Unreadable as error:
        return problem(400, "The events cannot be read", str(error))
    receipts.receive(n, channel, events)
    return Response(status=204)


@blueprint.post("/events/bounce")
@access("token", Role.PUBLISHER)
def take_bounce() -> Response:
    """A mail that came back, as it came: a body of message/rfc822."""
    if request.mimetype != "message/rfc822":
        return problem(
            415,
            "This is not a mail",
            "Send the mail as it came, with the header 'Content-Type: message/rfc822'.",
        )
    recipient = request.args.get("recipient", "")
    try:
        bouncing.take(notifier_of_app(), request.get_data(), recipient=recipient)
    except Unreadable as error:
        return problem(400, "This is not a mail", str(error))
    except SettingsError as error:
        return problem(503, "Bounces cannot be matched", f"{error}.")
    return Response(status=204)


def _known(channels: Iterable[str]) -> str:
    names = ", ".join(f"/events/{name}" for name in sorted(channels))
    return f"The addresses of this kind are {names} and /events/bounce."
