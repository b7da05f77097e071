"""Answers as rows: their columns, refusals, and what a spreadsheet must not run."""

import csv
import io
import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from batchdrop.outputs.answer_rows import AnswerRows, CsvWriter
from batchdrop.rates import ModelPrices, Rates
from hypothesis import given
from hypothesis import strategies as st

_RATES = Rates(**dict.fromkeys(Rates.__struct_fields__, Decimal("0.0001")))


def prices(_: str, model: str) -> ModelPrices | None:
    return ModelPrices(batch=_RATES, realtime=None) if model == "m" else None


def result(body: Any, endpoint: str = "/v1/chat/completions", **others: Any) -> bytes:
    line = {"id": None, "custom_id": "c", "error": None, "line": 1, "provider": "p", "model": "m", "endpoint": endpoint}
    response = {"status_code": 200, "request_id": None, "body": body}
    return json.dumps(line | {"response": response, "batch_id": "b", "attempts": 1} | others).encode() + b"\n"


def row(*arguments: Any, keep: tuple[str, ...] = (), **others: Any) -> dict[str, Any]:
    (found,) = AnswerRows(keep, prices).read(result(*arguments, **others))
    return found


def chat(message: dict[str, Any], finish: str = "stop") -> dict[str, Any]:
    usage = {"prompt_tokens": 3, "completion_tokens": 4}
    return {"choices": [{"message": message, "finish_reason": finish}], "usage": usage}


def test_an_answers_cost_has_all_its_digits_and_no_exponent() -> None:
    found = row(chat({"content": "hi"}))
    assert (found["text"], found["input_tokens"], found["cost_usd"]) == ("hi", 3, "0.0000000007")
    assert row(chat({"content": "hi"}), model="other")["cost_usd"] is None


def test_an_answer_that_was_called_costs_what_calls_cost() -> None:
    both = ModelPrices(batch=_RATES, realtime=_RATES.times(Decimal(2)))
    body = chat({"content": "hi"})
    found = [
        next(AnswerRows((), lambda *_: both).read(result(body, via=via)))["cost_usd"] for via in ("batch", "realtime")
    ]
    assert found == ["0.0000000007", "0.0000000014"]


@pytest.mark.parametrize(
    ("body", "endpoint"),
    [
        (chat({"content": None, "refusal": "I cannot."}), "/v1/chat/completions"),
        (
            {"output": [{"content": [{"type": "refusal", "refusal": "I cannot."}]}], "status": "completed"},
            "/v1/responses",
        ),
        ({"content": [{"type": "text", "text": "I cannot."}], "stop_reason": "refusal"}, "/v1/messages"),
    ],
)
def test_a_refusal_is_no_empty_cell(body: Any, endpoint: str) -> None:
    found = row(body, endpoint)
    assert (found["text"], found["finish_reason"]) == ("I cannot.", "refusal")


def test_a_refusal_of_another_choice_is_not_that_of_the_first() -> None:
    body = chat({"content": "hi"})
    body["choices"].append({"message": {"content": None, "refusal": "I cannot."}, "finish_reason": "stop"})
    found = row(body)
    assert (found["text"], found["finish_reason"]) == ("hi", "stop")


def test_an_odd_item_of_a_response_takes_no_others_text_along() -> None:
    said = {"type": "message", "content": [{"type": "output_text", "text": "hi"}]}
    found = row({"output": [{"type": "new", "content": "odd"}, 7, said], "status": "completed"}, "/v1/responses")
    assert found["text"] == "hi"


def test_a_kept_column_that_is_named_as_one_of_ours_is_told_from_it() -> None:
    found = row(chat({"content": "a"}), keep=("text", "sku", "none"), row={"text": "t", "sku": 1.50})
    names = ("in.text", "sku", "none", "text")
    assert json.loads(msgspec.json.encode([found[name] for name in names])) == ["t", 1.5, None, "a"]


def cells(writer: CsvWriter, values: dict[str, Any]) -> list[str]:
    return next(csv.reader(io.StringIO(writer.line(values).decode(), newline="")))


@given(
    text=st.text(st.characters(codec="utf-8"))
    | st.sampled_from(
        ["=1", "+1", "-1", "@a", "\t=", "\r=", "\n=", "\uff1d1", "\uff0b1", "\uff0d1", "\uff20a", "'=", ""]
    )
)
def test_no_cell_begins_as_a_formula_and_the_switch_leaves_every_text_as_it_is(text: str) -> None:
    disarmed = cells(CsvWriter(["a"], formulas=False), {"a": text})[0] if text else ""
    assert disarmed == (f"'{text}" if text[:1] in set("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20") else text)
    assert not text or cells(CsvWriter(["a"], formulas=True), {"a": text}) == [text]


def test_a_header_that_is_a_formula_is_disarmed_too() -> None:
    assert CsvWriter(["=a", "b"], formulas=False).head(bom=True) == b"\xef\xbb\xbf'=a,b\r\n"
