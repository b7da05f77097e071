"""A small AWS in memory behind real botocore clients: what they send is answered here, on a clock that tests move.

DynamoDB is in `table`; S3 knows versions and conditional writes; SQS hides messages; EventBridge remembers events.
"""

import hashlib
import json
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

from batchdrop.notices import KINDS
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from moto.core.botocore_stubber import MockRawResponse

from faults.table import RefusedError, Table

Reply = tuple[int, dict[str, str], bytes]


class Version(NamedTuple):
    id: str
    body: bytes
    at: float
    metadata: dict[str, str]

    @property
    def etag(self) -> str:
        return f'"{hashlib.md5(self.body, usedforsecurity=False).hexdigest()}"'


class Message(NamedTuple):
    """In a queue.

    `hops` is what it says of its chain; `chain` is counted here: the messages from the first to this one.
    """

    visible_at: float
    body: dict[str, Any]
    receives: int = 0
    hops: int = 0
    chain: int = 0


class Aws:
    """One account: one table, one bucket, queues by name."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self.reset()

    def reset(self) -> None:
        self.table = Table()
        self.objects: dict[str, list[Version]] = {}
        self.queues: dict[str, list[Message]] = {}
        self.chain = 0
        """Of the message whose worker is at work; 0 where none is."""
        self.longest_chain = 0
        self.events: list[dict[str, Any]] = []
        self.places: tuple[dict[str, str], ...] = ()
        """A `topic` or a `webhook` each: a rule sends them the events of which somebody is told."""
        self.uploads: dict[str, tuple[str, dict[int, bytes]]] = {}
        """Multipart uploads that are not completed: the key, and the parts by number."""
        self._versions = self._begun = 0

    def answer(self, request: AWSPreparedRequest) -> AWSResponse:
        """The answer to what a client sends."""
        target = _text(request.headers.get("X-Amz-Target", ""))
        status, headers, body = self._json(target, request) if target else self._s3(request)
        return response(request, status, headers, body)

    def _json(self, target: str, request: AWSPreparedRequest) -> Reply:
        service, _, operation = target.partition(".")
        asked = json.loads(request.body or b"{}")
        if service == "AmazonSQS":
            return _json(self._send_batch(asked) if "Entries" in asked else self._send(asked))
        if service == "AWSEvents":
            return _json(self._put_events(asked))
        try:
            return _json(self.table.call(operation, asked))
        except RefusedError as refused:
            return _json(refused.body, 400)

    def _send(self, asked: dict[str, Any]) -> dict[str, Any]:
        queue = asked["QueueUrl"].rpartition("/")[2]
        hops = int(asked["MessageAttributes"]["hops"]["StringValue"])
        message = Message(
            self._now() + asked.get("DelaySeconds", 0),
            json.loads(asked["MessageBody"]),
            hops=hops,
            chain=self.chain + 1,
        )
        self.longest_chain = max(self.longest_chain, message.chain)
        self.queues.setdefault(queue, []).append(message)
        return {"MessageId": "message", "MD5OfMessageBody": ""}

    def _send_batch(self, asked: dict[str, Any]) -> dict[str, Any]:
        sent = [{"Id": each["Id"], **self._send(each | {"QueueUrl": asked["QueueUrl"]})} for each in asked["Entries"]]
        return {"Successful": sent, "Failed": []}

    def _put_events(self, asked: dict[str, Any]) -> dict[str, Any]:
        for event in asked["Entries"]:
            self.events.append(event)
            if event["DetailType"] in KINDS:
                self._tell(event)
        return {"FailedEntryCount": 0, "Entries": [{"EventId": "event"} for _ in asked["Entries"]]}

    def _tell(self, event: dict[str, Any]) -> None:
        """What the rules make of an event, as deployed; tests/infra reads them."""
        time = datetime.fromtimestamp(self._now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        told = {"id": f"event-{len(self.events)}", "type": event["DetailType"], "time": time}
        for place in self.places:
            message = Message(self._now(), {**told, "detail": json.loads(event["Detail"]), **place})
            self.queues.setdefault("notify", []).append(message)

    # S3

    def put(self, key: str, body: bytes, metadata: dict[str, str] | None = None) -> Version:
        self._versions += 1
        version = Version(f"version-{self._versions:06}", body, self._now(), metadata or {})
        self.objects.setdefault(key, []).append(version)
        return version

    def read(self, key: str) -> bytes:
        return self.objects[key][-1].body

    def _s3(self, request: AWSPreparedRequest) -> Reply:
        parts = urlsplit(request.url)
        _, _, key = unquote(parts.path).lstrip("/").partition("/")
        query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        method = request.method
        if "uploadId" in query or (method == "POST" and "uploads" in query):
            return self._multipart(key, query, request)
        if method == "PUT" and key:
            return self._put_object(key, request)
        if method in {"GET", "HEAD"} and key:
            return self._get_object(key, query.get("versionId"), request)
        if method == "GET" and query.keys() & {"list-type", "versions", "uploads"}:
            return self._list(query)
        if method == "POST" and "delete" in query:
            return self._delete(_bytes(request.body).decode())
        raise LookupError(f"this stand-in has no {method} {request.url}")

    def _put_object(self, key: str, request: AWSPreparedRequest) -> Reply:
        if request.headers.get("If-None-Match") is not None and key in self.objects:
            return _xml_error(412, "PreconditionFailed")
        version = self.put(key, _bytes(request.body))
        return 200, {"ETag": version.etag, "x-amz-version-id": version.id}, b""

    def _multipart(self, key: str, query: dict[str, str], request: AWSPreparedRequest) -> Reply:
        if request.method == "POST" and "uploads" in query:
            self._begun += 1
            self.uploads[f"upload-{self._begun}"] = (key, {})
            text = f"<InitiateMultipartUploadResult><UploadId>upload-{self._begun}</UploadId>"
            return 200, {}, f"{text}</InitiateMultipartUploadResult>".encode()
        upload = query["uploadId"]
        if upload not in self.uploads:
            return _xml_error(404, "NoSuchUpload")
        if request.method == "PUT":
            return self._put_part(upload, int(query["partNumber"]), request)
        if request.method == "DELETE":
            del self.uploads[upload]
            return 204, {}, b""
        if request.method == "GET":
            return self._list_parts(upload)
        return self._complete(key, upload, request)

    def _put_part(self, upload: str, number: int, request: AWSPreparedRequest) -> Reply:
        source = _text(request.headers.get("x-amz-copy-source", ""))
        body = _bytes(request.body) if not source else self._source(source, request)
        if body is None:
            return _xml_error(404, "NoSuchKey")
        self.uploads[upload][1][number] = body
        etag = f'"part-{number}"'
        return 200, {"ETag": etag}, f"<CopyPartResult><ETag>{etag}</ETag></CopyPartResult>".encode() if source else b""

    def _source(self, source: str, request: AWSPreparedRequest) -> bytes | None:
        key = unquote(source).lstrip("/").partition("/")[2]
        if key not in self.objects:
            return None
        whole = self.read(key)
        span = _span(_text(request.headers.get("x-amz-copy-source-range", "")), len(whole))
        return whole[slice(*span)] if span else None

    def _complete(self, key: str, upload: str, request: AWSPreparedRequest) -> Reply:
        if request.headers.get("If-None-Match") is not None and key in self.objects:
            return _xml_error(412, "PreconditionFailed")
        wanted = [
            int(number) for number in re.findall(r"<PartNumber>(\d+)</PartNumber>", _bytes(request.body).decode())
        ]
        parts = self.uploads.pop(upload)[1]
        version = self.put(key, b"".join(parts[number] for number in wanted))
        text = f"<CompleteMultipartUploadResult><ETag>{escape(version.etag)}</ETag></CompleteMultipartUploadResult>"
        return 200, {"x-amz-version-id": version.id}, text.encode()

    def _list_parts(self, upload: str) -> Reply:
        found = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>part-{number}</ETag><Size>{len(body)}</Size></Part>"
            for number, body in sorted(self.uploads[upload][1].items())
        )
        return 200, {}, f"<ListPartsResult><IsTruncated>false</IsTruncated>{found}</ListPartsResult>".encode()

    def _list_uploads(self, prefix: str) -> Reply:
        found = "".join(
            f"<Upload><Key>{escape(key)}</Key><UploadId>{upload}</UploadId></Upload>"
            for upload, (key, _) in self.uploads.items()
            if key.startswith(prefix)
        )
        text = f"<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>{found}</ListMultipartUploadsResult>"
        return 200, {}, text.encode()

    def _get_object(self, key: str, version_id: str | None, request: AWSPreparedRequest) -> Reply:
        versions = self.objects.get(key, [])
        found = next((each for each in reversed(versions) if version_id in {None, each.id}), None)
        if found is None:
            code = "NoSuchVersion" if version_id and versions else "NoSuchKey"
            return (404, {}, b"") if request.method == "HEAD" else _xml_error(404, code)
        headers = {
            "ETag": found.etag,
            "x-amz-version-id": found.id,
            "Last-Modified": datetime.fromtimestamp(found.at, UTC).strftime("%a, %d %b %Y %H:%M:%S GMT"),
            **{f"x-amz-meta-{name}": value for name, value in found.metadata.items()},
        }
        span = _span(_text(request.headers.get("Range", "")), len(found.body))
        if span is None:
            return _xml_error(416, "InvalidRange")
        body = found.body[span[0] : span[1]]
        headers["Content-Length"] = str(len(body))
        return 206 if "Range" in request.headers else 200, headers, b"" if request.method == "HEAD" else body

    def _list(self, query: dict[str, str]) -> Reply:
        prefix = query.get("prefix", "")
        if "list-type" in query:
            return self._list_keys(prefix)
        return (
            self._list_versions(prefix, query.get("key-marker", ""))
            if "versions" in query
            else self._list_uploads(prefix)
        )

    def _list_keys(self, prefix: str) -> Reply:
        found = "".join(
            f"<Contents><Key>{escape(key)}</Key></Contents>" for key in sorted(self.objects) if key.startswith(prefix)
        )
        return 200, {}, f"<ListBucketResult><IsTruncated>false</IsTruncated>{found}</ListBucketResult>".encode()

    def _list_versions(self, prefix: str, after: str) -> Reply:
        found = "".join(
            f"<Version><Key>{escape(key)}</Key><VersionId>{each.id}</VersionId><Size>{len(each.body)}</Size>"
            f"<ETag>{escape(each.etag)}</ETag><IsLatest>{str(each is versions[-1]).lower()}</IsLatest>"
            f"<LastModified>{datetime.fromtimestamp(each.at, UTC).isoformat()}</LastModified></Version>"
            for key, versions in sorted(self.objects.items())
            for each in reversed(versions)
            if key.startswith(prefix) and key > after
        )
        text = f"<ListVersionsResult><IsTruncated>false</IsTruncated>{found}</ListVersionsResult>"
        return 200, {}, text.encode()

    def _delete(self, asked: str) -> Reply:
        for key, version_id in re.findall(r"<Key>(.*?)</Key><VersionId>(.*?)</VersionId>", asked):
            left = [each for each in self.objects.get(key, []) if each.id != version_id]
            if left:
                self.objects[key] = left
            else:
                self.objects.pop(key, None)
        return 200, {}, b"<DeleteResult></DeleteResult>"


def response(request: AWSPreparedRequest, status: int, headers: dict[str, str], body: bytes) -> AWSResponse:
    return AWSResponse(request.url, status, headers, MockRawResponse(body))  # type: ignore[arg-type]  # as moto does


TABLE_WRITES = frozenset({"PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems"})


def conflict(operation: str, body: dict[str, Any]) -> RefusedError | None:
    """What DynamoDB says where a transaction is at the row of a write, or at a transaction's first; None for reads."""
    if operation not in TABLE_WRITES:
        return None
    if operation != "TransactWriteItems":
        return RefusedError("TransactionConflictException")
    reasons = [{"Code": "TransactionConflict"}, *({"Code": "None"} for _ in body["TransactItems"][1:])]
    return RefusedError("TransactionCanceledException", CancellationReasons=reasons)


def throttled(request: AWSPreparedRequest) -> AWSResponse:
    """What the services say when there is too much."""
    target = _text(request.headers.get("X-Amz-Target", ""))
    if not target:
        return response(request, *_xml_error(503, "SlowDown"))
    is_table = target.startswith("DynamoDB") and not target.endswith("TransactWriteItems")
    kind = "ProvisionedThroughputExceededException" if is_table else "ThrottlingException"
    return response(request, *_json({"__type": kind, "message": "Slow down."}, 400))


def _json(body: dict[str, Any], status: int = 200) -> Reply:
    return status, {"Content-Type": "application/x-amz-json-1.0"}, json.dumps(body).encode()


def _xml_error(status: int, code: str) -> Reply:
    return status, {}, f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()


def _span(header: str, size: int) -> tuple[int, int] | None:
    """Where a range begins and ends (exclusive); None when it lies behind the end."""
    if not header:
        return 0, size
    first, last = header.removeprefix("bytes=").split("-")
    start, end = int(first), min(int(last) + 1, size) if last else size
    return (start, end) if start < size else None


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _bytes(body: Any) -> bytes:
    if body is None:
        return b""
    whole = body.read() if hasattr(body, "read") else body
    return whole.encode() if isinstance(whole, str) else bytes(whole)
