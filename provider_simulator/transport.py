"""The simulator in process, behind the HTTP client that both vendors' SDKs use: no socket, no thread, any clock."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import httpx2

from provider_simulator.wire import DroppedError, SilenceError

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication


class SimulatorTransport(httpx2.BaseTransport):
    """Hand it to `httpx2.Client(transport=…)`. A dropped connection is the same exception as on a real socket."""

    def __init__(self, simulator: "WSGIApplication") -> None:
        self._wsgi = httpx2.WSGITransport(app=simulator)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        try:
            response = self._wsgi.handle_request(request)
        except SilenceError as error:
            raise httpx2.ReadTimeout("timed out") from error
        except DroppedError as error:
            raise httpx2.RemoteProtocolError("Server disconnected without sending a response.") from error
        if isinstance(response.stream, httpx2.SyncByteStream):
            response.stream = _Stream(response.stream)
        return response


class _Stream(httpx2.SyncByteStream):
    def __init__(self, inner: httpx2.SyncByteStream) -> None:
        self._inner = inner

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._inner
        except DroppedError as error:
            raise httpx2.RemoteProtocolError("peer closed connection without sending complete body") from error

    def close(self) -> None:
        self._inner.close()
