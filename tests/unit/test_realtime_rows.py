"""Replies to calls as result rows: read as a batch's own, whatever came."""

import json
from typing import Any

import pytest
from batchdrop.protocols.outcome import Outcome
from batchdrop.protocols.readers import outcome_reader, usual_reader
from batchdrop.protocols.realtime_rows import doubt_row, reply_row
from batchdrop.records import Protocol
from hypothesis import given
from hypothesis import strategies as st

OPENAI, ANTHROPIC = Protocol.OPENAI, Protocol.ANTHROPIC
ANSWER = {"object": "chat.completion", "type": "message", "text": "a\u2028b\r\nc"}
protocols = st.sampled_from([OPENAI, ANTHROPIC])
values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=9,
)


def row(protocol: Protocol, body: bytes, status: int = 200) -> bytes:
    return reply_row(protocol, "d-t-7", status=status, body=body, request_id="req_1")


def read(protocol: Protocol, line: bytes) -> Outcome:
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    return outcome_reader(protocol)(line)


def coded(outcome: Outcome) -> tuple[str, bool]:
    assert outcome.error is not None
    return outcome.error.code, outcome.error.retryable


@pytest.mark.parametrize("protocol", [OPENAI, ANTHROPIC])
@pytest.mark.parametrize("indent", [None, 2])
def test_an_answer_is_kept_as_it_came_on_one_line(protocol: Protocol, indent: int | None) -> None:
    line = row(protocol, json.dumps(ANSWER, indent=indent).encode())
    outcome = read(protocol, line)
    assert (outcome.custom_id, outcome.error) == ("d-t-7", None)
    assert outcome.response is not None
    assert json.loads(bytes(outcome.response.body)) == ANSWER
    assert usual_reader(protocol).answers(line.rstrip(b"\n"), []) is not None


@given(protocols, st.dictionaries(st.text(), values, min_size=1))
def test_any_answer_that_is_json_is_an_answer(protocol: Protocol, body: dict[str, Any]) -> None:
    outcome = read(protocol, row(protocol, json.dumps(body, ensure_ascii=False, indent=1).encode(errors="replace")))
    assert outcome.response is not None
    assert outcome.error is None or "error" in body


@pytest.mark.parametrize("protocol", [OPENAI, ANTHROPIC])
@pytest.mark.parametrize("body", [b"", b"<html>", b"{", b"\xff\xfe"])
def test_an_answer_that_is_no_json_is_not_sent_again(protocol: Protocol, body: bytes) -> None:
    assert coded(read(protocol, row(protocol, body))) == ("unreadable_result", False)


@pytest.mark.parametrize(
    ("protocol", "status", "body", "code", "retryable"),
    [
        (OPENAI, 400, {"error": {"code": "bad", "message": "No."}}, "bad", False),
        (OPENAI, 429, {"error": {"code": "rate_limit_exceeded"}}, "rate_limit_exceeded", True),
        (OPENAI, 503, {"error": {"code": "overloaded"}}, "overloaded", True),
        (OPENAI, 404, None, "http_404", False),
        (OPENAI, 500, None, "server_error", True),
        (OPENAI, 429, None, "rate_limit_exceeded", True),
        (ANTHROPIC, 400, {"type": "error", "error": {"type": "invalid_request_error"}}, "invalid_request_error", False),
        (ANTHROPIC, 529, {"type": "error", "error": {"type": "overloaded_error"}}, "overloaded_error", True),
        (ANTHROPIC, 529, None, "overloaded_error", True),
        (ANTHROPIC, 500, None, "api_error", True),
        (ANTHROPIC, 400, None, "invalid_request_error", False),
    ],
)
def test_an_error_ends_its_request_or_sends_it_again_as_in_a_batch(
    protocol: Protocol,
    status: int,
    body: Any,
    code: str,
    retryable: bool,  # noqa: FBT001 - a column
) -> None:
    text = b"<html>" if body is None else json.dumps(body).encode()
    assert coded(read(protocol, row(protocol, text, status))) == (code, retryable)


@pytest.mark.parametrize(("protocol", "code"), [(OPENAI, "request_timeout"), (ANTHROPIC, "timeout_error")])
def test_a_doubt_is_an_error_that_goes_again(protocol: Protocol, code: str) -> None:
    outcome = read(protocol, doubt_row(protocol, "d-t-7"))
    assert (outcome.custom_id, *coded(outcome)) == ("d-t-7", code, True)
