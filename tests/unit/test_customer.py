"""What may be said of a customer; every refusal names the field."""

from typing import Any

import pytest

from notifier.domain.audience import Customer, customer
from notifier.domain.text import Invalid


def made(**changes: Any) -> Customer:
    given = {
        "external_id": "c-17",
        "email": "amina@example.com",
        "name": "Amina",
        "language": "ur",
        "time_zone": "Asia/Karachi",
        "components": ("heat",),
    }
    return customer(**{**given, **changes})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("external_id", ""),
        ("external_id", "x" * 121),
        ("external_id", "a\nb"),
        ("email", ""),
        ("email", "amina"),
        ("email", "amina@"),
        ("email", "amina@example.com\nBcc: all@example.com"),
        ("email", "Amina <amina@example.com>"),
        ("email", f"{'a' * 64}@{'b' * 63}.{'c' * 63}.{'d' * 63}.example"),
        ("name", "Am\rina"),
        ("name", "x" * 121),
        ("name", "\ue000greeting\ue001"),
        ("language", ""),
        ("language", "english"),
        ("language", "UR"),
        ("language", "en_GB"),
        ("time_zone", ""),
        ("time_zone", "PKT"),
        ("time_zone", "../../etc/passwd"),
        ("time_zone", "asia/karachi"),
        ("components", ("Heat",)),
        ("components", ("",)),
    ],
)
def test_it_refuses_naming_the_field(field: str, value: object) -> None:
    with pytest.raises(Invalid) as refusal:
        made(**{field: value})
    assert refusal.value.field == field


@pytest.mark.parametrize("language", ["en", "ur", "pt-BR", "zh-Hans-CN", "es-419", "fil"])
def test_it_takes_language_tags(language: str) -> None:
    assert made(language=language).language == language


def test_one_mailbox_is_one_mailbox_in_every_letter_case() -> None:
    written = ["Amina@Example.com", "amina@EXAMPLE.COM", "AMINA@example.com"]
    assert len({made(email=email).email_key for email in written}) == 1


def test_an_address_in_another_script_is_kept() -> None:
    assert made(email="أمينة@example.com").email == "أمينة@example.com"


def test_a_customer_may_have_no_name() -> None:
    assert made(name="  ").name == ""


def test_a_component_named_twice_is_used_once() -> None:
    assert made(components=("heat", "water", "heat")).components == ("heat", "water")
