"""Signatures over raw bodies, compared in constant time."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Iterable, Sequence

from notifier.domain.receipt import Untrusted
from notifier.domain.signal import Hook, Secrets


def unsigned(hook: Hook, secrets: Secrets) -> None:
    """For tools that sign nothing: the integration's address, and its header, let them in."""


def check_hmac(
    given: Iterable[str],
    signed: bytes,
    secrets: Sequence[str],
    *,
    write: Callable[[bytes], str] = bytes.hex,
) -> None:
    """One of `given` must be the HMAC-SHA256 of `signed` under one of `secrets`.

    `write` spells the digest as the tool does (hexadecimal, or `in_base64`). Every pair is
    compared, so the time tells nothing. Raises Untrusted.
    """
    expected = [write(hmac.digest(s.encode(), signed, hashlib.sha256)).encode() for s in secrets]
    found = [g.strip().encode("utf-8", "replace") for g in given]
    matches = [hmac.compare_digest(one, other) for one in found for other in expected]
    if not found or not any(found):
        raise Untrusted("The request is not signed, and this integration asks for a signature.")
    if not any(matches):
        raise Untrusted("The signature does not belong to this body and our signing secret.")


def in_base64(digest: bytes) -> str:
    """The digest as Splunk writes it."""
    return base64.b64encode(digest).decode()
