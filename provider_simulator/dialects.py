"""How servers of the same two protocols differ from the vendors: in rows of results, in batches as shown, in ids."""

import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlencode

import msgspec
from werkzeug.wrappers import Response

from provider_simulator.facts import Json, RowDialect

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

IDS = frozenset({"id", "input_file_id", "output_file_id", "error_file_id", "first_id", "last_id"})
STRANGE_TEXT = "Zürich 😀\u2028"  # raw in the results, as UTF-8
ID_QUERIES = frozenset({"after", "after_id", "before_id"})

type Holder = Callable[[Json], tuple[Json, str] | None]
"""Where a row holds its answer, or its error: an object and the key in it."""


def _answer_of(row: Json) -> tuple[Json, str] | None:
    holder, key = (row["result"], "message") if "result" in row else (row["response"] or {}, "body")
    return (holder, key) if isinstance(holder.get(key), dict) and "error" not in holder[key] else None


def _error_of(row: Json) -> tuple[Json, str] | None:
    if "result" in row:
        holder = row["result"].get("error")
    elif row["error"] is not None:
        holder = row
    else:
        holder = row["response"]["body"]
    return (holder, "error") if holder and holder.get("error") else None


def _changed(find: Holder, change: Callable[[Any], Any]) -> Callable[[Json], None]:
    def apply(row: Json) -> None:
        found = find(row)
        if found is not None:
            holder, key = found
            holder[key] = change(holder[key])

    return apply


def _with_strange_keys(row: Json) -> None:
    row["x_node"] = {"rack": 7, "choices": None}
    for each in (row.get("response"), row.get("result")):
        if each:
            each["x_ms"] = 12.5
    found = _answer_of(row)
    if found is not None:
        holder, key = found
        holder[key]["x_city"] = STRANGE_TEXT


def _without_status(row: Json) -> None:
    if row.get("response"):
        del row["response"]["status_code"]


def _error_in_text(row: Json) -> None:
    if row.get("response") and "error" in row["response"]["body"]:
        row["response"]["body"] = json.dumps(row["response"]["body"])
    elif row.get("result", {}).get("error"):
        row["result"]["error"] = json.dumps(row["result"]["error"])


ROWS: Mapping[RowDialect, Callable[[Json], None]] = {
    "answer_as_text": _changed(_answer_of, lambda body: json.dumps(body, indent=1)),
    "no_choices": _changed(
        _answer_of, lambda body: {key: body[key] for key in body if key not in {"choices", "content"}}
    ),
    "strange_keys": _with_strange_keys,
    "no_status": _without_status,
    "error_as_text": _changed(_error_of, lambda error: error["message"]),
    "error_in_error": _changed(_error_of, lambda error: {"error": error}),
    "error_code_a_number": _changed(_error_of, lambda error: {"code": 400, "message": error["message"]}),
    "error_in_text_body": _error_in_text,
}


def rewritten(response: Response, values: Json, without: list[str]) -> Response:
    """The same answer, but each batch in it has these values, and lacks these keys."""
    shown = msgspec.json.decode(response.get_data())
    for batch in shown.get("data", [shown]):
        batch.update(values)
        for key in without:
            batch.pop(key, None)
    return Response(msgspec.json.encode(shown), status=response.status_code, content_type="application/json")


def with_ids(response: Response, prefix: str) -> Response:
    """The same answer, but every id in it begins with this prefix."""
    if response.content_type != "application/json":
        return response
    shown = msgspec.json.decode(response.get_data())
    for each in (shown, *shown.get("data", [])):
        each.update((key, prefix + each[key]) for key in IDS & each.keys() if each[key])
    response.set_data(msgspec.json.encode(shown))
    return response


def without_ids(environ: "WSGIEnvironment", prefix: str) -> None:
    """Take the prefix off the ids of a call, wherever it has one."""
    environ["PATH_INFO"] = environ["PATH_INFO"].replace(prefix, "")
    query = parse_qsl(environ.get("QUERY_STRING", ""))
    environ["QUERY_STRING"] = urlencode([(k, v.removeprefix(prefix) if k in ID_QUERIES else v) for k, v in query])
