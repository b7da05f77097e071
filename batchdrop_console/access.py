"""Limits who may see the pages: this machine's browser, at the console's own address, with the token that was printed.

A page of another site may make a browser send anything to a loopback address, and a name that it controls may resolve
to one. So the address asked for, the page that asks and a cookie that no other site can send are checked each time.
"""

import secrets
from collections.abc import Mapping
from threading import Lock

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

ENTER = "/enter"
_STATIC = "/static/"
_SAFE = frozenset({"GET", "HEAD"})
_OWN_SITE = frozenset({"same-origin", "none"})  # "none": typed, or opened from a bookmark
HEADERS = {
    # No script, style, font or picture but the package's own; nothing inline; no frame; forms go nowhere else.
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",  # with "no-referrer" browsers send a form with `Origin: null`
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",  # pages may hold prompts
}


class Access:
    """The addresses of the console, and its two secrets: a token that lets in once, and the cookie that it becomes."""

    def __init__(self, port: int, *, token: str | None = None) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self.hosts = frozenset({f"127.0.0.1:{port}", f"localhost:{port}"})
        self.cookie = f"batchdrop_console_{port}"  # browsers do not keep the cookies of two ports apart
        self._token: str | None = token or secrets.token_urlsafe(32)
        self._session = secrets.token_urlsafe(32)
        self._lock = Lock()

    @property
    def url(self) -> str:
        """The address to be opened, once."""
        return f"{self.address}{ENTER}?token={self._token}"

    def enter(self, token: str) -> str | None:
        """The cookie for who has the token, which then opens no more; None for who has another."""
        with self._lock:
            if self._token is None or not secrets.compare_digest(token.encode(), self._token.encode()):
                return None
            self._token = None
            return self._session

    def knows(self, cookie: str | None) -> bool:
        return cookie is not None and secrets.compare_digest(cookie.encode(), self._session.encode())


def refusal(method: str, headers: Mapping[str, str], hosts: frozenset[str]) -> str | None:
    """Return why a request is refused, whoever sent it; None where it may be answered.

    Args:
        method: `GET`, `POST`, …
        headers: The request's, by lower-case names.
        hosts: The console's own addresses.
    """
    host, origin = headers.get("host", ""), headers.get("origin")
    if host not in hosts:
        return "This console has another address: open the one that the command printed."
    if origin is not None and origin != f"http://{host}":
        return "Another site's page may not use this console."
    if method not in _SAFE and origin is None:
        return "A change must come from a page of this console."
    if method not in _SAFE and headers.get("sec-fetch-site", "same-origin") not in _OWN_SITE:
        return "Another site's page may not use this console."
    return None


class Door:
    """Lets requests in, and puts its headers on every answer."""

    def __init__(self, app: ASGIApp, *, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        refused = self._refuse(Request(scope))
        await (self._app if refused is None else refused)(scope, receive, send_guarded)

    def _refuse(self, request: Request) -> PlainTextResponse | None:
        why = refusal(request.method, request.headers, self._access.hosts)
        if why is not None:
            return PlainTextResponse(f"{why}\n", 403)
        path = request.url.path
        if path == ENTER or path.startswith(_STATIC) or self._access.knows(request.cookies.get(self._access.cookie)):
            return None
        return PlainTextResponse(
            "Open the address that `batchdrop console` printed; it opens once. For another browser, start it again.\n",
            403,
        )
