"""Judges what was read of an ended batch's results: whose they are, and whether they are whole. Pure: one table."""

from enum import StrEnum, auto

import msgspec

from batchdrop.errors import Missing
from batchdrop.records import Batch
from batchdrop.row_changes import BatchChanges

MISSING_SECONDS = 3 * 86_400  # how long results are asked for that the provider does not have, or counts alone
LATE_SECONDS = 900  # what misses rows may still come: it is believed when nothing has changed for so long
_COUNTED_SHARE = 4  # the same, of whole downloads for rows that the provider counts and does not give


class Copied(msgspec.Struct, frozen=True, kw_only=True):
    """The findings of one reading of a batch's results.

    Attributes:
        missing: Requests that have no row.
        foreign: Rows of other batches.
        malformed: Pieces that are nobody's row.
        has_account_errors: Whether a row's error is the account's.
        sizes: The bytes of each stream that was read.
        gone: The streams that are not there.
        counted: How many results the provider last said to have; 0 where it never did.
        has_stated_sizes: Whether each stream is as long as the provider says; False where that was not asked.
    """

    missing: int = 0
    foreign: int = 0
    malformed: int = 0
    has_account_errors: bool = False
    sizes: dict[str, int] = {}
    gone: dict[str, Missing] = {}
    counted: int = 0
    has_stated_sizes: bool = False

    def has_only_foreign_results(self, batch: Batch) -> bool:
        """Return whether there are results, and all of them are another batch's."""
        return self.foreign > 0 and not self.malformed and self.missing == batch.requests

    def rows(self, batch: Batch) -> int:
        return batch.requests - self.missing + self.malformed

    def may_be_whole(self, batch: Batch) -> bool:
        """Return whether the streams' sizes alone can prove that requests are lost: the provider counts no row more."""
        return bool(self.missing and self.sizes) and 0 < self.counted <= self.rows(batch)


class Then(StrEnum):
    """The next action on the results."""

    ACCOUNT = auto()  # each request has a row, is lost, or ends without one
    DISOWN = auto()  # the batch that was adopted is another's
    FIND_FAULT = auto()  # the provider failed it as a whole, and gave no results
    MISSING = auto()  # the provider does not have them, or gives none of this batch's
    WAIT = auto()  # rows are missing that may still come


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """`wait` is in seconds, `noted` what the row keeps of the evidence, `error` why results are missing.

    `is_withheld` says that rows are missing that the provider counts: they may be paid, and are not sent again.
    `is_account_refused` says that the provider is to be paused.
    """

    then: Then
    wait: int = 0
    noted: BatchChanges = {}
    error: Missing | None = None
    is_withheld: bool = False
    is_account_refused: bool = False


def judge(copied: Copied, batch: Batch, *, now: int) -> Verdict:
    """Decide what happens to the results that were read of a batch.

    Args:
        copied: What was read; what the provider did not have was asked for again by the ids that it names now.
        batch: Its row as it was before.
        now: Seconds.
    """
    age = now - (batch.ended_at or 0)
    first_gone = next(iter(copied.gone.values()), None)
    if batch.adopted and copied.has_only_foreign_results(batch):
        return Verdict(then=Then.DISOWN)
    if copied.missing and first_gone is not None and age < MISSING_SECONDS:
        return Verdict(then=Then.MISSING, error=first_gone)
    if batch.ended_as == "failed" and not copied.sizes and not copied.gone:
        return Verdict(then=Then.FIND_FAULT)
    if copied.missing == batch.requests and _gives_nothing_of_it(copied):
        return Verdict(then=Then.MISSING, error=first_gone or Missing("the results are not those of this batch"))
    return _account_or_wait(copied, batch, now, age)


def _gives_nothing_of_it(copied: Copied) -> bool:
    """Whether what came, or did not come, is no result of this batch. An empty stream is: its requests are missing."""
    return bool(copied.foreign or copied.malformed or (copied.gone and not copied.sizes))


def _account_or_wait(copied: Copied, batch: Batch, now: int, age: int) -> Verdict:
    """Requests that are in no stream are lost only when the streams are proven whole.

    They are when they are as long as the provider says, and hold as many rows as it counts; or, where it does not
    count more than it gives, when nothing has changed for a quarter of an hour. What it counts is paid: that is
    waited for as long as for a file that is gone, and then not sent again.
    """
    refused = copied.has_account_errors
    if not copied.missing or (copied.may_be_whole(batch) and copied.has_stated_sizes):
        return Verdict(then=Then.ACCOUNT, is_account_refused=refused)
    is_withheld = copied.counted > copied.rows(batch)
    evidence = f"{copied.missing} missing of {copied.counted or None} counted in {sum(copied.sizes.values())} bytes"
    since = batch.loss_evidence_at if batch.loss_evidence == evidence else now
    left = MISSING_SECONDS - age if is_withheld else LATE_SECONDS - (now - since)
    if left <= 0:
        return Verdict(then=Then.ACCOUNT, is_withheld=is_withheld, is_account_refused=refused)
    share = age // _COUNTED_SHARE if is_withheld else 0
    noted: BatchChanges = {"loss_evidence": evidence, "loss_evidence_at": since, "counted": copied.counted}
    wait = min(left, max(LATE_SECONDS, share))
    return Verdict(then=Then.WAIT, wait=wait, noted=noted, is_account_refused=refused)
