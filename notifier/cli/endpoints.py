"""What the channels talk to, told without a credential."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from pydantic import BaseModel, SecretStr

from notifier.settings import SANDBOX_KEY, SANDBOX_SMTP, SANDBOX_X, Settings

_PORTS = {"http": 80, "https": 443, "smtp": 25, "smtps": 465}
#: Where a mail server expects who logs in (RFC 6409).
_SUBMISSION = 587

_SANDBOX_SECRETS = frozenset({SANDBOX_KEY, SANDBOX_SMTP, *SANDBOX_X.values()})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One channel's other end. `address` is "" for a channel that has none."""

    channel: str
    address: str
    host: str
    port: int
    is_sandbox: bool

    def __str__(self) -> str:
        if not self.address:
            return f"{self.channel} (shown here, sent nowhere)"
        if self.is_sandbox:
            return f"{self.channel}, the sandbox at {self.address} (no credentials set)"
        return f"{self.channel} at {self.address}"


def endpoints(settings: Settings) -> tuple[list[Endpoint], Endpoint]:
    """(of the posts, of the mail), as the settings choose them."""
    posts = [_endpoint(settings, name) for name in settings.posts.channels]
    return posts, _endpoint(settings, settings.email.provider)


def describe_endpoints(settings: Settings) -> Sequence[str]:
    """A line for the posts and one for the mail."""
    posts, mail = endpoints(settings)
    return [f"Posts: {'; '.join(map(str, posts)) or 'none'}", f"E-mail: {mail}"]


def _endpoint(settings: Settings, channel: str) -> Endpoint:
    secrets = _secrets(settings.channels[channel])
    # A mail server's whole address is a secret, for it may hold the password.
    url = getattr(settings.channels[channel], "api_url", None)
    url = urlsplit(url or next((s for s in secrets if "://" in s), ""))
    usual = _SUBMISSION if url.scheme == "smtp" and url.username else _PORTS.get(url.scheme, 0)
    return Endpoint(
        channel=channel,
        address=f"{url.scheme}://{url.netloc.rpartition('@')[2]}" if url.scheme else "",
        host=url.hostname or "",
        port=url.port or usual,
        is_sandbox=bool(secrets) and _SANDBOX_SECRETS.issuperset(secrets),
    )


def _secrets(config: BaseModel) -> list[str]:
    values = (getattr(config, name) for name in type(config).model_fields)
    return [value.get_secret_value() for value in values if isinstance(value, SecretStr)]
