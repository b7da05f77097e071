"""The results of lines that are in no batch. Pure."""

from collections.abc import Sequence

from batchdrop.batches.split_plan import IndexedError, IndexedLine, Route
from batchdrop.result_line import ErrorCode, Result, ResultError


def unsent_result(line: IndexedLine, number: int, routes: Sequence[Route], *, name: str) -> Result:
    """The result of a line that was never sent.

    Args:
        line: The line.
        number: Its number in the input.
        routes: Those of its split's plan.
        name: What its error calls it: a `Line`, or a `Row` that a template made a request of.
    """
    error = line.error or _unwritten(routes[line.route])
    return Result(
        id=None,
        custom_id=line.custom_id,
        response=None,
        error=ResultError(
            code=error.code, message=f"{name} {number}: {error.message}.", source="input", retryable=False
        ),
        line=number,
        provider=error.provider,
        model=error.model,
        endpoint=error.endpoint,
        batch_id=None,
        attempts=0,
        row=line.kept,
    )


def _unwritten(route: Route) -> IndexedError:
    """Return why a line that was planned is in no batch: when one was replaced, its body was none for every reader."""
    why = "not JSON for every reader: it was in no batch that could be sent"
    return IndexedError(ErrorCode.INVALID_JSON, why, route.provider, route.model, route.endpoint)
