"""Getting a document of a vendor's: a certificate, or the address that confirms a subscription."""

from __future__ import annotations

import requests

_TIMEOUT = (3.05, 5.0)
_LONGEST = 100_000


def fetch(url: str) -> bytes:
    """The document at an https address; at most 100,000 bytes, no redirect is followed.

    Only for addresses that a source has judged to be its vendor's. Raises OSError.
    """
    if not url.startswith("https://"):
        raise OSError(f"only https addresses are fetched, not {url!r}")
    with requests.Session() as session:
        session.trust_env = False  # no ~/.netrc
        with session.get(url, timeout=_TIMEOUT, stream=True, allow_redirects=False) as answer:
            if answer.status_code != 200:
                raise OSError(f"{url} answered {answer.status_code}")
            body = answer.raw.read(_LONGEST + 1, decode_content=True)
    if len(body) > _LONGEST:
        raise OSError(f"{url} holds more than {_LONGEST} bytes")
    return bytes(body)
