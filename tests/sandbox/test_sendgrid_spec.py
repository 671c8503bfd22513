"""The rules held against the vendor's own description of the request body."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from notifier.sandbox.sendgrid_rules import find_problems
from tests.conftest import SHARED
from tests.sandbox.clients import MAIL

DESCRIPTION = SHARED / "specs" / "sendgrid" / "tsg_mail_v3.json"
NEEDS_DESCRIPTION = pytest.mark.skipif(
    not DESCRIPTION.is_file(), reason="../shared/specs/sendgrid/tsg_mail_v3.json is not there"
)
#: Where the rules differ on purpose (see notifier/sandbox/sendgrid_schema.py).
DIFFERENT = {("custom_args",), ("template_id",)}
#: What the vendor's example leaves out, so that every field of the description is there.
MORE: dict[str, Any] = {
    "headers": {"X-A": "1"},
    "categories": ["outage"],
    "send_at": int(time.time()) + 60,
    "batch_id": "b1",
    "asm": {"group_id": 1, "groups_to_display": [1]},
    "ip_pool_name": "pool",
    "mail_settings": {
        "bypass_list_management": {"enable": False},
        "bypass_spam_management": {"enable": False},
        "bypass_bounce_management": {"enable": False},
        "bypass_unsubscribe_management": {"enable": False},
        "footer": {"enable": False, "text": "a", "html": "b"},
        "sandbox_mode": {"enable": False},
    },
    "tracking_settings": {
        "click_tracking": {"enable": False, "enable_text": False},
        "open_tracking": {"enable": False, "substitution_tag": "%open%"},
        "subscription_tracking": {
            "enable": False, "text": "a", "html": "b", "substitution_tag": "c",
        },
        "ganalytics": {
            "enable": False, "utm_source": "a", "utm_medium": "b", "utm_term": "c",
            "utm_content": "d", "utm_campaign": "e",
        },
    },
}  # fmt: skip
MORE_FOR_ONE: dict[str, Any] = {
    "from": {"email": "sales@example.com", "name": "Sales"},
    "subject": "For one",
    "headers": {"X-B": "1"},
    "substitutions": {"-a-": "b"},
    "dynamic_template_data": {"a": {"b": 1}},
    "custom_args": {"notifier_delivery_id": "d1"},
    "send_at": int(time.time()) + 60,
}
OF_ANOTHER_TYPE = {"object": [], "array": {}, "string": 5, "integer": "5", "boolean": "true"}

#: How fast values are made depends on who else uses the machine.
SLOW = (HealthCheck.too_slow,)
#: How each rule of the description is broken, from its own value and a right value.
RULES: dict[str, Callable[[Any, Any], Any]] = {
    "minLength": lambda least, _value: "x" * (least - 1),
    "maxLength": lambda most, _value: "x" * (most + 1),
    "enum": lambda _allowed, _value: "something else",
    "format": lambda _email, _value: "nobody",
    "maxItems": lambda most, value: (value * (most + 1))[: most + 1],
    "uniqueItems": lambda _unique, value: value[:1] * 2,
    "maxProperties": lambda most, _value: {str(i): "" for i in range(most + 1)},
    "additionalProperties": lambda _kind, _value: {"a": 5},
}

Path = tuple[str | int, ...]


def description() -> dict[str, Any]:
    read: dict[str, Any] = json.loads(DESCRIPTION.read_text("utf-8"))
    return read


def body_description() -> dict[str, Any]:
    body: dict[str, Any] = description()["components"]["requestBodies"]["PostMailSend"]["content"]
    return body["application/json"]  # type: ignore[no-any-return]


def full_mail() -> dict[str, Any]:
    """The vendor's example without a template, with every other field added."""
    mail: dict[str, Any] = body_description()["examples"]["MailSendNoTemplate"]["value"]
    mail |= MORE
    mail["attachments"][0] |= {"content_id": "c1", "disposition": "inline"}
    mail["personalizations"][0] |= MORE_FOR_ONE
    return mail


def resolve(schema: dict[str, Any]) -> dict[str, Any]:
    if "$ref" not in schema:
        return schema
    found: Any = description()
    for name in schema["$ref"].removeprefix("#/").split("/"):
        found = found[name]
    return resolve(found)


def broken(schema: dict[str, Any], value: Any, path: Path = ()) -> Iterator[tuple[Path, str, Any]]:
    """(where, which rule, value that breaks it) for every constraint on `value` and below."""
    schema = resolve(schema)
    if path in DIFFERENT:
        return
    if "type" in schema:
        yield path, f"type {schema['type']}", OF_ANOTHER_TYPE[schema["type"]]
    yield from ((path, rule, bad) for rule, bad in broken_here(schema, value))
    for name, inner in schema.get("properties", {}).items():
        if name in value:
            yield from broken(inner, value[name], (*path, name))
    if "items" in schema and value:
        yield from broken(schema["items"], value[0], (*path, 0))


def broken_here(schema: dict[str, Any], value: Any) -> Iterator[tuple[str, Any]]:
    for rule, break_it in RULES.items():
        if schema.get(rule):
            yield rule, break_it(schema[rule], value)
    for name in schema.get("required", []):
        yield f"required {name}", {n: v for n, v in value.items() if n != name}


def replaced(mail: dict[str, Any], path: Path, value: Any) -> Any:
    if not path:
        return value
    mail = copy.deepcopy(mail)
    place: Any = mail
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = value
    return mail


def missing(schema: dict[str, Any], value: Any, path: Path = ()) -> Iterator[Path]:
    """The described fields that `value` does not have."""
    schema = resolve(schema)
    for name, inner in schema.get("properties", {}).items():
        if name in value:
            yield from missing(inner, value[name], (*path, name))
        else:
            yield (*path, name)
    if "items" in schema and schema["items"].get("type") != "integer":
        yield from missing(schema["items"], value[0], (*path, 0))


@NEEDS_DESCRIPTION
def test_a_mail_with_every_described_field_is_taken() -> None:
    mail = full_mail()
    absent = set(missing(body_description()["schema"], mail))
    # a mail has one kind of reply address
    assert absent == DIFFERENT | {("reply_to_list",)}
    assert find_problems(mail, now=time.time()) == []
    mail["reply_to_list"] = [mail.pop("reply_to")]
    assert find_problems(mail, now=time.time()) == []


@NEEDS_DESCRIPTION
def test_whatever_breaks_a_described_rule_is_refused() -> None:
    mail = full_mail()
    by_list = {**mail, "reply_to_list": [mail["reply_to"]]}
    del by_list["reply_to"]
    schema = body_description()["schema"]
    checked = 0
    for whole in (mail, by_list):
        for path, rule, bad in broken(schema, whole):
            problems = find_problems(replaced(whole, path, bad), now=time.time())
            fields = [problem.field for problem in problems]
            start = str(path[0]) if path else ""
            assert any(field.startswith(start) for field in fields), (path, rule, fields)
            checked += 1
    assert checked > 200, "the description was not walked"


@NEEDS_DESCRIPTION
def test_the_vendor_s_example_with_a_template_is_refused_for_the_template() -> None:
    mail = body_description()["examples"]["MailSendDynamicTemplate"]["value"]
    fields = {problem.field for problem in find_problems(mail, now=time.time())}
    assert "template_id" in fields


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)


@settings(max_examples=150, derandomize=True, deadline=None, suppress_health_check=SLOW)
@given(field=st.sampled_from(sorted({*MAIL, *MORE, "attachments", "custom_args"})), value=JSON)
def test_nonsense_in_a_field_is_refused_not_stumbled_over(field: str, value: Any) -> None:
    problems = find_problems({**MAIL, field: value}, now=time.time())
    assert all(problem.field.startswith(field) for problem in problems)


@settings(max_examples=150, derandomize=True, deadline=None, suppress_health_check=SLOW)
@given(name=st.sampled_from(sorted({*MORE_FOR_ONE, "to", "cc", "bcc"})), value=JSON)
def test_nonsense_in_a_personalization_is_refused_likewise(name: str, value: Any) -> None:
    one = {**MAIL["personalizations"][0], name: value}
    problems = find_problems({**MAIL, "personalizations": [one]}, now=time.time())
    assert all(problem.field.startswith("personalizations") for problem in problems)
