"""DynamoDB for a whole cloud in one process: the table in memory answers, not moto.

A step makes hundreds of calls: each takes moto milliseconds, and botocore half of one before it is sent. A test holds
the table against moto, call by call. `Store` has a `TableClient`; clients that boto3 makes are answered, too.
"""

import inspect
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, cached_property, partial
from typing import Any, NamedTuple

import boto3
import msgspec
from botocore import handlers, hooks, session
from botocore.compat import accepts_kwargs
from botocore.config import Config
from botocore.hooks import EventAliaser, HierarchicalEmitter
from botocore.loaders import Loader, create_loader
from faults.table import RefusedError, Table

_tables: list[Table] = []  # the innermost cloud's last


class TableClient:
    """What `Store` calls of boto3's client, straight on the table: the same arguments, answers and exceptions.

    Those who registered for `before-call` and `after-call` are told of each call.
    """

    def __init__(self, table: Table) -> None:
        self._table = table
        self._real = _client()
        self.exceptions = self._real.exceptions
        self.meta = _Meta()

    def __getattr__(self, method: str) -> Any:
        operation = self._real.meta.method_to_api_mapping[method]
        return partial(self._call, operation)

    def get_paginator(self, method: str) -> "_Pages":
        return _Pages(getattr(self, method))

    def _call(self, operation: str, **arguments: Any) -> dict[str, Any]:
        sent = msgspec.json.decode(msgspec.json.encode(arguments))  # the caller's values stay the caller's
        self._tell(f"before-call.dynamodb.{operation}")
        try:
            answer = self._table.call(operation, sent)
        except RefusedError as refused:
            raise self.exceptions.from_code(refused.code)(refused.answer(), operation) from None
        self._tell(f"after-call.dynamodb.{operation}", parsed=answer)
        return answer

    def _tell(self, event: str, **told: Any) -> None:
        if "events" in vars(self.meta):  # somebody has registered
            self.meta.events.emit(event, **told)


class _Meta:
    @cached_property
    def events(self) -> HierarchicalEmitter:
        return HierarchicalEmitter()


class _Pages(NamedTuple):
    call: Any

    def paginate(self, **arguments: Any) -> Iterator[dict[str, Any]]:
        page = self.call(**arguments)
        yield page
        while "LastEvaluatedKey" in page:
            page = self.call(**arguments, ExclusiveStartKey=page["LastEvaluatedKey"])
            yield page


@cache
def _client() -> Any:
    return boto3.client("dynamodb", region_name="us-east-1")


class _Http(NamedTuple):
    status_code: int


@contextmanager
def table_in_memory(table: Table) -> Iterator[None]:
    """Let `table` answer all calls of DynamoDB clients, whoever makes them."""
    _tables.append(table)
    try:
        yield
    finally:
        _tables.pop()


@contextmanager
def one_session() -> Iterator[None]:
    """Let boto3 make clients from the same session in all clouds."""
    before, boto3.DEFAULT_SESSION = boto3.DEFAULT_SESSION, _session()
    try:
        yield
    finally:
        boto3.DEFAULT_SESSION = before


@cache
def _session() -> boto3.Session:
    """One for all clouds: a new one reads the models of its services from the disk."""
    core = session.get_session()
    core.set_default_client_config(Config(user_agent="batchdrop's tests"))  # botocore makes its own anew for each call
    return boto3.Session(botocore_session=core)


def _answer(model: Any, params: dict[str, Any], **_: object) -> tuple[_Http, dict[str, Any]] | None:
    if not _tables:
        return None
    try:
        return _Http(200), _tables[-1].call(model.name, json.loads(params["body"]))
    except RefusedError as refused:
        return _Http(400), refused.answer()


def _with_all_models(search_path: str | None = None) -> Loader:
    """A loader of botocore's that has what an earlier one has read: megabytes of JSON, for each session anew."""
    loader = create_loader(search_path)
    loader._cache = _models  # noqa: SLF001 - botocore offers no other way in
    return loader


def _accepts_kwargs(handler: Callable[..., Any]) -> bool:
    """What botocore asks of a hundred handlers for each session and client; it reads their whole signatures."""
    code = getattr(handler, "__code__", None)
    return accepts_kwargs(handler) if code is None else bool(code.co_flags & inspect.CO_VARKEYWORDS)


_models: dict[Any, Any] = {}
session.create_loader = _with_all_models
hooks.accepts_kwargs = _accepts_kwargs
# The aliases are the same in all sessions: one of them remembers for all.
EventAliaser._alias_event_name = staticmethod(EventAliaser(None)._alias_event_name)  # noqa: SLF001 - the same
handlers.BUILTIN_HANDLERS.append(("before-call.dynamodb", _answer))
