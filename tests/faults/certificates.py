"""Certificates for a server at 127.0.0.1: one that is right, and what must not be taken for it."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

_HERE = x509.IPAddress(ip_address("127.0.0.1"))
_ELSEWHERE = x509.DNSName("other.example")
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Certificates:
    """What a server can show. `authority` is the file that a client is told to trust."""

    authority: Path
    good: ssl.SSLContext
    #: By what is wrong with them.
    wrong: Mapping[str, ssl.SSLContext]


def make_certificates(folder: Path) -> Certificates:
    """New ones, whose files are kept in `folder`."""
    ca = _Signer("authority")
    authority = folder / "authority.pem"
    authority.write_bytes(ca.sign(ca).public_bytes(Encoding.PEM))
    server = _Signer("server")
    return Certificates(
        authority,
        _show(folder / "good.pem", server, ca.sign(server)),
        {
            "expired": _show(folder / "expired.pem", server, ca.sign(server, ends=-_DAY)),
            "self-signed": _show(folder / "own.pem", server, server.sign(server)),
            "wrong host": _show(folder / "other.pem", server, ca.sign(server, host=_ELSEWHERE)),
        },
    )


class _Signer:
    def __init__(self, name: str) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])

    def sign(
        self, subject: _Signer, *, host: x509.GeneralName = _HERE, ends: timedelta = _DAY
    ) -> x509.Certificate:
        """A certificate for `subject`, which ends so long from now. Its own may sign others."""
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject.name)
            .issuer_name(self.name)
            .public_key(subject.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 2 * _DAY)
            .not_valid_after(now + ends)
            .add_extension(x509.SubjectAlternativeName([host]), critical=False)
            .add_extension(x509.BasicConstraints(self is subject, path_length=None), critical=True)
            .sign(self.key, hashes.SHA256())
        )


def _show(path: Path, owner: _Signer, certificate: x509.Certificate) -> ssl.SSLContext:
    """What a server needs to show it; the file is for OpenSSL."""
    key = owner.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(key + certificate.public_bytes(Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context
