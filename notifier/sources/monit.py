"""monit (https://mmonit.com/monit/documentation/monit.html#M-MONIT).

Two ways: what monit posts to M/Monit, XML that says it is ISO-8859-1, whatever the bytes are (5.33
sends the bytes of its settings file, usually UTF-8); or our `notifier-send.sh` run by "exec". In
between, monit posts a status of everything in each cycle, without an event. An event is about one
kind of test of one service: state 1 is failed, 0 succeeded, 2 and 3 changed and not changed (of a
file, or monit itself). Seen in bodies recorded from monit 5.33.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException, ElementTree

from notifier.domain.receipt import Unreadable
from notifier.domain.signal import Condition, Evidence, Hook, Reading, Setup, Signal
from notifier.sources._canonical import read_canonical
from notifier.sources._reading import labels_of, read_object, refuse, time_of
from notifier.sources._signing import unsigned

NAME = "monit"
TITLE = "monit"
SIGNS = False
EVIDENCE: Evidence = "recorded"
verify = unsigned
SETUP = Setup(
    steps=(
        "Add the lines below to monitrc. The queue keeps what cannot be delivered.",
        "Check and reload: monit -t, then monit reload.",
    ),
    template_name="monitrc",
    template="""\
set eventqueue basedir /var/lib/monit/events slots 1000
set mmonit {url} register without credentials
""",
    notes=(
        "Every cycle, monit also posts the status of everything: it changes nothing, and may serve"
        " as the heartbeat of this integration.",
        "Only failures and their ends count. A file's change (content, checksum, timestamp) has no"
        " end and is left out.",
        "Where M/Monit is in use already, run our sender instead, with a key of its own for each"
        ' test: then exec "/usr/local/bin/notifier-send.sh --status firing --key web-port" else if'
        ' succeeded then exec "/usr/local/bin/notifier-send.sh --status resolved --key web-port"',
    ),
    documents="https://mmonit.com/monit/documentation/monit.html#M-MONIT",
)

#: A status of 1,000 services has half of this; the tree of more would take too much memory.
_XML_MAX = 1_000_000
_CONDITIONS = {"0": Condition.RESOLVED, "1": Condition.FIRING}
_TYPES = ("filesystem", "directory", "file", "process", "host", "system", "fifo", "program", "net")
#: The first sixteen kinds of event, each one bit (src/event.h).
_EVENTS = (
    *("checksum", "resource", "timeout", "timestamp", "size", "connection", "permission", "uid"),
    *("gid", "existence", "invalid", "data", "execution", "fsflags", "icmp", "content"),
)


def parse(hook: Hook, options: Mapping[str, str]) -> Reading:
    """One signal for each event that is a failure or its end. Raises Unreadable."""
    if hook.body.lstrip().startswith(b"{"):
        return _read_script(hook)
    root = _read_xml(hook.body)
    if root.tag != "monit":
        refuse("root element 'monit'", of="monit")
    events = root.findall("event")
    signals = [signal for event in events if (signal := _signal(event, root, hook))]
    if signals:
        return Reading(signals)
    if events:
        return Reading(ignored="the event is a change or monit's own, not a failure or its end")
    return Reading(ignored="a status of all services, without an event")


def _read_script(hook: Hook) -> Reading:
    signal = read_canonical(read_object(hook), hook)
    if signal is None:
        refuse("'dedup_key' with a 'status' of firing or resolved", of="notifier-send.sh")
    return Reading([signal])


def _read_xml(body: bytes) -> Element:
    if len(body) > _XML_MAX:
        raise Unreadable(f"The body is larger than the {_XML_MAX:,} bytes that we read of XML.")
    try:
        root: Any = ElementTree.fromstring(_decode(body), forbid_dtd=True)
    except ParseError as error:
        line, column = error.position
        raise Unreadable(f"The body is not XML: see line {line}, column {column}.") from None
    except DefusedXmlException:
        _refuse_entities()
    except ValueError:
        raise Unreadable("The body is not XML we can read.") from None
    return root  # type: ignore[no-any-return]


def _decode(body: bytes) -> str:
    """The text, whose encoding is not the one it names."""
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        return body.decode("iso-8859-1")


def _refuse_entities() -> NoReturn:
    raise Unreadable("The body is XML with a DTD or entities, which we do not read.")


def _signal(event: Element, root: Element, hook: Hook) -> Signal | None:
    condition, service = _CONDITIONS.get(_text(event, "state")), _text(event, "service")
    if condition is None or not service:
        return None
    kind, message = _text(event, "id"), _text(event, "message")
    at = _time(event) or hook.received_at
    return Signal(
        key=f"{root.get('id') or _text(root, 'server/localhostname')}!{service}!{kind}",
        condition=condition,
        position=at,
        at=at,
        title=f"{service}: {message}" if message else service,
        description=message,
        labels=labels_of(
            host=_text(root, "server/localhostname"),
            service=service,
            type=_named(_TYPES, _text(event, "type")),
            event=_event(kind),
            group=_groups(root, service),
        ),
    )


def _text(element: Element, path: str) -> str:
    return (element.findtext(path) or "").strip()


def _time(event: Element) -> datetime | None:
    second, fraction = time_of(_text(event, "collected_sec")), _text(event, "collected_usec")
    if second is None or not (fraction.isascii() and fraction.isdecimal() and len(fraction) <= 6):
        return second
    return (second + timedelta(microseconds=int(fraction))).astimezone(UTC)


def _named(names: tuple[str, ...], number: str) -> str:
    known = number.isascii() and number.isdecimal() and len(number) <= 2
    return names[int(number)] if known and int(number) < len(names) else ""


def _event(kind: str) -> str:
    return next((name for bit, name in enumerate(_EVENTS) if kind == str(1 << bit)), "")


def _groups(root: Element, service: str) -> str:
    """The names of the service's groups, with a comma between."""
    groups = root.findall("servicegroups/servicegroup")
    inside = (g.get("name", "") for g in groups if service in [s.text for s in g.iter("service")])
    return ",".join(name for name in inside if name)
