"""The replies to calls at real time as result rows of a batch, in each protocol's own shape. Pure."""

import msgspec
from msgspec import Raw

from batchdrop.protocols import anthropic_results, openai_results
from batchdrop.protocols.outcome import Failure
from batchdrop.records import Protocol
from batchdrop.result_line import ErrorCode

_SUCCESS = range(200, 300)
_LINE_ENDS_TO_BLANKS = bytes.maketrans(b"\r\n", b"  ")  # in JSON they mean as much, and cannot stand in texts
_UNREADABLE = Failure(code=ErrorCode.UNREADABLE_RESULT, message="The provider's answer is no JSON; it may be paid.")
_UNKNOWN = "The call got no reply: the provider may have answered it, and charged for it."


class _Response(msgspec.Struct):
    status_code: int
    request_id: str | None
    body: Raw


class _OpenAIRow(msgspec.Struct):
    custom_id: str
    response: _Response
    id: None = None
    error: None = None


class _Result(msgspec.Struct, omit_defaults=True):
    type: str
    message: Raw | None = None
    error: Raw | None = None


class _AnthropicRow(msgspec.Struct):
    custom_id: str
    result: _Result


def reply_row(protocol: Protocol, custom_id: str, *, status: int, body: bytes, request_id: str | None) -> bytes:
    """The row of a reply: an answer, or an error that ends a request or sends it again, as in a batch."""
    document = _one_document(body)
    is_answer = status in _SUCCESS
    if document is None:
        return failure_row(protocol, custom_id, _UNREADABLE if is_answer else _of_status(status, protocol))
    if protocol is Protocol.OPENAI:
        response = _Response(status_code=status, request_id=request_id, body=document)
        return _line(_OpenAIRow(custom_id=custom_id, response=response))
    result = _Result(type="succeeded", message=document) if is_answer else _Result(type="errored", error=document)
    return _line(_AnthropicRow(custom_id=custom_id, result=result))


def failure_row(protocol: Protocol, custom_id: str, failure: Failure) -> bytes:
    """The row of an error in our words."""
    write = anthropic_results.refused_line if protocol is Protocol.ANTHROPIC else openai_results.refused_line
    return write(custom_id, failure)


def doubt_row(protocol: Protocol, custom_id: str) -> bytes:
    """The row of a call whose reply was lost: the vendor's own error that sends a request again."""
    code = "timeout_error" if protocol is Protocol.ANTHROPIC else "request_timeout"
    return failure_row(protocol, custom_id, Failure(code=code, message=_UNKNOWN))


def _of_status(status: int, protocol: Protocol) -> Failure:
    """A status that came with nothing to read, in the protocol's own words."""
    types = {code: name for name, code in anthropic_results.STATUS_OF_TYPE.items()}
    code = types.get(status, "api_error") if protocol is Protocol.ANTHROPIC else _openai_code(status)
    return Failure(code=code, message=f"The provider answered with status {status}, and gave no reason.")


def _openai_code(status: int) -> str:
    return "server_error" if status >= 500 else "rate_limit_exceeded" if status == 429 else f"http_{status}"  # noqa: PLR2004 - HTTP's


def _one_document(body: bytes) -> Raw | None:
    """A body on one line; None for what is no JSON."""
    try:
        msgspec.json.decode(body)
    except (ValueError, RecursionError):  # msgspec's errors are ValueErrors, and so are bytes that are not UTF-8
        return None
    return Raw(body.translate(_LINE_ENDS_TO_BLANKS).strip())


def _line(row: msgspec.Struct) -> bytes:
    return msgspec.json.encode(row) + b"\n"
