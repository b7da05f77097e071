"""What is thought of an answer that was asked for in a schema, at each endpoint."""

from typing import Any

import msgspec
import pytest
from batchdrop.protocols.answer_checks import AnswerCheck, Fit
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
SCHEMA = {
    "type": "object",
    "properties": {"stars": {"type": "integer", "minimum": 1}},
    "required": ["stars"],
    "additionalProperties": False,
}
CHECK = AnswerCheck(msgspec.json.encode(SCHEMA))
GOOD, BAD = '{"stars": 3}', '{"stars": "secret words"}'
Body = dict[str, Any]


def chat(text: str | None, finish: str = "stop", **message: Any) -> Body:
    return {"choices": [{"message": {"content": text, **message}, "finish_reason": finish}]}


def responses(text: str, reason: str | None = None, kind: str = "output_text", *others: Body) -> Body:
    part = {"type": kind, "text": text} if kind == "output_text" else {"type": kind, "refusal": text}
    output = [{"type": "message", "content": [part]}, *others]
    return {"status": "completed", "incomplete_details": reason and {"reason": reason}, "output": output}


def message(text: str, stop: str = "end_turn", *others: Body) -> Body:
    return {"content": [{"type": "text", "text": text}, *others], "stop_reason": stop}


CALL = {"type": "function", "id": "c", "function": {"name": "f", "arguments": "{}"}}


@pytest.mark.parametrize(
    ("endpoint", "body", "wanted"),
    [
        (CHAT, chat(GOOD), Fit.FITS),
        (CHAT, chat(BAD), Fit.MISFIT),
        (CHAT, chat("Sure! " + GOOD), Fit.MISFIT),
        (CHAT, chat(None), Fit.MISFIT),
        (CHAT, chat("[" * 5_000), Fit.MISFIT),
        (CHAT, chat('{"stars": "\\ud800"}'), Fit.MISFIT),
        (CHAT, chat('{"stars": NaN}'), Fit.MISFIT),
        (CHAT, chat("[3]"), Fit.MISFIT),
        (CHAT, chat(GOOD, "length"), Fit.FITS),
        (CHAT, chat(GOOD[:5], "length"), Fit.CUT_OFF),
        (CHAT, chat(None, refusal="No."), Fit.FITS),
        (CHAT, chat("I can", "content_filter"), Fit.FITS),
        (CHAT, chat(None, "tool_calls", tool_calls=[CALL]), Fit.FITS),
        (CHAT, chat(None, tool_calls=[CALL]), Fit.FITS),
        (CHAT, {"choices": "none"}, Fit.MISFIT),
        (RESPONSES, responses(GOOD), Fit.FITS),
        (RESPONSES, responses(BAD), Fit.MISFIT),
        (RESPONSES, responses(GOOD[:5], "max_output_tokens"), Fit.CUT_OFF),
        (RESPONSES, responses("No.", None, "refusal"), Fit.FITS),
        (RESPONSES, responses("", None, "output_text", {"type": "function_call", "name": "f"}), Fit.FITS),
        (MESSAGES, message(GOOD), Fit.FITS),
        (MESSAGES, message(BAD), Fit.MISFIT),
        (MESSAGES, message(GOOD[:5], "max_tokens"), Fit.CUT_OFF),
        (MESSAGES, message(GOOD[:5], "model_context_window_exceeded"), Fit.CUT_OFF),
        (MESSAGES, message("", "refusal"), Fit.FITS),
        (MESSAGES, message("", "tool_use", {"type": "tool_use", "name": "f"}), Fit.FITS),
        (MESSAGES, message("Wait", "pause_turn"), Fit.FITS),
    ],
)
def test_an_answer_is_judged_by_its_text_and_its_end(endpoint: str, body: Body, wanted: Fit) -> None:
    assert CHECK.verdict(endpoint, Raw(msgspec.json.encode(body))) is wanted


def test_what_is_wrong_is_told_by_places_in_the_schema_which_quote_nothing() -> None:
    misfit = CHECK.misfit(CHAT, Raw(msgspec.json.encode(chat('{"stars": "secret words", "secret": 1}'))))
    assert misfit.places == ['"/properties/stars/type"', '"/additionalProperties"']
    assert any("secret words" in each for each in misfit.problems)


def test_what_is_no_json_has_no_place() -> None:
    assert CHECK.misfit(CHAT, Raw(msgspec.json.encode(chat("Hello")))) == ("Hello", [], ["It is not JSON."])


def test_a_thousand_problems_are_told_as_ten() -> None:
    check = AnswerCheck(b'{"type":"object","properties":{"a":{"items":{"type":"string"}}}}')
    text = msgspec.json.encode({"a": list(range(1_000))}).decode()
    misfit = check.misfit(CHAT, Raw(msgspec.json.encode(chat(text))))
    assert (len(misfit.problems), misfit.places) == (10, ['"/properties/a/items/type"'])


@given(st.recursive(st.none() | st.booleans() | st.text() | st.integers() | st.floats(), st.lists))
def test_no_answer_breaks_the_check(value: object) -> None:
    assert CHECK.read(msgspec.json.encode(value).decode()) is None
    assert CHECK.read(str(value)) is None
