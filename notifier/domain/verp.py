"""Bounces that say which mail they are about: variable envelope return paths (VERP).

Each mail leaves from an address of its own, `bounces+<delivery id>-<mac>@example.com`, to which
mail servers report that it could not be delivered (RFC 5321 section 4.4). So a bounce is matched
without reading what the other side has written into it. The MAC is keyed BLAKE2b (RFC 7693),
without which anybody could count up the ids and have other readers' addresses struck off.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable

_PURPOSE = b"bounce/1"
# Each of the MAC's 16 bytes gives one character, which carries 5 of its bits: 80 bits in all.
# This costs a quarter of `base64.b32encode`.
_MAC_LENGTH = 16
_BASE32 = bytes(b"abcdefghijklmnopqrstuvwxyz234567"[byte % 32] for byte in range(256))

#: Characters the part of the base before the @ may have. A local part has 64 octets (RFC 5321
#: section 4.5.3.1.1); besides this, the MAC and two signs, 26 are left for the delivery id.
LONGEST_LOCAL_PART = 20
_BASE = re.compile(
    rf"[A-Za-z0-9_.=+-]{{1,{LONGEST_LOCAL_PART}}}@(?=.{{1,253}}$)[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*"
)


def check_base(address: str) -> str:
    """`address` as it is, if return paths can be made of it. Raises ValueError."""
    if not _BASE.fullmatch(address):
        raise ValueError(
            "must be a plain address with at most"
            f" {LONGEST_LOCAL_PART} characters before the @, such as bounces@example.com"
        )
    return address


def verp_signer(base: str, key: bytes) -> Callable[[str], str]:
    """From a delivery id to its return path below the address `base`: 1 µs for each."""
    local, _, domain = base.rpartition("@")
    prefix, suffix = f"{local}+", f"@{domain}"
    # The key may be of any length; BLAKE2b's own takes 64 bytes.
    keyed = hashlib.blake2b(
        key=hashlib.blake2b(key).digest(), person=_PURPOSE, digest_size=_MAC_LENGTH
    )

    def sign(delivery_id: str) -> str:
        mac = keyed.copy()  # a third cheaper than taking in the key anew
        mac.update(delivery_id.encode())
        return f"{prefix}{delivery_id}-{mac.digest().translate(_BASE32).decode()}{suffix}"

    return sign


def verp_address(base: str, delivery_id: str, key: bytes) -> str:
    """The return path of one delivery. Who needs many asks `verp_signer` once."""
    return verp_signer(base, key)(delivery_id)


def read_verp(address: str, base: str, key: bytes) -> str | None:
    """The delivery id in a return path, or None when it is not one of ours, or forged.

    Mail servers on the way may have changed the case of letters; our ids have none.
    """
    if not address.isascii():
        return None
    address, base = address.lower(), base.lower()
    local, _, _domain = base.rpartition("@")
    signed, _, _mac = address.removeprefix(f"{local}+").rpartition("@")[0].rpartition("-")
    expected = verp_address(base, signed, key)
    return signed if signed and hmac.compare_digest(expected, address) else None
