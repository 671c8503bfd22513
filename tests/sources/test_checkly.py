"""Checkly: Keep's body, our own template filled in, and the documented signature."""

from __future__ import annotations

import hashlib
import hmac
import json

import pytest

from notifier.domain.receipt import Unreadable, Untrusted
from notifier.domain.signal import Condition, Hook, Secrets, severity_of
from notifier.sources import checkly
from tests.sources.bits import assert_only_this_is_trusted
from tests.sources.bodies import request, sample, shared, shared_request

SECRET = "a secret of ours"


def signed(body: bytes, secret: str = SECRET) -> Hook:
    value = hmac.digest(secret.encode(), body, hashlib.sha256).hex()
    return request(body, x_checkly_signature=value)


def test_the_vector_verifies_and_no_other_bit_does() -> None:
    vector = shared("signature-vectors/hmac.json")["checkly"]
    name = vector["header"].lower()
    hook = request(vector["body"], **{name: vector["value"]})
    assert_only_this_is_trusted(checkly.verify, hook, name, vector["secret"])


@pytest.mark.parametrize("secret", ["new", "old"])
def test_while_secrets_are_changed_both_verify(secret: str) -> None:
    checkly.verify(signed(b"{}", secret), Secrets(("new", "old")))


def test_without_a_signature_it_says_that_one_is_missing() -> None:
    with pytest.raises(Untrusted, match="is not signed"):
        checkly.verify(request("{}"), Secrets((SECRET,)))


def test_a_check_that_gets_better_and_worse_is_one_alert() -> None:
    began, worse, ended = (
        checkly.parse(sample("checkly", name), {}).signals[0]
        for name in ("firing", "degraded", "resolved")
    )
    assert began.key == worse.key == ended.key
    assert began.position < worse.position < ended.position
    assert worse.condition is Condition.FIRING
    assert severity_of(began.severity, default=None) != severity_of(worse.severity, default=None)
    assert ended.condition is Condition.RESOLVED


def test_text_written_for_html_is_read_as_text() -> None:
    (signal,) = checkly.parse(sample("checkly", "firing"), {}).signals
    assert signal.title == 'Check "Sign-in" has failed'
    assert signal.labels["check_name"] == "Sign-in & sign-up"
    assert signal.labels["env"] == "prod"
    assert signal.labels["shop"] == "true"


def test_notices_about_certificates_are_ignored() -> None:
    assert checkly.parse(sample("checkly", "certificate"), {}).ignored


def test_the_template_is_json_that_we_read() -> None:
    values = {
        "CHECK_ID": "c-1",
        "ALERT_TYPE": "ALERT_DEGRADED",
        "ALERT_TITLE": "Check &quot;a&quot; is degraded",
        "CHECK_NAME": "a",
        "STARTED_AT": "2026-11-22T16:02:11.544Z",
        "{RESULT_LINK}": "https://app.checklyhq.com/r",
    }
    body = checkly.SETUP.template
    for name, value in values.items():
        body = body.replace("{{" + name + "}}", value)
    json.loads(body)
    (signal,) = checkly.parse(request(body), {}).signals
    assert (signal.key, signal.condition) == ("c-1", Condition.FIRING)
    assert signal.url == "https://app.checklyhq.com/r"
    assert "group_name" not in signal.labels  # its placeholder was left standing


def test_a_template_that_was_not_filled_in_is_refused() -> None:
    with pytest.raises(Unreadable, match="kind of alert and check id"):
        checkly.parse(request(checkly.SETUP.template), {})


def test_the_body_of_keeps_template_is_read() -> None:
    (signal,) = checkly.parse(shared_request("checkly/recovery.json"), {}).signals
    assert signal.key == "927a2982-1007-4b81-b383-eae8bf717e61"
    assert signal.condition is Condition.RESOLVED
    assert signal.title == "API Check #1 has recovered"
    assert signal.url.startswith("https://app.checklyhq.com/checks/927a2982")
