"""SNS: who may send, what is confirmed, and what an alarm's state means."""

from __future__ import annotations

import base64
import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from notifier.domain.receipt import Unreadable, Untrusted
from notifier.domain.signal import Condition, Hook, Secrets
from notifier.domain.text import Invalid
from notifier.sources import aws_sns
from notifier.sources._sns import is_amazons
from tests.sources.bits import each_bit_changed
from tests.sources.bodies import NOW, request, sample, shared, shared_request

_TOPIC = "arn:aws:sns:eu-west-1:111122223333:alarms"
_SIGNED = ("Message", "MessageId", "Subject", "SubscribeURL", "Timestamp", "Token", "TopicArn")


class Vendor:
    """A key, its certificate, and how often that was fetched."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(65537, 2048)
        self.pem = _certificate(self.key)
        self.fetched: list[str] = []

    def fetch(self, address: str) -> bytes:
        self.fetched.append(address)
        return self.pem

    def sign(self, hook: Hook, *, version: str, **changes: str) -> Hook:
        """The request with a good signature in it."""
        body: dict[str, Any] = json.loads(hook.body) | changes | {"SignatureVersion": version}
        names = [name for name in (*_SIGNED, "Type") if name in body]
        signed = "".join(f"{name}\n{body[name]}\n" for name in names).encode()
        made = self.key.sign(signed, padding.PKCS1v15(), SHA256() if version == "2" else SHA1())
        return request(body | {"Signature": base64.b64encode(made).decode()}, **hook.headers)


def _certificate(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a test, and not Amazon")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, NOW, NOW + timedelta(9))
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM)


@pytest.fixture(scope="module")
def vendor() -> Vendor:
    return Vendor()


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("name", ["firing", "text", "subscription", "unsubscription"])
def test_what_the_certificates_key_has_signed_is_trusted(
    vendor: Vendor, name: str, version: str
) -> None:
    hook = vendor.sign(sample("aws_sns", name), version=version)
    aws_sns.verify(hook, Secrets(fetch=vendor.fetch))
    aws_sns.verify(hook, Secrets(options={"certificate": vendor.pem.decode()}))


def test_a_certificate_is_fetched_once(vendor: Vendor) -> None:
    hook = vendor.sign(sample("aws_sns", "firing"), version="2")
    vendor.fetched.clear()
    for _ in range(3):
        aws_sns.verify(hook, Secrets(fetch=vendor.fetch))
    assert len(vendor.fetched) <= 1


def test_nothing_is_trusted_where_it_cannot_be_checked(vendor: Vendor) -> None:
    hook = vendor.sign(sample("aws_sns", "firing"), version="2")
    with pytest.raises(Untrusted, match="no certificate"):
        aws_sns.verify(hook, Secrets())


def test_a_certificate_that_cannot_be_fetched_now_is_not_the_senders_fault(vendor: Vendor) -> None:
    def fail(_: str) -> bytes:
        raise OSError("no route")

    hook = vendor.sign(sample("aws_sns", "firing"), version="2")
    with pytest.raises(OSError, match="no route"):
        aws_sns.verify(hook, Secrets(fetch=fail))


@pytest.mark.parametrize(
    "address",
    [
        "http://sns.eu-west-1.amazonaws.com/a.pem",
        "https://sns.eu-west-1.amazonaws.com.evil.example/a.pem",
        "https://evil.example/sns.eu-west-1.amazonaws.com/a.pem",
        "https://sns.eu-west-1.amazonaws.com:8443/a.pem",
        "https://sns.eu-west-1.amazonaws.com@evil.example/a.pem",
        "https://user@sns.eu-west-1.amazonaws.com/a.pem",
        "https://evil.sns.eu-west-1.amazonaws.com/a.pem",
        "https://s3.eu-west-1.amazonaws.com/a.pem",
        "https://sns.eu-west-1.amazonaws.com\\@evil.example/a.pem",
        "https://sns.eu-west-1.amazonaws.com/a.pem\n",
        "https://sns.eu-west-1.amazonaws.cоm/a.pem",
        "https://[sns.eu-west-1.amazonaws.com/a.pem",
        "//sns.eu-west-1.amazonaws.com/a.pem",
        "",
    ],
)
def test_no_other_address_is_amazons(vendor: Vendor, address: str) -> None:
    assert not is_amazons(address)
    hook = vendor.sign(sample("aws_sns", "firing"), version="2", SigningCertURL=address)
    vendor.fetched.clear()
    with pytest.raises(Untrusted, match="SigningCertURL"):
        aws_sns.verify(hook, Secrets(fetch=vendor.fetch))
    assert not vendor.fetched
    spoiled = vendor.sign(sample("aws_sns", "subscription"), version="2", SubscribeURL=address)
    with pytest.raises(Unreadable, match="SubscribeURL"):
        aws_sns.parse(spoiled, {})


def test_china_is_amazons_too() -> None:
    assert is_amazons("https://sns.cn-north-1.amazonaws.com.cn/a.pem")


def test_a_certificate_is_an_rsa_certificate(vendor: Vendor) -> None:
    hook = vendor.sign(sample("aws_sns", "firing"), version="2")
    curve = _certificate(ec.generate_private_key(ec.SECP256R1())).decode()
    for pem, reason in (("not PEM", "PEM"), (curve, "no RSA key")):
        with pytest.raises(Untrusted, match=reason):
            aws_sns.verify(hook, Secrets(options={"certificate": pem}))


def test_only_listed_topics_may_send(vendor: Vendor) -> None:
    hook = vendor.sign(sample("aws_sns", "subscription"), version="2")
    listed = {"topics": f"arn:aws:sns:eu-west-1:1:other\n{_TOPIC}"}
    aws_sns.verify(hook, Secrets(options=listed, fetch=vendor.fetch))
    with pytest.raises(Untrusted, match="topic"):
        aws_sns.verify(hook, Secrets(options={"topics": _TOPIC + "2"}, fetch=vendor.fetch))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"SignatureVersion": "3"}, "version 1 or 2"),
        ({"Signature": ""}, "not signed"),
        ({"Signature": "%"}, "not signed"),
        ({"Type": "Rumour"}, "Type"),
        ({"Type": ["Notification"]}, "Type"),
        ({"MessageId": 1}, "MessageId"),
        ({"Message": None}, "Message"),
    ],
)
def test_what_cannot_have_been_signed_is_refused(
    vendor: Vendor, changes: dict[str, Any], reason: str
) -> None:
    body = json.loads(vendor.sign(sample("aws_sns", "firing"), version="2").body)
    with pytest.raises(Untrusted, match=reason):
        aws_sns.verify(request(body | changes), Secrets(fetch=vendor.fetch))


def test_every_vector_verifies_and_no_changed_bit_changes_what_is_read() -> None:
    """A bit outside of what SNS signs (the address to unsubscribe) may change, to no effect."""
    vectors = shared("signature-vectors/sns.json")
    secrets = Secrets(options={"certificate": vectors["certificate_pem"]})
    for vector in vectors["messages"]:
        hook = request(vector["body"], **vector["headers"])
        reading = aws_sns.parse(hook, {})
        aws_sns.verify(hook, secrets)
        for body in each_bit_changed(hook.body):
            forged = request(body, **vector["headers"])
            if _is_trusted(forged, secrets):
                assert aws_sns.parse(forged, {}) == reading
                assert _signed_part(body) == _signed_part(hook.body)


def _is_trusted(hook: Hook, secrets: Secrets) -> bool:
    try:
        aws_sns.verify(hook, secrets)
    except (Untrusted, Unreadable):
        return False
    return True


def _signed_part(raw: bytes) -> dict[str, object]:
    body = json.loads(raw)
    names = (*_SIGNED, "Type", "Signature", "SignatureVersion")
    return {name: body.get(name) for name in names}


def test_the_documented_messages_are_read() -> None:
    hook = shared_request("aws-sns/cloudwatch_alarm.json")
    (signal,) = aws_sns.parse(hook, {}).signals
    assert signal.key == "1234567890/EU (Ireland)/bucketbytesAlarm"
    assert signal.condition is Condition.FIRING
    assert signal.position.isoformat() == "2019-02-15T23:53:45.093000+00:00"
    assert signal.labels["BucketName"] == "try.alerta.io"
    silent = shared_request("aws-sns/cloudwatch_insufficient_data.json")
    assert "INSUFFICIENT_DATA" in aws_sns.parse(silent, {}).ignored
    asked = aws_sns.parse(shared_request("aws-sns/subscription_confirmation.json"), {})
    assert asked.confirm.startswith("https://sns.eu-west-1.amazonaws.com/?Action=Confirm")


def test_reads_an_alarm() -> None:
    (signal,) = aws_sns.parse(sample("aws_sns", "firing"), {}).signals
    assert signal.key == "arn:aws:cloudwatch:eu-west-1:111122223333:alarm:sign-in-5xx"
    assert signal.title == "sign-in-5xx"
    assert signal.description.startswith("Sign-in answers with errors\nThree datapoints")
    assert signal.labels["LoadBalancer"] == "app/sign-in/0a1b2c"
    assert signal.labels["topic"] == _TOPIC
    assert signal.url.endswith("region=eu-west-1#alarmsV2:alarm/sign-in-5xx")


def test_an_alarm_without_data_means_what_the_option_says() -> None:
    hook = sample("aws_sns", "insufficient_data")
    assert aws_sns.parse(hook, {"insufficient_data": "ignore"}).ignored
    for word in ("firing", "resolved"):
        (signal,) = aws_sns.parse(hook, {"insufficient_data": word}).signals
        assert signal.condition == word


def test_a_subscription_is_confirmed_and_its_end_is_not() -> None:
    assert aws_sns.parse(sample("aws_sns", "subscription"), {}).confirm
    ended = aws_sns.parse(sample("aws_sns", "unsubscription"), {})
    assert ended.ignored
    assert not ended.confirm


def test_messages_that_are_no_alarm_are_ignored_and_our_own_schema_is_read(vendor: Vendor) -> None:
    assert aws_sns.parse(sample("aws_sns", "text"), {}).ignored
    other = vendor.sign(sample("aws_sns", "text"), version="2", Message='{"bill": 1}')
    assert aws_sns.parse(other, {}).ignored
    own = '{"dedup_key": "a", "status": "firing"}'
    hook = vendor.sign(sample("aws_sns", "text"), version="2", Message=own)
    (signal,) = aws_sns.parse(hook, {}).signals
    assert signal.key == "a"


@pytest.mark.parametrize(
    "hook",
    [
        request({"AlarmName": "a", "NewStateValue": "ALARM"}),
        request({"any": 1}, x_amz_sns_rawdelivery="true"),
    ],
)
def test_raw_delivery_is_refused_because_nothing_vouches_for_it(hook: Hook) -> None:
    for read in (
        lambda: aws_sns.parse(hook, {}),
        lambda: aws_sns.verify(hook, Secrets(fetch=lambda _: b"")),
    ):
        with pytest.raises(Unreadable, match="raw message delivery"):
            read()


def test_the_options_are_checked() -> None:
    aws_sns.check_options({})
    aws_sns.check_options({"topics": _TOPIC, "insufficient_data": "firing"})
    for name, value in (("topics", "alarms"), ("insufficient_data", "perhaps")):
        with pytest.raises(Invalid) as refusal:
            aws_sns.check_options({name: value})
        assert refusal.value.field == name


def test_an_alarm_without_a_time_counts_when_it_was_sent(vendor: Vendor) -> None:
    message = '{"AlarmName": "a", "NewStateValue": "ALARM"}'
    hook = vendor.sign(sample("aws_sns", "firing"), version="2", Message=message)
    (signal,) = aws_sns.parse(hook, {}).signals
    assert signal.at == datetime.fromisoformat("2026-11-22T16:02:11.134+00:00")
