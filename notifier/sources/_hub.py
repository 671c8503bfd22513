"""The signature GitHub writes, which many other senders write too: X-Hub-Signature-256.

https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries
"""

from __future__ import annotations

from notifier.domain.signal import Hook, Secrets
from notifier.sources._signing import check_hmac

HEADER = "X-Hub-Signature-256"


def check_hub_signature(hook: Hook, secrets: Secrets, *, header: str = HEADER) -> None:
    """`header` must hold "sha256=" and the HMAC-SHA256 of the body in hex. Raises Untrusted."""
    given = hook.headers.get(header.strip().lower(), "")
    check_hmac([given.removeprefix("sha256=")], hook.body, secrets.signing)
