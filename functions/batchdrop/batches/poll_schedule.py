"""Decides when and in which order batches are polled. Pure.

A page of a provider's list costs one call, as one batch does, and tells of a hundred or more. Pages are asked for at
the places of batches of ours, so that other people's newer ones need not be read.
"""

from collections.abc import Callable, Sequence

import msgspec

from batchdrop.aws.leases import Lease
from batchdrop.aws.table import Due

_LONGEST_INTERVAL = 600  # seconds between two looks at a batch
_AGE_SHARE = 15  # a batch is asked for at least each fifteenth of its age
_NEAR_USUAL = 5  # and in every round while its age is within a fifth of what batches usually take
_UNKNOWN_USUAL = 900  # seconds: what batches usually take while none has ended
_CONFIRM_SHARE = 3  # past that, a batch is asked for by its id at least each third of its age
_CONFIRM_LONGEST = 7_200  # seconds between two of these looks, and no fewer than between two rounds
_USUAL_WEIGHT = 8  # a batch that ended changes what is usual by an eighth of the difference


class PollPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The batches that one round asks a provider for.

    Attributes:
        turn: Its batches in flight, in the order in which they are asked for.
        asked: The ids of those that are asked for.
        confirmed: The ids of those that are asked for by their ids where a list calls them unfinished.
        overdue_after: The age (seconds) past which a batch is cancelled.
    """

    turn: list[Due]
    asked: frozenset[str]
    confirmed: frozenset[str]
    overdue_after: int


def plan_poll(in_flight: Sequence[Due], lease: Lease, *, overdue_after: int, now: int) -> PollPlan:
    """Decide what a round asks; `lease` tells of the round before it."""
    turn = in_turn([each for each in in_flight if each.due_at <= now], lease.cut_at)  # not what failed lately
    confirmed = _chosen(turn, lambda age: is_confirmed(age, now, lease.last, lease.usual), now)
    asked = _chosen(turn, lambda age: is_asked(age, now, lease.last, lease.usual), now) | confirmed
    confirmed |= _chosen(turn, lambda age: age >= overdue_after, now)
    if asked:  # the newest, too: an answer about it tells that the key is the one that created it
        asked |= {max(turn, key=_time).batch_id or ""}
    return PollPlan(turn=turn, asked=asked, confirmed=confirmed, overdue_after=overdue_after)


def _chosen(turn: Sequence[Due], choose: Callable[[int], bool], now: int) -> frozenset[str]:
    """The ids of those whose age is chosen."""
    return frozenset(each.batch_id for each in turn if each.batch_id and choose(age_of(each, now)))


def age_of(due: Due, now: int) -> int:
    """Return how long ago a batch was submitted (seconds)."""
    return now - (due.submitted_at or now)


def is_asked(age: int, now: int, last: int, usual: int = 0) -> bool:
    """Return whether a batch of this age (seconds) is asked for now, when the round before was at `last`.

    Young ones are asked for often, and those that should soon end; others seldom.
    """
    is_near = abs(age - usual) * _NEAR_USUAL <= usual
    return _is_due(1 if is_near else age // _AGE_SHARE, _LONGEST_INTERVAL, now, last)


def is_confirmed(age: int, now: int, last: int, usual: int = 0) -> bool:
    """Return whether a batch of this age is asked for by its id, whatever lists say.

    Some servers move a batch on only then, and their lists call it unfinished for ever.
    """
    if age <= (usual or _UNKNOWN_USUAL):
        return False
    return _is_due(age // _CONFIRM_SHARE, _CONFIRM_LONGEST, now, last)


def _is_due(seconds: int, longest: int, now: int, last: int) -> bool:
    """Return whether an interval began since `last`; one that is no longer than so many seconds, nor than the longest.

    Intervals are the longest one, halves of it, quarters and so on, and begin together for all batches: one page tells
    of many, and a batch that ages into a longer interval is not passed over again and again.
    """
    halvings = 0
    while longest > max(seconds, 1) << halvings:
        halvings += 1
    return (now << halvings) // longest != (last << halvings) // longest


def usual_after(usual: int, seconds: int) -> int:
    """Return the usual duration of batches, now that one took so many seconds; 0 while none has ended."""
    return usual + (seconds - usual) // _USUAL_WEIGHT if usual else seconds


def in_turn(in_flight: Sequence[Due], cut_at: int | None) -> list[Due]:
    """The batches, the newest first as lists have them; from where the last round was cut, and round to there."""
    ordered = sorted(in_flight, key=lambda each: (-_time(each), each.batch_id or ""))
    start = next((place for place, each in enumerate(ordered) if cut_at is not None and _time(each) <= cut_at), 0)
    return ordered[start:] + ordered[:start]


def page_before(turn: Sequence[Due], place: int) -> str | None:
    """Behind which batch the page begins that holds the one at this place; None for the first page."""
    before, wanted = turn[place - 1], turn[place]
    is_before = _time(before) > _time(wanted) or (place > 0 and _time(before) == _time(wanted))
    return before.batch_id if is_before else None


def singly_after(found: int, lean: int) -> int:
    """Return how many batches are asked for one by one before the next page is tried.

    None after a page that showed two or more; ever more after each that did not, `lean` being what it was before.
    """
    return 0 if found > 1 else 2 * lean + 1


def _time(due: Due) -> int:
    return due.submitted_at or 0
