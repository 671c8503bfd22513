"""Amazon SNS with CloudWatch's alarms in it.

https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html and, for the alarm,
https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/AlarmThatSendsEmail.html. The body
is JSON that says it is text/plain; its `Message` is a text that is JSON once more.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from notifier.domain.receipt import Unreadable, Untrusted
from notifier.domain.signal import (
    Condition,
    Evidence,
    Hook,
    Option,
    Reading,
    Secrets,
    Setup,
    Signal,
)
from notifier.domain.text import Invalid
from notifier.sources._canonical import read_canonical
from notifier.sources._reading import (
    dig,
    first,
    labels_of,
    objects,
    parse_json,
    read_object,
    refuse,
    time_of,
)
from notifier.sources._sns import check_envelope, is_amazons

NAME = "aws_sns"
TITLE = "AWS SNS and CloudWatch"
SIGNS = True
#: SNS has no secret that an operator sets: every message is signed, and every one is checked.
ALWAYS_SIGNED = True
EVIDENCE: Evidence = "documented"
OPTIONS = (
    Option("topics", "Topics", "ARNs that may send, one a line. Empty: any topic.", long=True),
    Option(
        "insufficient_data",
        "INSUFFICIENT_DATA",
        "What an alarm without data means: ignore, firing or resolved.",
        "ignore",
    ),
    Option(
        "certificate",
        "Certificate",
        "PEM, for servers that may not fetch it from Amazon (see SigningCertURL).",
        long=True,
    ),
)
SETUP = Setup(
    steps=(
        "Create a topic of type Standard, or take the one your alarms publish to.",
        "Subscribe to it with protocol HTTPS and endpoint {url}; leave raw message delivery off,"
        " because it takes the signature away.",
        "The subscription confirms itself. Where this server may not reach Amazon, open the address"
        " shown with the received body instead.",
        "Let each alarm notify the topic in the states ALARM and OK.",
        "List the topic's ARN under Topics, so that no other topic is heard.",
    ),
    template_name="AWS CLI",
    template="""\
aws sns subscribe --topic-arn arn:aws:sns:eu-west-1:123456789012:alarms \\
  --protocol https --notification-endpoint '{url}'
aws sns set-topic-attributes --topic-arn arn:aws:sns:eu-west-1:123456789012:alarms \\
  --attribute-name SignatureVersion --attribute-value 2
""",
    notes=(
        "CloudWatch gives no severity: rules on the alarm's name or dimensions set it.",
        "A message on the topic that is our own schema is read as well; any other is ignored.",
    ),
    documents="https://docs.aws.amazon.com/sns/latest/dg/sns-http-https-endpoint-as-subscriber.html",
)

_RAW = (
    "This is raw message delivery, which carries no signature: turn it off for this subscription."
)
_ARN = re.compile(r"arn:aws:cloudwatch:([a-z0-9-]+):\d*:alarm:(.+)")
_IGNORE = "ignore"


def check_options(options: Mapping[str, str]) -> None:
    """Raises Invalid naming the option."""
    if _insufficient(options) not in (_IGNORE, Condition.FIRING, Condition.RESOLVED):
        raise Invalid("insufficient_data", "must be ignore, firing or resolved")
    if wrong := [topic for topic in _topics(options) if not topic.startswith("arn:")]:
        raise Invalid("topics", f"must be ARNs such as arn:aws:sns:…, not {wrong[0]!r}")


def verify(hook: Hook, secrets: Secrets) -> None:
    """Amazon's signature, and a topic that may send.

    Raises Untrusted, Unreadable for a body that is not JSON, and OSError where the certificate
    could not be fetched just now: the sender should then be asked to try again.
    """
    envelope = _envelope(hook)
    topics = _topics(secrets.options)
    if topics and envelope.get("TopicArn") not in topics:
        raise Untrusted("This topic is not among those that may send here.")
    certificate = secrets.options.get("certificate", "")
    check_envelope(envelope, certificate=certificate, fetch=secrets.fetch)


def parse(hook: Hook, options: Mapping[str, str]) -> Reading:
    """The alarm's signal, or what has to be confirmed. Raises Unreadable."""
    envelope = _envelope(hook)
    kind = envelope.get("Type")
    if kind == "SubscriptionConfirmation":
        return Reading(confirm=_confirmation(envelope))
    if kind == "UnsubscribeConfirmation":
        return Reading(ignored="it only says that the subscription has ended")
    if kind != "Notification":
        refuse("'Type' that we know", of="Amazon SNS")
    return _read_message(envelope, hook, options)


def _envelope(hook: Hook) -> dict[str, Any]:
    if hook.headers.get("x-amz-sns-rawdelivery", "").lower() == "true":
        raise Unreadable(_RAW)
    body = read_object(hook)
    if "AlarmName" in body and "Type" not in body:
        raise Unreadable(_RAW)
    return body


def _confirmation(envelope: Mapping[str, Any]) -> str:
    address = first(envelope.get("SubscribeURL"))
    if not is_amazons(address) or "Action=ConfirmSubscription" not in address:
        raise Unreadable("SubscribeURL is not an address of Amazon SNS that confirms anything.")
    return address


def _read_message(envelope: Mapping[str, Any], hook: Hook, options: Mapping[str, str]) -> Reading:
    message = first(envelope.get("Message"))
    content = parse_json(message) if message.startswith("{") else None
    if not isinstance(content, dict):
        return Reading(ignored="its message is text, and no alarm")
    if "AlarmName" in content and "NewStateValue" in content:
        return _read_alarm(content, envelope, hook, options)
    signal = read_canonical(content, hook)
    return Reading((signal,)) if signal else Reading(ignored="its message is not an alarm we know")


def _read_alarm(
    alarm: Mapping[str, Any], envelope: Mapping[str, Any], hook: Hook, options: Mapping[str, str]
) -> Reading:
    state = first(alarm.get("NewStateValue")).upper()
    word = _insufficient(options) if state == "INSUFFICIENT_DATA" else _STATES.get(state, _IGNORE)
    if word == _IGNORE:
        return Reading(ignored=f"the alarm's state is {state or 'missing'}")
    name = first(alarm.get("AlarmName"))
    at = time_of(alarm.get("StateChangeTime")) or time_of(envelope.get("Timestamp"))
    signal = Signal(
        key=_key(alarm, name),
        condition=Condition(word),
        position=at or hook.received_at,
        at=at or hook.received_at,
        title=name or first(envelope.get("Subject"), "An alarm without a name"),
        description="\n".join(
            filter(None, [first(alarm.get("AlarmDescription")), first(alarm.get("NewStateReason"))])
        ),
        labels=_labels(alarm, envelope),
        url=_console(first(alarm.get("AlarmArn"))),
    )
    return Reading((signal,))


_STATES = {"ALARM": "firing", "OK": "resolved"}


def _key(alarm: Mapping[str, Any], name: str) -> str:
    parts = first(alarm.get("AWSAccountId")), first(alarm.get("Region")), name
    return first(alarm.get("AlarmArn")) or "/".join(parts)


def _labels(alarm: Mapping[str, Any], envelope: Mapping[str, Any]) -> dict[str, str]:
    dimensions = {
        first(one.get("name")): first(one.get("value"))
        for one in objects(dig(alarm, "Trigger", "Dimensions"))
    }
    return labels_of(
        dimensions,
        alarm=alarm.get("AlarmName"),
        account=alarm.get("AWSAccountId"),
        region=alarm.get("Region"),
        namespace=dig(alarm, "Trigger", "Namespace"),
        metric=dig(alarm, "Trigger", "MetricName"),
        topic=envelope.get("TopicArn"),
    )


def _console(arn: str) -> str:
    """The alarm's page; its address is not in the message, but follows from the ARN."""
    found = _ARN.fullmatch(arn)
    if not found:
        return ""
    region, name = found.groups()
    home = f"https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}"
    return f"{home}#alarmsV2:alarm/{quote(name, safe='', errors='replace')}"


def _insufficient(options: Mapping[str, str]) -> str:
    return options.get("insufficient_data", "").strip().lower() or _IGNORE


def _topics(options: Mapping[str, str]) -> list[str]:
    return options.get("topics", "").split()
