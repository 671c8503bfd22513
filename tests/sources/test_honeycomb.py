"""Honeycomb, on bodies in the shape of its own example listener."""

from __future__ import annotations

import pytest

from notifier.domain.receipt import Unreadable, Untrusted
from notifier.domain.signal import Secrets
from notifier.sources import honeycomb
from tests.sources.bits import each_bit_changed
from tests.sources.bodies import NOW, request, sample, shared


def test_reads_a_trigger() -> None:
    (signal,) = honeycomb.parse(sample("honeycomb", "firing"), {}).signals
    assert signal.key == "kQ7signin"
    assert signal.title == "Sign-ins fail"
    assert signal.labels == {"app": "login", "trigger": "Sign-ins fail"}
    assert signal.url == "https://ui.honeycomb.io/example/datasets/login/result/r1"
    assert signal.position == NOW


def test_a_test_is_ignored() -> None:
    assert honeycomb.parse(sample("honeycomb", "test"), {}).ignored


def test_a_payload_in_our_own_schema_is_read() -> None:
    (signal,) = honeycomb.parse(sample("honeycomb", "own_schema"), {}).signals
    assert signal.key == "sign-in-errors"


def test_a_body_without_an_id_or_a_status_is_refused() -> None:
    for body in ({"id": "a"}, {"status": "OK"}, {"id": "a", "status": "perhaps"}):
        with pytest.raises(Unreadable, match="'id' and 'status'"):
            honeycomb.parse(request(body), {})


def test_only_the_shared_secret_itself_is_trusted() -> None:
    vector = shared("signature-vectors/hmac.json")["honeycomb"]
    hook = request({}, x_honeycomb_webhook_token=vector["value"])
    honeycomb.verify(hook, Secrets((vector["secret"],)))
    honeycomb.verify(hook, Secrets(("the next secret", vector["secret"])))
    for value in each_bit_changed(vector["value"].encode()):
        spoiled = request({}, x_honeycomb_webhook_token=value.decode("latin-1"))
        with pytest.raises(Untrusted, match="not the shared secret"):
            honeycomb.verify(spoiled, Secrets((vector["secret"],)))


def test_an_empty_or_a_missing_token_is_never_trusted() -> None:
    for hook in (request({}), request({}, x_honeycomb_webhook_token="")):
        with pytest.raises(Untrusted, match="missing"):
            honeycomb.verify(hook, Secrets(("",)))
