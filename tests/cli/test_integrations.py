"""`integrations`, `rules`, `presets`, `drafts`: what the monitoring may say, from a terminal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from notifier.app import build, discover_sources, load_settings
from notifier.cli.drafts import list_
from notifier.domain.alerting import DraftState
from notifier.ports import Notifier
from notifier.services.hooks import Intake
from tests.alerts.alarms import Alarms
from tests.cli.conftest import Cli

PRESET = [
    *("presets", "add", "--name", "cannot sign in", "--title", "You cannot sign in"),
    *("--impact", "You cannot sign in to your account.", "--explanation", "A server fails."),
]
RULE = ["rules", "add", "--match", "service=sso*", "--component", "sign-in"]


@pytest.fixture
def utility(cli: Cli) -> Cli:
    cli.done("components", "put", "sign-in", "--name", "Sign-in")
    return cli


@contextmanager
def monitored(cli: Cli) -> Iterator[Alarms]:
    """An integration made by the command line, and what posts to it."""
    address = cli.done(
        *("integrations", "add", "alertmanager", "--name", "Prometheus", "--component", "sign-in")
    )
    n: Notifier = build(load_settings(environ=cli.settings))
    try:
        yield Alarms(n, 1, urlsplit(address.strip()).path.rpartition("/")[2], Intake(n))
    finally:
        n.db.close()


def test_every_tool_is_listed_and_says_how_it_is_connected(cli: Cli) -> None:
    lines = cli.done("integrations", "sources").splitlines()
    assert sorted(line.split()[0] for line in lines) == sorted(discover_sources())
    for name, module in discover_sources().items():
        said = cli.done("integrations", "setup", name)
        assert module.TITLE in said
        assert "{url}" not in said, name
        assert all(line in said for line in module.SETUP.template.splitlines() if "{" not in line)
    listed = json.loads(cli.done("integrations", "sources", "--json"))["sources"]
    assert {one["name"] for one in listed} == set(discover_sources())


def test_the_set_up_has_the_address_where_it_is_given(cli: Cli) -> None:
    url = "https://status.example.com/hooks/zabbix/abc"
    assert f"'{url}'" in cli.done("integrations", "setup", "zabbix", "--url", url)
    assert "/hooks/zabbix/KEY" in cli.done("integrations", "setup", "zabbix")
    assert "is no tool we know" in cli.refused(2, "integrations", "setup", "nagois")


def test_an_address_is_printed_once_and_alone(utility: Cli) -> None:
    made = utility.run("integrations", "add", "alertmanager", "--name", "Prometheus")
    assert made.exit_code == 0
    address = made.stdout.strip()
    assert urlsplit(address).path.startswith("/hooks/alertmanager/")
    assert "cannot be shown again" in made.stderr
    assert utility.done("integrations", "list").split() == (
        ["1", "alertmanager", "Prometheus", "no", "component,", "nothing", "heard", "yet"]
    )
    assert address.rpartition("/")[2] not in utility.done("integrations", "list", "--json")
    other = utility.done("integrations", "new-address", "1").strip()
    assert other != address
    assert utility.done("integrations", "remove", "1").startswith("Integration 1 ")
    assert utility.done("integrations", "list") == ""
    assert utility.refused(1, "integrations", "remove", "1") == "there is no integration 1"


def test_secrets_come_from_files_and_never_from_the_command(utility: Cli, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("correct horse\n")
    asked = ["integrations", "add", "github", "--name", "GitHub", "--header", "X-T"]
    utility.done(*asked, "--header-secret-file", str(secret), "--signing-secret-file", str(secret))
    said = utility.done("integrations", "list", "--json")
    assert json.loads(said)["integrations"][0]["header"] == "x-t"
    assert "correct horse" not in said
    assert "header_secret" in utility.refused(2, *asked[:4], "B", "--header", "X-T")
    assert utility.refused(2, *asked[:4], "B", "--signing-secret-file", "nowhere")


def test_what_is_wrong_with_an_integration_is_said(utility: Cli) -> None:
    add = ["integrations", "add", "nagios", "--name", "Nagios"]
    assert "is not written as NAME=VALUE" in utility.refused(2, *add, "--option", "unknown")
    said = utility.refused(2, *add, "--option", "unknown=perhaps")
    assert said == "unknown is one of critical, major, minor and ignore"
    assert "twice" in utility.refused(2, *add, "--option", "unknown=a", "--option", "unknown=b")
    assert "heartbeat_minutes" in utility.refused(2, *add, "--heartbeat-minutes", "0")
    utility.done(*add, "--option", "unknown=major", "--heartbeat-minutes", "5")


def test_rules_are_listed_in_the_order_in_which_they_are_tried(utility: Cli) -> None:
    assert utility.done(*PRESET) == "Preset 1: cannot sign in\n"
    utility.done(*RULE, "--severity", "critical", "--preset", "1", "--auto-minutes", "5")
    utility.done("rules", "add", "--match", "env=staging", "--match", "team=a", "--ignore")
    assert utility.done("rules", "list").splitlines() == [
        "   1 service=sso*: sign-in, critical, in the words of preset 1, posted by itself after"
        " 5 min",
        "   2 env=staging team=a: ignored",
    ]
    assert utility.done("presets", "list").splitlines() == [
        "   1 cannot sign in: You cannot sign in",
        "     | You cannot sign in to your account.",
        "     | A server fails.",
    ]
    assert "is used by a rule" in utility.refused(2, "presets", "remove", "1")
    assert utility.done("rules", "remove", "1") == "Rule 1 is forgotten.\n"
    assert utility.done("presets", "remove", "1") == "Preset 1 is forgotten.\n"
    assert utility.refused(1, "rules", "remove", "1") == "there is no rule 1"
    assert utility.refused(1, "presets", "remove", "1") == "there is no preset 1"
    assert json.loads(utility.done("presets", "list", "--json")) == {"presets": []}


def test_a_rule_says_where_alerts_go(utility: Cli) -> None:
    assert "--ignore" in utility.refused(2, "rules", "add", "--match", "a=b")
    assert "--ignore" in utility.refused(2, *RULE, "--ignore")
    assert "needs a component and a preset" in utility.refused(2, *RULE, "--auto-minutes", "5")


def test_a_draft_is_shown_in_order_and_posted_once(utility: Cli) -> None:
    assert utility.done("drafts", "list") == "No draft is waiting.\n"
    with monitored(utility) as alarms:
        alarms.fire()
    (line,) = utility.done("drafts", "list").splitlines()
    assert line == "1: Problems with Sign-in (sign-in, critical, 1 alert)"
    shown = utility.done("drafts", "show", "1").splitlines()
    assert [one.partition(":")[0] for one in shown] == [
        *("1", "Impact", "Expected", "Explanation", "Next update by", "  firing"),
    ]
    assert json.loads(utility.done("drafts", "show", "1", "--json"))["state"] == "waiting"
    posted = utility.done("drafts", "post", "1")
    assert "INC-1 is investigating: Problems with Sign-in" in posted
    assert utility.refused(1, "drafts", "post", "1") == "draft 1 is posted already"
    assert "; INC-1" in utility.done("drafts", "list", "--state", "posted")
    assert utility.refused(1, "drafts", "show", "9") == "there is no draft 9"


def test_a_draft_that_posts_itself_is_stopped_or_dismissed(utility: Cli) -> None:
    utility.done(*PRESET)
    utility.done(*RULE, "--preset", "1", "--auto-minutes", "5")
    with monitored(utility) as alarms:
        alarms.fire(service="sso-7")
    assert "; posts itself " in utility.done("drafts", "list")
    utility.done("drafts", "stop", "1")
    assert "; stopped by " in utility.done("drafts", "list")
    assert utility.done("drafts", "dismiss", "1") == "Draft 1 is dismissed: nothing is said.\n"
    assert utility.refused(1, "drafts", "stop", "1") == "draft 1 is dismissed already"
    assert "; dismissed by " in utility.done("drafts", "list", "--state", "dismissed")


def test_every_state_can_be_asked_for() -> None:
    (choice,) = [option.type for option in list_.params if option.name == "state"]
    assert set(choice.choices) == {state.value for state in DraftState}  # type: ignore[attr-defined]
