"""An AWS in memory that lets a step do what its role allows, and nothing else: as the documentation's table has it.

A call needs what AWS asks for it: a transaction is allowed item by item, a query by its index, a copy also as a read
(https://docs.aws.amazon.com/service-authorization/latest/reference/). The table is made from the template.
"""

import json
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from botocore.awsrequest import AWSPreparedRequest, AWSResponse

from faults.aws import Aws, response
from faults.table import Item, RefusedError, Table

GRANTS = Path(__file__).parents[2] / "docs/grants.md"
_ROW = re.compile(r"\| (\w+) \| `([\w:]+)` \| (.+) \|")
_BUCKET, _TABLE = "bucket", "table"
_ITEMS = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem"}


class Grant(NamedTuple):
    """What a step may do, or does: `table`, `table, index due`, `bucket`, `bucket, work/`, `queue plan`."""

    step: str
    action: str
    resource: str


@cache
def grants(path: Path = GRANTS) -> frozenset[Grant]:
    """What the documentation says that each step may do."""
    return frozenset(Grant(*row) for row in _ROW.findall(path.read_text(encoding="utf-8")))


class GrantedAws(Aws):
    """`step` is the one that is at work, or None where a person is."""

    def reset(self) -> None:
        super().reset()
        self.step: str | None = None
        self.used: set[Grant] = getattr(self, "used", set())
        self.table = _GrantedTable(self)

    def answer(self, request: AWSPreparedRequest) -> AWSResponse:
        needed = _of_message(request) if "X-Amz-Target" in request.headers else _of_s3(request)
        if not self.may(needed):
            return response(request, 403, {}, b"<Error><Code>AccessDenied</Code></Error>")
        return super().answer(request)

    def may(self, needed: Iterable[tuple[str, str]]) -> bool:
        if self.step is None:
            return True
        asked = {Grant(self.step, action, resource) for action, resource in needed}
        self.used |= asked
        return asked <= grants()


class _GrantedTable(Table):
    def __init__(self, aws: GrantedAws) -> None:
        super().__init__()
        self._aws = aws

    def call(self, operation: str, body: Item) -> Item:
        if not self._aws.may(_of_table(operation, body)):
            raise RefusedError("AccessDeniedException")
        return super().call(operation, body)


def _of_table(operation: str, body: Item) -> Iterator[tuple[str, str]]:
    if operation == "TransactWriteItems":
        yield from ((f"dynamodb:{_ITEMS[kind]}", _TABLE) for each in body["TransactItems"] for kind in each)
    else:
        index = body.get("IndexName")
        yield f"dynamodb:{operation}", f"{_TABLE}, index {index}" if index else _TABLE


def _of_message(request: AWSPreparedRequest) -> Iterator[tuple[str, str]]:
    if _text(request.headers["X-Amz-Target"]).startswith("AWSEvents"):
        sources = {each["Source"] for each in json.loads(request.body)["Entries"]}
        yield from (("events:PutEvents", f"default event bus, as {source}") for source in sources)
    else:
        yield "sqs:SendMessage", f"queue {json.loads(request.body)['QueueUrl'].rpartition('/')[2]}"


def _of_s3(request: AWSPreparedRequest) -> Iterator[tuple[str, str]]:
    parts = urlsplit(request.url)
    key = unquote(parts.path).lstrip("/").partition("/")[2]
    query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
    source = _text(request.headers.get("x-amz-copy-source", ""))
    if source:
        yield "s3:GetObject", _folder(unquote(source).lstrip("/").partition("/")[2])
    match request.method:
        case "GET" | "HEAD" if not key:
            kinds = {"versions": "Versions", "uploads": "MultipartUploads", "list-type": ""}
            yield f"s3:ListBucket{next(kinds[name] for name in kinds if name in query)}", _BUCKET
        case "GET" if "uploadId" in query:
            yield "s3:ListMultipartUploadParts", _folder(key)
        case "GET" | "HEAD":
            yield f"s3:GetObject{'Version' if 'versionId' in query else ''}", _folder(key)
        case "DELETE":
            yield "s3:AbortMultipartUpload", _folder(key)
        case "POST" if "delete" in query:
            doomed = re.findall(r"<Key>(.*?)</Key><VersionId>", _text(request.body))
            yield from (("s3:DeleteObjectVersion", _folder(each)) for each in doomed)
        case _:
            yield "s3:PutObject", _folder(key)


def _folder(key: str) -> str:
    return f"{_BUCKET}, {key.partition('/')[0]}/"


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes | bytearray) else str(value)
