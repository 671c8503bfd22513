"""Signing in and out."""

from __future__ import annotations

import re

from flask import Blueprint, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from notifier.services import access as service
from notifier.web.auth import access, cookie_name
from notifier.web.context import notifier_of_app, over_tls

blueprint = Blueprint("sign_in", __name__)

# Where to go after signing in comes from the address, so only plain paths of our own do:
# no host, no scheme, no backslash, no control character (test: tests/web/test_sign_in.py).
_OWN_PATH = re.compile(r"/admin(/[a-z0-9-]+)*/?")


@blueprint.get("/sign-in")
@access("public")
def show() -> ResponseReturnValue:
    """The form; before the first user exists, how to make one."""
    if not service.has_users(notifier_of_app()):
        return render_template("web/first_user.html")
    return _form(next_path=request.args.get("next", ""))


@blueprint.post("/sign-in")
@access("public")
def submit() -> ResponseReturnValue:
    """Check name and password."""
    form = request.form
    name = form.get("name", "")
    token = service.sign_in(notifier_of_app(), name=name, password=form.get("password", ""))
    if token is None:
        page = _form(next_path=form.get("next", ""), name=name, failed=True)
        return make_response(page, 401)
    return _signed_in(token, form.get("next", ""))


@blueprint.get("/sign-in/<token>")
@access("public")
def show_link(token: str) -> str:
    """Only a button: programs that look at links in messages must not use the link up."""
    return render_template("web/sign_in_link.html", token=token)


@blueprint.post("/sign-in/<token>")
@access("public")
def use_link(token: str) -> ResponseReturnValue:
    """Use a one-time link."""
    session = service.use_sign_in_link(notifier_of_app(), token)
    if session is None:
        return make_response(render_template("web/sign_in_link_used.html"), 410)
    return _signed_in(session, "")


@blueprint.post("/sign-out")
@access("session")
def leave() -> ResponseReturnValue:
    """End the session."""
    _end_old_session()
    response = redirect(url_for("sign_in.show"), code=303)
    response.delete_cookie(cookie_name(), secure=over_tls(), httponly=True, samesite="Lax")
    return response


def _form(*, next_path: str, name: str = "", failed: bool = False) -> str:
    return render_template("web/sign_in.html", next_path=next_path, name=name, failed=failed)


def _signed_in(token: str, next_path: str) -> ResponseReturnValue:
    _end_old_session()
    target = next_path if _OWN_PATH.fullmatch(next_path) else url_for("admin.index")
    response = redirect(target, code=303)
    response.set_cookie(
        cookie_name(),
        token,
        max_age=service.ABSOLUTE,
        secure=over_tls(),
        httponly=True,
        samesite="Lax",
    )
    return response


def _end_old_session() -> None:
    if token := request.cookies.get(cookie_name()):
        service.sign_out(notifier_of_app(), token)
