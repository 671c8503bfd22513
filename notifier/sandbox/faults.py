"""Failures on command: which request of which service goes wrong, how, and how often.

`POST /_sandbox/faults` with a JSON object, or a list of them, of the fields of `Fault`:

==================== ==================================================================
fault                what the client sees (X, SendGrid)
==================== ==================================================================
400 … 599            that status with the provider's own error body
hang                 nothing for `seconds`, then the connection is closed
reset                a TCP reset after the whole request was read
reset_before_body    a TCP reset as soon as the request's head was read
accept_then_reset    the message is accepted; `bytes` bytes of the answer, then a TCP reset
garbage              201 (X; 200 to a GET), 202 (SendGrid) with a body of the wrong `kind`
202_then_lost        an answer like any other, but the message goes nowhere (a "lost" line)
slow                 the true answer at `bytes_per_second`
duplicate            X only: 403 for duplicate content, though there is none
==================== ==================================================================

SMTP: 400 … 599 at the command `at` (421 also closes the connection), `hang`, `reset` at that
command, `accept_then_reset` (before the 250 of the message), `close_after` (an orderly close
right after that 250), `202_then_lost`.

`accept` says whether the message is accepted before the failure: with `garbage` it is unless
told otherwise, with a status, `hang` and SMTP's `reset` at "data" only where told so.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

Kind = Literal["html", "truncated", "empty", "binary", "no_id", "list"]
_HTTP = {
    "hang",
    "reset",
    "reset_before_body",
    "accept_then_reset",
    "garbage",
    "202_then_lost",
    "slow",
}
_NAMES = {
    "x": _HTTP | {"duplicate"},
    "sendgrid": _HTTP,
    "smtp": {"hang", "reset", "accept_then_reset", "close_after", "202_then_lost"},
}
#: Faults of SMTP that happen where a message is accepted, whatever `at` says.
_AT_THE_END = {"accept_then_reset", "close_after", "202_then_lost"}


class Fault(BaseModel):
    """One order to fail. It is used up after `times` requests; `times: null` never ends.

    It concerns requests with this `method` (HTTP) or the command `at` (SMTP) that contain
    `match`, byte for byte, in the body (of a request without one: in its path and query) or the
    command's argument; the first `after` of them are spared. `retry_after` and `reset` are the
    headers of a 429: seconds as a number, or any text, sent as it is. `reset` as a number means
    that many seconds from now.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    service: Literal["x", "sendgrid", "smtp"]
    fault: Annotated[str, BeforeValidator(lambda v: str(v) if type(v) is int else v)]
    times: int | None = Field(1, ge=1)
    after: int = Field(0, ge=0)
    match: str = ""
    method: Literal["GET", "POST", "DELETE"] = "POST"
    at: Literal["mail", "rcpt", "data"] = "data"
    accept: bool | None = None
    seconds: float = Field(30, ge=0, le=86400)
    bytes: int = Field(0, ge=0)
    bytes_per_second: float = Field(1, gt=0)
    retry_after: int | str | None = None
    reset: int | str | None = None
    kind: Kind = "html"

    @model_validator(mode="after")
    def _known(self) -> Fault:
        known = _NAMES[self.service]
        if self.status == 0 and self.fault not in known:
            raise ValueError(
                f"fault {self.fault!r} is unknown for {self.service}: use a status from 400 to"
                f" 599 or one of {', '.join(sorted(known))}"
            )
        if self.fault == "reset_before_body" and self.match:
            raise ValueError("match cannot be used with reset_before_body: nothing was read yet")
        return self

    @property
    def status(self) -> int:
        """The status this fault answers with; 0 when it is something else than a status."""
        is_status = len(self.fault) == 3 and self.fault.isdecimal() and self.fault[0] in "45"
        return int(self.fault) if is_status else 0

    @property
    def accepts(self) -> bool:
        """Whether the message is accepted all the same."""
        return self.fault == "garbage" if self.accept is None else self.accept

    @property
    def moment(self) -> str:
        """When it strikes: at an HTTP request's "head" or "body", or an SMTP command."""
        if self.service == "smtp":
            return "data" if self.fault in _AT_THE_END else self.at
        return "head" if self.fault == "reset_before_body" else "body"


@dataclass(slots=True)
class _Armed:
    fault: Fault
    spare: int
    left: int | None
    struck: int = 0


class Faults:
    """The faults that are ordered and not yet used up, oldest first. Thread-safe."""

    def __init__(self) -> None:
        self._armed: list[_Armed] = []
        self._lock = threading.Lock()

    def order(self, fault: Fault) -> None:
        """Let `fault` happen from now on."""
        with self._lock:
            self._armed.append(_Armed(fault, spare=fault.after, left=fault.times))

    def clear(self) -> None:
        """Let nothing fail any more."""
        with self._lock:
            self._armed.clear()

    def pending(self) -> list[dict[str, Any]]:
        """What is ordered, with how often each has struck."""
        with self._lock:
            return [
                {**a.fault.model_dump(), "left": a.left, "struck": a.struck} for a in self._armed
            ]

    def take(self, service: str, moment: str, content: bytes, method: str = "") -> Fault | None:
        """The fault that strikes this request, counted as used; None when all goes well."""
        if not self._armed:
            return None
        with self._lock:
            for armed in self._armed:
                if _concerns(armed.fault, service, moment, content, method) and _due(armed):
                    self._strike(armed)
                    return armed.fault
        return None

    def _strike(self, armed: _Armed) -> None:
        armed.struck += 1
        if armed.left is not None:
            armed.left -= 1
            if armed.left == 0:
                self._armed.remove(armed)


def _concerns(fault: Fault, service: str, moment: str, content: bytes, method: str) -> bool:
    return (
        fault.service == service
        and fault.moment == moment
        and method in ("", fault.method)
        and fault.match.encode() in content
    )


def _due(armed: _Armed) -> bool:
    if armed.spare == 0:
        return True
    armed.spare -= 1
    return False
