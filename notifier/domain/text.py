"""What people may write into which field. Every refusal names the field and says why."""

from __future__ import annotations

import unicodedata


class Invalid(ValueError):
    """Something a person or a program gave us is wrong; nothing was changed.

    `field` is the name under which it was given, `reason` completes the sentence
    "<field> <reason>".
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field} {reason}")
        self.field = field
        self.reason = reason


TITLE_MAX = 120
IMPACT_MAX = 600
EXPLANATION_MAX = 5000
NAME_MAX = 120
SLUG_MAX = 60

# They make a name read as another one (Unicode TR 36 §2.5). Marks and isolates, which honest
# Urdu and Arabic text needs, stay allowed.
_OVERRIDES = "\u202d\u202e"


def line(field: str, value: str, *, limit: int) -> str:
    """One line of text, trimmed and in NFC. Raises Invalid.

    A line may end up in a mail header, where a line break would start a header of the writer's
    choosing (RFC 5322 §2.2), so CR, LF and other control characters are refused, not removed.
    """
    value = _normalised(field, value, limit=limit)
    for character in value:
        if unicodedata.category(character) in ("Cc", "Zl", "Zp"):
            raise Invalid(field, "must be one line: it contains a line break or control character")
    return value


def paragraphs(field: str, value: str, *, limit: int) -> str:
    """Text of one or more lines, trimmed, in NFC, with LF line ends. Raises Invalid."""
    value = _normalised(field, value.replace("\r\n", "\n").replace("\r", "\n"), limit=limit)
    for character in value:
        if character not in "\n\t" and unicodedata.category(character) == "Cc":
            raise Invalid(field, f"contains the control character U+{ord(character):04X}")
    return value


def slug(field: str, value: str) -> str:
    """A name for machines: small ASCII letters, digits, hyphens. Raises Invalid."""
    if not 0 < len(value) <= SLUG_MAX:
        raise Invalid(field, f"must have 1 to {SLUG_MAX} characters")
    if not all(c.isascii() and (c.islower() or c.isdigit() or c == "-") for c in value):
        raise Invalid(field, f"must be small letters a-z, digits and hyphens, not {value!r}")
    return value


def _normalised(field: str, value: str, *, limit: int) -> str:
    value = unicodedata.normalize("NFC", value).strip()
    if not value:
        raise Invalid(field, "is missing")
    if len(value) > limit:
        raise Invalid(field, f"has {len(value)} characters; at most {limit} are allowed")
    for character in value:
        if unicodedata.category(character) in ("Co", "Cs") or _is_noncharacter(ord(character)):
            raise Invalid(
                field,
                f"contains U+{ord(character):04X}, which is not a character that can be shown",
            )
        if character in _OVERRIDES:
            raise Invalid(
                field,
                f"contains U+{ord(character):04X}, which shows text in another order than it has",
            )
    return value


def _is_noncharacter(code: int) -> bool:
    """Unicode §23.7. Not category Cn: that also holds emoji newer than this Python's tables."""
    return 0xFDD0 <= code <= 0xFDEF or code & 0xFFFE == 0xFFFE
