"""What a result says, whichever endpoint answered; and tables of results."""

import base64
import json
from array import array
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from batchdrop import NotJson, RequestFailed, Result
from batchdrop.manifest import Usage
from batchdrop.outputs.answer_rows import FIRST, LAST
from batchdrop.rates import ModelPrices, Rates
from faking.outputs import chat, result
from hypothesis import given
from hypothesis import strategies as st

from batchdrop_client import frames

CHAT, MESSAGES, RESPONSES, EMBEDDINGS = "/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1/embeddings"
ERROR = {"code": "invalid_json", "message": "Line 6 is not JSON.", "source": "input", "retryable": False}


def read(*line: Any, **changes: object) -> Result:
    return msgspec.json.decode(json.dumps(result(*line, **changes)), type=Result)


def embedded(vector: object) -> dict[str, Any]:
    return {"data": [{"embedding": vector}], "usage": {"prompt_tokens": 2}}


@pytest.mark.parametrize(
    ("endpoint", "body", "text", "finish_reason"),
    [
        (CHAT, chat("good") | {"choices": [{"message": {"content": "good"}, "finish_reason": "stop"}]}, "good", "stop"),
        (CHAT, {"choices": [{"message": {"content": None, "tool_calls": []}}]}, "", None),
        (MESSAGES, {"content": [{"type": "text", "text": "b"}, {"type": "text", "text": "!"}]}, "b!", None),
        (RESPONSES, {"output": [{"content": [{"type": "output_text", "text": "so"}]}]}, "so", None),
        (CHAT, {"choices": [{"message": {"refusal": "No."}, "finish_reason": "stop"}]}, "No.", "stop"),
        (EMBEDDINGS, embedded([0.5]), None, None),
    ],
)
def test_every_endpoint_says_its_text_in_one_way(
    endpoint: str, body: Any, text: str | None, finish_reason: str | None
) -> None:
    found = read(1, endpoint, body)
    assert (found.text, found.finish_reason, found.body) == (text, finish_reason, body)


@pytest.mark.parametrize("vector", [[0.5, -1.0], base64.b64encode(array("f", [0.5, -1.0]).tobytes()).decode()])
def test_a_vector_is_numbers_however_it_was_sent(vector: object) -> None:
    found = read(1, EMBEDDINGS, embedded(vector))
    assert (found.embedding, found.usage) == ([0.5, -1.0], Usage(input_tokens=2))


def test_a_line_without_an_answer_has_none_of_it() -> None:
    found = read(6, None, custom_id=None, model=None, error=ERROR)
    assert (found.text, found.data, found.embedding, found.usage, found.finish_reason, found.body) == (None,) * 6
    assert found.error is not None
    assert str(RequestFailed(found)) == "invalid_json: Line 6 is not JSON."


def test_a_refused_line_keeps_what_the_provider_sent() -> None:
    found = read(5, CHAT, {"error": {"message": "too long"}}, error=ERROR)
    assert (found.text, found.usage, found.body) == (None, None, {"error": {"message": "too long"}})


@given(value=st.none() | st.integers(-(2**53), 2**53) | st.text() | st.lists(st.text()))
def test_data_is_the_text_read_as_json(value: object) -> None:
    assert read(1, CHAT, chat(json.dumps(value))).data == value


def test_a_text_that_is_not_json_names_its_line_and_is_not_quoted() -> None:
    with pytest.raises(NotJson) as raised:
        _ = read(17, CHAT, chat("secret words")).data
    assert str(raised.value) == "Line 17: the answer is not JSON (JSON is malformed: invalid character (byte 0))."


def test_what_newer_lines_hold_is_read_and_what_is_unknown_is_passed_over() -> None:
    found = read(1, CHAT, chat("a"), via="realtime", row={"sku": 7}, unheard_of=1)
    assert (found.via, found.row) == ("realtime", {"sku": 7})
    assert (read(1, CHAT, chat("a")).via, read(1, CHAT, chat("a")).row) == ("batch", None)


_RATES = Rates(**dict.fromkeys(Rates.__struct_fields__, Decimal(1)))


def prices(_: str, model: str) -> ModelPrices | None:
    return ModelPrices(batch=_RATES, realtime=None) if model == "gpt-4o-mini" else None


RESULTS = [
    read(1, CHAT, chat("good"), row={"sku": "s1", "text": "theirs"}),
    read(
        2, MESSAGES, {"content": []}, model="claude-haiku-4-5", custom_id={"order": 8}, row={"sku": "s2", "text": "x"}
    ),
    read(3, None, custom_id=None, model=None, provider=None, error=ERROR),
]
TABLE = {
    "line": [1, 2, 3],
    "custom_id": ["r-1", '{"order":8}', None],
    "sku": ["s1", "s2", None],
    "in.text": ["theirs", "x", None],
    "text": ["good", "", None],
    "model": ["gpt-4o-mini", "claude-haiku-4-5", None],
    "provider": ["openai", "openai", None],
    "finish_reason": [None, None, None],
    "input_tokens": [9, 0, None],
    "output_tokens": [2, 0, None],
    "cost_usd": [0.000011, None, None],
    "error_code": [None, None, "invalid_json"],
    "error_message": [None, None, "Line 6 is not JSON."],
}


def test_a_table_of_pandas_has_a_row_for_each_line() -> None:
    table = frames.to_pandas(RESULTS, prices)
    plain = table.astype(object).where(table.notna(), None)
    assert plain.to_dict("list") == TABLE
    assert [str(table.dtypes[name]) for name in ("line", "input_tokens")] == ["int64", "Int64"]


def test_a_table_of_polars_has_the_same_rows() -> None:
    assert frames.to_polars(RESULTS, prices).to_dict(as_series=False) == TABLE


def test_a_table_of_arrow_has_the_same_rows() -> None:
    assert frames.to_arrow(RESULTS, prices).to_pydict() == TABLE


def test_vectors_are_a_column_where_there_are_any() -> None:
    results = [read(1, EMBEDDINGS, embedded([0.5])), *RESULTS[2:]]
    assert frames.to_pandas(results, prices)["embedding"][0] == [0.5]
    assert frames.to_polars(results, prices)["embedding"].to_list() == [[0.5], None]
    assert frames.to_arrow(results, prices)["embedding"].to_pylist() == [[0.5], None]


def test_a_table_without_rows_has_its_columns() -> None:
    names = [name for name in TABLE if name not in {"sku", "in.text"}]
    assert (
        list(frames.to_pandas([], prices))
        == frames.to_polars([], prices).columns
        == frames.to_arrow([], prices).column_names
        == names
    )


def test_a_table_has_the_columns_of_the_file_of_answers_in_its_order() -> None:
    assert tuple(frames.to_polars(RESULTS, prices).columns) == (*FIRST, "sku", "in.text", *LAST)


def test_a_line_that_shares_an_answer_costs_nothing_and_a_fallback_is_named() -> None:
    shared = read(1, CHAT, chat("a"), shared_with=7)
    other = read(2, CHAT, chat("b"), answered_by={"provider": "p", "model": "other"})
    table = frames.to_polars([shared, other], prices)
    assert table.select("model", "cost_usd", "output_tokens").rows() == [("gpt-4o-mini", 0.0, 0), ("other", None, 2)]
