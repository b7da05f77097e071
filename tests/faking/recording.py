"""What our clients really send, and what comes back: each exchange as it goes over HTTP."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesParser
from typing import Any

import httpx2
from batchdrop.providers.anthropic_client import AnthropicBatches
from batchdrop.providers.config import ProviderConfig
from batchdrop.providers.interface import BatchApi
from batchdrop.providers.keys import Key
from batchdrop.providers.openai_client import OpenAIBatches
from batchdrop.records import Protocol

from faking.cloud import Cloud
from provider_simulator.transport import SimulatorTransport

BASES = {"openai": "/openai/v1", "anthropic": "/anthropic"}


@dataclass(frozen=True)
class Exchange:
    """A request and its answer: `path` is behind the provider's base URL, `status` 0 where the answer was lost."""

    vendor: str
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    sent: bytes
    status: int
    received: bytes

    @property
    def form(self) -> dict[str, Any]:
        """The fields of an upload as the vendor's document has them: `a[b]` is `b` in `a`, digits are a number."""
        fields: dict[str, Any] = {}
        for part in self._parts():
            name, _, inner = str(part.get_param("name", header="content-disposition")).rstrip("]").partition("[")
            raw = part.get_payload(decode=True)
            text = raw.decode() if isinstance(raw, bytes) else ""
            if inner:
                fields.setdefault(name, {})[inner] = int(text) if text.isdigit() else text
            else:
                fields[name] = text
        return fields

    @property
    def file_name(self) -> str | None:
        return next((name for part in self._parts() if (name := part.get_filename())), None)

    def _parts(self) -> list[Message]:
        head = f"Content-Type: {self.headers.get('content-type')}\r\n\r\n".encode()
        payload = BytesParser().parsebytes(head + self.sent).get_payload()
        return [part for part in payload if isinstance(part, Message)] if isinstance(payload, list) else []

    @property
    def requests(self) -> list[dict[str, Any]]:
        """The request lines that it carries: of an upload, or of a create of Anthropic's."""
        if self.vendor == "openai" and self.method == "POST" and self.path == "/files":
            return [json.loads(line) for line in self.form["file"].split("\n")[:-1]]
        if self.vendor == "anthropic" and self.method == "POST" and self.path == "/v1/messages/batches":
            found: list[dict[str, Any]] = json.loads(self.sent)["requests"]
            return found
        return []


class Recorder(httpx2.BaseTransport):
    """Passes each request on to the simulator, and keeps it with its answer."""

    def __init__(self, simulator: Any) -> None:
        self._next = SimulatorTransport(simulator)
        self.exchanges: list[Exchange] = []

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        sent = b"".join(request.stream) if isinstance(request.stream, httpx2.SyncByteStream) else b""
        again = httpx2.Request(request.method, request.url, headers=request.headers, content=sent)
        try:
            response = self._next.handle_request(again)
        except httpx2.TransportError:
            self._keep(request, sent, 0, b"")
            raise
        received = b"".join(response.iter_raw())
        decoded = httpx2.Response(response.status_code, headers=response.headers, content=received).content
        self._keep(request, sent, response.status_code, decoded)
        return httpx2.Response(response.status_code, headers=response.headers, stream=httpx2.ByteStream(received))

    def _keep(self, request: httpx2.Request, sent: bytes, status: int, received: bytes) -> None:
        vendor = next(name for name, base in BASES.items() if request.url.path.startswith(base))
        self.exchanges.append(
            Exchange(
                vendor=vendor,
                method=request.method,
                path=request.url.path.removeprefix(BASES[vendor]),
                query=dict(request.url.params),
                headers={name.lower(): value for name, value in request.headers.items()},
                sent=sent,
                status=status,
                received=received,
            )
        )


def record(cloud: Cloud) -> Recorder:
    """Record what a cloud's clients send from now on."""
    recorder = Recorder(cloud.simulator)
    http = httpx2.Client(transport=recorder)

    def make(provider: ProviderConfig, key: Key) -> BatchApi:
        kind = AnthropicBatches if provider.protocol is Protocol.ANTHROPIC else OpenAIBatches
        return kind(provider, key, http)

    cloud.make = make
    cloud.configure(cloud.services.providers)
    return recorder


def bodies(exchange: Exchange) -> Iterator[tuple[str, Any]]:
    """The endpoint and the body of each request that an exchange carries."""
    for line in exchange.requests:
        yield ("/v1/messages", line["params"]) if exchange.vendor == "anthropic" else (line["url"], line["body"])
