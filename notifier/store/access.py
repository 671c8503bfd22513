"""Users, their sessions and sign-in links, and API tokens. Of secrets only the hash is here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from notifier.domain.access import Role
from notifier.store.schema_access import sessions, sign_in_links, tokens, users


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who may sign in. Their password's hash is not here, and so in no log."""

    id: int
    name: str
    role: Role


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session as it is kept, with whose it is."""

    user: User
    csrf: str
    created_at: datetime
    seen_at: datetime


def add_user(
    connection: Connection, *, name: str, password_hash: str, role: Role, now: datetime
) -> None:
    """A new user, whose name nobody else may have; ask `find_user` first."""
    connection.execute(
        insert(users).values(name=name, password_hash=password_hash, role=role, created_at=now)
    )


def find_user(connection: Connection, name: str) -> User | None:
    """The user of this name, or None."""
    row = connection.execute(
        select(users.c.id, users.c.name, users.c.role).where(users.c.name == name)
    ).one_or_none()
    return User(row.id, row.name, Role(row.role)) if row else None


def has_users(connection: Connection) -> bool:
    """Whether anybody can sign in."""
    return connection.execute(select(users.c.id).limit(1)).first() is not None


def password_hash(connection: Connection, user_id: int) -> str:
    """The hash of a user's password. Raises sqlalchemy.exc.NoResultFound."""
    kept: str = connection.scalars(select(users.c.password_hash).where(users.c.id == user_id)).one()
    return kept


def set_password_hash(connection: Connection, user_id: int, hashed: str) -> None:
    """Give a user another password."""
    connection.execute(update(users).where(users.c.id == user_id).values(password_hash=hashed))


def add_session(
    connection: Connection, *, token_hash: str, user_id: int, csrf: str, now: datetime
) -> None:
    """Begin a session."""
    connection.execute(
        insert(sessions).values(
            token_hash=token_hash, user_id=user_id, csrf=csrf, created_at=now, seen_at=now
        )
    )


def find_session(connection: Connection, token_hash: str) -> SessionRow | None:
    """The session of this token, alive or not, or None."""
    row = connection.execute(
        select(sessions, users.c.name, users.c.role)
        .join(users)
        .where(sessions.c.token_hash == token_hash)
    ).one_or_none()
    if row is None:
        return None
    user = User(row.user_id, row.name, Role(row.role))
    return SessionRow(user, row.csrf, row.created_at, row.seen_at)


def touch_session(connection: Connection, token_hash: str, *, now: datetime) -> None:
    """The session was used."""
    connection.execute(
        update(sessions).where(sessions.c.token_hash == token_hash).values(seen_at=now)
    )


def end_session(connection: Connection, token_hash: str) -> None:
    """End one session; nothing happens when there is none."""
    connection.execute(delete(sessions).where(sessions.c.token_hash == token_hash))


def end_all_of(connection: Connection, user_id: int) -> None:
    """End everything by which a user is, or could get, signed in without a password."""
    connection.execute(delete(sessions).where(sessions.c.user_id == user_id))
    connection.execute(delete(sign_in_links).where(sign_in_links.c.user_id == user_id))


def forget_old(
    connection: Connection, *, created_before: datetime, seen_before: datetime, now: datetime
) -> None:
    """Remove sessions and links that nobody can use any more."""
    connection.execute(
        delete(sessions).where(
            (sessions.c.created_at < created_before) | (sessions.c.seen_at < seen_before)
        )
    )
    connection.execute(delete(sign_in_links).where(sign_in_links.c.expires_at < now))


def add_sign_in_link(
    connection: Connection, *, token_hash: str, user_id: int, expires_at: datetime
) -> None:
    """A link by which a user can sign in once."""
    connection.execute(
        insert(sign_in_links).values(token_hash=token_hash, user_id=user_id, expires_at=expires_at)
    )


def take_sign_in_link(connection: Connection, token_hash: str, *, now: datetime) -> int | None:
    """Use a link up; whose it was, or None when it is used, too old or unknown.

    One DELETE, so that of two who come at the same time only one gets in.
    """
    row = connection.execute(
        delete(sign_in_links)
        .where(sign_in_links.c.token_hash == token_hash)
        .returning(sign_in_links.c.user_id, sign_in_links.c.expires_at)
    ).one_or_none()
    return row.user_id if row and row.expires_at >= now else None


def add_token(
    connection: Connection, *, token_hash: str, name: str, role: Role, now: datetime
) -> None:
    """A new API token."""
    connection.execute(
        insert(tokens).values(token_hash=token_hash, name=name, role=role, created_at=now)
    )


# Built once, like those of store/incidents.py: it stands between a program's call and the post.
_TOKEN = select(tokens.c.name, tokens.c.role).where(tokens.c.token_hash == bindparam("hash"))


def find_token(connection: Connection, token_hash: str) -> tuple[str, Role] | None:
    """(name, role) of an API token, or None."""
    row = connection.execute(_TOKEN, {"hash": token_hash}).one_or_none()
    return (row.name, Role(row.role)) if row else None
