"""Forgeries of the smallest kind: a request in which one bit is another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from notifier.domain.receipt import Untrusted
from notifier.domain.signal import Hook, Secrets


def each_bit_changed(raw: bytes) -> Iterator[bytes]:
    """`raw` as often as it has bits, each time with another one changed."""
    for place in range(8 * len(raw)):
        changed = bytearray(raw)
        changed[place // 8] ^= 1 << place % 8
        yield bytes(changed)


def assert_only_this_is_trusted(
    verify: Callable[[Hook, Secrets], None], hook: Hook, header: str, secret: str
) -> None:
    """`verify` takes `hook` under `secret`, old or new, and no change of its body or `header`."""
    secrets = Secrets((secret,))
    verify(hook, secrets)
    verify(hook, Secrets(("the next secret", secret)))
    with pytest.raises(Untrusted):
        verify(hook, Secrets(("the next secret",)))
    for body in each_bit_changed(hook.body):
        with pytest.raises(Untrusted):
            verify(replace(hook, body=body), secrets)
    for value in each_bit_changed(hook.headers[header].encode()):
        spoiled = dict(hook.headers) | {header: value.decode("latin-1")}
        with pytest.raises(Untrusted):
            verify(replace(hook, headers=spoiled), secrets)
