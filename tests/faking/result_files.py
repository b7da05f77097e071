"""Result files as providers may write them: usual answers, and among them rows with every fault that is known."""

import json
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

type Json = dict[str, Any]

_DEEP = "[" * 600 + "]" * 600
_TOO_DEEP = "[" * 20_000 + "]" * 20_000


def gpt(custom_id: object, *, text: str = "x", **body: object) -> Json:
    usage = {
        "prompt_tokens": 9,
        "completion_tokens": 7,
        "prompt_tokens_details": {"cached_tokens": 3},
        "completion_tokens_details": {"reasoning_tokens": 2},
    }
    choice = {"index": 0, "message": {"content": text}, "finish_reason": "stop"}
    answer = {"object": "chat.completion", "choices": [choice], "usage": usage, **body}
    response = {"status_code": 200, "request_id": "r/1", "body": answer}
    return {"id": "batch_req_é", "custom_id": custom_id, "response": response, "error": None}


def claude(custom_id: object, *, text: str = "x", **body: object) -> Json:
    usage = {"input_tokens": 9, "output_tokens": 7, "cache_read_input_tokens": 3, "cache_creation_input_tokens": None}
    message = {"type": "message", "content": [{"text": text}], "stop_reason": "end_turn", "usage": usage, **body}
    return {"custom_id": custom_id, "result": {"type": "succeeded", "message": message}}


def failed(row: Json, kind: str) -> Json:
    """The same request's row, with an error."""
    if "result" not in row:
        return {**row, "response": None, "error": {"code": kind, "message": "no"}}
    if kind in {"expired", "canceled", "cancelled", "unheard_of"}:
        return {**row, "result": {"type": kind}}
    return {**row, "result": {"type": "errored", "error": {"type": "error", "error": {"type": kind, "message": "no"}}}}


def with_answer(row: Json, answer: object) -> Json:
    if "result" in row:
        return {**row, "result": {**row["result"], "message": answer}}
    return {**row, "response": {**row["response"], "body": answer}}


def answer_of(row: Json) -> Json:
    found: Json = row["result"]["message"] if "result" in row else row["response"]["body"]
    return found


def _compact(row: Json) -> bytes:
    return json.dumps(row, separators=(",", ":"), ensure_ascii=False).encode()


ERRORS = (
    "server_error",
    "invalid_request_error",
    "overloaded_error",
    "batch_expired",
    "batch_cancelled",
    "expired",
    "canceled",
    "cancelled",
    "unheard_of",
    "insufficient_quota",
    "billing_error",
    "billing_hard_limit_reached",
    "two words",
)
# Changes of a row, before it is written.
_CHANGES: dict[str, Callable[[Json], Json]] = {
    **{each: lambda row, each=each: failed(row, each) for each in ERRORS},  # type: ignore[misc]
    "an error beside the answer": lambda row: {**row, "error": {"code": "odd"}},
    "an empty error beside it": lambda row: {**row, "error": {}},
    "a status that is no success": lambda row: {**row, "response": {**row.get("response", {}), "status_code": 429}},
    "a status of 204": lambda row: {**row, "response": {**row.get("response", {}), "status_code": 204}},
    "a status as text": lambda row: {**row, "response": {**row.get("response", {}), "status_code": "200"}},
    "a status with a fraction": lambda row: {**row, "response": {**row.get("response", {}), "status_code": 200.0}},
    "no status": lambda row: {**row, "response": {"body": row.get("response", {}).get("body")}},
    "a number for an id": lambda row: {**row, "id": 7, "response": {**row.get("response", {}), "request_id": 7}},
    "an error of a row with an answer": lambda row: {**row, "result": {**row.get("result", {}), "type": "expired"}},
    "no response": lambda row: {name: row[name] for name in row if name not in {"response", "result"}},
    "an error within": lambda row: with_answer(row, {**answer_of(row), "error": {"code": "odd"}}),
    "an empty error within": lambda row: with_answer(row, {**answer_of(row), "error": ""}),
    "null for an error within": lambda row: with_answer(row, {**answer_of(row), "error": None}),
    "an empty answer": lambda row: with_answer(row, {}),
    "an answer of nothing": lambda row: with_answer(row, None),
    "an answer of blanks": lambda row: with_answer(row, "  "),
    "an answer of text": lambda row: with_answer(row, "yes"),
    "an answer of a list": lambda row: with_answer(row, [1]),
    "an answer as text": lambda row: with_answer(row, json.dumps(answer_of(row), indent=1)),
    "an answer of another kind": lambda row: with_answer(row, {"id": "y"}),
    "an empty kind": lambda row: with_answer(row, {**answer_of(row), "object": "", "type": ""}),
    "no usage": lambda row: with_answer(row, {**answer_of(row), "usage": None}),
    "usage that is none": lambda row: with_answer(row, {**answer_of(row), "usage": "much"}),
    "usage below nothing": lambda row: with_answer(row, {**answer_of(row), "usage": {"output_tokens": -1}}),
    "usage beyond sense": lambda row: with_answer(row, {**answer_of(row), "usage": {"output_tokens": 2**50}}),
    "usage with fractions": lambda row: with_answer(row, {**answer_of(row), "usage": {"output_tokens": 9.0}}),
    "usage of responses": lambda row: with_answer(
        row,
        {
            "object": "response",
            "type": "message",
            "status": "incomplete",
            "incomplete_details": {"reason": "content_filter"},
            "usage": {
                "input_tokens": 9,
                "output_tokens": 8,
                "input_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 2},
                "output_tokens_details": {"reasoning_tokens": None, "thinking_tokens": 4},
            },
        },
    ),
    "no choice": lambda row: with_answer(row, {**answer_of(row), "choices": [], "status": "completed"}),
    "a long reason": lambda row: with_answer(row, {**answer_of(row), "stop_reason": "a sentence", "choices": [{}]}),
    "text of the world": lambda row: with_answer(row, {**answer_of(row), "text": "日本語 é \u2028 😀"}),
    "a long answer": lambda row: with_answer(row, {**answer_of(row), "text": "x" * 5_000}),
    "a text that looks like two rows": lambda row: with_answer(row, {**answer_of(row), "text": "}\n{"}),
}
# Changes of a custom_id.
_NAMES: dict[str, Callable[[str], object]] = {
    "a foreign batch's": lambda name: name.replace("0", "1"),
    "another deployment's": lambda name: f"other{name[name.index('-') :]}",
    "none": lambda _: None,
    "an empty one": lambda _: "",
    "a number": lambda _: 5,
    "nobody's": lambda _: "a",
    "beyond the last": lambda name: f"{name}999999",
    "with zeros": lambda name: f"{name.rpartition('-')[0]}-{name.rpartition('-')[2]:0>12}",
    "with few zeros": lambda name: f"{name.rpartition('-')[0]}-{name.rpartition('-')[2]:0>3}",
    "with a sign": lambda name: f"{name.rpartition('-')[0]}-+{name.rpartition('-')[2]}",
    "with a blank": lambda name: f"{name} ",
    "with a line end": lambda name: f"{name}\n{name}",
    "in parts": lambda name: f"{name[0]}_{name[1:]}_",
    "in other digits": lambda name: f"{name.rpartition('-')[0]}-٣",
    "without a number": lambda name: f"{name.rpartition('-')[0]}-",
    "twice": lambda name: f"{name}{name}",
}
# Changes of what is written.
_SPOILED: dict[str, Callable[[bytes], bytes]] = {
    "a mark of the byte order": lambda text: b"\xef\xbb\xbf" + text,
    "NaN": lambda text: text.replace(b'{"', b'{"score":NaN,"', 1),
    "NaN within": lambda text: text.replace(b'"usage":', b'"score":-Infinity,"usage":', 1),
    "half a pair": lambda text: text.replace(b'"x"', b'"a\\ud83d b"'),
    "half a pair in a key": lambda text: text.replace(b'"usage"', b'"\\ude00":1,"usage"'),
    "an escaped text": lambda text: text.replace(b'"x"', b'"\\u00e9\\/"'),
    "no UTF-8": lambda text: text.replace(b'"x"', b'"a\xff\xc3b"'),
    "no UTF-8 in an id": lambda text: text.replace("é".encode(), b"\xe9"),
    "a control character": lambda text: text.replace(b'"x"', b'"a\tb\x00c"'),
    "a backslash": lambda text: text.replace(b'"x"', b'"a\\qb"'),
    "a large number": lambda text: text.replace(b'"x"', b"1e999"),
    "deep": lambda text: text.replace(b'"x"', _DEEP.encode()),
    "too deep": lambda text: text.replace(b'"x"', _TOO_DEEP.encode()),
    "twice on a line": lambda text: text + text,
    "twice with a comma": lambda text: text + b"," + text,
    "twice with a blank": lambda text: text + b" " + text,
    "an array": lambda text: b"[" + text + b"," + text + b"]",
    "a wrapper": lambda text: b'{"data":[' + text + b"]}",
    "printed": lambda text: json.dumps(json.loads(text), indent=2).encode(),
    "printed so that lines look like rows": lambda text: text.replace(b"}", b"}\n").replace(b"{", b"\n{"),
    "with CR": lambda text: text + b"\r",
    "with CR within": lambda text: text.replace(b",", b",\r"),
    "with blanks": lambda text: b" \t" + text + b"  ",
    "a comma behind": lambda text: text + b",",
    "blank lines": lambda text: b"\n \n" + text + b"\n\n",
    "no row": lambda _: b"junk",
    "no row, but an object": lambda _: b'{"a":1}',
    "a piece of a row": lambda text: text[: len(text) // 2],
    "the rest of a row": lambda text: text[len(text) // 2 :],
    "the id twice": lambda text: text.replace(b'"custom_id":', b'"custom_id":"a","custom_id":', 1),
    "another id behind": lambda text: text[:-1] + b',"custom_id":"a"}',
    "an answer twice": lambda text: text[:-1] + b',"response":null,"result":{"type":"expired"}}',
    "an error and then none": lambda text: text.replace(b'"usage"', b'"error":{"code":"odd"},"error":null,"usage"', 1),
    "a kind twice": lambda text: text.replace(b'"usage"', b'"object":"","type":"","usage"', 1),
    "usage twice": lambda text: text.replace(b'"usage"', b'"usage":{"output_tokens":1},"usage"', 1),
}


def a_row(kind: Callable[..., Json], name: str, fault: str) -> bytes:
    if fault in _NAMES:
        return _compact(kind(_NAMES[fault](name)))
    if fault in _CHANGES:
        try:
            return _compact(_CHANGES[fault](kind(name)))
        except KeyError:  # the other protocol's rows have no such field
            return _compact(kind(name))
    return _SPOILED[fault](_compact(kind(name))) if fault else _compact(kind(name))


FAULTS = (*_CHANGES, *_NAMES, *_SPOILED)


@st.composite
def result_files(
    draw: st.DrawFn, kind: Callable[..., Json], prefix: str, requests: int, *, pieces: bool = True
) -> bytes:
    """Rows of a batch in any order, some of them twice or never, with a few faults; and some bytes in any place."""
    order = draw(st.permutations(range(requests)))
    order += draw(st.lists(st.sampled_from(range(requests)), max_size=3))
    faults = draw(st.dictionaries(st.sampled_from(range(len(order))), st.sampled_from(FAULTS), max_size=5))
    rows = [a_row(kind, f"{prefix}{position}", faults.get(at, "")) for at, position in enumerate(order)]
    text = b"\n".join(rows) + draw(st.sampled_from([b"\n", b"", b"\n\n", b"\r\n"]))
    places = st.tuples(st.floats(0, 1), st.sampled_from([b"}\n{", b"\n", b"{", b'"', b"}{", b"\r\n"]))
    for place, piece in draw(st.lists(places, max_size=2)) if pieces else ():
        at = int(place * len(text))
        text = text[:at] + piece + text[at:]
    return text[: draw(st.sampled_from([len(text), len(text), len(text) - 9, len(text) // 2]))]
