"""The emulator's door: requests that are signed with a known key, addressed to it, and not sent by a web page.

AWS checks signatures; ministack does so for some keys, and answers every `Origin`. A page in a browser may send
requests to this machine, under a name of its own that leads here too, and so may every user of it: none of them has the
key. It is run by the emulator's Python, which has nothing of this project.
"""

import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, quote

ALGORITHM = "AWS4-HMAC-SHA256"
CLOCK_SKEW = timedelta(minutes=15)  # as AWS allows
UNSIGNED = "UNSIGNED-PAYLOAD"  # of a presigned URL for S3: its body is not known when it is signed
FORBIDDEN = 403
MAX_UNHASHED_BYTES = 64_000_000  # Lambda takes packages of 50 MB; larger bodies go to S3, whose clients say a hash

Headers = dict[str, str]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
App = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]


class RefusedError(Exception):
    """The request is not let in; `code` is AWS's word for it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, kw_only=True)
class Signature:
    """The signature of a request, in a header or in its query."""

    access_key_id: str
    day: str
    region: str
    service: str
    signed: tuple[str, ...]
    value: str
    time: str
    expires_in: int | None = None


class Guard:
    """Lets in what is signed.

    Args:
        app: What answers a request that is let in.
        host: The emulator's own address, as `127.0.0.1:4566`.
        signed_hosts: The addresses that a client may have signed for: another where a proxy stands before this one.
        secret_of: The secret of an access key and session token; None where there is no such key.
    """

    def __init__(
        self,
        app: App,
        *,
        host: str,
        signed_hosts: Sequence[str],
        secret_of: Callable[[str, str], str | None],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._app, self._host, self._signed_hosts = app, host, signed_hosts
        self._secret_of, self._now = secret_of, now

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        elif scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self._answer(scope, receive, send)

    async def _answer(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        headers = _headers(scope)
        try:
            self._check_sender(headers)
            signature = find_signature(scope, headers)
            pieces = [] if _names_its_hash(headers, signature) else [piece async for piece in _pieces(receive)]
            self._check_signature(scope, headers, signature, b"".join(pieces))
        except RefusedError as refused:
            await _refuse(headers, refused, send)
            return
        await self._app(scope, _again(pieces, receive) if pieces else receive, send)

    def _check_sender(self, headers: Headers) -> None:
        if headers.get("host") != self._host:
            raise RefusedError("AccessDenied", f"This is {self._host}: requests to another host are not answered.")
        if "origin" in headers:
            raise RefusedError("AccessDenied", "Requests of web pages are not answered.")

    def _check_signature(self, scope: dict[str, Any], headers: Headers, signature: Signature, body: bytes) -> None:
        query = dict(_query(scope))
        token = headers.get("x-amz-security-token") or query.get("X-Amz-Security-Token", "")
        secret = self._secret_of(signature.access_key_id, token)
        if secret is None:
            raise RefusedError("InvalidClientTokenId", "The access key or its session token is not known here.")
        _check_time(signature, self._now())
        for host in self._signed_hosts:
            computed = sign(scope, headers | {"host": host}, signature, secret, body)
            if hmac.compare_digest(computed, signature.value):
                return
        raise RefusedError("SignatureDoesNotMatch", "The signature is not that of the access key's secret.")


def find_signature(scope: dict[str, Any], headers: Headers) -> Signature:
    """The signature of a request.

    Raises:
        RefusedError: It has none, or one that is not understood.
    """
    query = dict(_query(scope))
    algorithm, _, rest = headers.get("authorization", "").partition(" ")
    try:
        if algorithm == ALGORITHM:
            fields = dict(field.strip().split("=", 1) for field in rest.split(","))
            return _signature(fields, headers["x-amz-date"], None)
        if query.get("X-Amz-Algorithm") == ALGORITHM:
            fields = {name.removeprefix("X-Amz-"): value for name, value in query.items()}
            return _signature(fields, query["X-Amz-Date"], int(query["X-Amz-Expires"]))
    except (KeyError, ValueError):
        raise RefusedError("IncompleteSignature", "The request's signature is not complete.") from None
    raise RefusedError("MissingAuthenticationToken", "Requests without credentials are not answered.")


def _signature(fields: dict[str, str], time: str, expires_in: int | None) -> Signature:
    access_key_id, day, region, service, _ = fields["Credential"].split("/")
    return Signature(
        access_key_id=access_key_id,
        day=day,
        region=region,
        service=service,
        signed=tuple(fields["SignedHeaders"].split(";")),
        value=fields["Signature"],
        time=time,
        expires_in=expires_in,
    )


def _check_time(signature: Signature, now: datetime) -> None:
    try:
        made = datetime.strptime(signature.time, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise RefusedError("IncompleteSignature", "The signature's time is not a time.") from None
    allowed = CLOCK_SKEW if signature.expires_in is None else timedelta(seconds=signature.expires_in)
    if not made - CLOCK_SKEW <= now <= made + allowed or signature.day != signature.time[:8]:
        raise RefusedError("RequestExpired", "The request was signed too long ago.")


def sign(scope: dict[str, Any], headers: Headers, signature: Signature, secret: str, body: bytes) -> str:
    """The signature that the request should have (AWS's Signature Version 4)."""
    scope_of_key = f"{signature.day}/{signature.region}/{signature.service}/aws4_request"
    request = hashlib.sha256(_canonical(scope, headers, signature, body).encode()).hexdigest()
    key = f"AWS4{secret}".encode()
    for part in (signature.day, signature.region, signature.service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, f"{ALGORITHM}\n{signature.time}\n{scope_of_key}\n{request}".encode(), "sha256").hex()


def _canonical(scope: dict[str, Any], headers: Headers, signature: Signature, body: bytes) -> str:
    path = (scope.get("raw_path") or quote(scope["path"]).encode()).decode("latin-1")
    if signature.service != "s3":  # S3 signs a path as it is sent, others encode it once more
        path = quote(path, safe="/-_.~")
    query = sorted((_encoded(name), _encoded(value)) for name, value in _query(scope) if name != "X-Amz-Signature")
    unsigned = signature.expires_in is not None and signature.service == "s3"
    hashed = headers.get("x-amz-content-sha256") or (UNSIGNED if unsigned else hashlib.sha256(body).hexdigest())
    return "\n".join(
        (
            scope["method"],
            path,
            "&".join(f"{name}={value}" for name, value in query),
            *(f"{name}:{' '.join(headers.get(name, '').split())}" for name in signature.signed),
            "",
            ";".join(signature.signed),
            hashed,
        )
    )


def _encoded(text: str) -> str:
    return quote(text, safe="-_.~")


def _query(scope: dict[str, Any]) -> list[tuple[str, str]]:
    return parse_qsl(scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)


def _headers(scope: dict[str, Any]) -> Headers:
    """By name; what stands on several lines is joined, as it is signed."""
    found: Headers = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode()
        found[name] = f"{found[name]},{value}" if name in found else value
    return found


def _names_its_hash(headers: Headers, signature: Signature) -> bool:
    """Whether the body need not be read to check the signature: S3's clients say its hash, and may send gigabytes."""
    return "x-amz-content-sha256" in headers or (signature.service == "s3" and signature.expires_in is not None)


async def _pieces(receive: Receive) -> Any:  # noqa: ANN401 - an asynchronous iterator of ASGI's messages' bodies
    more, left = True, MAX_UNHASHED_BYTES
    while more:
        message = await receive()
        more, left = bool(message.get("more_body")), left - len(message.get("body", b""))
        if left < 0:
            raise RefusedError("RequestEntityTooLarge", f"The body is over {MAX_UNHASHED_BYTES:,} bytes.")
        yield message.get("body", b"")


def _again(pieces: list[bytes], receive: Receive) -> Receive:
    """Give what was read already as one piece, then whatever comes."""
    messages: Iterator[dict[str, Any]] = iter([{"type": "http.request", "body": b"".join(pieces), "more_body": False}])

    async def receive_again() -> dict[str, Any]:
        message = next(messages, None)
        return await receive() if message is None else message

    return receive_again


async def _refuse(headers: Headers, refused: RefusedError, send: Send) -> None:
    """In the form that the client reads: JSON, or XML for S3 and the services with forms."""
    speaks_json = "x-amz-target" in headers or "json" in headers.get("content-type", "")
    error = f"<Error><Code>{refused.code}</Code><Message>{refused}</Message></Error>"
    if speaks_json:
        body, kind = json.dumps({"__type": refused.code, "message": str(refused)}), "application/json"
    elif "form" in headers.get("content-type", ""):
        body, kind = f"<ErrorResponse>{error}</ErrorResponse>", "text/xml"
    else:
        body, kind = error, "application/xml"
    sent = [
        (b"content-type", kind.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"x-amzn-errortype", refused.code.encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": FORBIDDEN, "headers": sent})
    await send({"type": "http.response.body", "body": body.encode()})
