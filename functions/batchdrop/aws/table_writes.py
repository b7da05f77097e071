"""Sends every write to the table: conflicting writes are retried, wrong ones are not.

DynamoDB refuses a Put, an Update or a Delete of a row that a transaction is at, as it refuses a transaction then:
`TransactionConflictException`, or `TransactionConflict` among the cancellation reasons (API_UpdateItem.html and
API_TransactWriteItems.html in https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/). Nothing was written,
and the same write goes through in a moment. Throttling passes, too: boto3's client repeats calls then, but no
transaction whose reasons name it. Any other refusal is a mistake of ours, and stays one however often it is tried.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal

from botocore.exceptions import ClientError

from batchdrop.aws.retrying import retry
from batchdrop.errors import Transient

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

Item = dict[str, Any]
Kind = Literal["Put", "Update", "Delete"]

CONDITION = "ConditionalCheckFailed"
_ATTEMPTS = 10  # about four seconds
_CONFLICTS = frozenset({"TransactionConflictException", "TransactionInProgressException"})
_THROTTLES = frozenset({"ThrottlingException", "ProvisionedThroughputExceededException", "RequestLimitExceeded"})
_PASSING_REASONS = frozenset({"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})


class ConditionFailed(Exception):  # noqa: N818 - it is an outcome: another writer was faster
    """A write's condition does not hold.

    Args:
        found: The row as it is, where the write asks for it and there is one.
    """

    def __init__(self, found: Item | None) -> None:
        super().__init__(CONDITION)
        self.found = found


class _Conflict(Exception):  # noqa: N818 - it never leaves this module
    """The same write may go through in a moment."""


class TableWrites:
    """The writes to a table, as DynamoDB's items of a transaction have them; each names the table itself."""

    def __init__(self, client: "DynamoDBClient") -> None:
        self._client = client

    def write(self, kind: Kind, request: Item) -> Item:
        """Write one row; the attributes that the request asks to be returned, or {}.

        Raises:
            ConditionFailed: Its condition does not hold.
            Transient: The row, or the table, is busy: nothing was written.
        """
        calls: dict[Kind, Callable[..., Any]] = {
            "Put": self._client.put_item,
            "Update": self._client.update_item,
            "Delete": self._client.delete_item,
        }
        try:
            answer: Item = _repeat(calls[kind], request)
        except ClientError as error:
            if _code(error) != f"{CONDITION}Exception":
                raise
            shown: Any = error.response.get("Item")
            raise ConditionFailed(shown) from error
        attributes: Item = answer.get("Attributes", {})
        return attributes

    def transact(self, items: Sequence[Item]) -> list[Item]:
        """Write all of these, or none; then, the reason of each: its `Code` is `CONDITION` where it was refused.

        Raises:
            Transient: One of the rows, or the table, is busy: nothing was written.
        """
        try:
            _repeat(self._client.transact_write_items, {"TransactItems": list(items)})
        except ClientError as error:
            reasons = _reasons(error)
            if not reasons or _codes(reasons) - _PASSING_REASONS - {CONDITION}:
                raise
            return reasons
        return []


def _repeat(call: Callable[..., Any], request: Item) -> Any:  # noqa: ANN401 - one of several of boto3's answers
    try:
        return _call(call, request)
    except _Conflict as error:
        raise Transient(f"DynamoDB does not take the write now: {error}") from error
    except ClientError as error:
        if _code(error) in _THROTTLES:  # boto3's client has repeated it
            raise Transient(f"DynamoDB does not take the write now: {_code(error)}") from error
        raise


@retry(on=_Conflict, attempts=_ATTEMPTS, wait_initial=0.02, wait_max=1.0, wait_jitter=0.1)
def _call(call: Callable[..., Any], request: Item) -> Any:  # noqa: ANN401 - as above
    try:
        return call(**request)
    except ClientError as error:
        codes = _codes(_reasons(error))
        if _code(error) in _CONFLICTS or (codes and codes <= _PASSING_REASONS):
            raise _Conflict(", ".join(sorted(codes)) or _code(error)) from error
        raise


def _code(error: ClientError) -> str:
    return str(error.response["Error"]["Code"])


def _reasons(error: ClientError) -> list[Item]:
    """Return why a transaction was cancelled, one an item; empty where the error is another."""
    reasons: Any = error.response.get("CancellationReasons")
    return reasons or []


def _codes(reasons: Sequence[Item]) -> set[str]:
    return {str(reason.get("Code")) for reason in reasons} - {"None"}  # of an item that was in nobody's way
