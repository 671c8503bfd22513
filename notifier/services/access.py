"""Signing in, sessions, one-time links and API tokens.

A password is kept as an argon2id hash with the parameters of RFC 9106 (argon2-cffi's
defaults). Every other secret has 256 random bits, so its plain SHA-256 is what is kept and
looked up: there is nothing to guess, and no comparison that could leak by its timing.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from sqlalchemy import Connection

from notifier.domain.access import PASSWORD_MAX, Actor, Role
from notifier.domain.access import password as checked_password
from notifier.domain.alerting import AUTOMATON
from notifier.domain.text import NAME_MAX, Invalid, line
from notifier.ports import Notifier
from notifier.services.incidents import NotFound
from notifier.store import access
from notifier.store.access import User

IDLE = timedelta(minutes=30)
ABSOLUTE = timedelta(hours=12)

#: Marks a token as ours, so that secret scanners can find one that was published.
TOKEN_PREFIX = "nt_"  # noqa: S105 (a prefix, not a secret)

# Writing "last seen" on each request would take the database's write lock once a request.
_SEEN_EVERY = timedelta(minutes=1)

_hasher = PasswordHasher()


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody is signed in. `csrf` must come back with everything they send."""

    actor: Actor
    csrf: str


def create_user(n: Notifier, *, name: str, password: str, role: Role) -> None:
    """Add somebody who may sign in. Raises Invalid naming the field."""
    name = _own_name(name)
    hashed = _hasher.hash(checked_password("password", password))
    with n.db.transaction() as connection:
        if access.find_user(connection, name):
            raise Invalid("name", f"{name!r} is already a user; choose another")
        access.add_user(connection, name=name, password_hash=hashed, role=role, now=n.clock())


def set_password(n: Notifier, *, name: str, password: str) -> None:
    """Give a user another password and end all their sessions. Raises Invalid or NotFound."""
    hashed = _hasher.hash(checked_password("password", password))
    with n.db.transaction() as connection:
        user = _user(connection, name)
        access.set_password_hash(connection, user.id, hashed)
        access.end_all_of(connection, user.id)


def has_users(n: Notifier) -> bool:
    """Whether anybody can sign in."""
    with n.db.read() as connection:
        return access.has_users(connection)


def sign_in(n: Notifier, *, name: str, password: str) -> str | None:
    """The token of a new session, or None when name and password do not belong together.

    An unknown name costs as much time as a wrong password, so that nobody learns who exists.
    """
    if len(password) > PASSWORD_MAX:
        return None
    with n.db.read() as connection:
        user = access.find_user(connection, name.strip())
        kept = access.password_hash(connection, user.id) if user else None
    if user is None or kept is None:
        _hasher.hash(password)
        return None
    try:
        _hasher.verify(kept, password)
    except VerificationError:
        return None
    with n.db.transaction() as connection:
        if _hasher.check_needs_rehash(kept):
            access.set_password_hash(connection, user.id, _hasher.hash(password))
        return _begin_session(connection, user.id, n.clock())


def session(n: Notifier, token: str, *, used: bool = True) -> Session | None:
    """Whose session this token is; None when it is unknown, or ended by either time limit.

    `used` says that a person is there, which puts off the end by rest.
    """
    now = n.clock()
    hashed = _hash(token)
    with n.db.read() as connection:
        row = access.find_session(connection, hashed)
    if row is None or row.seen_at < now - IDLE or row.created_at < now - ABSOLUTE:
        return None
    if used and row.seen_at < now - _SEEN_EVERY:
        with n.db.transaction() as connection:
            access.touch_session(connection, hashed, now=now)
    return Session(Actor(row.user.name, row.user.role), row.csrf)


def sign_out(n: Notifier, token: str) -> None:
    """End a session. Doing it twice is doing it once."""
    with n.db.transaction() as connection:
        access.end_session(connection, _hash(token))


def make_sign_in_link(n: Notifier, user_name: str, *, minutes: int = 10) -> str:
    """An address at which this user can sign in once, without a password. Raises NotFound."""
    token = secrets.token_urlsafe(32)
    with n.db.transaction() as connection:
        access.add_sign_in_link(
            connection,
            token_hash=_hash(token),
            user_id=_user(connection, user_name).id,
            expires_at=n.clock() + timedelta(minutes=minutes),
        )
    return f"{n.settings.base_url}/sign-in/{token}"


def use_sign_in_link(n: Notifier, token: str) -> str | None:
    """The token of a new session, or None when the link is used, too old or not ours."""
    now = n.clock()
    with n.db.transaction() as connection:
        user_id = access.take_sign_in_link(connection, _hash(token), now=now)
        return None if user_id is None else _begin_session(connection, user_id, now)


def create_token(n: Notifier, *, role: Role, name: str) -> str:
    """A new API token, which cannot be shown a second time. Raises Invalid."""
    name = _own_name(name)
    token = TOKEN_PREFIX + secrets.token_urlsafe(32)
    with n.db.transaction() as connection:
        access.add_token(connection, token_hash=_hash(token), name=name, role=role, now=n.clock())
    return token


def actor_of_token(n: Notifier, plaintext: str) -> Actor | None:
    """Who holds this API token, or None when it is not one of ours."""
    with n.db.read() as connection:
        found = access.find_token(connection, _hash(plaintext))
    return Actor(*found) if found else None


def _own_name(given: str) -> str:
    """A name that nobody takes for what posts by itself. Raises Invalid."""
    name = line("name", given, limit=NAME_MAX)
    if name.lower() == AUTOMATON:
        raise Invalid("name", f"{name!r} is what posts by itself; choose another")
    return name


def _begin_session(connection: Connection, user_id: int, now: datetime) -> str:
    """A session with a token of its own: one that was known before cannot become it."""
    token = secrets.token_urlsafe(32)
    access.forget_old(connection, created_before=now - ABSOLUTE, seen_before=now - IDLE, now=now)
    access.add_session(
        connection,
        token_hash=_hash(token),
        user_id=user_id,
        csrf=secrets.token_urlsafe(32),
        now=now,
    )
    return token


def _user(connection: Connection, name: str) -> User:
    user = access.find_user(connection, name)
    if user is None:
        raise NotFound(f"there is no user {name!r}")
    return user


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
