"""Telling people and programs: an SNS topic, and webhooks signed as Standard Webhooks asks for.

See https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import ssl
from typing import TYPE_CHECKING

import httpx2

from batchdrop.errors import Transient
from batchdrop.notices import Notice

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sns import SNSClient

_SECONDS = 15  # until the answer begins; the specification wants 15 to 30
_LEAST_KEY = 24  # bytes (the specification)
_GONE = 410  # "stop sending here"
_PREFIX = "whsec_"


class Deliveries:
    """Sends to one place at a time; what fails is sent again by the queue.

    Args:
        sns: SNS's client.
        secrets: Secrets Manager's, for the key that signs.
        secret: That key's secret; None where there are no webhooks.
        seconds: How long a webhook may take until its answer has begun.
    """

    def __init__(
        self, sns: "SNSClient", secrets: "SecretsManagerClient", secret: str | None, *, seconds: float = _SECONDS
    ) -> None:
        self._sns, self._secrets, self._secret, self._seconds = sns, secrets, secret, seconds
        self._key: bytes | None = None
        self._tls = ssl.create_default_context()

    def publish(self, topic: str, notice: Notice) -> None:
        self._sns.publish(TopicArn=topic, Subject=notice.subject, Message=notice.text)

    def post(self, url: str, message_id: str, body: bytes, *, now: int) -> None:
        """Send a signed message; a server that has gone for good is left alone.

        Raises:
            Transient: The server did not take it.
        """
        signature = sign(self._signing_key(), message_id, now, body)
        headers = {
            "content-type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(now),
            "webhook-signature": signature,
        }
        status = asyncio.run(self._status_of(url, body, headers))
        if not 200 <= status < 300 and status != _GONE:  # noqa: PLR2004 - what HTTP calls success
            raise Transient(f"the webhook answered {status}")

    async def _status_of(self, url: str, body: bytes, headers: dict[str, str]) -> int:
        """Return a server's status; then close the connection: the rest of an answer may have no end.

        A socket's timeout begins again with each byte, so the time is that of the whole. The transport is used without
        a client, which would log the address, whose path is often a secret.
        """
        try:
            request = httpx2.Request("POST", url, content=body, headers=headers)
            async with asyncio.timeout(self._seconds), httpx2.AsyncHTTPTransport(verify=self._tls) as transport:
                return (await transport.handle_async_request(request)).status_code
        except TimeoutError:
            raise Transient(f"the webhook did not answer within {self._seconds} seconds") from None
        except (httpx2.HTTPError, httpx2.InvalidURL) as error:
            raise Transient(f"the webhook did not answer: {type(error).__name__}") from None

    def _signing_key(self) -> bytes:
        if self._key is None:
            if self._secret is None:
                raise ValueError("this function has no secret to sign with")
            try:
                self._key = key_of(self._secrets.get_secret_value(SecretId=self._secret)["SecretString"])
            except ValueError as error:
                raise ValueError(f"set the secret {self._secret} again, which signs webhooks: {error}") from None
        return self._key


def key_of(secret: str) -> bytes:
    """The bytes of a secret as receivers are given it: base64, with or without `whsec_`.

    Raises:
        ValueError: It is none, and its value is not shown.
    """
    try:
        key = base64.b64decode(secret.strip().removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("it is not base64") from None
    if len(key) < _LEAST_KEY:
        raise ValueError(f"its key is {len(key)} bytes long, and at least {_LEAST_KEY} are needed")
    return key


def sign(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    signed = hmac.digest(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(signed).decode()}"
