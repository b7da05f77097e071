"""What Anthropic's result lines say."""

import msgspec
import pytest
from batchdrop.manifest import Usage
from batchdrop.protocols.anthropic_results import read_answer, read_outcome
from batchdrop.protocols.outcome import EMPTY_ANSWER, Answer, Outcome
from batchdrop.result_line import Response, ResultError
from msgspec import Raw


def outcome(result: bytes) -> Outcome:
    return read_outcome(b'{"custom_id":"c","result":%b}' % result)


def test_a_message_is_an_answer_with_status_200_byte_for_byte() -> None:
    line = b'{"custom_id":"d-t-5", "result":{"type":"succeeded", "message": {"id" : "msg_1","n":1.0,"t":"\\u00e9"} } }'
    assert read_outcome(line) == Outcome(
        id=None,
        custom_id="d-t-5",
        response=Response(status_code=200, request_id=None, body=Raw(b'{"id" : "msg_1","n":1.0,"t":"\\u00e9"}')),
        error=None,
    )


@pytest.mark.parametrize(
    ("kind", "status", "retryable"),
    [
        ("invalid_request_error", 400, False),
        ("authentication_error", 401, False),
        ("billing_error", 402, False),
        ("permission_error", 403, False),
        ("not_found_error", 404, False),
        ("request_too_large", 413, False),
        ("rate_limit_error", 429, True),
        ("api_error", 500, True),
        ("timeout_error", 504, True),
        ("overloaded_error", 529, True),
        ("a_new_error", None, False),
    ],
)
def test_an_error_type_gives_the_status_and_whether_sending_again_may_help(
    kind: str,
    status: int | None,
    retryable: bool,  # noqa: FBT001 - a table
) -> None:
    body = b'{"type":"error","error":{"type":"%b","message":"No."},"request_id":"req_1"}' % kind.encode()
    assert outcome(b'{"type":"errored","error":%b}' % body) == Outcome(
        id=None,
        custom_id="c",
        response=Response(status_code=status, request_id=None, body=Raw(body)),
        error=ResultError(code=kind, message="No.", source="provider", retryable=retryable),
    )


@pytest.mark.parametrize("error", [b"null", b"7", b"{}", b'{"error":null}', b'{"error":{"type":null}}'])
def test_an_error_that_says_nothing_is_an_unknown_one(error: bytes) -> None:
    assert outcome(b'{"type":"errored","error":%b}' % error).error == ResultError(
        code="unknown_error", message="The provider gave no reason.", source="provider", retryable=False
    )


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (b'"just text"', ("unknown_error", "just text", False)),
        (b'{"type":"overloaded_error","message":"Busy."}', ("overloaded_error", "Busy.", True)),
        (b'{"type":"error","error":"just text"}', ("unknown_error", "just text", False)),
        (b'{"error":{"error":{"type":"api_error","message":"Oh."}}}', ("api_error", "Oh.", True)),
        (b'{"error":{"code":503,"message":"Oh."}}', ("unknown_error", "Oh.", True)),
    ],
)
def test_an_error_that_is_nested_otherwise_is_read(error: bytes, expected: tuple[str, str, bool]) -> None:
    found = outcome(b'{"type":"errored","error":%b}' % error).error
    assert found is not None
    assert (found.code, found.message, found.retryable) == expected


def test_a_message_that_was_sent_as_text_is_the_message_that_it_is() -> None:
    found = outcome(b'{"type":"succeeded","message":"{\\"id\\":\\n\\"msg_1\\"}"}').response
    assert found == Response(status_code=200, request_id=None, body=Raw(b'{"id":"msg_1"}'))


@pytest.mark.parametrize(
    "message", [b"", *(b',"message":%b' % each for each in (b"null", b"{}", b'""', b'" "', b"[]"))]
)
def test_a_success_with_an_empty_message_is_no_answer(message: bytes) -> None:
    found = outcome(b'{"type":"succeeded"%b}' % message)
    assert (found.response, found.error) == (None, EMPTY_ANSWER)


@pytest.mark.parametrize(
    ("kind", "code", "message"),
    [
        ("expired", "batch_expired", "Not answered before the batch expired."),
        ("cancelled", "cancelled", "The batch was cancelled before this request was answered."),
        ("canceled", "cancelled", "The batch was cancelled before this request was answered."),
    ],
)
def test_what_was_not_answered_has_our_code_and_may_be_sent_again(kind: str, code: str, message: str) -> None:
    assert outcome(b'{"type":"%b"}' % kind.encode()) == Outcome(
        id=None,
        custom_id="c",
        response=None,
        error=ResultError(code=code, message=message, source="batchdrop", retryable=True),
    )


def test_a_result_of_an_unknown_type_is_refused_with_its_word() -> None:
    with pytest.raises(ValueError, match=r"^a result of type 'paused' is not known$"):
        outcome(b'{"type":"paused"}')


@pytest.mark.parametrize(
    "line", [b'{"custom_id":"c"}', b'{"result":{"type":"expired"}}', b'{"custom_id":"c","res', b"[]"]
)
def test_what_is_no_result_line_is_refused(line: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        read_outcome(line)


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        pytest.param(
            b'{"stop_reason":"end_turn","usage":{"input_tokens":9,"output_tokens":4,"cache_read_input_tokens":100,'
            b'"cache_creation_input_tokens":20,"output_tokens_details":{"thinking_tokens":3}}}',
            Answer(
                usage=Usage(
                    input_tokens=129,
                    cached_input_tokens=100,
                    cache_write_tokens=20,
                    output_tokens=4,
                    reasoning_tokens=3,
                ),
                finish_reason="end_turn",
            ),
            id="input includes what is read from and written to the cache",
        ),
        pytest.param(
            b'{"stop_reason":null,"usage":{"input_tokens":9,"output_tokens":null,"cache_read_input_tokens":null}}',
            Answer(usage=Usage(input_tokens=9), finish_reason=None),
            id="nulls",
        ),
        pytest.param(
            b'{"stop_reason":7,"usage":{"input_tokens":9.0}}',
            Answer(usage=Usage(input_tokens=9), finish_reason=None),
            id="fields of other types",
        ),
        pytest.param(b"{}", Answer(usage=Usage(), finish_reason=None), id="nothing"),
        pytest.param(b"null", Answer(usage=Usage(), finish_reason=None), id="no object"),
    ],
)
def test_usage_and_stop_reason_are_read_as_far_as_the_message_tells(body: bytes, answer: Answer) -> None:
    assert read_answer(Raw(body)) == answer
