"""Refusals in the words and shapes of each vendor."""

from collections.abc import Mapping
from typing import Self

from provider_simulator.facts import Json, ProviderName

TOO_LARGE, SERVER_ERROR = 413, 500
OPENAI_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "invalid_request_error",
    409: "conflict_error",
    413: "invalid_request_error",
    429: "rate_limit_error",
    500: "server_error",
    503: "server_error",
}
ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
    500: "api_error",
    503: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}


class RefusedError(Exception):
    """The provider answers with this status and error; nothing was done."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str | None = None,
        code: str | None = None,
        param: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = kind
        self.code = code
        self.param = param
        self.retry_after: float | None = None
        self.headers: Mapping[str, str] = {}

    def after(self, seconds: float | None) -> Self:
        """With the advice to come back after so long."""
        self.retry_after = seconds
        return self

    def error(self, provider: ProviderName) -> Json:
        """The error itself, without what is around it."""
        if provider == "openai":
            return openai_error(self.status, self.message, kind=self.kind, code=self.code, param=self.param)
        # The document's errors have no type for 413; its text, and the page of errors, name this one.
        kind = self.kind or ("request_too_large" if self.status == TOO_LARGE else None)
        return anthropic_error(self.status, self.message, kind=kind)

    def body(self, provider: ProviderName, request_id: str) -> Json:
        error = self.error(provider)
        return {"error": error} if provider == "openai" else {"type": "error", "error": error, "request_id": request_id}


def openai_error(
    status: int | None, message: str, *, kind: str | None = None, code: str | None = None, param: str | None = None
) -> Json:
    unknown = "server_error" if status is None or status >= SERVER_ERROR else "invalid_request_error"
    kind = kind or OPENAI_TYPES.get(status or SERVER_ERROR, unknown)
    return {"message": message, "type": kind, "param": param, "code": code}


def anthropic_error(status: int | None, message: str, *, kind: str | None = None) -> Json:
    unknown = "api_error" if status is None or status >= SERVER_ERROR else "invalid_request_error"
    return {"type": kind or ANTHROPIC_TYPES.get(status or SERVER_ERROR, unknown), "message": message}
