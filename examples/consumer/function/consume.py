# ruff: noqa: INP001 - a program of its own, not a package
"""Counts the answers' labels of a finished job, by model, and writes one row for it. Nothing but boto3 is needed.

The event comes at least once, the row is written exactly once.

The row is the thing that is done, and its write is conditional: of any number of runs one writes it. A consumer whose
effect lies elsewhere claims the job in this way first, or hands `job` on as the key for doing it once.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from functools import cache
from typing import Any

import boto3

LABELS = frozenset({"positive", "negative", "neutral"})
_CHUNK = 1024 * 1024


def handler(event: dict[str, Any], _context: object) -> None:
    """One message of the queue, as the event source is set: an EventBridge event of a finished job.

    An error raises: the queue brings the message again, and puts it aside after some tries.
    """
    for record in event["Records"]:
        take_job(json.loads(record["body"])["detail"], s3=_s3(), table=_table())


@cache
def _s3() -> Any:  # noqa: ANN401 - boto3's clients have no type of their own
    return boto3.client("s3")


@cache
def _table() -> Any:  # noqa: ANN401 - as above
    return boto3.resource("dynamodb").Table(os.environ["TABLE"])


def take_job(detail: dict[str, Any], *, s3: Any, table: Any) -> bool:  # noqa: ANN401 - boto3, as above
    """Summarise one job. False when that was done before."""
    if "Item" in table.get_item(Key={"job": detail["job"]}, ConsistentRead=True):
        return False
    manifest = read_manifest(detail["manifest"], s3)
    row = {
        "job": manifest["job"],
        "file": manifest["input"]["key"],
        "answered": manifest["counts"]["answered"],
        "failed": manifest["counts"]["failed"],
        "labels": count_labels(result_lines(manifest, s3)),
    }
    try:
        table.put_item(Item=row, ConditionExpression="attribute_not_exists(job)")
    except table.meta.client.exceptions.ConditionalCheckFailedException:
        return False
    return True


def read_manifest(where: dict[str, str], s3: Any) -> dict[str, Any]:  # noqa: ANN401 - boto3, as above
    answer = s3.get_object(Bucket=where["bucket"], Key=where["key"], **version(where))
    manifest: dict[str, Any] = json.loads(answer["Body"].read(), parse_float=Decimal)
    return manifest


def result_lines(manifest: dict[str, Any], s3: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - boto3, as above
    """The result lines of every part that the manifest names, one at a time."""
    for part in manifest["files"]["results"]:
        answer = s3.get_object(Bucket=manifest["input"]["bucket"], Key=part["key"], **version(part))
        for line in cut(answer["Body"].iter_chunks(_CHUNK)):
            yield json.loads(line)


def version(where: dict[str, Any]) -> dict[str, str]:
    return {"VersionId": where["version_id"]} if where["version_id"] else {}


def cut(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Lines of a stream: they end at a line feed and nowhere else."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from lines
    if rest:
        yield rest


def count_labels(lines: Iterator[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """How often each model gave each label; what is no label counts as `other`, what is no text not at all."""
    counts: dict[str, Counter[str]] = {}
    for line in lines:
        text = None if line["error"] else text_of(line)
        if text is not None:
            counts.setdefault(line["model"], Counter())[label_of(text)] += 1
    return {model: dict(labels) for model, labels in counts.items()}


def label_of(text: str) -> str:
    first = text.lower().split(maxsplit=1)[:1]
    word = "".join(first).strip(".,:;!\"'*")
    return word if word in LABELS else "other"


def text_of(line: dict[str, Any]) -> str | None:
    """The text of an answer; `endpoint` tells its body's shape. None for what has no text."""
    body = line["response"]["body"]
    match line["endpoint"]:
        case "/v1/chat/completions":
            return body["choices"][0]["message"].get("content") or ""
        case "/v1/messages":
            return "".join(part["text"] for part in body["content"] if part["type"] == "text")
        case "/v1/responses":
            parts = (part for output in body["output"] for part in output.get("content") or ())
            return "".join(part["text"] for part in parts if part["type"] == "output_text")
        case _:
            return None
