"""What programs send about integrations, rules, presets and drafts; see `notifier.web.api_models`.

The services decide what is right; here is checked what JSON can get wrong.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field, StrictBool, StrictInt, StrictStr

from notifier.domain.alerting import DraftState
from notifier.domain.incident import Severity
from notifier.domain.text import TITLE_MAX
from notifier.services.integrations import Wanted
from notifier.web.api_models import (
    ID_MAX,
    AtMost,
    Explanation,
    Given,
    Impact,
    Name,
    Slug,
    read_digits,
)


def _read_id(value: str) -> int:
    return read_digits(value, "an id, such as 7")


PathId = Annotated[int, BeforeValidator(_read_id), Field(ge=1, le=ID_MAX)]
GivenId = Annotated[StrictInt, Field(ge=1, le=ID_MAX)]
Secret = Annotated[StrictStr, AtMost(4_096), Field(json_schema_extra={"writeOnly": True})]
Network = Annotated[StrictStr, AtMost(50)]
Options = Annotated[
    dict[Annotated[StrictStr, AtMost(60)], Annotated[StrictStr, AtMost(10_000)]],
    Field(max_length=50),
]
Labels = Annotated[
    dict[Annotated[StrictStr, AtMost(100)], Annotated[StrictStr, AtMost(300)]],
    Field(min_length=1, max_length=20),
]


class _Settings(Given):
    """What can be changed of an integration, too."""

    component: Slug | None = Field(
        None, description="Where alerts belong that no rule sends elsewhere; null: to none."
    )
    severity: Severity = Field(
        Severity.MAJOR, description="Of an alert whose tool does not say it in a word we know."
    )
    header: Annotated[StrictStr, AtMost(64)] | None = Field(
        None, description="A header that has to hold `header_secret`; null: none is asked for."
    )
    header_secret: Secret | None = Field(None, description="It is shown by nothing.")
    networks: Annotated[list[Network], Field(max_length=100)] = Field(
        default_factory=list,
        description="Such as 192.0.2.0/24: who may send. Empty: anybody who knows the address.",
    )
    options: Options = Field(
        default_factory=dict, description="What only this tool needs: `options` of its source."
    )
    heartbeat_minutes: StrictInt | None = Field(
        None,
        ge=1,
        le=10_080,
        description="After so much silence there is no data; null: it may be silent.",
    )

    def _given(self) -> dict[str, Any]:
        """What was given, as the services take it."""
        minutes = self.heartbeat_minutes
        values = {
            "component": self.component or "",
            "severity": self.severity,
            "header": (self.header or "").strip(),
            "header_secret": self.header_secret or "",
            "networks": self.networks,
            "options": self.options,
            "heartbeat": None if minutes is None else timedelta(minutes=minutes),
        }
        names = {"heartbeat": "heartbeat_minutes"}
        given = self.model_fields_set
        return {name: value for name, value in values.items() if names.get(name, name) in given}


class AddIntegration(_Settings):
    """A tool that shall tell us something."""

    source: Annotated[StrictStr, AtMost(60)] = Field(description="`name` of a source.")
    name: Name
    signing_secret: Secret | None = Field(
        None, description="With it, every request has to be signed. It is shown by nothing."
    )

    def wanted(self) -> Wanted:
        """As the services take it."""
        signing = [self.signing_secret] if self.signing_secret else []
        return Wanted(source=self.source, name=self.name, signing=signing, **self._given())


class ChangeIntegration(_Settings):
    """What is left out stays as it is; so does each of the `options` that is left out."""

    name: Name = ""

    def wanted(self, now: Wanted) -> Wanted:
        """What is now, with these changes."""
        given = self._given()
        if "options" in given:
            given["options"] = {**now.options, **given["options"]}
        if "name" in self.model_fields_set:
            given["name"] = self.name
        return replace(now, **given)


class RotateSigningSecret(Given):
    """A new secret by which requests are signed."""

    signing_secret: Secret = Field(description="It is shown by nothing.")
    keep_last: StrictBool = Field(
        True, description="Believe the last one too, until the tool has the new one."
    )


class AddRule(Given):
    """Where alerts belong whose labels all match. It is tried after all other rules."""

    match: Labels = Field(
        description="Label to pattern, in which * stands for anything. Besides the tool's labels"
        " there are title, source and integration."
    )
    component: Slug | None = Field(description="null: these alerts are ignored.")
    integration: GivenId | None = Field(None, description="null: alerts of every integration.")
    severity: Severity | None = Field(None, description="null: as bad as the alert says.")
    preset: GivenId | None = Field(None, description="The words for them; null: our own.")
    auto_minutes: StrictInt | None = Field(
        None,
        ge=0,
        le=60,
        description="Posted by themselves after so long; null: an operator posts them.",
    )


class AddPreset(Given):
    """Words that may be posted as they are."""

    name: Name
    title: Annotated[StrictStr, AtMost(TITLE_MAX)]
    impact: Impact = Field(description="What customers cannot do.")
    explanation: Explanation = Field(description="Why.")


class DraftsQuery(Given):
    """Which drafts."""

    state: DraftState | None = None
    cursor: str = Field("", max_length=100, description="`next_cursor` of the page before.")


class IntegrationPath(BaseModel):
    """Which integration."""

    id: PathId


class RulePath(BaseModel):
    """Which rule."""

    id: PathId


class PresetPath(BaseModel):
    """Which preset."""

    id: PathId


class DraftPath(BaseModel):
    """Which draft."""

    id: PathId
