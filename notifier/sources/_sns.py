"""What Amazon SNS puts around a message, and who vouches for it.

The signature is RSA (PKCS#1 v1.5) over some of the envelope's fields, not over the raw body, and
the certificate is fetched from an address inside the envelope: it counts only where that address
is Amazon's. Both as in Amazon's validators (github.com/aws/aws-js-sns-message-validator) and in
https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, HashAlgorithm

from notifier.domain.receipt import Untrusted

#: `netloc` rather than the host: neither a port nor a user belongs there.
_HOST = re.compile(r"sns\.[a-zA-Z0-9-]{3,}\.amazonaws\.com(\.cn)?")

_NOTIFICATION = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_CONFIRMATION = (
    "Message",
    "MessageId",
    "SubscribeURL",
    "Timestamp",
    "Token",
    "TopicArn",
    "Type",
)
_SIGNED: Mapping[str, tuple[str, ...]] = {
    "Notification": _NOTIFICATION,
    "SubscriptionConfirmation": _CONFIRMATION,
    "UnsubscribeConfirmation": _CONFIRMATION,
}
#: Version 1 is still what a topic has unless it is told otherwise, so SHA-1 it is.
_HASHES: Mapping[str, Callable[[], HashAlgorithm]] = {
    "1": SHA1,
    "2": SHA256,
}


def is_amazons(address: str) -> bool:
    """Whether this is an https address of SNS itself."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    plain = address.isascii() and address.isprintable()
    return plain and parts.scheme == "https" and bool(_HOST.fullmatch(parts.netloc))


def check_envelope(
    envelope: Mapping[str, Any], *, certificate: str, fetch: Callable[[str], bytes] | None
) -> None:
    """The envelope must be signed by `certificate` (PEM), or else by the one it names.

    Raises Untrusted, and OSError where the certificate could not be fetched just now.
    """
    make_hash = _HASHES.get(str(envelope.get("SignatureVersion")))
    if make_hash is None:
        raise Untrusted("The message has no signature of version 1 or 2.")
    key = _key_for(envelope, certificate, fetch)
    try:
        key.verify(_signature(envelope), _signed_text(envelope), PKCS1v15(), make_hash())
    except InvalidSignature:
        raise Untrusted("The signature does not belong to this message.") from None


def _key_for(
    envelope: Mapping[str, Any], certificate: str, fetch: Callable[[str], bytes] | None
) -> RSAPublicKey:
    if certificate.strip():
        return _read_key(certificate.encode("utf-8", "replace"))
    address = envelope.get("SigningCertURL")
    if not (isinstance(address, str) and is_amazons(address) and address.endswith(".pem")):
        raise Untrusted("SigningCertURL is not an address of Amazon SNS.")
    if fetch is None:
        raise Untrusted("There is no certificate to check with, and none may be fetched.")
    return _fetch_key(address, fetch)


@lru_cache(maxsize=32)
def _fetch_key(address: str, fetch: Callable[[str], bytes]) -> RSAPublicKey:
    """Kept, because the address of a certificate contains its hash: it never changes."""
    return _read_key(fetch(address))


@lru_cache(maxsize=32)
def _read_key(pem: bytes) -> RSAPublicKey:
    try:
        key = x509.load_pem_x509_certificate(pem).public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise Untrusted("The certificate cannot be read: it is not a PEM certificate.") from None
    if not isinstance(key, RSAPublicKey):
        raise Untrusted("The certificate holds no RSA key.")
    return key


def _signature(envelope: Mapping[str, Any]) -> bytes:
    """The signature's bytes; refused where they could be written in another way, too."""
    given = str(envelope.get("Signature", "")).encode("utf-8", "replace")
    try:
        found = base64.b64decode(given, validate=True)
    except binascii.Error:
        found = b""
    if not found or base64.b64encode(found) != given:
        raise Untrusted("The message is not signed: Signature is not base64.")
    return found


def _signed_text(envelope: Mapping[str, Any]) -> bytes:
    kind = envelope.get("Type")
    names = _SIGNED.get(kind) if isinstance(kind, str) else None
    if names is None:
        raise Untrusted("Type is none that Amazon SNS signs.")
    lines = [f"{name}\n{_field(envelope, name)}\n" for name in names if _is_signed(envelope, name)]
    return "".join(lines).encode("utf-8", "surrogatepass")


def _is_signed(envelope: Mapping[str, Any], name: str) -> bool:
    return name != "Subject" or envelope.get(name) is not None


def _field(envelope: Mapping[str, Any], name: str) -> str:
    value = envelope.get(name)
    if not isinstance(value, str):
        raise Untrusted(f"The message has no {name}, which Amazon SNS signs.")
    return value
