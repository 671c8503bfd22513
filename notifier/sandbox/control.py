"""What tests and the curious ask of the sandbox itself; everything else are its pages.

* `GET /healthz`
* `GET /_sandbox/messages?service=&to=&after=&limit=`: accepted messages, oldest first, as in the
  log; those below line `after`, at most `limit` (1000 unless told otherwise).
* `GET /_sandbox/requests?service=`: the last 10,000 requests to the providers, accepted or not.
* `GET`, `POST`, `DELETE /_sandbox/faults`: what is to fail (see `notifier.sandbox.faults`).
* `GET`, `POST /_sandbox/events`: where SendGrid's events go, and how (an `EventOrder`, see
  `notifier.sandbox.webhook`); the answer to both has the public key and how many were posted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from notifier.sandbox.faults import Fault, Faults
from notifier.sandbox.log import Log
from notifier.sandbox.pages import Pages
from notifier.sandbox.traffic import Traffic
from notifier.sandbox.webhook import EventOrder, Webhook
from notifier.sandbox.wire import Refused, Reply, Request, json_reply

LIMIT = 1000
_FAULTS: TypeAdapter[Fault | list[Fault]] = TypeAdapter(Fault | list[Fault])
_EVENTS = TypeAdapter(EventOrder)
T = TypeVar("T")


class House:
    """Answers whatever does not go to a provider."""

    def __init__(
        self, *, log: Log, faults: Faults, events: Webhook, traffic: Traffic, pages: Pages
    ) -> None:
        self._log = log
        self._faults = faults
        self._events = events
        self._pages = pages
        self._commands: Mapping[str, Callable[[Request], Reply]] = {
            "/_sandbox/faults": self._command_faults,
            "/_sandbox/events": self._command_events,
        }
        self._reads: Mapping[str, Callable[[Request], dict[str, Any]]] = {
            "/healthz": lambda _request: {"status": "ok"},
            "/_sandbox/messages": lambda request: {"messages": list(self._messages(request))},
            "/_sandbox/requests": lambda request: {
                "requests": traffic.remembered(request.parameters.get("service", ""))
            },
        }

    def answer(self, request: Request) -> Reply:
        """The control interface, or a page."""
        try:
            if command := self._commands.get(request.path):
                return command(request)
            if request.method not in ("GET", "HEAD"):
                return _explain(405, f"{request.path} does not take {request.method}.")
            read = self._reads.get(request.path)
            return json_reply(200, read(request)) if read else self._pages.answer(request)
        except Refused as refused:
            return refused.reply

    def _command_faults(self, request: Request) -> Reply:
        if request.method == "POST":
            orders = _read_order(request, _FAULTS, "the fault")
            for fault in orders if isinstance(orders, list) else [orders]:
                self._faults.order(fault)
        elif request.method == "DELETE":
            self._faults.clear()
        elif request.method != "GET":
            return _explain(405, "Faults are listed by GET, ordered by POST, cleared by DELETE.")
        return json_reply(200, {"faults": self._faults.pending()})

    def _command_events(self, request: Request) -> Reply:
        if request.method == "POST":
            self._events.change(_read_order(request, _EVENTS, "the order"))
        elif request.method != "GET":
            return _explain(405, "Events are described by GET and directed by POST.")
        return json_reply(200, self._events.describe())

    def _messages(self, request: Request) -> Iterator[dict[str, Any]]:
        wanted = request.parameters
        to = wanted.get("to", "").lower()
        found = (
            message
            for message in self._log.accepted(
                after=_number(wanted, "after", 0), service=wanted.get("service", "")
            )
            if not to or (message["to"] or "").lower() == to
        )
        return islice(found, _number(wanted, "limit", LIMIT))


def _read_order(request: Request, kind: TypeAdapter[T], name: str) -> T:
    if request.headers.get("Content-Type", "").split(";")[0].strip() != "application/json":
        # A page of another site can post a form here, but no JSON without asking (CORS).
        raise Refused(_explain(415, f"Send {name} as application/json."))
    try:
        return kind.validate_json(request.body)
    except ValidationError as error:
        raise Refused(_explain(400, _first_error(error, name))) from None


def _first_error(error: ValidationError, name: str) -> str:
    first = error.errors(include_url=False)[0]
    # Where a fault or a list of them is taken, pydantic's place begins with which of the two.
    place = ".".join(str(part) for part in first["loc"] if part not in ("Fault", "list[Fault]"))
    return f"{place or name}: {first['msg'].removeprefix('Value error, ')}"


def _number(parameters: dict[str, str], name: str, default: int) -> int:
    value = parameters.get(name, str(default))
    if not (value.isascii() and value.isdecimal()):
        raise Refused(_explain(400, f"{name} must be a whole number, not {value!r}."))
    return int(value)


def _explain(status: int, why: str) -> Reply:
    return json_reply(status, {"error": why})
