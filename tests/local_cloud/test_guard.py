"""Who is let in to the emulator: requests that botocore signs with the cloud's own key, and no others."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from local_cloud.guard import Guard

HOST, KEY, SECRET = "127.0.0.1:4566", "111122223333", "a-secret"
SESSION, TOKEN, SESSION_SECRET = "ASIA1", "a-token", "another-secret"
SIGNERS = {"sqs": SigV4Auth, "s3": S3SigV4Auth}


def secret_of(access_key_id: str, token: str) -> str | None:
    return {(KEY, ""): SECRET, (SESSION, TOKEN): SESSION_SECRET}.get((access_key_id, token))


class Answering:
    """What stands behind the guard: it keeps the bodies of the requests that were let in."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    async def __call__(self, _scope: dict[str, Any], receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message["body"], message.get("more_body", False)
        self.bodies.append(body)
        await send({"type": "http.response.start", "status": 200, "headers": []})


def request(
    url: str = f"http://{HOST}/", *, service: str = "sqs", body: bytes = b"{}", signer: Any = None, **given: Any
) -> AWSRequest:
    """A request as botocore signs it."""
    credentials = Credentials(given.pop("key", KEY), given.pop("secret", SECRET), given.pop("token", None))
    made = AWSRequest(given.pop("method", "POST"), url, data=body, headers=given.pop("headers", {}))
    (signer or SIGNERS[service])(credentials, service, "us-east-1").add_auth(made)
    return made


def send(
    made: AWSRequest, *, guard_now: datetime | None = None, hosts: tuple[str, ...] = (HOST,), **headers: str
) -> Any:
    """What the guard lets through, and what is answered."""
    behind, answers = Answering(), list[dict[str, Any]]()
    now = guard_now or datetime.now(UTC)
    guard = Guard(behind, host=HOST, signed_hosts=hosts, secret_of=secret_of, now=lambda: now)
    url = urlsplit(made.url)
    sent = {"host": url.netloc} | {name.lower(): str(value) for name, value in made.headers.items()} | headers
    body = made.data or b""
    messages = [{"body": body[:1], "more_body": True}, {"body": body[1:], "more_body": False}]

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def answer(message: dict[str, Any]) -> None:
        answers.append(message)

    scope = {
        "type": "http",
        "method": made.method,
        "path": url.path,
        "raw_path": url.path.encode(),
        "query_string": url.query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
    }
    asyncio.run(guard(scope, receive, answer))
    code = dict(answers[0]["headers"]).get(b"x-amzn-errortype", b"").decode()
    return behind.bodies, answers[0]["status"], code


def refused(code: str) -> tuple[list[bytes], int, str]:
    return [], 403, code


@pytest.mark.parametrize(
    ("url", "more"),
    [
        (f"http://{HOST}/", {}),
        (f"http://{HOST}/2015-03-31/functions/arn%3Aaws%3Alambda/invocations?a=b%20c&empty=", {}),
        (f"http://{HOST}/bucket/a%20key/with%2Bsigns?versionId=1&uploads=", {"service": "s3"}),
        (f"http://{HOST}/bucket/", {"service": "s3", "method": "GET", "body": b""}),
        (f"http://{HOST}/", {"headers": {"X-Amz-Target": "AmazonSQS.SendMessage", "X-Two": "a   b"}}),
        (f"http://{HOST}/", {"key": SESSION, "secret": SESSION_SECRET, "token": TOKEN}),
    ],
)
def test_what_the_cloud_s_own_key_signed_is_answered(url: str, more: dict[str, Any]) -> None:
    made = request(url, **more)
    assert send(made) == ([made.data], 200, "")


def test_a_page_in_a_browser_is_not_answered_even_with_the_key() -> None:
    assert send(request(), origin="https://evil.example") == refused("AccessDenied")
    assert send(request(), origin="null") == refused("AccessDenied")


@pytest.mark.parametrize("host", ["evil.example:4566", "localhost:4566", "127.0.0.1", "bucket.127.0.0.1:4566", ""])
def test_another_host_is_not_answered(host: str) -> None:
    assert send(request(), host=host) == refused("AccessDenied")


def test_no_credentials_are_not_answered() -> None:
    bare = AWSRequest("POST", f"http://{HOST}/", data=b"{}")
    assert send(bare) == refused("MissingAuthenticationToken")
    assert send(bare, authorization="Bearer x") == refused("MissingAuthenticationToken")
    assert send(bare, authorization="AWS4-HMAC-SHA256 Credential=x") == refused("IncompleteSignature")


def test_another_access_key_or_secret_or_token_is_not_answered() -> None:
    assert send(request(key="000000000000")) == refused("InvalidClientTokenId")
    assert send(request(key="test", secret="test")) == refused("InvalidClientTokenId")
    assert send(request(secret="local")) == refused("SignatureDoesNotMatch")
    assert send(request(key=SESSION, secret=SESSION_SECRET)) == refused("InvalidClientTokenId")


def test_another_body_than_was_signed_is_not_answered() -> None:
    made = request()
    made.data = b'{"another": 1}'
    assert send(made) == refused("SignatureDoesNotMatch")


def test_what_was_signed_long_ago_is_not_answered() -> None:
    later = datetime.now(UTC) + timedelta(minutes=16)
    assert send(request(), guard_now=later) == refused("RequestExpired")


def test_a_presigned_url_of_the_key_is_answered_until_it_expires() -> None:
    def presigned(secret: str) -> AWSRequest:
        def signer(*given: Any) -> S3SigV4QueryAuth:
            return S3SigV4QueryAuth(*given, expires=60)

        return request(f"http://{HOST}/b/k", service="s3", method="GET", body=b"", signer=signer, secret=secret)

    assert send(presigned(SECRET)) == ([b""], 200, "")
    assert send(presigned("another")) == refused("SignatureDoesNotMatch")
    assert send(presigned(SECRET), guard_now=datetime.now(UTC) + timedelta(seconds=62)) == refused("RequestExpired")


def test_a_proxy_before_the_emulator_is_signed_for() -> None:
    made = request("http://127.0.0.1:9999/")
    assert send(made, host=HOST) == refused("SignatureDoesNotMatch")
    assert send(made, host=HOST, hosts=(HOST, "127.0.0.1:9999")) == ([b"{}"], 200, "")


def test_a_web_socket_is_closed() -> None:
    answers: list[dict[str, Any]] = []

    async def answer(message: dict[str, Any]) -> None:
        answers.append(message)

    guard = Guard(Answering(), host=HOST, signed_hosts=(HOST,), secret_of=secret_of)
    asyncio.run(guard({"type": "websocket"}, answer, answer))  # type: ignore[arg-type]  # nothing is received
    assert answers == [{"type": "websocket.close", "code": 1008}]
