"""Lets clients in to the simulator's socket: those that mean it, with its key if it has one."""

import hmac
from collections.abc import Iterable
from typing import TYPE_CHECKING

from werkzeug.wrappers import Request

from provider_simulator.errors import RefusedError
from provider_simulator.facts import ProviderName
from provider_simulator.wire import answer

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

KEY_VARIABLE = "PROVIDER_SIMULATOR_KEY"  # an argument would be shown to every user of the machine


class Door:
    """Stands before the simulator. Web pages, and requests to another host that leads here, are answered 403.

    Args:
        app: The simulator.
        host: Its own address, as `127.0.0.1:8700`.
        key: The one key that is taken, for the vendors' calls and for the controls; None takes every key and none.
    """

    def __init__(self, app: "WSGIApplication", *, host: str, key: str | None) -> None:
        self._app, self._host, self._key = app, host, key

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        refused = self._refusal(Request(environ))
        if refused is None:
            return self._app(environ, start_response)
        response = answer(refused.body(_provider_of(environ), "req_unknown"), refused.status)
        response.headers["Connection"] = "close"  # its body is not read
        return response(environ, start_response)

    def _refusal(self, request: Request) -> RefusedError | None:
        if request.headers.get("Host") != self._host:
            return RefusedError(403, f"This is {self._host}: requests to another host are not answered.")
        if "Origin" in request.headers:
            return RefusedError(403, "Requests of web pages are not answered.")
        if self._key is not None and not _carries(request, self._key.encode()):
            return RefusedError(
                401, "The key is not the simulator's own, which `local up` made.", code="invalid_api_key"
            )
        return None


def _carries(request: Request, key: bytes) -> bool:
    """Return whether a header ends with the key: `providers.toml` says in which header a server wants it."""
    return any(hmac.compare_digest(value.encode()[-len(key) :], key) for _, value in request.headers)


def _provider_of(environ: "WSGIEnvironment") -> ProviderName:
    return "anthropic" if environ["PATH_INFO"].startswith("/anthropic") else "openai"
