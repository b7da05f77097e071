"""A template: what a row of data becomes, as `[template]` of a `batchdrop.toml` has it. Pure.

The body is read once into pieces of JSON with slots between them. A slot takes a value that is JSON already, so that
what stands in a row never becomes structure: a text goes into a text as it is escaped in the row.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw

from batchdrop.errors import Unprocessable
from batchdrop.inputs.route_problems import unknown_model
from batchdrop.protocols import anthropic, openai
from batchdrop.protocols.request_checks import LineProblem, read_body
from batchdrop.providers.config import Providers, endpoints_of
from batchdrop.records import Protocol
from batchdrop.result_line import ErrorCode

_OPENS, _CLOSES = "{{", "}}"
_LITERAL = '"{{"'  # {{ "{{" }} stands for {{
_JSON = "json "
_QUOTE = b'"'
_NULL = Raw(b"null")


class Template(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A `[template]`: the request of each row.

    Attributes:
        model: Which model is asked.
        body: The request without its model; `{{ column }}` in its strings stands for a row's value.
        endpoint: Where it is sent; None where model and body tell.
        id_column: The column that is the request's custom_id.
        keep: The columns that come back in the results.
    """

    model: str
    body: dict[str, Any]
    endpoint: str | None = None
    id_column: str | None = None
    keep: tuple[str, ...] = ()


class _Slot(NamedTuple):
    """A place for the value of a column: within a text, or (`is_json`) as the value itself."""

    column: str
    is_json: bool


class Rendering:
    """A template that was read: it makes requests of rows.

    Args:
        template: The template.
        providers: Where its model goes.

    Raises:
        Unprocessable: It makes no request, whatever the row; the message says why.
    """

    def __init__(self, template: Template, providers: Providers) -> None:
        self.template = template
        try:
            pieces = list(_joined(_pieces({"model": template.model, **template.body})))
            self._slots = [each for each in pieces if isinstance(each, _Slot)]
            self.endpoint = template.endpoint or _endpoint_of(template, _sample(pieces), providers)
        except (LineProblem, RecursionError) as problem:
            why = problem.message if isinstance(problem, LineProblem) else "its body is nested too deeply"
            raise Unprocessable(f"[template]: {why}.") from None
        start = b'{"custom_id":"","method":"POST","url":%b,"body":' % msgspec.json.encode(self.endpoint)
        escaped = [b"%b" if isinstance(each, _Slot) else each.replace(b"%", b"%%") for each in pieces]
        self._form = b"".join((start.replace(b"%", b"%%"), *escaped, b"}\n"))
        wanted = [each.column for each in self._slots]
        self.columns = tuple(dict.fromkeys([*wanted, *([template.id_column] if template.id_column else [])]))

    def size(self, rows: Sequence[Mapping[str, Raw]]) -> int:
        """About how many bytes the requests of rows have, before they are made.

        Raises:
            KeyError: A row has not all columns.
        """
        values = sum(memoryview(row[slot.column]).nbytes for slot in self._slots for row in rows)
        return len(self._form) * len(rows) + values

    def lines(self, rows: Sequence[Mapping[str, Raw]]) -> bytes:
        """The request lines of rows, in OpenAI's batch form, with an empty custom_id.

        Raises:
            KeyError: A row has not all columns.
        """
        if not self._slots:
            return self._form.replace(b"%%", b"%") * len(rows)
        columns = [_values(slot, rows) for slot in self._slots]
        return self._form * len(rows) % tuple(chain.from_iterable(zip(*columns, strict=True)))

    def custom_id(self, row: Mapping[str, Raw]) -> Raw:
        """The request's custom_id; null where the template names no column for it."""
        return row[self.template.id_column] if self.template.id_column else _NULL

    def kept(self, row: Mapping[str, Raw]) -> Raw:
        """The columns that come back, as a JSON object; null where the template keeps none."""
        if not self.template.keep:
            return _NULL
        return Raw(msgspec.json.encode({name: row[name] for name in self.template.keep if name in row}))


def read_template(table: object, source: str) -> Template | None:
    """A template as a settings file has it; None for an empty table, which turns off that of a folder above.

    Raises:
        Unprocessable: It has no sense; the message begins with `source`.
    """
    if table == {}:
        return None
    try:
        values = dict(table) if isinstance(table, dict) else table
        if isinstance(values, dict) and isinstance(values.get("body"), str):
            values["body"] = msgspec.json.decode(values["body"])
        template = msgspec.convert(values, Template)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$.")
        named = f".{where.rstrip('`')}" if where else ""
        raise Unprocessable(f"{source}: [template]{named}: {what}") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise Unprocessable(f"{source}: [template].body is not JSON: {error}") from None
    named_twice = template.body.get("model", template.model)
    if named_twice != template.model:
        raise Unprocessable(f"{source}: [template].body names another model than [template].model")
    if len({*template.keep}) < len(template.keep):
        raise Unprocessable(f"{source}: [template].keep names a column twice")
    twice = next((name for name in template.keep if f"in.{name}" in template.keep), None)
    if twice is not None:
        raise Unprocessable(
            f'{source}: [template].keep names "{twice:.100}" and "in.{twice:.100}", which may be one column of the '
            "answers: rename one of them"
        )
    if _OPENS in template.model:
        raise Unprocessable(f"{source}: [template].model must be one model: drop a file for each")
    return template


def _values(slot: _Slot, rows: Sequence[Mapping[str, Raw]]) -> list[bytes]:
    values = [bytes(row[slot.column]) for row in rows]
    return values if slot.is_json else [_within_text(value) for value in values]


def _within_text(value: bytes) -> bytes:
    """A JSON value as a text holds it: a text as it is escaped, null as nothing, any other as JSON."""
    first = value[:1]
    if first == _QUOTE:
        return value[1:-1]
    if first in (b"{", b"["):
        return msgspec.json.encode(value.decode())[1:-1]
    return b"" if value == b"null" else value


def _pieces(value: object) -> Iterator[bytes | _Slot]:
    match value:
        case dict():
            yield from _object_pieces(value)
        case list():
            yield b"["
            for at, each in enumerate(value):
                yield b"," if at else b""
                yield from _pieces(each)
            yield b"]"
        case str() if _OPENS in value:
            yield from _text_pieces(value)
        case None | bool() | int() | str():
            yield msgspec.json.encode(value)
        case float() if math.isfinite(value):
            yield msgspec.json.encode(value)
        case _:
            raise _problem(f"its body holds a {type(value).__name__} that JSON does not have: write it as a string")


def _object_pieces(value: dict[str, object]) -> Iterator[bytes | _Slot]:
    yield b"{"
    for at, (name, each) in enumerate(value.items()):
        if _OPENS in name:
            raise _problem(f"the name {name!r:.60} holds {{{{: columns can stand in strings only, not in names")
        yield (b"," if at else b"") + msgspec.json.encode(name) + b":"
        yield from _pieces(each)
    yield b"}"


def _text_pieces(text: str) -> Iterator[bytes | _Slot]:
    found = list(_split(text))
    whole = [each for each in found if each != ""]
    if len(whole) == 1 and isinstance(whole[0], _Slot) and whole[0].is_json:
        yield whole[0]
        return
    yield _QUOTE
    for each in whole:
        if isinstance(each, _Slot) and each.is_json:
            raise _problem(f"{{{{ json {each.column:.60} }}}} must be alone in its string: its value is not text")
        yield each if isinstance(each, _Slot) else msgspec.json.encode(each)[1:-1]
    yield _QUOTE


def _split(text: str) -> Iterator[str | _Slot]:
    at = 0
    while (start := text.find(_OPENS, at)) >= 0:
        end = text.find(_CLOSES, start + len(_OPENS))
        if end < 0:
            # The text is not shown: it is a prompt, and the message becomes the job's reason.
            raise _problem(
                f"no }}}} closes the {{{{ at character {start + 1:,} of its string: a {{{{ of the text is written "
                '{{ "{{" }}'
            )
        yield text[at:start]
        yield _slot(text[start + len(_OPENS) : end].strip())
        at = end + len(_CLOSES)
    yield text[at:]


def _slot(words: str) -> str | _Slot:
    if words == _LITERAL:
        return _OPENS
    is_json = words.startswith(_JSON)
    column = words.removeprefix(_JSON).strip()
    if not column or _OPENS in column:
        raise _problem("a {{ }} names no column: write {{ column }}")
    return _Slot(column, is_json)


def _joined(pieces: Iterator[bytes | _Slot]) -> Iterator[bytes | _Slot]:
    """The same with neighbours that are no slots as one."""
    held: list[bytes] = []
    for each in pieces:
        if isinstance(each, _Slot):
            yield b"".join(held)
            yield each
            held = []
        else:
            held.append(each)
    yield b"".join(held)


def _problem(why: str) -> LineProblem:
    return LineProblem(ErrorCode.TEMPLATE, why)


def _sample(pieces: list[bytes | _Slot]) -> Raw:
    """The body of some row."""
    filled = ((_NULL if each.is_json else b"x") if isinstance(each, _Slot) else each for each in pieces)
    return Raw(b"".join(map(bytes, filled)))


def _endpoint_of(template: Template, body: Raw, providers: Providers) -> str:
    provider, wire_model = providers.route(template.model)
    if provider is None:
        raise unknown_model(template.model, providers)
    if provider.protocol is Protocol.ANTHROPIC:
        return anthropic.bare_endpoint(body)
    try:
        return openai.bare_endpoint(read_body(body), wire_model, endpoints_of(wire_model, provider))
    except LineProblem:
        raise _problem('model and body do not determine the endpoint: add endpoint = "/v1/…"') from None
