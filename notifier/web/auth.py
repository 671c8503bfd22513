"""Who gets in. Every view states its rule with `access`; a view that states none is refused.

| rule    | what lets a request in                                                     |
|---------|----------------------------------------------------------------------------|
| public  | nothing is asked                                                           |
| signed  | the link itself is the credential, and the view checks it                  |
| session | the session cookie; whatever changes something also the session's CSRF     |
|         | token and, as with `public`, no foreign Origin                             |
| token   | `Authorization: Bearer nt_…`                                               |
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, cast
from urllib.parse import unquote_to_bytes, urlsplit

from flask import Response, abort, current_app, redirect, request, url_for
from flask.typing import ResponseReturnValue

from notifier.domain.access import Role
from notifier.services import access as service
from notifier.web.context import notifier_of_app, over_tls, set_actor
from notifier.web.problems import problem

Rule = Literal["public", "session", "token", "signed"]
View = TypeVar("View", bound=Callable[..., Any])

CSRF_FIELD = "csrf"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Access:
    """What a view states about itself.

    `role` is the least one that gets in. `by_itself`: a page asks for it from time to time, so
    a request is no sign that somebody is there.
    """

    rule: Rule
    role: Role | None
    by_itself: bool = False


def access(
    rule: Rule, role: Role | None = None, *, by_itself: bool = False
) -> Callable[[View], View]:
    """State who may call a view. Stands below the route decorator, which keeps it."""

    def state(view: View) -> View:
        cast(Any, view).access = Access(rule, role, by_itself)
        return view

    return state


def stated_access(view: Callable[..., Any]) -> Access | None:
    """What a view states, or None when its author forgot."""
    return getattr(view, "access", None)


def guard() -> ResponseReturnValue | None:
    """Before each request: refuse it, or let it through and remember who asks."""
    if request.endpoint is None:  # no such address or method; werkzeug answers that
        return None
    stated = stated_access(current_app.view_functions[request.endpoint])
    if stated is None:
        abort(403, "This page does not say who may see it, so nobody may.")
    if stated.rule == "token":
        return _check_token(stated)
    if stated.rule == "signed":
        return None
    changes = request.method not in _SAFE
    if changes:
        _check_origin()
        _check_form()
    return _check_session(stated, changes=changes) if stated.rule == "session" else None


def _check_token(stated: Access) -> Response | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    actor = None
    if scheme.lower() == "bearer":
        actor = service.actor_of_token(notifier_of_app(), token.strip())
    if actor is None:
        refusal = problem(
            401,
            "No valid token",
            "Send the header 'Authorization: Bearer TOKEN' with a token made by"
            " `notifier token create`.",
        )
        refusal.headers["WWW-Authenticate"] = "Bearer"
        return refusal
    if stated.role and not actor.role.allows(stated.role):
        return problem(
            403,
            "The token's role is too low",
            f"This needs the role {stated.role}; the token {actor.name!r} has {actor.role}.",
        )
    set_actor(actor)
    return None


def _check_session(stated: Access, *, changes: bool) -> ResponseReturnValue | None:
    token = request.cookies.get(cookie_name())
    n = notifier_of_app()
    session = service.session(n, token, used=not stated.by_itself) if token else None
    if session is None:
        if changes:
            abort(401)
        return redirect(url_for("sign_in.show", next=request.path), code=303)
    if changes and not hmac.compare_digest(
        request.form.get(CSRF_FIELD, "").encode(), session.csrf.encode()
    ):
        abort(
            403,
            "This form was made before you signed in, or by another site. Nothing was changed;"
            " open the page again and repeat it.",
        )
    if stated.role and not session.actor.role.allows(stated.role):
        abort(403, f"This needs the role {stated.role}; yours is {session.actor.role}.")
    set_actor(session.actor, session)
    return None


def _check_origin() -> None:
    """Refuse what another site makes a browser send.

    A browser names the page's origin with every POST. What sends none is no browser, and has
    no cookie that another site could use.
    """
    origin = request.headers.get("Origin")
    if origin is None:
        foreign = request.headers.get("Sec-Fetch-Site", "same-origin") not in (
            "same-origin",
            "none",
        )
    else:
        ours = (urlsplit(notifier_of_app().settings.base_url).netloc, request.host)
        foreign = urlsplit(origin).netloc not in ours
    if foreign:
        abort(403, "This was sent by another site, so nothing was changed.")


def _check_form() -> None:
    """Refuse a form that is not UTF-8; werkzeug would silently replace what it cannot read."""
    if request.mimetype not in ("application/x-www-form-urlencoded", ""):
        abort(415, "Forms are sent as application/x-www-form-urlencoded.")
    try:
        unquote_to_bytes(request.get_data()).decode()
    except UnicodeDecodeError:
        abort(400, "The form is not UTF-8 text, so nothing was changed.")


def cookie_name() -> str:
    """The session cookie's name; with `__Host-`, a browser binds it to this host and to TLS."""
    return "__Host-notifier" if over_tls() else "notifier"
