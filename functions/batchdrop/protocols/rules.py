"""What both protocols' checks share."""

from collections.abc import Iterable

import msgspec
from msgspec import UNSET, Raw, UnsetType

from batchdrop.results import ErrorCode

# Arguments of the vendors' SDK methods, not of their APIs: in a body they fail every row (inspect_ai#3272).
SDK_ARGUMENTS = ("extra_body", "extra_headers", "extra_query")


class LineProblem(Exception):  # noqa: N818 - a finding about a line, turned into its error
    """Why a line cannot be sent; `route` says what is known of where it would have gone."""

    def __init__(self, code: ErrorCode, message: str, route: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.route: dict[str, str] = route or {}


def refuse_sdk_arguments(fields: Iterable[tuple[str, Raw | UnsetType]]) -> None:
    for name, value in fields:
        if value is not UNSET:
            raise LineProblem(
                ErrorCode.UNSUPPORTED_PARAMETER,
                f'"{name}" is an argument of the SDK, not of the API: put its content in',
            )


def refuse_stream(stream: Raw | UnsetType) -> None:
    if stream is not UNSET and bytes(stream) not in {b"false", b"null"}:
        raise LineProblem(ErrorCode.UNSUPPORTED_PARAMETER, '"stream" is not possible in a batch: leave it out')


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
