"""What every Flask application of ours does alike: headers, same-origin checks, safe redirects, CSV cells."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from flask import Flask, Request, Response, request

_ALB_COOKIE = "AWSELBAuthSessionCookie"

# No inline script or style anywhere: a value of an element that slips through unescaped still does not run.
# Bootstrap's style sheet draws its icons with data: images.
CONTENT_SECURITY_POLICY: Mapping[str, str] = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data: blob:",
    "font-src": "'self'",
    "connect-src": "'self'",
    "manifest-src": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
    "base-uri": "'none'",
    "object-src": "'none'",
}


def format_policy(directives: Mapping[str, str]) -> str:
    """Write a Content-Security-Policy."""
    return "; ".join(f"{name} {value}".strip() for name, value in directives.items())


def install_security_headers(app: Flask, *, secure: bool, form_targets: Iterable[str] = ()) -> None:
    """Send security headers with every answer; a view that sets one itself keeps its own.

    Parameters
    ----------
    secure
        The application is behind TLS: tell browsers to insist on it.
    form_targets
        Origins that forms may be redirected to besides our own: the OpenID provider's, at logout.
    """
    form_action = " ".join([CONTENT_SECURITY_POLICY["form-action"], *form_targets])
    headers = {
        "Content-Security-Policy": format_policy({**CONTENT_SECURITY_POLICY, "form-action": form_action}),
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "DENY",
        # Addresses of pages hold queries; they stay here. Not no-referrer: CSRF protection reads it on our own pages.
        "Referrer-Policy": "same-origin",
        "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }
    if secure:
        headers["Strict-Transport-Security"] = "max-age=31536000"

    @app.after_request
    def add(response: Response) -> Response:
        for name, value in headers.items():
            response.headers.setdefault(name, value)
        if request.endpoint is None or not request.endpoint.endswith("static"):
            response.headers.setdefault("Cache-Control", "no-store")
        return response


def is_same_origin(incoming: Request) -> bool:
    """Tell whether a browser says that our own pages sent a request (Fetch Metadata; else ``Origin``).

    A request without either header comes from no browser that we know; it is refused too, since a cookie
    authenticates it.
    """
    site = incoming.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    origin = incoming.headers.get("Origin")
    return origin is not None and origin.lower() == incoming.host_url.rstrip("/").lower()


def safe_next(target: str | None, default: str = "/") -> str:
    r"""Return a path on this site to go to after a login, or the default: no open redirects.

    Browsers read ``//host``, ``/\host`` and a slash after dropped control characters as another host.
    """
    if not target or not target.startswith("/") or re.search(r"[\x00-\x20\x7f\\]", target):
        return default
    parts = urlsplit(target)
    return default if parts.netloc or parts.scheme or target.startswith("//") else target


def safe_cell(value: object) -> str:
    """Return the text of a CSV cell that no spreadsheet takes for a formula (OWASP, CSV injection)."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def expire_cookies(incoming: Request, response: Response) -> None:
    """Expire the session cookies of an Application Load Balancer, in as many pieces as it cut them into."""
    shards = {f"{_ALB_COOKIE}-{number}" for number in range(4)}
    for name in sorted(shards | {name for name in incoming.cookies if name.startswith(_ALB_COOKIE)}):
        response.delete_cookie(name, path="/", secure=True, httponly=True)


def origins(*urls: str) -> tuple[str, ...]:
    """Return the origins of some URLs, for ``form-action``; empty ones are left out."""
    parts = (urlsplit(url) for url in urls if url)
    return tuple(sorted({f"{part.scheme}://{part.netloc}" for part in parts}))
