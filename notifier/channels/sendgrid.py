"""SendGrid (https://sendgrid.com): e-mail by the thousand, through its SDK."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import requests
import sendgrid
from pydantic import AfterValidator, ConfigDict, Field, SecretStr, model_validator
from python_http_client import Client

from notifier.channels._judging import (
    WAIT,
    describe,
    join,
    judge_silence,
    one_line,
    read_json,
    wait_for,
    wait_until,
)
from notifier.channels._redaction import scrub, silence_libraries
from notifier.channels._sendgrid_body import Body
from notifier.channels._sendgrid_events import EventReader, read_public_key
from notifier.channels._wire import Adapter, Answer, Wire, read_environment_once
from notifier.domain.delivery import BatchOutcome, Outcome, Rejected, Retry, Sent, Unknown
from notifier.domain.health import rate_of
from notifier.domain.message import Mail, Recipient
from notifier.settings import SANDBOX_HTTP, SANDBOX_KEY, HttpUrl, Table

NAME = "sendgrid"
KIND: Literal["post", "mail"] = "mail"

#: SendGrid refuses a request in which an address occurs twice, in whatever case.
TWICE = Rejected("the same address is already in this batch")
#: Outcome for the others of a request that was refused because of some.
INNOCENT = Retry("another recipient was refused", timedelta(0))

_VENDOR = "https://api.sendgrid.com"

# What the operator has to do is in the reason, because nobody else can do it.
_ELSEWHERE = "what answers is not SendGrid's API: check api_url under [sendgrid] in the settings"
_ADVICE = {
    401: "SendGrid does not accept our key: check api_key under [sendgrid] in the settings",
    403: "SendGrid does not allow this mail: check that the key may send mail, that the sender's"
    " address is verified and that the account is not blocked",
    404: _ELSEWHERE,
    405: _ELSEWHERE,
    413: "SendGrid finds the mail too large: shorten it",
    415: _ELSEWHERE,
}

# The field of an error that concerns one recipient, such as "personalizations.3.to".
_RECIPIENT = re.compile(r"personalizations\.([0-9]{1,4})(?:\.|$)")


def _checked_key(text: str) -> str:
    if text:
        read_public_key(text)
    return text


class Config(Table):
    """`[sendgrid]`. Without a key, mail goes to the sandbox."""

    model_config = ConfigDict(hide_input_in_errors=True)

    api_url: HttpUrl
    api_key: SecretStr
    #: Seconds for lookup, connecting and TLS together.
    connect_timeout: float = Field(3.05, gt=0, le=30)
    #: Seconds for sending a batch and reading the whole answer.
    timeout: float = Field(10.0, gt=0, le=60)
    #: Recipients per second; 0: only SendGrid's own answers hold us back.
    rate_per_second: int = Field(0, ge=0)
    #: Whose events we believe; "": nobody's.
    events_public_key: Annotated[str, AfterValidator(_checked_key)] = ""

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, values: Any) -> Any:
        """Fill in what is not given: SendGrid's when there is a key, the sandbox's when not."""
        if not isinstance(values, dict):
            return values
        given = {key: value for key, value in values.items() if value not in (None, "")}
        given.setdefault("api_url", _VENDOR if "api_key" in given else SANDBOX_HTTP)
        if "api_key" not in given and _is_vendor(str(given["api_url"])):
            raise ValueError(f"api_key is missing: {given['api_url']} takes no mail without one")
        return {"api_key": SANDBOX_KEY} | given


def _is_vendor(url: str) -> bool:
    return f".{urlsplit(url).hostname}".endswith(".sendgrid.com")


def build(config: Config) -> SendGrid:
    """The channel. Opens no connection."""
    silence_libraries()
    return SendGrid(config)


def build_event_reader(config: Config) -> EventReader:
    """What reads the events that SendGrid posts to us."""
    return EventReader(config.events_public_key)


class SendGrid:
    """Mail through one SendGrid account. May be used by several threads."""

    name = NAME
    batch_size = 1_000

    def __init__(self, config: Config) -> None:
        key = config.api_key.get_secret_value()
        self.rate = rate_of(config.rate_per_second, per=timedelta(seconds=1))
        self._secrets = (key,)
        self._wire = Wire(connect=config.connect_timeout, exchange=config.timeout)
        sdk = sendgrid.SendGridAPIClient(key, host=config.api_url)
        sdk.client = _Client(
            _Transport(config.api_url, self._wire),
            host=sdk.host,
            request_headers=sdk.client.request_headers,
            version=3,
        )
        self._post = sdk.client.mail.send.post

    def prepare(self, mail: Mail) -> PreparedMail:
        """Encode `mail` once for all recipients of its variant."""
        return PreparedMail(self, Body(mail))

    def post(self, body: bytes, recipients: int) -> BatchOutcome:
        """Hand one request over. Never raises; ends within connect_timeout + timeout."""
        self._wire.start()
        failure = None
        try:
            self._post(body)
        except Exception as error:
            failure = error
        if answer := self._wire.answer:
            return _judge(scrub(answer, self._secrets), recipients)
        return BatchOutcome(judge_silence("SendGrid", self._wire, failure))


class PreparedMail:
    """A mail of which only the readers are missing."""

    def __init__(self, channel: SendGrid, body: Body) -> None:
        self._channel, self._body = channel, body

    def send(self, recipients: Sequence[Recipient]) -> BatchOutcome:
        """Hand the mail over for at most 1,000 `recipients`. Never raises."""
        if not recipients:
            return BatchOutcome(Sent(""))
        kept = _find_first_of_each(recipients)
        if len(kept) == len(recipients):
            return self._channel.post(self._body.fill(recipients), len(recipients))
        sent = self._channel.post(self._body.fill([recipients[i] for i in kept]), len(kept))
        each: dict[int, Outcome] = dict.fromkeys(set(range(len(recipients))) - set(kept), TWICE)
        return BatchOutcome(sent.rest, each | {kept[n]: o for n, o in sent.each.items()})


def _find_first_of_each(recipients: Sequence[Recipient]) -> Sequence[int]:
    """Positions of the recipients, without those whose address came before."""
    keys = [recipient.address.lower() for recipient in recipients]
    if len(set(keys)) == len(keys):
        return range(len(keys))
    seen: dict[str, int] = {}
    for position, key in enumerate(keys):
        seen.setdefault(key, position)
    return list(seen.values())


def _judge(answer: Answer, recipients: int) -> BatchOutcome:
    if answer.status == 400 and (refused := _find_refused(answer, recipients)):
        return BatchOutcome(INNOCENT, refused)
    return BatchOutcome(_judge_whole(answer, describe(answer)))


def _find_refused(answer: Answer, recipients: int) -> dict[int, Outcome]:
    """The recipients that a 400 refuses, by position; none when it (also) names anything else."""
    body = read_json(answer)
    errors = body.get("errors") if isinstance(body, dict) else None
    refused: dict[int, Outcome] = {}
    for error in errors if isinstance(errors, list) else ():
        details = error if isinstance(error, dict) else {}
        named = _RECIPIENT.match(str(details.get("field")))
        if named is None or int(named[1]) >= recipients:
            return {}
        said = one_line(str(details.get("message", "")))
        refusal = Rejected(join("SendGrid refused this recipient (400)", said))
        refused.setdefault(int(named[1]), refusal)
    return refused


def _judge_whole(answer: Answer, said: str) -> Outcome:
    """Outcome for all recipients of a request. `said` is what SendGrid says in words."""
    status = answer.status
    if status == 202:
        return Sent(answer.headers.get("X-Message-Id", ""))
    if status < 300:
        return Unknown(join(f"SendGrid answered {status}, which does not mean accepted", said))
    if status == 429:
        return Retry(join("SendGrid's rate limit is reached (429)", said), _rate_wait(answer))
    if status >= 500:
        return Unknown(join(f"SendGrid failed while taking the mail ({status})", said))
    advice = _ELSEWHERE if status < 400 else _ADVICE.get(status, "SendGrid refused the mail")
    reason = join(f"{advice} ({status})", said)
    if status in (401, 403):  # it is the account that is refused, so the next mail would be too
        return Retry(reason, WAIT, account=True)
    return Rejected(reason)


def _rate_wait(answer: Answer) -> timedelta:
    waits = (wait_for(answer, "Retry-After"), wait_until(answer, "X-RateLimit-Reset"))
    return next((wait for wait in waits if wait is not None), WAIT)


class _Transport:
    """Takes requests to the network through our adapter and nothing else.

    A session of `requests` would follow a redirect with the key, take the key from ~/.netrc
    instead, and keep cookies.
    """

    def __init__(self, url: str, wire: Wire) -> None:
        self._adapter = Adapter(wire)
        with requests.Session() as session:
            read_environment_once(session, url)
            self._options: Any = {"proxies": session.proxies, "verify": session.verify}

    def post(self, url: str, headers: dict[str, str], body: bytes) -> None:
        """Send one request; what comes of it is in the wire. Raises what `requests` raises."""
        request = requests.Request("POST", url, headers, data=body).prepare()
        self._adapter.send(request, **self._options)


class _Client(Client):  # type: ignore[misc] # python_http_client has no types
    """The SDK's HTTP client, which knows addresses and headers, sending through our transport.

    Its own way of sending serialises the body, formats all of it into a debug record even when
    nobody listens (which would write readers' addresses into a log), opens a connection per
    request, and has no limit on the whole call.
    """

    def __init__(self, transport: _Transport, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._transport = transport

    def _build_client(self, name: str | None = None) -> _Client:
        return _Client(
            self._transport,
            host=self.host,
            version=self._version,
            request_headers=self.request_headers,
            url_path=[*self._url_path, name] if name else self._url_path,
        )

    def post(self, body: bytes) -> None:
        """Send JSON that is ready to the address that the path makes."""
        headers = self.request_headers | {"Content-Type": "application/json"}
        self._transport.post(self._build_url(None), headers, body)
