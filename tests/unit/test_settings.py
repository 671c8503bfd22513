"""Settings: who overrides whom, what is refused and in which words, and what is never shown."""

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from notifier.app import load_settings
from notifier.domain.incident import Severity
from notifier.domain.message import Sender
from notifier.paths import config_dir
from notifier.settings import CONFIG_VARIABLE, Settings, SettingsError

SECRET = "correct-horse-battery-staple"


def loaded(tmp_path: Path, toml: str = "", **environ: str) -> Settings:
    path = tmp_path / "notifier.toml"
    path.write_text(toml, encoding="utf-8")
    return load_settings(path=path, environ=environ)


def refusal(tmp_path: Path, toml: str = "", **environ: str) -> str:
    with pytest.raises(SettingsError) as error:
        loaded(tmp_path, toml, **environ)
    sentence = str(error.value)
    assert "\n" not in sentence
    assert SECRET not in sentence
    return sentence


def test_the_environment_is_stronger_than_the_file_and_the_file_than_the_defaults(
    tmp_path: Path,
) -> None:
    toml = '[site]\nname = "From the file"\nlanguage = "ur"\n'
    settings = loaded(tmp_path, toml, NOTIFIER_SITE__NAME="From the environment")
    assert settings.site.name == "From the environment"
    assert settings.site.language == "ur"
    assert settings.site.time_zone == "UTC"


def test_a_secret_in_a_file_is_stronger_than_the_same_secret_in_the_environment(
    tmp_path: Path,
) -> None:
    secret = tmp_path / "key"
    secret.write_text(f"{SECRET}\n")
    settings = loaded(
        tmp_path,
        'secret_key = "from-the-toml-file"',
        NOTIFIER_SECRET_KEY="from-the-environment",
        NOTIFIER_SECRET_KEY_FILE=str(secret),
    )
    assert settings.key() == SECRET.encode()


def test_a_channel_reads_its_secret_from_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "key"
    secret.write_text(SECRET)
    settings = loaded(tmp_path, NOTIFIER_SENDGRID__API_KEY_FILE=str(secret))
    assert settings.channels["sendgrid"].api_key == SecretStr(SECRET)  # type: ignore[attr-defined]


def test_the_address_of_the_database_can_come_from_a_file(tmp_path: Path) -> None:
    address = tmp_path / "address"
    address.write_text(f"postgresql://notifier:{SECRET}@db/notifier\n")
    settings = loaded(tmp_path, NOTIFIER_DATABASE_URL_FILE=str(address))
    assert settings.database_url == f"postgresql://notifier:{SECRET}@db/notifier"


def test_the_environment_reaches_every_depth(tmp_path: Path) -> None:
    settings = loaded(
        tmp_path,
        "[email.delay_minutes]\nmajor = 7\n",
        NOTIFIER_EMAIL__DELAY_MINUTES__CRITICAL="0",
        NOTIFIER_POSTS__CHANNELS="x, console_post",
        NOTIFIER_EMAIL__FROM="Aqua Status <status@aqua.example>",
        NOTIFIER_EMAIL__REPLY_TO="help@aqua.example",
    )
    assert settings.email.delay(Severity.CRITICAL) == timedelta(0)
    assert settings.email.delay(Severity.MAJOR) == timedelta(minutes=7)
    assert settings.email.delay(Severity.MINOR) == timedelta(minutes=15)
    assert settings.posts.channels == ("x", "console_post")
    assert settings.email.from_ == Sender("status@aqua.example", "Aqua Status", "help@aqua.example")


def test_an_empty_list_of_channels_is_no_channel(tmp_path: Path) -> None:
    assert loaded(tmp_path, NOTIFIER_POSTS__CHANNELS="").posts.channels == ()


def test_the_environment_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "elsewhere.toml"
    path.write_text('[site]\nname = "Elsewhere"\n')
    assert load_settings(environ={CONFIG_VARIABLE: str(path)}).site.name == "Elsewhere"


def test_variables_of_others_are_not_ours(tmp_path: Path) -> None:
    settings = loaded(tmp_path, HOME="/root", NOTIFIERX="1", XNOTIFIER_SITE__NAME="no")
    assert settings.site.name == "Our service"


def test_the_shipped_file_says_the_defaults(tmp_path: Path) -> None:
    """Every setting shown there, uncommented, is accepted and changes nothing."""
    shown = (config_dir() / "notifier.toml").read_text(encoding="utf-8")
    values = [
        line.removeprefix("# ") for line in shown.splitlines() if " = " in line or line[:1] == "["
    ]
    live = {"consumer_key", "consumer_secret", "access_token", "access_token_secret", "api_key"}
    kept = [v for v in values if v.split(" = ")[0] not in live | {"api_url", "url", "secret_key"}]
    assert loaded(tmp_path, "\n".join(kept)) == loaded(tmp_path)


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("NOTIFIER_SITE__NMAE", "x", "unknown setting; did you mean 'name'?"),
        ("NOTIFIER_STIE__NAME", "x", "unknown setting; did you mean 'site'?"),
        ("NOTIFIER_DATABSE_URL", "x", "unknown setting; did you mean 'database_url'?"),
        ("NOTIFIER_SENDGIRD__API_KEY", SECRET, "unknown setting; did you mean 'sendgrid'?"),
        ("NOTIFIER_SENDGRID__API_KYE", SECRET, "unknown setting; did you mean 'api_key'?"),
        ("NOTIFIER_EMAIL__DELAY_MINUTES__MAJRO", "5", "unknown setting; did you mean 'major'?"),
        ("NOTIFIER_CHANNELS__X", "5", "unknown setting"),
        ("NOTIFIER_QUITE_DIFFERENT", "x", "unknown setting"),
        ("NOTIFIER_LOG_LEVEL", "loud", "Input should be"),
        ("NOTIFIER_SITE__TIME_ZONE", "PKT", "is not an IANA time zone"),
        ("NOTIFIER_SITE__NAME", "", "at least 1 character"),
        ("NOTIFIER_SITE__NAME", "x" * 61, "at most 60 characters"),
        ("NOTIFIER_BASE_URL", "status.example.com", "must start with http"),
        ("NOTIFIER_EMAIL__FROM", "nobody", "must be an address such as"),
        ("NOTIFIER_EMAIL__FROM", "A <a@b.c>\r\nBcc: d@e.f", "must be an address such as"),
        ("NOTIFIER_EMAIL__DELAY_MINUTES__MAJOR", "soon", "valid integer"),
        ("NOTIFIER_EMAIL__DELAY_MINUTES__MAJOR", "-1", "greater than or equal to 0"),
        ("NOTIFIER_DATABASE_URL__HOST", "db", "is a setting, not a table of settings"),
        ("NOTIFIER_SECRET_KEY_FILE", "nowhere", "the file 'nowhere' cannot be read"),
        ("NOTIFIER_SITE__NAME_FILE", "nowhere", "unknown setting"),
    ],
)
def test_a_wrong_variable_is_named_in_one_sentence(
    tmp_path: Path, variable: str, value: str, says: str
) -> None:
    environ = {"NOTIFIER_DATABASE_URL": "sqlite:///here.db", variable: value}
    sentence = refusal(tmp_path, **environ)
    assert sentence.startswith(f"{variable}: "), sentence
    assert says in sentence


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("[site]\nnmae = 1", "site.nmae: unknown setting; did you mean 'name'?"),
        ("[stie]\nname = 'x'", "stie: unknown setting; did you mean 'site'?"),
        ("databse_url = 'x'", "databse_url: unknown setting; did you mean 'database_url'?"),
        ("[sendgird]\napi_key = 'x'", "sendgird: unknown setting; did you mean 'sendgrid'?"),
        ("[sendgrid]\napi_kye = 'x'", "sendgrid.api_kye: unknown setting; did you mean 'api_key'?"),
        ("[channels]", "channels: unknown setting"),
        ("[channels.x]\nlimit = 3", "channels: unknown setting"),
        ("[email]\nsender = 'a@b.c'", "email.sender: unknown setting"),
        ("[site]\ntime_zone = 'PKT'", "site.time_zone: 'PKT' is not an IANA time zone"),
        ("site = 3", "site: Input should be"),
        ("x = 3", "x: Input should be"),
        ("[email.delay_minutes]\nmajor = 9999", "email.delay_minutes.major: Input should be less"),
        ("this is not toml", "is not TOML"),
        (f"secret_key = 12\n# {SECRET}", "secret_key: Input should be a valid string"),
    ],
)
def test_a_wrong_line_of_the_file_is_named_in_one_sentence(
    tmp_path: Path, toml: str, says: str
) -> None:
    sentence = refusal(tmp_path, toml)
    assert sentence.startswith(f"{tmp_path / 'notifier.toml'}: "), sentence
    assert says in sentence


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"missing\.toml: cannot be read: No such file"):
        load_settings(path=tmp_path / "missing.toml", environ={})
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(SettingsError, match=r"binary\.toml: is not UTF-8 text"):
        load_settings(path=binary, environ={})


@pytest.mark.parametrize("key", ["", "short"])
def test_a_missing_key_is_said_with_the_command_that_makes_one(tmp_path: Path, key: str) -> None:
    with pytest.raises(SettingsError, match=r"NOTIFIER_SECRET_KEY.*token_hex"):
        loaded(tmp_path, NOTIFIER_SECRET_KEY=key).key()
    with pytest.raises(SettingsError):
        loaded(tmp_path).key()


def test_no_secret_is_in_a_repr(tmp_path: Path) -> None:
    settings = loaded(
        tmp_path,
        NOTIFIER_SECRET_KEY=SECRET,
        NOTIFIER_DATABASE_URL=f"postgresql://notifier:{SECRET}@db/notifier",
        NOTIFIER_SENDGRID__API_KEY=SECRET,
        NOTIFIER_SMTP__URL=f"smtp://user:{SECRET}@relay.example.com:587",
        NOTIFIER_X__CONSUMER_KEY=SECRET,
        NOTIFIER_X__CONSUMER_SECRET=SECRET,
        NOTIFIER_X__ACCESS_TOKEN=SECRET,
        NOTIFIER_X__ACCESS_TOKEN_SECRET=SECRET,
    )
    shown = f"{settings!r} {settings} {settings.channels!r} {settings.channels}"
    assert SECRET not in shown
    assert "relay.example.com" not in shown


def test_settings_cannot_be_changed(tmp_path: Path) -> None:
    settings = loaded(tmp_path)
    with pytest.raises(ValidationError, match="frozen"):
        settings.base_url = "https://other.example"
    with pytest.raises(ValidationError, match="frozen"):
        settings.email.delay_minutes.major = 1


def test_the_base_address_ends_without_a_slash(tmp_path: Path) -> None:
    settings = loaded(tmp_path, NOTIFIER_BASE_URL="https://status.example.com/")
    assert settings.base_url == "https://status.example.com"
