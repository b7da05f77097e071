"""Decides what the reply to a call at real time means for its request, and for the calls after it. Pure: one table."""

from collections.abc import Sequence
from enum import StrEnum, auto

import msgspec

from batchdrop.errors import AccountRefused, LimitReached
from batchdrop.protocols.refusals import RefusalRule
from batchdrop.providers.http_errors import is_timeout, refusal
from batchdrop.providers.interface import Reply

_SUCCESS = range(200, 300)
_TOO_MANY, _SERVER_ERROR = 429, 500
_MOST_TRIES = 3  # of what the provider answers with an error of its own; then it ends as in a batch, and goes again
_MOST_WAITS = 10  # of what finds no room: then it is left to another run
_SHORTEST, _LONGEST = 1, 60  # seconds, where the provider does not say how long
_DEFER_SECONDS = 300  # seconds; longer than a run sleeps
_LONGEST_RETRY_AFTER = 900  # seconds, whatever it says


class Then(StrEnum):
    """The next action on the request."""

    KEEP = auto()  # the reply is its result
    AGAIN = auto()  # it was not answered, and may be called again in a while
    DOUBT = auto()  # it may have been answered
    STOP = auto()  # the account is refused: no call is made


class Meaning(msgspec.Struct, frozen=True, kw_only=True):
    """`wait` is in seconds, for all calls; `is_outage` says that the provider is at fault: its own error, or none."""

    then: Then
    wait: float = 0
    is_outage: bool = False
    refused: AccountRefused | None = None


NO_REPLY = Meaning(then=Then.DOUBT, wait=_SHORTEST, is_outage=True)


def meaning_of(reply: Reply, tries: int, own: Sequence[RefusalRule]) -> Meaning:
    """Return the meaning of a reply.

    Args:
        reply: The provider's reply.
        tries: How often the request was called before in this run, with no answer.
        own: The provider's rules in `providers.toml`.
    """
    if reply.status in _SUCCESS:
        return Meaning(then=Then.KEEP)
    error = refusal(reply.status, reply.body, own)
    if isinstance(error, AccountRefused):
        return Meaning(then=Then.STOP, refused=error)
    if is_timeout(reply.status, reply.body):
        return Meaning(then=Then.DOUBT, wait=_wait(reply, tries), is_outage=True)
    if reply.status == _TOO_MANY or isinstance(error, LimitReached):
        wait = _wait(reply, tries)
        return Meaning(then=Then.AGAIN, wait=wait if tries < _MOST_WAITS else max(wait, _DEFER_SECONDS))
    if reply.status >= _SERVER_ERROR:
        then = Then.AGAIN if tries < _MOST_TRIES else Then.KEEP
        return Meaning(then=then, wait=_wait(reply, tries), is_outage=True)
    return Meaning(then=Then.KEEP)


def _wait(reply: Reply, tries: int) -> float:
    usual = min(_SHORTEST << tries, _LONGEST)
    return max(usual, min(reply.retry_after or 0, _LONGEST_RETRY_AFTER))
