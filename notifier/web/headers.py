"""What every answer tells the browser: run nothing that is not ours, leak nothing."""

from __future__ import annotations

from flask import Response

from notifier.web.context import over_tls

# Nothing is inline and nothing is foreign, so a script that got into a page does not run.
PAGE_POLICY = "; ".join(
    (
        "default-src 'none'",
        "style-src 'self'",
        "script-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "frame-src 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)

# A previewed mail has its styles inline, as mail must. It gets no origin, no script and no
# network, and only our own pages may frame it.
MAIL_POLICY = "; ".join(
    (
        "default-src 'none'",
        "style-src 'unsafe-inline'",
        "form-action 'none'",
        "base-uri 'none'",
        "frame-ancestors 'self'",
        "sandbox",
    )
)


def protect(response: Response) -> Response:
    """Add the headers; a view that set one itself keeps it."""
    headers = response.headers
    headers.setdefault("Content-Security-Policy", PAGE_POLICY)
    headers.setdefault("X-Content-Type-Options", "nosniff")
    # Not `no-referrer`: with it, browsers send "Origin: null" with our own forms.
    headers.setdefault("Referrer-Policy", "same-origin")
    headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
    headers.setdefault("Cache-Control", "no-store")
    if over_tls():
        headers.setdefault("Strict-Transport-Security", "max-age=31536000")
    return response
