"""What programs send to the write API. The names are a promise: others script against them.

Here is checked what JSON can get wrong (types, names, times without a zone); what an operator
may say is decided in `notifier.domain`, for the API as for everybody else.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    StrictBool,
    StrictInt,
    StrictStr,
)
from pydantic_core import CoreSchema, core_schema

from notifier.domain.audience import EXTERNAL_ID_MAX, Customer, customer
from notifier.domain.delivery import State
from notifier.domain.incident import Severity, Status
from notifier.domain.plan import MailTime
from notifier.domain.suppression import DETAIL_MAX
from notifier.domain.text import EXPLANATION_MAX, IMPACT_MAX, NAME_MAX, SLUG_MAX, TITLE_MAX, slug
from notifier.services.incidents import Declaration, Expected, Words
from notifier.services.pausing import REASON_MAX
from notifier.services.settling import Ruling
from notifier.settings import Site

#: Ids are 64-bit integers in both databases; a greater number is nobody's id.
ID_MAX = 2**63 - 1
_COMPONENTS_MAX = 500
_KEY_MAX = 200

_ISO = "must be an ISO 8601 time with a zone, such as 2026-11-22T16:00:00+05:00"


@dataclass(frozen=True, slots=True)
class AtMost:
    """A text of at most `limit` characters, once the domain has trimmed and composed it.

    Before that it may be twice as long, but not without end: composing a text takes time that
    grows with the square of its length (CPython's `unicodedata.c`, sorting of combining marks).
    """

    limit: int

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """Check the length after the type."""
        return core_schema.no_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Say so in the OpenAPI document."""
        return {**handler(schema), "maxLength": self.limit}

    def _check(self, value: str) -> str:
        if len(value) > 2 * self.limit:
            raise ValueError(f"has {len(value)} characters; at most {self.limit} are allowed")
        try:
            value.encode()
        except UnicodeEncodeError:
            # JSON can write "\ud83d" alone; no database and no provider takes it.
            raise ValueError("contains half a character (a lone surrogate)") from None
        return value


def _read_time(value: object) -> datetime:
    if not isinstance(value, str):
        raise ValueError(_ISO)
    try:
        at = datetime.fromisoformat(value)
        # The first and the last day of the calendar cannot be told in every zone.
        at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{_ISO}, not {shorten(value)}") from None
    if at.utcoffset() is None:
        raise ValueError("has no zone: write it as 2026-11-22T16:00:00+05:00")
    return at


def _read_slug(value: str) -> str:
    return slug("slug", value)


def _read_number(value: str) -> int:
    return read_digits(value, "the number of an incident, such as 7 for INC-7")


def _read_message_id(value: str) -> int:
    return read_digits(value, "the id of a message, such as 7")


def read_digits(value: str, what: str) -> int:
    """The number that an address names. Raises ValueError saying `what` it must be."""
    # int() takes more than digits: spaces, signs, underscores, and digits of every script.
    if not (value.isascii() and value.isdigit() and len(value) <= len(str(ID_MAX))):
        raise ValueError(f"must be {what}")
    return int(value)


def _read_key(value: str) -> str:
    if not (value.strip() and len(value) <= _KEY_MAX and value.isprintable()):
        raise ValueError(f"must have 1 to {_KEY_MAX} characters and no control character")
    return value


def shorten(value: str) -> str:
    """What somebody sent, quoted, as much of it as fits into a sentence."""
    return repr(value if len(value) <= 40 else value[:40] + "…")


Time = Annotated[datetime, BeforeValidator(_read_time)]
Slug = Annotated[
    StrictStr,
    AfterValidator(_read_slug),
    Field(json_schema_extra={"pattern": "^[a-z0-9-]+$", "maxLength": SLUG_MAX}),
]
Slugs = Annotated[list[Slug], Field(max_length=_COMPONENTS_MAX)]
Name = Annotated[StrictStr, AtMost(NAME_MAX)]
Impact = Annotated[StrictStr, AtMost(IMPACT_MAX)]
Explanation = Annotated[StrictStr, AtMost(EXPLANATION_MAX)]
Address = Annotated[StrictStr, AtMost(254)]
Language = Annotated[StrictStr, AtMost(35)]
TimeZone = Annotated[StrictStr, AtMost(64)]
ExternalId = Annotated[StrictStr, AtMost(EXTERNAL_ID_MAX)]


class Given(BaseModel):
    """Base of everything that is sent to us: an unknown name is an error."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class ExpectedDuration(Given):
    """How long to expect it: `until`, `from` and `until`, or `unknown`."""

    from_: Time | None = Field(None, alias="from", description="The earliest end that is likely.")
    until: Time | None = Field(None, description="The latest end that is likely.")
    unknown: StrictBool = Field(False, description="True when nobody can say yet.")

    def expected(self) -> Expected:
        """As the services take it."""
        return Expected(start=self.from_, until=self.until, unknown=self.unknown)


class EmailTime(Given):
    """When the e-mail leaves: after a delay or at a time. Without either, by severity."""

    delay_minutes: StrictInt | None = Field(None, ge=0, le=1440)
    send_at: Time | None = None

    def mail_time(self) -> MailTime:
        """As the services take it."""
        delay = None if self.delay_minutes is None else timedelta(minutes=self.delay_minutes)
        return MailTime(delay=delay, at=self.send_at)


class _Words(Given):
    """What readers are told, in the order in which they read it."""

    impact: Impact = Field(description="What customers cannot do.")
    expected_duration: ExpectedDuration | None = Field(
        None, description="Required while the incident is open."
    )
    explanation: Explanation = Field(description="Why.")
    next_update_by: Time | None = Field(
        None, description="When customers hear from us again. Required while the incident is open."
    )
    email: EmailTime | None = None

    def words(self) -> Words:
        """As the services take them."""
        return Words(
            impact=self.impact,
            expected=self.expected_duration.expected() if self.expected_duration else Expected(),
            explanation=self.explanation,
            next_update_by=self.next_update_by,
            mail=self.email.mail_time() if self.email else MailTime(),
        )


class DeclareIncident(_Words):
    """A new disruption."""

    title: Annotated[StrictStr, AtMost(TITLE_MAX)]
    severity: Severity
    components: Slugs = Field(min_length=1, description="Slugs of the affected components.")
    expected_duration: ExpectedDuration
    next_update_by: Time = Field(description="When customers hear from us again.")
    started_at: Time | None = Field(None, description="When it began; now, if it is not given.")

    def declaration(self) -> Declaration:
        """As the services take it."""
        return Declaration(
            title=self.title,
            severity=self.severity,
            components=self.components,
            words=self.words(),
            started_at=self.started_at,
        )


class PublishUpdate(_Words):
    """What is said next of an incident, or last.

    With the status resolved or postmortem, `expected_duration` is not needed (how long it lasted
    is known) and `next_update_by` is optional.
    """

    status: Status


class PutComponent(Given):
    """A part of the service that customers use."""

    name: Name
    group: Name = ""
    position: StrictInt = Field(0, ge=0, le=1_000_000, description="Order within the group.")


class PutCustomer(Given):
    """A customer. What is left out of name, language and time zone is the site's."""

    email: Address
    name: Name = ""
    language: Language | None = Field(None, description="A tag such as en, ur or pt-BR.")
    time_zone: TimeZone | None = Field(None, description="An IANA name such as Asia/Karachi.")
    components: Slugs = Field(description="Slugs of all components in use.")
    priority: StrictBool = Field(
        False, description="Told before all others: medical dependence, accessibility."
    )

    def customer(self, external_id: str, site: Site) -> Customer:
        """The customer, checked. Raises Invalid naming the field."""
        return customer(
            external_id=external_id,
            email=self.email,
            name=self.name,
            language=self.language or site.language,
            time_zone=self.time_zone or site.time_zone,
            components=tuple(self.components),
            priority=self.priority,
        )


class IncidentPath(BaseModel):
    """Which incident."""

    id: Annotated[int, BeforeValidator(_read_number)] = Field(
        ge=1, le=ID_MAX, description="The number in its reference: 7 for INC-7."
    )


class ComponentPath(BaseModel):
    """Which component."""

    slug: str = Field(max_length=SLUG_MAX, description="Its name for machines.")


class CustomerPath(BaseModel):
    """Which customer."""

    external_id: ExternalId = Field(description="The id you know the customer by.")


class PutSuppression(Given):
    """An address that shall get no mail."""

    detail: Annotated[StrictStr, AtMost(DETAIL_MAX)] = Field("", description="Why.")


class SuppressionPath(BaseModel):
    """Which address."""

    address: Address = Field(description="An e-mail address, in any letter case.")


class SuppressionsQuery(Given):
    """Which part of the list."""

    cursor: str = Field("", max_length=1000, description="`next_cursor` of the page before.")


class UnknownPath(BaseModel):
    """Which message."""

    id: Annotated[int, BeforeValidator(_read_message_id)] = Field(
        ge=1, le=ID_MAX, description="Its id in the list of what is unknown."
    )


class SettleUnknown(Given):
    """What became of an unknown message, or what shall become of it."""

    ruling: Ruling = Field(
        description="arrived: it counts as sent; send_again: the same words leave once more;"
        " leave: they never do."
    )


class ChangePause(Given):
    """Whether messages leave. A pause has a reason; `cancel_waiting` is for its end."""

    paused: StrictBool
    reason: Annotated[StrictStr, AtMost(REASON_MAX)] = ""
    cancel_waiting: StrictBool = Field(False, description="Never send what waits.")


class DeliveriesQuery(Given):
    """Which lines of the ledger."""

    state: State | None = None
    cursor: str = Field("", max_length=100, description="`next_cursor` of the page before.")


class RepeatHeaders(BaseModel):
    """A request with the same key and body is done once, however often it is sent."""

    key: Annotated[
        str | None,
        AfterValidator(_read_key),
        Field(json_schema_extra={"type": "string", "minLength": 1, "maxLength": _KEY_MAX}),
    ] = Field(None, alias="Idempotency-Key", description="Any text, new for each new request.")

    @classmethod
    @cache
    def model_json_schema(cls, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        """As pydantic's, made once: flask-openapi3 4.3 asks for it in every request, for 1 ms."""
        return super().model_json_schema(*args, **kwargs)
