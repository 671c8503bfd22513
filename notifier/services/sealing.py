"""Secrets that we have to know in plain: encrypted at rest with the site's own secret.

Fernet (AES-128-CBC with HMAC-SHA256) from the package `cryptography`, under a key derived by HKDF
(RFC 5869), so that what signs links never encrypts.
"""

from __future__ import annotations

import base64
import json
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from notifier.ports import Notifier
from notifier.settings import SettingsError


def seal(n: Notifier, value: Any) -> str:
    """The JSON value, encrypted. Raises SettingsError where there is no secret_key."""
    return _box(n).encrypt(json.dumps(value).encode()).decode()


def unseal(n: Notifier, sealed: str) -> Any:
    """What `seal` was given. Raises SettingsError when it was sealed under another secret_key."""
    try:
        return json.loads(_box(n).decrypt(sealed.encode()))
    except InvalidToken:
        raise SettingsError(
            "the secrets of the integrations were encrypted with another secret_key:"
            " set that one again, or remove the integrations and make them anew"
        ) from None


def _box(n: Notifier) -> Fernet:
    derived = HKDF(SHA256(), 32, salt=None, info=b"notifier integrations/1")
    return Fernet(base64.urlsafe_b64encode(derived.derive(n.settings.key())))
