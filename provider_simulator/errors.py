"""Refusals in the words and shapes of each vendor."""

from typing import Self

from provider_simulator.facts import Json, ProviderName

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
    409: "conflict_error",
    413: "request_too_large",
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

    def after(self, seconds: float | None) -> Self:
        """With the advice to come back after so long."""
        self.retry_after = seconds
        return self

    def body(self, provider: ProviderName, request_id: str) -> Json:
        if provider == "openai":
            return {"error": openai_error(self.status, self.message, kind=self.kind, code=self.code, param=self.param)}
        error = anthropic_error(self.status, self.message, kind=self.kind)
        return {"type": "error", "error": error, "request_id": request_id}


def openai_error(
    status: int | None, message: str, *, kind: str | None = None, code: str | None = None, param: str | None = None
) -> Json:
    kind = kind or OPENAI_TYPES.get(status or 500, "server_error")
    return {"message": message, "type": kind, "param": param, "code": code}


def anthropic_error(status: int | None, message: str, *, kind: str | None = None) -> Json:
    return {"type": kind or ANTHROPIC_TYPES.get(status or 500, "api_error"), "message": message}
