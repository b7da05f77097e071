"""DynamoDB for a whole cloud in one process: boto3's clients get their answers from the table in memory, not from moto.

A step makes hundreds of calls, and each takes moto milliseconds. A test holds the table against moto, call by call.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

import boto3
from faults.table import RefusedError, Table

from faking.empty_queues import answer_if_empty

_tables: list[Table] = []  # the innermost cloud's last


class _Http(NamedTuple):
    status_code: int


@contextmanager
def table_in_memory(table: Table) -> Iterator[None]:
    """Let `table` answer all calls of DynamoDB clients that boto3 makes meanwhile."""
    before, boto3.DEFAULT_SESSION = boto3.DEFAULT_SESSION, _session()
    _tables.append(table)
    try:
        yield
    finally:
        _tables.pop()
        boto3.DEFAULT_SESSION = before


@cache
def _session() -> boto3.Session:
    """One for all clouds: a new one reads the models of its services from the disk."""
    session = boto3.Session()
    session.events.register("before-call.dynamodb", _answer)
    session.events.register("before-call.sqs", answer_if_empty)
    return session


def _answer(model: Any, params: dict[str, Any], **_: object) -> tuple[_Http, dict[str, Any]]:
    try:
        return _Http(200), _tables[-1].call(model.name, json.loads(params["body"]))
    except RefusedError as refused:
        return _Http(400), refused.answer()
