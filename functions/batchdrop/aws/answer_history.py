"""Keeps the tokens of a folder's answers by provider, model, endpoint and week.

The move that completes a job adds to the sums, in its transaction, so that each job counts once.
"""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import msgspec

from batchdrop.aws.keys import top_folder
from batchdrop.aws.table import Table, read_row
from batchdrop.aws.table_items import Update, Write

_KEPT = timedelta(weeks=8)


class AnsweredTokens(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over the answers of a week (`2026-48`, as ISO counts weeks).

    Attributes:
        model: As written in the lines.
        estimated: The input tokens, at most, that their quotes estimated.
        input: The input tokens that the provider counted.
        output: The output tokens.
    """

    week: str
    provider: str
    model: str
    endpoint: str
    answers: int
    estimated: int
    input: int
    output: int


class AnswerHistory:
    """The rows of answered tokens; `Store` has one."""

    def __init__(self, table: Table, *, now: Callable[[], int]) -> None:
        self._table, self._now = table, now

    def tokens(self, key: str) -> Iterator[AnsweredTokens]:
        """Return the tokens of the answers in a file's folder, of the last weeks."""
        found = (read_row(each, AnsweredTokens) for each in self._table.items(_folder(key), "20"))
        return (each for each in found if each is not None)

    def add(self, key: str, tokens: AnsweredTokens) -> Write:
        """Add to the sums of a file's folder; the week is this one."""
        update = Update(_folder(key), f"{tokens.week}#{tokens.provider}#{tokens.endpoint}#{tokens.model}")
        for name in ("week", "provider", "model", "endpoint"):
            update.set(name, getattr(tokens, name))
        for name in ("answers", "estimated", "input", "output"):
            update.raise_by(name, getattr(tokens, name))
        update.set("expires_at", self._now() + int(_KEPT.total_seconds()))
        return lambda table: {"Update": update.request(table)}


def week_of(seconds: int, *, before: int = 0) -> str:
    """The week of a time (seconds since 1970, UTC), or one of so many weeks before."""
    return f"{datetime.fromtimestamp(seconds, UTC) - timedelta(weeks=before):%G-%V}"


def _folder(key: str) -> str:
    return f"ANSWERS#{top_folder(key)}"
