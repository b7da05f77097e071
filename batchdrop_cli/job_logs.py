"""Reads the log lines about a job, of all functions, in the order of time.

On AWS CloudWatch filters, a log group at a time; the local cloud's logs are files. Each line that a function logs
while it works on a job has the job's id as its `correlation_id`.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from batchdrop.records import Job

from batchdrop_cli.cloud import Cloud
from batchdrop_cli.deployed import find_parts
from batchdrop_cli.say import count, say

if TYPE_CHECKING:
    from mypy_boto3_logs import CloudWatchLogsClient

_KNOWN = frozenset({"timestamp", "service", "level", "message", "correlation_id"})
# Of the run, not of the job: the request's and the function's names, and where in the code the line stands.
_LEFT_OUT = frozenset({"location", "xray_trace_id"})
_LEFT_OUT_BEGIN = ("function_", "cold_start")
_COUNTS = {  # that a person reads
    "requests": ("request", None),
    "answered": ("answered", "answered"),
    "failed": ("failed", "failed"),
    "lines": ("line", None),
    "batches": ("batch", "batches"),
}
_WORDS = {"source rewritten": "file made JSON lines"}
_WHYS = ("reason", "error", "code", "kind")
_WRONG = frozenset({"WARNING", "ERROR", "CRITICAL"})


class LoggedLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of `logs --json`: `details` is what it says beside its message."""

    at: str
    step: str
    level: str
    message: str
    details: dict[str, Any]


def lines_of(cloud: Cloud, job: Job) -> list[LoggedLine]:
    """A job's lines in the order of time: a few for each batch.

    Neither a file nor CloudWatch keeps that order: what one run of a function logs comes when the run ends.
    """
    sources = _local_sources(Path(cloud.logs), job) if cloud.logs is not None else _aws_sources(cloud, job)
    return sorted(chain.from_iterable(sources), key=attrgetter("at"))


def _local_sources(folder: Path, job: Job) -> list[Iterator[LoggedLine]]:
    return [_of_file(path, job.id) for path in sorted((folder / "functions").glob("*.log*"))]


def _of_file(path: Path, job: str) -> Iterator[LoggedLine]:
    with path.open(encoding="utf-8", errors="replace") as file:
        for text in file:
            line = read_logged(text, job) if job in text else None
            if line is not None:
                yield line


def _aws_sources(cloud: Cloud, job: Job) -> list[Iterator[LoggedLine]]:
    client: CloudWatchLogsClient = cloud.client("logs")
    return [_of_group(client, group, job) for group in find_parts(cloud).logs.values()]


def _of_group(client: "CloudWatchLogsClient", group: str, job: Job) -> Iterator[LoggedLine]:
    pages = client.get_paginator("filter_log_events").paginate(
        logGroupName=group,
        filterPattern=f'{{ $.correlation_id = "{job.id}" }}',
        startTime=job.dropped_at * 1_000,
    )
    for page in pages:
        for event in page["events"]:
            line = read_logged(event["message"], job.id)
            if line is not None:
                yield line


def read_logged(text: str, job: str) -> LoggedLine | None:
    """A line about the job; None for another's, and for what is no line of ours."""
    try:
        fields = msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.DecodeError:
        return None
    if fields.get("correlation_id") != job:
        return None
    return LoggedLine(
        at=_utc(str(fields.get("timestamp", ""))),
        step=str(fields.get("service", "")),
        level=str(fields.get("level", "")),
        message=str(fields.get("message", "")),
        details={name: value for name, value in fields.items() if _is_shown(name)},
    )


def _is_shown(name: str) -> bool:
    return name not in _KNOWN | _LEFT_OUT and not name.startswith(_LEFT_OUT_BEGIN)


def _utc(text: str) -> str:
    """Powertools' time in the function's zone, with milliseconds; the text itself where it is none."""
    try:
        found = datetime.strptime(text, "%Y-%m-%d %H:%M:%S,%f%z")
    except ValueError:
        return text
    return f"{found.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{found.microsecond // 1_000:03}Z"


def say_logged(line: LoggedLine) -> None:
    """A line for a person: when, which step, how bad, what happened to which batch, and why where it went wrong."""
    style = {"ERROR": "red", "CRITICAL": "red", "WARNING": "yellow"}.get(line.level)
    at = line.at.partition(".")[0].replace("T", " ")
    say(f"{at}  {line.step:8} {line.level.lower():7} {_sentence(line)}".rstrip(), style=style)


def _sentence(line: LoggedLine) -> str:
    """`Batch collected: 9 answered, 1 failed (batch 00000-0-0001)`; the rest where something went wrong."""
    words = _WORDS.get(line.message) or re.sub(r"\bsplit\b", "part of the file", line.message)
    counts = [
        count(line.details[name], noun, plural)
        for name, (noun, plural) in _COUNTS.items()
        if isinstance(line.details.get(name), int)
    ]
    whys = [_short(line.details[name]) for name in _WHYS if line.details.get(name) and line.level != "INFO"]
    details = ", ".join([*counts, *whys])
    batch = f" (batch {line.details['batch']})" if "batch" in line.details else ""
    return f"{words[:1].upper()}{words[1:]}{': ' if details else ''}{details}{batch}{_rest(line)}"


def _rest(line: LoggedLine) -> str:
    """Return the other fields of a warning's line, as ` name=value` each."""
    if line.level not in _WRONG:
        return ""
    shown = {*_COUNTS, *_WHYS, "batch"}
    more = {name: value for name, value in line.details.items() if name not in shown and value is not None}
    return "".join(f" {name}={_short(value)}" for name, value in more.items())


def _short(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
