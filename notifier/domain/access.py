"""Who may do what: three roles, each of which may do all that the one before it may."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from notifier.domain.text import Invalid

# Length is what makes a password strong (OWASP ASVS 5.0, 6.2.1 and 6.2.5: no rules about its
# characters); the upper end only bounds the work of hashing it.
PASSWORD_MIN = 12
PASSWORD_MAX = 256


class Role(StrEnum):
    """What somebody may do: look; publish; manage who else may."""

    VIEWER = "viewer"
    PUBLISHER = "publisher"
    ADMIN = "admin"

    def allows(self, needed: Role) -> bool:
        """Whether this role may do what `needed` may do."""
        ladder = list(Role)
        return ladder.index(self) >= ladder.index(needed)


@dataclass(frozen=True, slots=True)
class Actor:
    """Who is asking: a signed-in person, or the program that holds an API token."""

    name: str
    role: Role


def password(field: str, value: str) -> str:
    """A password exactly as it was given. Raises Invalid."""
    if len(value) < PASSWORD_MIN:
        raise Invalid(
            field, f"has {len(value)} characters; use at least {PASSWORD_MIN}, words are fine"
        )
    if len(value) > PASSWORD_MAX:
        raise Invalid(field, f"has {len(value)} characters; at most {PASSWORD_MAX} are allowed")
    return value
