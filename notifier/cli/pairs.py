"""`NAME=VALUE` on the command line."""

from __future__ import annotations

from collections.abc import Iterable

import click


def read_pairs(option: str, given: Iterable[str]) -> dict[str, str]:
    """The values by name. Fails with one sentence for what is no pair, or is there twice."""
    pairs: dict[str, str] = {}
    for one in given:
        name, equals, value = (part.strip() for part in one.partition("="))
        if not (name and equals):
            raise click.BadParameter(f"{one!r} is not written as NAME=VALUE", param_hint=option)
        if name in pairs:
            raise click.BadParameter(f"{name!r} stands there twice", param_hint=option)
        pairs[name] = value
    return pairs
