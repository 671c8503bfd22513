"""GitHub: notes on the timeline, in the shape of the vendor's own examples."""

from __future__ import annotations

from dataclasses import replace

import pytest

from notifier.domain.receipt import Unreadable
from notifier.sources import github
from tests.sources.bits import assert_only_this_is_trusted
from tests.sources.bodies import NOW, request, sample, shared, shared_request


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("deployment", "Deployment of main to production was created"),
        ("deployment_success", "Deployment of main to production succeeded"),
        ("deployment_failure", "Deployment of main to production failed"),
        ("workflow_run_completed", "Workflow release on main ended with timed out"),
        ("status_failure", "ci/build of 0d1a26e ended with failure"),
    ],
)
def test_says_in_a_sentence_what_happened(name: str, title: str) -> None:
    reading = github.parse(sample("github", name), {})
    (note,) = reading.annotations
    assert note.title == title
    assert note.at < NOW
    assert note.url.startswith("https://")
    assert note.labels["repository"] == "example/shop"
    assert not reading.signals


@pytest.mark.parametrize(
    "name", ["ping", "deployment_queued", "workflow_run_requested", "status_pending", "star"]
)
def test_what_is_under_way_or_of_no_use_is_ignored(name: str) -> None:
    reading = github.parse(sample("github", name), {})
    assert reading.ignored
    assert not reading.annotations


def test_each_state_of_a_deployment_is_a_note_and_its_repetition_is_not() -> None:
    names = ("deployment", "deployment_success", "deployment_failure", "deployment_failure")
    keys = [github.parse(sample("github", name), {}).annotations[0].key for name in names]
    assert len(set(keys)) == 3
    assert all(key.startswith("deployment/880011/") for key in keys)


def test_the_documented_body_is_read() -> None:
    hook = shared_request("github/deployment_status.json")
    named = replace(hook, headers=dict(hook.headers) | {"x-github-event": "deployment_status"})
    (note,) = github.parse(named, {}).annotations
    assert note.title == "Deployment of master to github-pages has started"
    assert note.labels["environment"] == "github-pages"


def test_a_body_without_its_event_or_its_number_is_refused() -> None:
    with pytest.raises(Unreadable, match="X-GitHub-Event"):
        github.parse(request({"deployment": {"id": 1}}), {})
    with pytest.raises(Unreadable, match="'deployment'"):
        github.parse(request({}, x_github_event="deployment"), {})


def test_the_documented_signature_is_good_for_one_body_only() -> None:
    vector = shared("signature-vectors/hmac.json")["github"]
    hook = request(vector["body"], x_hub_signature_256=vector["value"])
    assert_only_this_is_trusted(github.verify, hook, "x-hub-signature-256", vector["secret"])
