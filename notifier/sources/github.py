"""GitHub: what was deployed, built or checked, as notes on the timeline; never an alert.

https://docs.github.com/en/webhooks/webhook-events-and-payloads. GitHub does not repeat a delivery
that failed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from notifier.domain.signal import Annotation, Evidence, Hook, Reading, Setup
from notifier.sources._hub import check_hub_signature
from notifier.sources._reading import dig, first, labels_of, read_object, refuse, time_of

NAME = "github"
TITLE = "GitHub"
SIGNS = True
EVIDENCE: Evidence = "documented"
RESOLVES = False
verify = check_hub_signature
SETUP = Setup(
    steps=(
        "In the repository or organisation: Settings, Webhooks, Add webhook.",
        "Payload URL: {url}. Content type: application/json. Secret: this integration's signing"
        " secret.",
        "Choose individual events: Deployments, Deployment statuses, and Workflow runs or Statuses"
        " if you want those on the timeline too.",
    ),
    notes=(
        "Nothing from GitHub opens an incident: it shows what was deployed shortly before one.",
        "GitHub does not repeat a delivery that failed; Recent Deliveries has a button for it.",
    ),
    documents="https://docs.github.com/en/webhooks/webhook-events-and-payloads",
)

Body = Mapping[str, Any]

#: The states worth a note, and how the sentence ends.
_DEPLOYMENT_STATES = {
    "in_progress": "has started",
    "success": "succeeded",
    "failure": "failed",
    "error": "ended in an error",
}


def parse(hook: Hook, options: Mapping[str, str]) -> Reading:
    """A note for what ended or was started. Raises Unreadable."""
    event = hook.headers.get("x-github-event", "").strip()
    if not event:
        refuse("header X-GitHub-Event beside it", of="GitHub")
    body = read_object(hook)
    if event == "ping":
        return Reading(ignored="it is GitHub's ping: the webhook is connected")
    read = _READERS.get(event)
    return read(body, hook) if read else Reading(ignored=f"we do not use the event {event[:50]!r}")


def _read_deployment(body: Body, hook: Hook) -> Reading:
    deployment = _part(body, "deployment")
    return _note(
        f"deployment/{deployment['id']}/created",
        f"Deployment of {first(deployment.get('ref'), 'a revision')} to {_target(deployment)}"
        " was created",
        at=deployment.get("created_at"),
        url=dig(body, "workflow_run", "html_url") or dig(body, "repository", "html_url"),
        labels=_deployment_labels(body, state="created"),
        hook=hook,
    )


def _read_deployment_status(body: Body, hook: Hook) -> Reading:
    deployment, status = _part(body, "deployment"), _part(body, "deployment_status")
    state = first(status.get("state")).lower()
    if state not in _DEPLOYMENT_STATES:
        return Reading(
            ignored=f"a deployment that is {state[:50] or 'in no state'} changes nothing"
        )
    what = f"Deployment of {first(deployment.get('ref'), 'a revision')} to {_target(deployment)}"
    return _note(
        f"deployment/{deployment['id']}/{state}",
        f"{what} {_DEPLOYMENT_STATES[state]}",
        at=first(status.get("updated_at"), status.get("created_at")),
        url=first(status.get("log_url"), status.get("target_url"), status.get("environment_url")),
        labels=_deployment_labels(body, state=state),
        hook=hook,
    )


def _read_workflow_run(body: Body, hook: Hook) -> Reading:
    run = _part(body, "workflow_run")
    if body.get("action") != "completed":
        return Reading(ignored="the workflow has not ended yet")
    ending = first(run.get("conclusion"), "no conclusion").replace("_", " ")
    branch = first(run.get("head_branch"), "a revision")
    return _note(
        f"workflow_run/{run['id']}/{first(run.get('run_attempt'), 1)}",
        f"Workflow {first(run.get('name'), run['id'])} on {branch} ended with {ending}",
        at=run.get("updated_at"),
        url=run.get("html_url"),
        labels=labels_of(
            repository=dig(body, "repository", "full_name"),
            workflow=run.get("name"),
            branch=run.get("head_branch"),
            sha=run.get("head_sha"),
            event=run.get("event"),
            conclusion=run.get("conclusion"),
        ),
        hook=hook,
    )


def _read_status(body: Body, hook: Hook) -> Reading:
    state = first(body.get("state")).lower()
    if not first(body.get("id")) or not state:
        refuse("'id' and 'state'", of="GitHub's statuses")
    if state == "pending":
        return Reading(ignored="the check has not ended yet")
    sha = first(body.get("sha"))
    return _note(
        f"status/{first(body.get('id'))}",
        f"{first(body.get('context'), 'A check')} of {sha[:7] or 'a revision'} ended with {state}",
        at=body.get("updated_at"),
        url=first(body.get("target_url"), dig(body, "commit", "html_url")),
        labels=labels_of(
            repository=dig(body, "repository", "full_name"),
            context=body.get("context"),
            sha=sha,
            state=state,
        ),
        hook=hook,
    )


_READERS: Mapping[str, Callable[[Body, Hook], Reading]] = {
    "deployment": _read_deployment,
    "deployment_status": _read_deployment_status,
    "workflow_run": _read_workflow_run,
    "status": _read_status,
}


def _note(
    key: str, title: str, *, at: object, url: object, labels: dict[str, str], hook: Hook
) -> Reading:
    when = time_of(at) or hook.received_at
    return Reading(annotations=(Annotation(key, when, title, first(url), labels),))


def _part(body: Body, name: str) -> dict[str, Any]:
    """The object `name` with its id as text. Raises Unreadable."""
    part = body.get(name)
    if not isinstance(part, dict) or not first(part.get("id")):
        refuse(f"object '{name}' with an 'id'", of="GitHub")
    return part | {"id": first(part["id"])}


def _target(deployment: Body) -> str:
    return first(deployment.get("environment"), "an environment without a name")


def _deployment_labels(body: Body, *, state: str) -> dict[str, str]:
    deployment = body.get("deployment")
    return labels_of(
        repository=dig(body, "repository", "full_name"),
        environment=dig(deployment, "environment"),
        ref=dig(deployment, "ref"),
        sha=dig(deployment, "sha"),
        task=dig(deployment, "task"),
        creator=dig(deployment, "creator", "login"),
        state=state,
    )
