"""What OpenAI's result lines say, and those of servers that speak its protocol."""

import msgspec
import pytest
from batchdrop.manifest import Usage
from batchdrop.protocols.openai_results import read_answer, read_outcome
from batchdrop.protocols.outcome import EMPTY_ANSWER, Answer, Outcome
from batchdrop.result_line import Response, ResultError
from msgspec import Raw

EXPIRED = "Not answered before the batch expired."
CANCELLED = "The batch was cancelled before this request was answered."


def outcome(response: bytes, error: bytes = b"null") -> Outcome:
    return read_outcome(b'{"id":"q","custom_id":"c","response":%b,"error":%b}' % (response, error))


def provider_error(code: str, message: str, *, retryable: bool = False) -> ResultError:
    return ResultError(code=code, message=message, source="provider", retryable=retryable)


EMPTY = (b"null", b"{}", b"[]", b'""', b'" \\n"', b"false", b'" {} "')
NEITHER = provider_error("no_response", "The provider sent neither an answer nor an error.", retryable=True)


def test_an_answer_keeps_its_body_byte_for_byte() -> None:
    line = (
        b'{"id": "batch_req_1", "custom_id": "d-t-5", "error": null, "response": '
        b'{"status_code": 200, "request_id": "req_1", "body": {"a" : 1.0, "b":"\\u00e9\xe2\x80\xa8"} } }'
    )
    assert read_outcome(line) == Outcome(
        id="batch_req_1",
        custom_id="d-t-5",
        response=Response(status_code=200, request_id="req_1", body=Raw(b'{"a" : 1.0, "b":"\\u00e9\xe2\x80\xa8"}')),
        error=None,
    )


def test_an_error_row_has_its_error_in_the_body_beside_error_null() -> None:
    body = b'{"error":{"message":"Too long.","type":"invalid_request_error","code":"context_length_exceeded"}}'
    assert outcome(b'{"status_code":400,"request_id":"req_2","body":%b}' % body) == Outcome(
        id="q",
        custom_id="c",
        response=Response(status_code=400, request_id="req_2", body=Raw(body)),
        error=provider_error("context_length_exceeded", "Too long."),
    )


def test_a_code_that_is_a_message_is_no_code() -> None:
    body = b'{"error":{"message":"Too long.","code":"%b"}}' % (b"x" * 5_000)
    assert outcome(b'{"status_code":400,"request_id":null,"body":%b}' % body).error == provider_error(
        "http_400", "Too long."
    )


@pytest.mark.parametrize(
    ("status", "retryable"),
    [
        (400, False),
        (401, False),
        (404, False),
        (408, True),
        (409, True),
        (422, False),
        (429, True),
        (500, True),
        (503, True),
    ],
)
def test_a_status_tells_whether_sending_again_may_help(status: int, retryable: bool) -> None:  # noqa: FBT001 - a table
    body = b'{"error":{"message":"No.","code":"some_code"}}'
    error = outcome(b'{"status_code":%d,"body":%b}' % (status, body)).error
    assert error == provider_error("some_code", "No.", retryable=retryable)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (
            b'{"code":"batch_expired","message":"x"}',
            ResultError(code="batch_expired", message=EXPIRED, source="batchdrop", retryable=True),
        ),
        (
            b'{"code":"batch_cancelled","message":"x"}',
            ResultError(code="cancelled", message=CANCELLED, source="batchdrop", retryable=True),
        ),
        (b'{"code":"request_timeout","message":"Slow."}', provider_error("request_timeout", "Slow.", retryable=True)),
        (b'{"code":"model_not_found","message":"No."}', provider_error("model_not_found", "No.")),
        (b'{"type":"server_error","message":"Oh."}', provider_error("server_error", "Oh.", retryable=True)),
        (
            b'{"code":429,"message":5}',
            provider_error("http_429", "The provider answered with status 429.", retryable=True),
        ),
        (b'{"code":"400","type":"odd","message":"x"}', provider_error("400", "x")),
        (b'{"code":400,"type":"odd","detail":"x"}', provider_error("odd", "x")),
        (b'{"error":{"error":{"type":"odd","message":"x"}}}', provider_error("odd", "x")),
        (b'{"error":"just text"}', provider_error("unknown_error", "just text")),
        (b"{}", NEITHER),
        (b'"just text"', provider_error("unknown_error", "just text")),
    ],
)
def test_an_error_without_a_response_is_read(error: bytes, expected: ResultError) -> None:
    assert outcome(b"null", error) == Outcome(id="q", custom_id="c", response=None, error=expected)


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (
            b'{"status_code":0,"body":""}',
            provider_error("unknown_error", "The provider gave no reason.", retryable=True),
        ),
        (b'{"status_code":null,"body":{}}', provider_error("unknown_error", "The provider gave no reason.")),
        (b"{}", provider_error("unknown_error", "The provider gave no reason.")),
        (
            b'{"status_code":502,"body":"<html>"}',
            provider_error("http_502", "The provider answered with status 502.", retryable=True),
        ),
        (b'{"status_code":400,"body":{"error":"Bad."}}', provider_error("http_400", "Bad.")),
        (
            b'{"status_code":400,"body":{"object":"list"}}',
            provider_error("http_400", "The provider answered with status 400."),
        ),
        (b'{"status_code":400,"body":{"detail":"Bad."}}', provider_error("http_400", "Bad.")),
        (
            b'{"status_code":400,"body":{"object":"error","message":"Bad.","code":400}}',
            provider_error("http_400", "Bad."),
        ),
        (b'{"status_code":400,"body":"{\\"error\\":\\"Bad.\\"}"}', provider_error("http_400", "Bad.")),
        (b'{"status_code":200,"body":{"error":"Bad."}}', provider_error("unknown_error", "Bad.")),
        (
            b'{"body":{"error":{"code":503}}}',
            provider_error("http_503", "The provider answered with status 503.", retryable=True),
        ),
        *((b'{"status_code":200,"body":%b}' % body, EMPTY_ANSWER) for body in EMPTY),
        (b'{"status_code":299}', EMPTY_ANSWER),
        (b'{"status_code":301,"body":null}', provider_error("http_301", "The provider answered with status 301.")),
    ],
)
def test_a_response_that_is_no_answer_has_an_error_whatever_its_shape(response: bytes, expected: ResultError) -> None:
    assert outcome(response).error == expected


def test_an_error_beside_an_answer_is_no_answer() -> None:
    found = outcome(b'{"status_code":200,"body":{}}', b'{"code":"x","message":"y"}')
    assert (found.error, found.response is None) == (provider_error("x", "y"), False)


def test_a_line_with_neither_answer_nor_error_is_an_error() -> None:
    assert outcome(b"null").error == NEITHER


@pytest.mark.parametrize(
    "response",
    [
        b'{"body":{"choices":[]}}',
        b'{"status_code":null,"body":{"choices":[]}}',
        b'{"status_code":200,"body":"{\\"choices\\": []}"}',
        b'{"status_code":200,"body":" {\\"choices\\":\\n []}\\n"}',
        b'{"status_code":200,"body":{"choices":[]},"more":{"error":"x"}}',
    ],
)
def test_an_answer_is_one_without_its_status_and_as_text(response: bytes) -> None:
    found = outcome(response)
    assert found.error is None
    assert found.response is not None
    assert bytes(found.response.body) == b'{"choices":[]}'


def test_bytes_that_are_no_utf8_are_marked_and_the_answer_is_kept() -> None:
    found = outcome(b'{"status_code":200,"body":{"text":"caf\xe9 \xe2\x82\xac"}}')
    assert found.error is None
    assert found.response is not None
    assert bytes(found.response.body).decode() == '{"text":"caf\ufffd €"}'


@pytest.mark.parametrize("status", [b'"200"', b"200.0", b"201"])
def test_a_looser_servers_success_is_one(status: bytes) -> None:
    assert outcome(b'{"status_code":%b,"request_id":7,"body":{"id":1}}' % status).error is None


@pytest.mark.parametrize("line", [b'{"error":{"code":"x"}}', b'{"custom_id":null}', b'{"custom_id":5,"id":6}'])
def test_a_line_that_names_no_request_is_nobodys(line: bytes) -> None:
    found = read_outcome(line)
    assert (found.id, found.custom_id) == (None, "")


@pytest.mark.parametrize("line", [b'{"custom_id":"c","resp', b"[]", b"<html>", b""])
def test_what_is_no_result_line_is_refused(line: bytes) -> None:
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        read_outcome(line)


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        pytest.param(
            b'{"choices":[{"finish_reason":"length"}],"usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13,'
            b'"prompt_tokens_details":{"cached_tokens":5},"completion_tokens_details":{"reasoning_tokens":3}}}',
            Answer(
                usage=Usage(input_tokens=9, cached_input_tokens=5, output_tokens=4, reasoning_tokens=3),
                finish_reason="length",
            ),
            id="chat",
        ),
        pytest.param(
            b'{"status":"completed","usage":{"input_tokens":9,"output_tokens":4,'
            b'"input_tokens_details":{"cached_tokens":5},"output_tokens_details":{"reasoning_tokens":3}}}',
            Answer(
                usage=Usage(input_tokens=9, cached_input_tokens=5, output_tokens=4, reasoning_tokens=3),
                finish_reason="completed",
            ),
            id="responses",
        ),
        pytest.param(
            b'{"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"},"usage":null}',
            Answer(usage=Usage(), finish_reason="max_output_tokens"),
            id="incomplete",
        ),
        pytest.param(
            b'{"data":[],"usage":{"prompt_tokens":9,"total_tokens":9}}',
            Answer(usage=Usage(input_tokens=9), finish_reason=None),
            id="embeddings",
        ),
        pytest.param(
            b'{"usage":{"prompt_tokens":9,"input_tokens":9,"completion_tokens":4,"output_tokens":4}}',
            Answer(usage=Usage(input_tokens=9, output_tokens=4), finish_reason=None),
            id="both names for one number",
        ),
        pytest.param(
            b'{"choices":null,"usage":{"prompt_tokens":9.0,"completion_tokens":null,"prompt_tokens_details":null}}',
            Answer(usage=Usage(input_tokens=9), finish_reason=None),
            id="nulls and floats",
        ),
        pytest.param(b'"text"', Answer(usage=Usage(), finish_reason=None), id="no object"),
        pytest.param(
            b'{"choices":"none","status":7,"usage":{"prompt_tokens":9}}',
            Answer(usage=Usage(input_tokens=9), finish_reason=None),
            id="fields of other types",
        ),
        pytest.param(b'{"usage":"much"}', Answer(usage=Usage(), finish_reason=None), id="no usage"),
    ],
)
def test_usage_and_finish_reason_are_read_as_far_as_the_body_tells(body: bytes, answer: Answer) -> None:
    assert read_answer(Raw(body)) == answer


@pytest.mark.parametrize("tokens", [b"1" + b"0" * 300, b"1e300", b"-1"])
def test_a_usage_that_cannot_be_is_not_counted(tokens: bytes) -> None:
    body = b'{"choices":[{"finish_reason":"stop"}],"usage":{"prompt_tokens":%b,"completion_tokens":3}}' % tokens
    assert read_answer(Raw(body)) == Answer(usage=Usage(), finish_reason="stop")


def test_a_status_that_cannot_be_is_none() -> None:
    line = b'{"custom_id":"r","response":{"status_code":%b,"body":{"choices":[]}}}' % (b"1" + b"0" * 300)
    found = read_outcome(line)
    assert found.response is not None
    assert found.response.status_code is None
