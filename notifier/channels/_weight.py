"""The weighted length of a post, as X counts it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from twitter_text import parse_tweet
from twitter_text.regexp.extract_url import extract_url
from twitter_text.regexp.valid_ascii_domain import valid_ascii_domain
from twitter_text.regexp.valid_tco_url import valid_tco_url

# The parser is quadratic: 280 characters of "a.a.a." take 0.1 s, 1,600 take 4 s.
_PARSED_MAX = 1_000

_ADDRESS_WEIGHT = 23
# A t.co address with a longer name is none (twitter-text, MAX_TCO_SLUG_LENGTH).
_SHORT_NAME_MAX = 40

# Python's IGNORECASE takes these letters (Turkish, mostly) for i and s; JavaScript, and so X,
# does not. Another letter of the same block weighs and parses as they do at X.
_NOT_ASCII = str.maketrans("\u0130\u0131\u017f", "\u0101" * 3)


# Characters that weigh 1 (configuration 3 of twitter-text) and that no emoji begins with or is
# joined by; of a text of these the parser's answer is its length.
_PLAIN = re.compile("[\x20-\xa8\xaa-\xad\xaf-\u10ff\u2010-\u201f\n]*")


def measure(text: str) -> int:
    """Weighted length of `text` as X counts it.

    Of a text longer than 1,000 code points (no post is) only that number is returned.

    twitter-text-parser 3.0 is used for everything but to decide what is an address: it asks
    Python's `idna` codec, which refuses to mix directions of writing, and so it counts an
    address without a scheme that touches Urdu letters letter by letter, up to 16 units less
    than X. Of random texts made of such pieces the parser counts 6 % too low, held against X's
    own JavaScript (twitter-text 3.1.0); this function none of 30,000, and 5 of them too high.
    """
    text = normalise(text)
    if len(text) > _PARSED_MAX:
        return len(text)
    masked, addresses = _mask_addresses(text.translate(_NOT_ASCII))
    weight = (
        # The parser takes 1.4 ms, most of it to look for emoji, while a post waits to leave.
        len(masked) if _PLAIN.fullmatch(masked) else int(parse_tweet(masked).weightedLength)
    )
    return weight + addresses * (_ADDRESS_WEIGHT - 1)


def _mask_addresses(text: str) -> tuple[str, int]:
    """`text` with one "(" for each address and no dot, so that no address is left; how many."""
    pieces, end, count = [], 0, 0
    for start, length in _find_addresses(text):
        if start >= end:
            pieces.append(text[end:start])
            end, count = start + length, count + 1
    return "(".join([*pieces, text[end:]]).replace(".", ","), count


def _find_addresses(text: str) -> Iterator[tuple[int, int]]:
    """Start and length of each address, found as X's JavaScript finds them."""
    for match in extract_url.finditer(text):
        _, before, url, scheme, domain, _, path, _ = match.groups()
        start = match.end() - len(url)
        if not _is_domain(domain):
            continue
        if scheme:
            short = valid_tco_url.search(url)
            if not short:
                yield start, len(url)
            elif len(short[1]) <= _SHORT_NAME_MAX:
                yield start, len(short[0])
        elif not before or before not in "-_./":
            yield from _find_bare(start, domain, len(url) - len(domain) if path else 0)


def _find_bare(start: int, domain: str, rest: int) -> Iterator[tuple[int, int]]:
    """Addresses without a scheme: the ASCII parts of `domain`, at its end with the rest."""
    for part in valid_ascii_domain.finditer(domain):
        yield start + part.start(), len(part[0]) + (rest if part.end() == len(domain) else 0)


def _is_domain(domain: str) -> bool:
    """Whether every label fits into DNS, after encoding (twitter-text's lib/idna.js)."""
    if domain.startswith("xn--") and not valid_ascii_domain.search(domain):
        return False
    return all(0 < _encoded_length(label) <= 63 for label in domain.split("."))


def _encoded_length(label: str) -> int:
    """Length in punycode, whose library also divides at the full stops of Chinese scripts."""
    parts = re.split("[\u3002\uff0e\uff61]", label)
    encoded = (p if p.isascii() else f"xn--{p.encode('punycode').decode()}" for p in parts)
    return len(".".join(encoded))


def normalise(text: str) -> str:
    """`text` as X stores it (NFC), and with LF: the parser counts CRLF as 1 unit, X as 2."""
    return unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))
