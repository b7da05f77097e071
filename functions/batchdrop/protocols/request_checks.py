"""Checks of requests that both protocols share."""

from collections.abc import Iterable

import msgspec
from msgspec import UNSET, Raw, UnsetType

from batchdrop.result_line import ErrorCode
from batchdrop.texts import cut

_LONGEST_NUMBER = 20  # characters
_LONGEST_MESSAGE = 1_000  # bytes: five of them are a refused job's reason, in its row and its event


class Body(msgspec.Struct, gc=False):
    """The parts of a request's body that both protocols' checks read; each line's is read once."""

    model: Raw | UnsetType = UNSET
    messages: Raw | UnsetType = UNSET
    max_tokens: Raw | UnsetType = UNSET
    input: Raw | UnsetType = UNSET
    prompt: Raw | UnsetType = UNSET
    stream: Raw | UnsetType = UNSET
    speed: Raw | UnsetType = UNSET
    temperature: Raw | UnsetType = UNSET
    top_p: Raw | UnsetType = UNSET
    top_k: Raw | UnsetType = UNSET
    extra_body: Raw | UnsetType = UNSET
    extra_headers: Raw | UnsetType = UNSET
    extra_query: Raw | UnsetType = UNSET
    betas: Raw | UnsetType = UNSET
    compaction: Raw | UnsetType = UNSET
    context_management: Raw | UnsetType = UNSET
    fallback_credit_token: Raw | UnsetType = UNSET
    fallbacks: Raw | UnsetType = UNSET
    mcp_servers: Raw | UnsetType = UNSET
    thread: Raw | UnsetType = UNSET
    thinking: Raw | UnsetType = UNSET
    output_config: Raw | UnsetType = UNSET
    tools: Raw | UnsetType = UNSET
    tool_choice: Raw | UnsetType = UNSET
    container: Raw | UnsetType = UNSET
    timeout: Raw | UnsetType = UNSET


read_body = msgspec.json.Decoder(Body).decode
NULL = Raw(b"null")

# Arguments of the vendors' SDK methods, not of their APIs: in a body they fail every row (inspect_ai#3272).
SDK_ARGUMENTS = ("extra_body", "extra_headers", "extra_query", "timeout")


# Frames (pandas, polars, Spark) write every column of every row: null is what a row does not have.
def unset_nulls(fields: msgspec.Struct, names: Iterable[str] = Body.__struct_fields__) -> None:
    """Take what is null for absent; the text that it was read from stays."""
    for name in names:
        if getattr(fields, name) == NULL:
            setattr(fields, name, UNSET)


class LineProblem(Exception):  # noqa: N818 - a finding about a line, turned into its error
    """Why a line cannot be sent; `route` says what is known of where it would have gone."""

    def __init__(self, code: ErrorCode, message: str, route: dict[str, str] | None = None) -> None:
        self.code, self.message = code, cut(message, _LONGEST_MESSAGE)
        super().__init__(self.message)
        self.route: dict[str, str] = route or {}


def reject_sdk_arguments(body: Body) -> None:
    """Refuse what only a method of an SDK takes."""
    if body.stream is not UNSET:
        refuse_stream(body.stream)
    if not (body.extra_body is body.extra_headers is body.extra_query is body.timeout is UNSET):
        reject_sdk_fields((name, getattr(body, name)) for name in SDK_ARGUMENTS)


def reject_sdk_fields(fields: Iterable[tuple[str, Raw | UnsetType]]) -> None:
    for name, value in fields:
        if value is not UNSET:
            remedy = "write its keys into the body itself" if name == "extra_body" else "leave it out"
            message = f'"{name}" is an argument of the SDK, not of the API: {remedy}'
            raise LineProblem(ErrorCode.UNSUPPORTED_PARAMETER, message)


def refuse_stream(stream: Raw | UnsetType) -> None:
    if stream is not UNSET and bytes(stream) not in {b"false", b"null"}:
        raise LineProblem(ErrorCode.UNSUPPORTED_PARAMETER, '"stream" is not possible in a batch: leave it out')


def refuse_no_messages(messages: Raw) -> None:
    if bytes(memoryview(messages)[:2]) != b"[{" and not array(messages, "messages"):
        raise LineProblem(ErrorCode.INVALID_PARAMETER, '"messages" is empty')


def as_whole(raw: Raw) -> str:
    """Return how to write a number of digits and `.0`, as frames with gaps do; empty for any other value."""
    whole, point, rest = bytes(memoryview(raw)[:_LONGEST_NUMBER]).partition(b".")
    is_whole = bool(point) and whole.isdigit() and not rest.strip(b"0") and rest != b""
    return f": write {whole.decode()}, not {whole.decode()}.{rest.decode()}" if is_whole else ""


def array(raw: Raw, name: str) -> list[Raw]:
    """The elements of a JSON array.

    Raises:
        LineProblem: It is none.
    """
    try:
        return _array.decode(raw)
    except msgspec.DecodeError:
        raise LineProblem(ErrorCode.INVALID_PARAMETER, f'"{name}" is not an array') from None


_array = msgspec.json.Decoder(list[Raw])
