"""Settings: packaged defaults < `notifier.toml` < `NOTIFIER_SECTION__KEY` < `…_FILE` (secrets).

Every table is a frozen pydantic model that refuses unknown keys. The tables of the channels
belong to the channels' own files; `load` is given their models, so a new channel brings its
settings along.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from email.utils import parseaddr
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from notifier.domain.incident import Severity
from notifier.domain.message import Sender

M = TypeVar("M", bound=BaseModel)

PREFIX = "NOTIFIER_"
#: Names the file itself instead of a setting in it.
CONFIG_VARIABLE = "NOTIFIER_CONFIG"

# Where `notifier sandbox` listens, and the only credentials it accepts. They are public on
# purpose: they open nothing but the sandbox.
SANDBOX_HTTP = "http://127.0.0.1:4010"
SANDBOX_SMTP = "smtp://127.0.0.1:4025"
SANDBOX_KEY = "SG.sandbox.not-a-secret"
SANDBOX_X = {
    "consumer_key": "sandbox-consumer-key",
    "consumer_secret": "sandbox-consumer-secret",
    "access_token": "sandbox-access-token",
    "access_token_secret": "sandbox-access-token-secret",
}


class SettingsError(ValueError):
    """A setting is wrong. The message is one sentence a person can act on."""


class Table(BaseModel):
    """Base of every settings table: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _known_zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError(f"{name!r} is not an IANA time zone such as 'Asia/Karachi'")
    return name


def _without_trailing_slash(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise ValueError("must start with http:// or https://")
    return url.rstrip("/")


HttpUrl = Annotated[str, AfterValidator(_without_trailing_slash)]


class Site(Table):
    """Who we are to a reader."""

    name: str = Field("Our service", min_length=1, max_length=60)
    language: str = "en"
    time_zone: Annotated[str, AfterValidator(_known_zone)] = "UTC"
    support_url: str = ""

    @property
    def zone(self) -> ZoneInfo:
        """The zone in which public posts and the admin show times."""
        return ZoneInfo(self.time_zone)


class Posts(Table):
    """Which public channels a declaration goes to, by the name of the channel's file."""

    channels: tuple[str, ...] = ("x",)


def _mailbox(value: str) -> str:
    _name, address = parseaddr(value)
    if "@" not in address or any(c in value for c in "\r\n"):
        raise ValueError("must be an address such as 'Aqua Status <status@example.com>'")
    return value


class Delays(Table):
    """Minutes between a declaration and its mail, by severity."""

    critical: int = Field(2, ge=0, le=1440)
    major: int = Field(5, ge=0, le=1440)
    minor: int = Field(15, ge=0, le=1440)


class Email(Table):
    """How mail leaves: by which channel, from whom, and how long after the first post."""

    provider: str = "sendgrid"
    #: The provider that stands in while the first one is sick; empty: none.
    backup: str = ""
    #: What becomes of mail of which nobody can say whether it left, once `unknown_wait_seconds`
    #: have passed without an event that settles it: sent again, or held for an operator.
    unknown_policy: Literal["resend", "hold"] = "hold"
    unknown_wait_seconds: int = Field(900, ge=0, le=86_400)
    sender: Annotated[str, AfterValidator(_mailbox)] = Field(
        "Notifier <status@example.com>", alias="from"
    )
    reply_to: str = ""
    delay_minutes: Delays = Delays()

    @property
    def resend_unknown_after(self) -> timedelta | None:
        """How long after it became unknown a mail is sent again; None: never by itself."""
        held = self.unknown_policy == "hold"
        return None if held else timedelta(seconds=self.unknown_wait_seconds)

    def delay(self, severity: Severity) -> timedelta:
        """How long after the declaration its mail leaves, unless the operator says otherwise."""
        return timedelta(minutes=getattr(self.delay_minutes, severity))

    @property
    def from_(self) -> Sender:
        """The sender of every mail."""
        name, address = parseaddr(self.sender)
        return Sender(address=address, name=name, reply_to=self.reply_to)


class Main(Table):
    """All settings but those of the channels."""

    # Not shown, because it may hold a password.
    database_url: str = Field("sqlite:///notifier.db", repr=False)
    #: Who delivers: `serve` itself, or `notifier work` on any number of machines.
    queue: Literal["embedded", "distributed"] = "embedded"
    base_url: HttpUrl = "http://127.0.0.1:8000"
    secret_key: SecretStr | None = None
    site: Site = Site()
    posts: Posts = Posts()
    email: Email = Email.model_validate({})
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @field_validator("queue")
    @classmethod
    def _fits_database(cls, queue: str, info: ValidationInfo) -> str:
        is_sqlite = str(info.data.get("database_url")).startswith("sqlite")
        if queue == "distributed" and is_sqlite:
            raise ValueError(
                "'distributed' needs PostgreSQL: set database_url to postgresql://user@host/name,"
                " or queue to 'embedded'"
            )
        return queue

    def key(self) -> bytes:
        """The secret that signs links. Raises SettingsError when it is not set."""
        if self.secret_key is None or len(self.secret_key.get_secret_value()) < 16:
            raise SettingsError(
                "secret_key is missing or shorter than 16 characters: set NOTIFIER_SECRET_KEY"
                " (make one with: python3 -c 'import secrets; print(secrets.token_hex(32))')"
            )
        return self.secret_key.get_secret_value().encode()


class Settings(Main):
    """All settings. Those of the channels are in `channels`, by channel name."""

    channels: Mapping[str, BaseModel] = Field(default_factory=dict, exclude=True)


def load(
    channel_models: Mapping[str, type[BaseModel]],
    *,
    environ: Mapping[str, str] = os.environ,
    path: Path | None = None,
) -> Settings:
    """Read the settings.

    `path` or NOTIFIER_CONFIG names the file; else `config/notifier.toml` under the current
    folder is read where it exists. Raises SettingsError naming the first wrong key and where
    it stands.
    """
    source = path or _default_path(environ)
    values = _read_toml(source) if source else {}
    origins: dict[tuple[str, ...], str] = {}
    for name in sorted(environ):
        if name.startswith(PREFIX) and name != CONFIG_VARIABLE:
            _overlay(values, origins, name, environ[name], channel_models)
    tables = {n: values.pop(n) for n in list(values) if n in channel_models}
    source_of = partial(_origin, origins, str(source) if source else "the defaults")
    channels = {
        name: _validate(model, tables.get(name, {}), (name,), source_of)
        for name, model in channel_models.items()
    }
    main = _validate(Main, values, (), source_of, also_known=channel_models)
    return Settings.model_construct(**dict(main), channels=channels)


def _default_path(environ: Mapping[str, str]) -> Path | None:
    if environ.get(CONFIG_VARIABLE):
        return Path(environ[CONFIG_VARIABLE])
    here = Path("config/notifier.toml")
    return here if here.is_file() else None


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path}: is not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: is not TOML: {error}") from None


def _overlay(
    values: dict[str, Any],
    origins: dict[tuple[str, ...], str],
    name: str,
    text: str,
    models: Mapping[str, type[BaseModel]],
) -> None:
    """Put one environment variable where it belongs, reading `…_FILE` from that file."""
    *tables, key = name.removeprefix(PREFIX).lower().split("__")
    if key.endswith("_file") and _is_secret(tables, key.removesuffix("_file"), models):
        key = key.removesuffix("_file")
        try:
            text = Path(text).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            raise SettingsError(f"{name}: the file {text!r} cannot be read") from None
    place = values
    for table in tables:
        place = place.setdefault(table, {})
        if not isinstance(place, dict):
            raise SettingsError(f"{name}: {table!r} is a setting, not a table of settings")
    place[key] = _list(text) if (*tables, key) == ("posts", "channels") else text
    origins[(*tables, key)] = name


def _list(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())


def _is_secret(tables: list[str], key: str, models: Mapping[str, type[BaseModel]]) -> bool:
    model = models.get(tables[0]) if tables else Main
    field = model.model_fields.get(key) if model else None
    return field is not None and (not field.repr or "SecretStr" in str(field.annotation))


def _validate(
    model: type[M],
    values: Any,
    table: tuple[str, ...],
    source_of: Callable[[tuple[str, ...]], str],
    *,
    also_known: Iterable[str] = (),
) -> M:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        path = tuple(str(part) for part in first["loc"] if part != "[key]")
        explained = str(first["msg"]).removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            known = [*_keys(model, path[:-1]), *(also_known if len(path) == 1 else ())]
            close = difflib.get_close_matches(path[-1], known, n=1)
            explained = "unknown setting" + (f"; did you mean {close[0]!r}?" if close else "")
        raise SettingsError(f"{source_of((*table, *path))}: {explained}") from None


def _origin(origins: Mapping[tuple[str, ...], str], where: str, path: tuple[str, ...]) -> str:
    """The variable that gave the setting at `path`, or one in the unknown table that it is."""
    inside = (name for given, name in origins.items() if given[: len(path)] == path)
    return origins.get(path) or next(inside, f"{where}: {'.'.join(path)}")


def _keys(model: type[BaseModel], path: Sequence[str]) -> list[str]:
    """The keys of the table at `path` under `model`."""
    fields = {field.alias or name: field for name, field in model.model_fields.items()}
    if not path:
        return list(fields)
    inner = fields[path[0]].annotation
    if isinstance(inner, type) and issubclass(inner, BaseModel):
        return _keys(inner, path[1:])
    return []
