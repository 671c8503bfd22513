"""What holds for every source: it reads its own samples, and nothing that is sent breaks it."""

from __future__ import annotations

import string
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier.app import discover_sources
from notifier.domain.receipt import Unreadable, Untrusted
from notifier.domain.signal import Condition, Hook, Reading, Secrets, Signal, clean
from notifier.ports import SourceModule
from tests.sources.bodies import NOW, SAMPLES, sample

SOURCES = discover_sources()
RESOLVING = sorted(n for n, m in SOURCES.items() if getattr(m, "RESOLVES", True))


def samples(source: str) -> list[str]:
    return sorted(path.stem for path in (SAMPLES / source).glob("*.json"))


def options(module: SourceModule) -> dict[str, str]:
    return {option.name: option.default for option in getattr(module, "OPTIONS", ())}


def read(source: str, name: str) -> Reading:
    module = SOURCES[source]
    return module.parse(sample(source, name), options(module))


@pytest.mark.parametrize("source", sorted(SOURCES))
def test_says_what_it_is_and_how_to_connect_it(source: str) -> None:
    module = SOURCES[source]
    assert source == module.NAME
    assert module.TITLE
    assert module.EVIDENCE in ("recorded", "documented", "fields")
    assert module.SETUP.steps
    assert "{url}" in "".join([*module.SETUP.steps, module.SETUP.template])
    assert module.SETUP.documents.startswith("https://") or source in ("canonical", "generic")


@pytest.mark.parametrize("source", sorted(SOURCES))
def test_all_its_samples_are_understood(source: str) -> None:
    assert samples(source), f"tests/sources/samples/{source} is empty"
    for name in samples(source):
        reading = read(source, name)
        assert reading.signals or reading.annotations or reading.ignored or reading.confirm, name
        for signal in reading.signals:
            assert signal.key, name
            assert signal.title, name
            assert signal.position.tzinfo, name
            assert signal.at.tzinfo, name
            cleaned = clean(signal)
            assert clean(cleaned) == cleaned, name


@pytest.mark.parametrize("source", RESOLVING)
def test_a_firing_and_its_end_have_one_key_and_the_end_comes_after(source: str) -> None:
    began = read(source, "firing").signals[0]
    ended = read(source, "resolved").signals[0]
    assert began.condition is Condition.FIRING
    assert ended.condition is Condition.RESOLVED
    assert began.key == ended.key
    assert began.position <= ended.position


@pytest.mark.parametrize("source", sorted(SOURCES))
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_whatever_is_sent_is_read_or_refused_in_one_sentence(
    source: str, data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(samples(source)))
    hook = _spoil(sample(source, name), data)
    for signal in _read_or_refuse(SOURCES[source], hook):
        clean(signal)


def _read_or_refuse(module: SourceModule, hook: Hook) -> Sequence[Signal]:
    refusal = ""
    try:
        return module.parse(hook, options(module)).signals
    except Unreadable as error:
        refusal = str(error)
    assert refusal.endswith(".")
    return ()


@pytest.mark.parametrize("source", sorted(SOURCES))
def test_no_signature_breaks_it(source: str) -> None:
    module = SOURCES[source]
    hook = sample(source, samples(source)[0])
    if not module.SIGNS:
        module.verify(hook, Secrets(("secret",)))
        return
    for spoiled in ({}, dict.fromkeys(hook.headers, "\x00é,v1=,=:")):
        bare = Hook(hook.method, spoiled, hook.query, hook.body, NOW)
        with pytest.raises((Untrusted, Unreadable), match=r"\.$"):
            module.verify(bare, Secrets(("secret",)))


_SPOILERS = ["{", "}", "[", "]", '"', ",", "null", "NaN", "1e999", "\\ud800", "\x00", "<", "&", "="]


def _spoil(hook: Hook, data: st.DataObject) -> Hook:
    """A request of which a piece is cut out, changed or repeated."""
    body, kind = hook.body, data.draw(st.sampled_from(["cut", "put", "swap", "type", "nest"]))
    start = data.draw(st.integers(0, max(len(body) - 1, 0)))
    end = data.draw(st.integers(start, len(body)))
    headers = dict(hook.headers)
    if kind == "cut":
        body = body[:start] + body[end:]
    elif kind == "put":
        body = body[:start] + data.draw(st.sampled_from(_SPOILERS)).encode() + body[start:]
    elif kind == "swap":
        word = data.draw(st.text(string.printable, max_size=5)).encode()
        body = body[:start] + word + body[min(end, start + 5) :]
    elif kind == "type":
        types = ["", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "é"]
        headers["content-type"] = data.draw(st.sampled_from(types))
    else:
        body = body[:start] + b"[" * 10_000 + body[start:]
    return Hook(hook.method, headers, hook.query, body, hook.received_at)
