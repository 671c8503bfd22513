"""The web side: pages for operators and readers, and the write API.

Views translate only: parse, call a service or read, present.
"""

from __future__ import annotations

from importlib.metadata import version

from flask_openapi3.models.info import Info
from flask_openapi3.openapi import OpenAPI
from jinja2 import StrictUndefined

from notifier.paths import template_dir
from notifier.ports import Notifier
from notifier.web import (
    admin,
    admin_channels,
    admin_drafts,
    admin_integrations,
    admin_rules,
    api,
    api_channels,
    api_drafts,
    api_integrations,
    api_pause,
    api_rules,
    api_suppressions,
    api_unknown,
    assets,
    errors,
    events,
    headers,
    limits,
    mail,
    pause,
    preview,
    probes,
    public,
    sign_in,
    suppressions,
    unknown,
    updates,
)
from notifier.web.api_answers import Problem
from notifier.web.api_input import validation_problem
from notifier.web.auth import guard
from notifier.web.context import EXTENSION
from notifier.web.front import Front
from notifier.web.present import add_words

#: The longest request anybody may send, in bytes.
BODY_MAX = 1024 * 1024


def create_front(n: Notifier, *, threads: int) -> Front:
    """The ASGI application that a server serves: `create_app` with what has to be fast before it.

    `threads` requests at a time use the pages.
    """
    return Front(n, create_app(n).wsgi_app, pages_max=BODY_MAX, threads=threads)


def create_app(n: Notifier) -> OpenAPI:
    """The WSGI application that serves `n`."""
    app = OpenAPI(
        "notifier.web",
        info=Info(title="notifier", version=version("notifier")),
        security_schemes={"bearer": {"type": "http", "scheme": "bearer"}},
        validation_error_callback=validation_problem,
        validation_error_model=Problem,
        doc_ui=False,
        static_folder=None,
        template_folder=str(template_dir()),
    )
    app.extensions[EXTENSION] = n
    app.config.update(MAX_CONTENT_LENGTH=BODY_MAX, PROVIDE_AUTOMATIC_OPTIONS=False)
    app.jinja_options = {"undefined": StrictUndefined, "trim_blocks": True, "lstrip_blocks": True}
    add_words(app, n)
    errors.register(app)
    app.before_request(guard)
    app.after_request(headers.protect)
    for pages in (
        probes,
        assets,
        public,
        sign_in,
        admin,
        updates,
        preview,
        mail,
        suppressions,
        admin_channels,
        admin_drafts,
        admin_integrations,
        admin_rules,
        unknown,
        pause,
        events,
    ):
        app.register_blueprint(pages.blueprint)
    for part in (
        api,
        api_suppressions,
        api_channels,
        api_unknown,
        api_pause,
        api_integrations,
        api_rules,
        api_drafts,
    ):
        app.register_api(part.blueprint)
    limits.limit_sign_in(app)
    return app
