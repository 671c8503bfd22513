"""The key pair with which SendGrid's Event Webhook is signed: ECDSA, P-256, SHA-256."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)


class EventKey:
    """One account's key. SendGrid makes it and shows only its public half."""

    def __init__(self, private: ec.EllipticCurvePrivateKey) -> None:
        self._private = private

    @classmethod
    def make(cls) -> Self:
        """A new key."""
        return cls(ec.generate_private_key(ec.SECP256R1()))

    @classmethod
    def load(cls, path: Path) -> Self:
        """The key in the PEM file `path`, which is made if it is not there.

        Raises OSError, ValueError when the file holds something else.
        """
        if not path.exists():
            key = cls.make()
            key._save(path)
            return key
        try:
            private = load_pem_private_key(path.read_bytes(), password=None)
        except (ValueError, TypeError):  # TypeError: it is encrypted
            raise ValueError("not a private key in PEM without a password") from None
        if not isinstance(private, ec.EllipticCurvePrivateKey):
            raise ValueError("not a key for ECDSA")
        return cls(private)

    @property
    def public(self) -> str:
        """The public half as SendGrid shows it: base64 of DER, in one line."""
        public = self._private.public_key()
        return base64.b64encode(
            public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        ).decode()

    def sign(self, timestamp: str, body: bytes) -> str:
        """The signature header of a request with this timestamp header and body."""
        signature = self._private.sign(timestamp.encode() + body, ec.ECDSA(hashes.SHA256()))
        return base64.b64encode(signature).decode()

    def _save(self, path: Path) -> None:
        text = self._private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(text)
