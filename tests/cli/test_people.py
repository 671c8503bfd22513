"""`components`, `customers`, `users`, `token`: who is told, who may tell."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from notifier.app import build, load_settings
from notifier.domain.access import Role
from notifier.services import access
from tests.cli.conftest import Cli

HEADER = "external_id,email,name,language,time_zone,components"


@pytest.fixture
def file(cli: Cli) -> Path:
    cli.done("components", "put", "heat", "--name", "Heat")
    path = cli.folder / "customers.csv"
    path.write_text(f"{HEADER}\nc1,a@example.com,Amina,ur,Asia/Karachi,heat\n", "utf-8")
    return path


def test_components_are_put_and_listed(cli: Cli) -> None:
    cli.done("components", "put", "heat", "--name", "Heat", "--group", "House", "--position", "2")
    assert cli.done("components", "put", "gas", "--name", "Gas") == "gas: Gas\n"
    cli.done("components", "put", "gas", "--name", "Town gas")
    assert json.loads(cli.done("components", "list", "--json")) == [
        {"slug": "gas", "name": "Town gas", "group": ""},
        {"slug": "heat", "name": "Heat", "group": "House"},
    ]
    assert "Town gas" in cli.done("components", "list")


@pytest.mark.usefixtures("file")
def test_a_customer_is_put(cli: Cli) -> None:
    said = cli.done("customers", "put", "c7", "--email", "Z@Example.com", "--component", "heat")
    assert said == "c7: Z@example.com, en, UTC, uses heat\n"
    first = cli.done("customers", "put", "c7", "--email", "z@example.com", "--priority")
    assert first == "c7: z@example.com, en, UTC, uses nothing, told first\n"
    assert json.loads(cli.done("customers", "list", "--json"))[0]["priority"] is True
    assert "already the address of customer c7" in cli.refused(
        2, "customers", "put", "c8", "--email", "z@example.com"
    )
    assert "must be an IANA time zone" in cli.refused(
        2, "customers", "put", "c8", "--email", "y@example.com", "--time-zone", "Karachi"
    )
    assert "names no known component: gas" in cli.refused(
        2, "customers", "put", "c8", "--email", "y@example.com", "--component", "gas"
    )


def test_customers_are_imported(cli: Cli, file: Path) -> None:
    assert "Nothing was written" in cli.done("customers", "import", str(file), "--dry-run")
    assert cli.done("customers", "import", str(file)) == "Customers imported: 1.\n"
    assert json.loads(cli.done("customers", "import", str(file), "--json")) == {
        "rows": 1,
        "wrong": 0,
        "imported": 1,
        "dry_run": False,
        "problems": [],
    }


def test_customers_are_listed_page_by_page(cli: Cli, file: Path) -> None:
    with file.open("a") as out:
        out.writelines(f"d{i},d{i}@example.com,,,,\n" for i in range(3))
    cli.done("customers", "import", str(file))
    first = json.loads(cli.done("customers", "list", "--limit", "2", "--json"))
    assert [c["external_id"] for c in first] == ["c1", "d0"]
    assert first[0] == {
        "external_id": "c1",
        "email": "a@example.com",
        "name": "Amina",
        "language": "ur",
        "time_zone": "Asia/Karachi",
        "components": ["heat"],
        "priority": False,
    }
    rest = cli.done("customers", "list", "--after", "d0").splitlines()
    assert [line.split()[0] for line in rest] == ["d1", "d2"]


def test_wrong_rows_are_reported_by_line_and_field(cli: Cli, file: Path) -> None:
    with file.open("a") as out:
        out.write("c2,nobody,,,,heat\nc3,c3@example.com,,,,gas;heat\nc4,c4@example.com,,,,\n")
    result = cli.run("customers", "import", str(file))
    assert result.exit_code == 2
    assert result.stdout.startswith("2 of 4 rows are wrong, so nothing was written")
    first, second = result.stderr.splitlines()
    assert first.startswith("line 3: email is not an e-mail address")
    assert second == "line 4: components names no known component: gas"

    report = json.loads(cli.run("customers", "import", str(file), "--json").stdout)
    assert (report["rows"], report["wrong"], report["imported"]) == (4, 2, 0)
    assert [(p["line"], p["field"]) for p in report["problems"]] == [
        (3, "email"),
        (4, "components"),
    ]

    said = cli.done("customers", "import", str(file), "--skip-bad-rows")
    assert said == "Customers imported: 2; wrong rows left out: 2.\n"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "the file is empty"),
        (b"id,mail\n", "line 1 is not the header: there is no column 'id'"),
        (HEADER.encode() + b"\n\xff", "line 2 is not UTF-8 text"),
    ],
)
def test_a_file_that_is_no_csv_is_refused(cli: Cli, content: bytes, sentence: str) -> None:
    (cli.folder / "wrong.csv").write_bytes(content)
    assert sentence in cli.refused(2, "customers", "import", "wrong.csv")
    assert "does not exist" in cli.refused(2, "customers", "import", "nowhere.csv")
    assert "is a directory" in cli.refused(2, "customers", "import", ".")


def test_a_token_is_printed_alone_and_opens_the_api(cli: Cli) -> None:
    printed = cli.done("token", "create", "--role", "publisher", "--name", "monitoring")
    token = printed.strip()
    assert printed == f"{token}\n"
    n = build(load_settings(environ=cli.settings))
    actor = access.actor_of_token(n, token)
    n.db.close()
    assert actor is not None
    assert (actor.name, actor.role) == ("monitoring", Role.PUBLISHER)
    assert "Invalid value for '--role'" in cli.refused(
        2, "token", "create", "--role", "x", "--name", "x"
    )
    assert "name must be one line" in cli.refused(
        2, "token", "create", "--role", "viewer", "--name", "a\nb"
    )


def test_a_user_is_made_and_let_in_by_a_link(cli: Cli) -> None:
    given = "a password of words\n"
    assert "amina may sign in" in cli.done(
        "users", "create", "amina", "--password-stdin", input=given
    )
    link = cli.done("users", "link", "amina").strip()
    assert link.startswith("http://127.0.0.1:8000/sign-in/")
    n = build(load_settings(environ=cli.settings))
    assert access.sign_in(n, name="amina", password=given.strip())
    assert access.use_sign_in_link(n, link.rpartition("/")[2])
    n.db.close()
    assert cli.refused(1, "users", "link", "nobody") == "there is no user 'nobody'"


def test_a_password_is_asked_for_twice_and_never_shown(cli: Cli) -> None:
    given = "a password of words\n"
    result = cli.run("users", "create", "amina", input=given * 2)
    assert result.exit_code == 0, result.output
    assert "password of words" not in result.output
    assert cli.run("users", "create", "zed", input=given + "another one\n").exit_code == 1
    changed = cli.done("users", "password", "amina", "--password-stdin", input="another password\n")
    assert "has a new password" in changed


def test_a_weak_password_or_a_taken_name_is_refused(cli: Cli) -> None:
    short = cli.run("users", "create", "amina", "--password-stdin", input="short\n")
    assert short.exit_code == 2
    assert "password has 5 characters" in short.stderr
    cli.done("users", "create", "amina", "--password-stdin", input="a password of words\n")
    twice = cli.run("users", "create", "amina", "--password-stdin", input="a password of words\n")
    assert twice.exit_code == 2
    assert "already a user" in twice.stderr
