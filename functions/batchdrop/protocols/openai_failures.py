"""OpenAI's batch protocol: whose fault it is when a whole batch fails, or finds no room."""

from collections.abc import Sequence

import msgspec

from batchdrop.protocols.outcome import (
    Failure,
    parse_token_limit,
)
from batchdrop.protocols.refusals import RefusalRule, classify, parse_request_limit
from batchdrop.refusal_kinds import Kind


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """The consequence of a batch's failure for its requests.

    Attributes:
        kind: What it failed for, those requests aside that it blames.
        refused: The requests that it blames; they end.
        words: What it said of that kind.
        limit: How many enqueued tokens there may be, if a refusal stated it.
        most_requests: How many requests a batch may hold, if a refusal stated it.
    """

    kind: Kind
    refused: tuple[Failure, ...] = ()
    words: str = ""
    limit: int | None = None
    most_requests: int | None = None


_INCIDENT_TRIES = 5
_ROOM_TRIES = 24  # about a day: from the seventh on they are an hour apart
_BLAMING = frozenset({Kind.LINES, Kind.SIZE})
# What speaks louder than the rest.
_FIRST_KINDS = (Kind.ACCOUNT, Kind.QUEUE, Kind.PASSING, Kind.SIZE, Kind.MODEL, Kind.BATCH)


def judge_failures(failures: tuple[Failure, ...], *, requests: int, own: Sequence[RefusalRule] = ()) -> Judgement:
    """Whose fault a failed batch was; the set of codes is open."""
    kinds = [_kind_of(each, requests, own) for each in failures]
    kind = next((each for each in _FIRST_KINDS if each in kinds), Kind.LINES)
    refused = tuple(
        each
        for each, its in zip(failures, kinds, strict=True)
        if its in _BLAMING and _names_line(each, requests) and kind is not Kind.ACCOUNT
    )
    return Judgement(
        kind=kind,
        refused=refused,
        words=next((each.message for each, its in zip(failures, kinds, strict=True) if its is kind), ""),
        limit=next(filter(None, (parse_token_limit(each.message) for each in failures)), None),
        most_requests=next(filter(None, (parse_request_limit(each.message) for each in failures)), None),
    )


def _names_line(failure: Failure, requests: int) -> bool:
    return bool(failure.line) and failure.line <= requests  # type: ignore[operator]  # it is no None there


def _kind_of(failure: Failure, requests: int, own: Sequence[RefusalRule]) -> Kind:
    """Return the kind of a failure; one that may pass and names a line is that line's."""
    kind = classify(None, failure.code, failure.message, own)
    return Kind.LINES if kind is Kind.PASSING and _names_line(failure, requests) else kind


def never_fits(limit: int | None, *, requests: int, tokens: int, waits: int) -> bool:
    """Return whether a single request is given up that found the queue full each time.

    Its tokens are an estimate, so it is tried. One that should fit is tried longer: others may fill the queue.
    """
    is_larger = limit is not None and tokens > limit
    return requests == 1 and waits >= (_INCIDENT_TRIES if is_larger else _ROOM_TRIES)
