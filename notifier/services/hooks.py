"""Taking what a monitoring tool posts: let in, understood, on disk, answered; in that order.

What follows from it is worked out afterwards (`correlating`), so that the answer comes at once
however many alerts there are. What comes at the same time may share one commit (`Intake.write`).
"""

from __future__ import annotations

import hmac
import ipaddress
import json
import logging
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import lru_cache
from time import monotonic
from typing import Any

from sqlalchemy.exc import DBAPIError, OperationalError

from notifier.domain.alerting import annotation_key, word
from notifier.domain.receipt import Unreadable, Untrusted, one_line
from notifier.domain.signal import (
    Annotation,
    Hook,
    Reading,
    Secrets,
    Signal,
    bounded_key,
    clean_labels,
    safe_url,
)
from notifier.ports import Notifier, SourceModule
from notifier.services import integrations
from notifier.services.integrations import Keys
from notifier.store import alerts
from notifier.store import integrations as store
from notifier.store.alerts import Body, Told
from notifier.store.integrations import Integration

_log = logging.getLogger(__name__)

#: The lane in which alerts become drafts.
LANE = "alerts"

#: An integration is looked up once in so much time: changing it takes that long to be felt.
_KNOWN_SECONDS = 1.0
_KNOWN_MAX = 1_000

#: Of a body, so much is kept to be looked at, in bytes; a hundred are kept of each integration.
_BODY_KEPT = 256 * 1024

#: Between two rings, at least.
_RING_SECONDS = 0.5

#: What is told about the future by more than this is a tool's wrong clock: it counts as now, or no
#: later word could ever end it.
_AHEAD_MAX = timedelta(minutes=10)

_SECRET_HEADER = re.compile(r"auth|cookie|token|signature|secret|key|password", re.IGNORECASE)
_SECRET_FIELD = re.compile(
    rb'("(?:[a-z_]*(?:token|secret|password|api_?key|routing_key)|unsubscribe)"\s*:\s*)'
    rb'"(?:[^"\\]|\\.)*"'
    rb"|\b((?:token|secret|password|api_?key)=)[^&\s\"'<>\\]+",
    re.IGNORECASE,
)
_SECRET_WORDS = (b"token", b"secret", b"password", b"apikey", b"api_key", b"routing", b"unsubscr")
_HIDDEN = b"[redacted]"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the tool is told. `problem` "": all is well."""

    status: int
    detail: str
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Known:
    """An integration with its secrets in plain, and until when that is believed."""

    integration: Integration
    keys: Keys
    until: float


@dataclass(slots=True)
class Slip:
    """What one request wants to have written; afterwards, what went wrong with that."""

    answer: Answer
    body: Body
    told: Told | None
    error: Exception | None = None


class Intake:
    """Takes requests for one process; may be used by any number of threads."""

    def __init__(self, n: Notifier) -> None:
        self._n = n
        self._known: dict[str, _Known] = {}
        self._quiet_until = 0.0

    def knows(self, key: str) -> bool:
        """Whether `begin` needs no look at the database to know whose key this is."""
        known = self._known.get(key)
        return known is not None and known.until > monotonic()

    def look_up(self, key: str) -> None:
        """Know whose key this is, for a second. Never raises: `begin` says what is wrong."""
        with suppress(DBAPIError, OSError):
            self._find(key)

    def is_quick(self, source: str) -> bool:
        """Whether `begin` does nothing but think: some tools' signatures need a vendor's help."""
        return not getattr(self._n.sources.get(source), "ALWAYS_SIGNED", False)

    def take(self, source: str, key: str, hook: Hook, peer: str) -> Answer:
        """Keep and understand a request from the address `peer`. Never raises."""
        begun = self.begin(source, key, hook, peer)
        if isinstance(begun, Answer):
            return begun
        self.write([begun])
        return self.end(begun)

    def begin(self, source: str, key: str, hook: Hook, peer: str) -> Slip | Answer:
        """What has to be written before a request is answered, or its answer. Never raises."""
        try:
            known = self._find(key)
            if known is None or known.integration.source != source:
                return _UNKNOWN
            return self._take(known, hook, peer, key)
        except (DBAPIError, OSError) as error:  # OSError: a vendor's certificate cannot be had
            _log.warning("a request of %s cannot be taken: %s", source, error)
        except Exception:
            _log.exception("a request of %s went wrong", source)
        return _AWAY

    def end(self, slip: Slip) -> Answer:
        """The answer to a request, now that writing is over. Never raises."""
        if slip.error is None:
            return slip.answer
        _log.warning("a request cannot be kept: %s", slip.error)
        return _AWAY

    def write(self, slips: Sequence[Slip]) -> None:
        """Have all of it on disk, with one commit. Never raises: each slip says what went wrong.

        A commit waits for the disk (1 to 3 ms); by itself each request would have one.
        """
        try:
            self._write(slips)
        except Exception as error:
            if len(slips) > 1 and not isinstance(error, OperationalError):
                for slip in slips:  # one may be at fault, and must not take the others with it
                    self.write([slip])
                return
            for slip in slips:  # or the store is away, or full
                slip.error = error

    def _write(self, slips: Sequence[Slip]) -> None:
        told = [slip.told for slip in slips if slip.told]
        rings = any(one.words for one in told) and monotonic() >= self._quiet_until
        with self._n.db.transaction() as connection:
            alerts.write(connection, [slip.body for slip in slips], told)
            if rings:
                self._n.doorbell.enlist(connection, LANE)
        if rings:
            # A first alert is looked at at once; those of a storm come together at the next sweep.
            # Looking takes the write lock, for which the requests that follow would have to wait.
            self._quiet_until = monotonic() + _RING_SECONDS
            self._n.doorbell.ring(LANE)

    def _take(self, known: _Known, hook: Hook, peer: str, key: str) -> Slip | Answer:
        integration = known.integration
        module = self._n.sources[integration.source]
        if not _is_near(peer, integration.networks):
            return Answer(403, f"This integration takes nothing from {one_line(peer)}.")
        told: Told | None = None
        confirm = ""
        try:
            _let_in(module, known, hook, self._n)
            reading = module.parse(hook, integration.options)
            told = _told(integration, reading, hook.received_at)
            answer = _answer(reading)
            confirm = reading.confirm
            self._confirm(integration, reading)
        except Untrusted as error:
            answer = Answer(401, str(error))
        except Unreadable as error:
            answer = Answer(400, str(error))
        return Slip(answer, _body(known, hook, answer, key, spare=confirm), told)

    def _find(self, key: str) -> _Known | None:
        known = self._known.get(key)
        if known and known.until > monotonic():
            return known
        with self._n.db.read() as connection:
            found = store.find_by_key(connection, integrations.hash_key(key))
        if found is None:
            self._known.pop(key, None)
            return None
        if len(self._known) >= _KNOWN_MAX:
            self._known.clear()
        fresh = _Known(found, integrations.keys(self._n, found), monotonic() + _KNOWN_SECONDS)
        self._known[key] = fresh
        return fresh

    def _confirm(self, integration: Integration, reading: Reading) -> None:
        """Fetch what completes a subscription; the source has judged the address."""
        if not reading.confirm or self._n.fetch is None:
            return
        try:
            self._n.fetch(reading.confirm)
            _log.info("the subscription of integration %s is confirmed", integration.name)
        except OSError as error:
            _log.warning(
                "the subscription of integration %s cannot be confirmed (%s): open the address"
                " that its last request names in a browser",
                integration.name,
                error,
            )


_UNKNOWN = Answer(404, "No integration has this address: copy it again from the admin.")
_AWAY = Answer(503, "The request could not be stored: send it again.", {"Retry-After": "5"})


def _let_in(module: SourceModule, known: _Known, hook: Hook, n: Notifier) -> None:
    """Raises Untrusted."""
    header = known.integration.header
    if header:
        # The header's bytes: it was read as Latin-1, whatever the tool wrote it in.
        given = hook.headers.get(header, "").encode("latin-1", "replace")
        if not hmac.compare_digest(given, known.keys.header.encode()):
            raise Untrusted(f"The header {header} does not hold this integration's secret.")
    if known.keys.signing or getattr(module, "ALWAYS_SIGNED", False):
        options = known.integration.options
        module.verify(hook, Secrets(known.keys.signing, options, n.fetch))


def _is_near(peer: str, networks: Any) -> bool:
    if not networks:
        return True
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    return any(mapped in ipaddress.ip_network(network) for network in networks)


def _told(integration: Integration, reading: Reading, now: datetime) -> Told:
    return Told(
        integration.id,
        now,
        [word(_not_ahead(signal, now)) for signal in reading.signals],
        [_note(note) for note in reading.annotations],
    )


def _not_ahead(signal: Signal, now: datetime) -> Signal:
    latest = now + _AHEAD_MAX
    if max(signal.position, signal.at) <= latest:
        return signal
    return replace(signal, position=min(signal.position, now), at=min(signal.at, now))


def _note(note: Annotation) -> dict[str, Any]:
    return {
        "key": bounded_key(annotation_key(note)),
        "at": note.at,
        "title": one_line(note.title),
        "url": safe_url(note.url),
        "labels": clean_labels(note.labels),
    }


def _answer(reading: Reading) -> Answer:
    if reading.ignored and not (reading.signals or reading.annotations):
        return Answer(
            202, f"Understood, and nothing follows from it: {reading.ignored}.", reading.headers
        )
    understood = len(reading.signals) + len(reading.annotations)
    return Answer(200, f"Understood: {understood}.", reading.headers)


def _body(known: _Known, hook: Hook, answer: Answer, key: str, *, spare: str) -> Body:
    verdict = {200: "understood", 202: "ignored", 401: "refused", 400: "unreadable"}
    hide = [key, known.keys.header, *known.keys.signing]
    return Body(
        integration_id=known.integration.id,
        received_at=hook.received_at,
        method=hook.method,
        query=redact(hook.query.encode("latin-1", "replace"), hide).decode("latin-1"),
        headers=json.dumps(_kept_headers(hook.headers, known.integration.header, hide)),
        body=redact(hook.body[:_BODY_KEPT], hide, spare=spare.encode()),
        verdict=verdict.get(answer.status, ""),
        detail=one_line(answer.detail),
    )


def redact(body: bytes, secrets: list[str], *, spare: bytes = b"") -> bytes:
    """A body without the secrets we know, and without the fields that usually hold one.

    `spare` is left as it is: an address that an operator may have to open, which holds a token.
    """
    if spare and spare in body:
        return spare.join(redact(piece, secrets) for piece in body.split(spare))
    for secret in secrets:
        if secret:
            body = body.replace(secret.encode(), _HIDDEN)
    written = body.lower()
    # Looking for the words first costs a twentieth of the pattern, and few bodies have one.
    if not any(word in written for word in _SECRET_WORDS):
        return body
    return _SECRET_FIELD.sub(_hide_field, body)


def _hide_field(found: re.Match[bytes]) -> bytes:
    return b'%b"%b"' % (found[1], _HIDDEN) if found[1] else (found[2] or b"") + _HIDDEN


def _kept_headers(headers: Mapping[str, str], own: str, hide: list[str]) -> dict[str, str]:
    whole = "\n".join(headers.values())
    known = [secret for secret in hide if secret and secret in whole]
    return {
        name: "[redacted]"
        if name == own or _names_a_secret(name) or any(secret in value for secret in known)
        else one_line(value)
        for name, value in headers.items()
    }


@lru_cache(maxsize=1_000)
def _names_a_secret(header: str) -> bool:
    return bool(_SECRET_HEADER.search(header))
