"""What is done with the results that were read of a batch: one row for each case, and what holds for all of them."""

from itertools import product

import msgspec
import pytest
from batchdrop.batches.collect_verdict import LATE_SECONDS, MISSING_SECONDS, Copied, Then, judge
from batchdrop.errors import Missing
from batchdrop.records import Batch
from faking.rows import a_batch

NOW = 1_800_000_000
REQUESTS = 3
GONE = {"output": Missing("404")}
SIZES = {"output": 100}
ALL = REQUESTS


def ended(*, seconds_ago: int = 60, **fields: object) -> Batch:
    return a_batch(requests=REQUESTS, batch_id="batch_1", ended_as="completed", ended_at=NOW - seconds_ago).with_(
        **fields
    )


WAITED_LONG = {"seconds_ago": MISSING_SECONDS}
SAME_EVIDENCE = "1 missing of None counted in 100 bytes"

TABLE = {
    "every request has a row": (Copied(sizes=SIZES), ended(), Then.ACCOUNT),
    "rows are missing": (Copied(missing=1, sizes=SIZES), ended(), Then.WAIT),
    "rows are missing, and were so for some minutes": (
        Copied(missing=1, sizes=SIZES),
        ended(loss_evidence=SAME_EVIDENCE, loss_evidence_at=NOW - LATE_SECONDS + 1),
        Then.WAIT,
    ),
    "rows are missing, and were so for a quarter of an hour": (
        Copied(missing=1, sizes=SIZES),
        ended(loss_evidence=SAME_EVIDENCE, loss_evidence_at=NOW - LATE_SECONDS),
        Then.ACCOUNT,
    ),
    "other rows were missing a quarter of an hour ago": (
        Copied(missing=2, sizes=SIZES),
        ended(loss_evidence=SAME_EVIDENCE, loss_evidence_at=NOW - LATE_SECONDS),
        Then.WAIT,
    ),
    "rows are missing of streams that are proven whole": (
        Copied(missing=1, sizes=SIZES, counted=2, has_stated_sizes=True),
        ended(),
        Then.ACCOUNT,
    ),
    "more rows are counted than came": (
        Copied(missing=1, sizes=SIZES, counted=3, has_stated_sizes=True),
        ended(),
        Then.WAIT,
    ),
    "more rows are counted than came in three days": (
        Copied(missing=1, sizes=SIZES, counted=3),
        ended(**WAITED_LONG),
        Then.ACCOUNT,
    ),
    "a stream is gone": (Copied(missing=1, sizes=SIZES, gone=GONE), ended(), Then.MISSING),
    "a stream is gone, and nothing is missing": (Copied(sizes=SIZES, gone=GONE), ended(), Then.ACCOUNT),
    "a stream is gone for three days, and others are there": (
        Copied(missing=1, sizes=SIZES, gone=GONE),
        ended(loss_evidence=SAME_EVIDENCE, loss_evidence_at=NOW - LATE_SECONDS, **WAITED_LONG),
        Then.ACCOUNT,
    ),
    "every stream is gone for three days": (Copied(missing=ALL, gone=GONE), ended(**WAITED_LONG), Then.MISSING),
    "all rows are another batch's": (Copied(missing=ALL, foreign=3, sizes=SIZES), ended(), Then.MISSING),
    "all rows are another batch's, and it was adopted": (
        Copied(missing=ALL, foreign=3, sizes=SIZES),
        ended(adopted=True),
        Then.DISOWN,
    ),
    "it was adopted, and nobody can read a part": (
        Copied(missing=ALL, foreign=3, malformed=1, sizes=SIZES),
        ended(adopted=True),
        Then.MISSING,
    ),
    "it was adopted, and has a row of ours": (
        Copied(missing=2, foreign=3, sizes=SIZES),
        ended(adopted=True),
        Then.WAIT,
    ),
    "nobody can read anything": (Copied(missing=ALL, malformed=1, sizes=SIZES), ended(), Then.MISSING),
    "it failed, and there are no streams": (Copied(missing=ALL), ended(ended_as="failed"), Then.FIND_FAULT),
    "it failed, and a stream is empty": (
        Copied(missing=ALL, sizes={"error": 0}),
        ended(ended_as="failed"),
        Then.WAIT,
    ),
    "it expired with no stream": (Copied(missing=ALL), ended(ended_as="expired"), Then.WAIT),
}


@pytest.mark.parametrize(("copied", "batch", "then"), TABLE.values(), ids=TABLE)
def test_each_case_has_its_verdict(copied: Copied, batch: Batch, then: Then) -> None:
    assert judge(copied, batch, now=NOW).then is then


def test_the_table_has_a_row_for_each_verdict() -> None:
    assert {then for _, _, then in TABLE.values()} == set(Then)


def test_missing_rows_are_noted_with_the_time_at_which_they_were_first_missed() -> None:
    verdict = judge(Copied(missing=1, sizes=SIZES), ended(), now=NOW)
    assert verdict.noted == {"loss_evidence": SAME_EVIDENCE, "loss_evidence_at": NOW, "counted": 0}
    again = judge(Copied(missing=1, sizes=SIZES), ended(**verdict.noted), now=NOW + 600)
    assert again.noted["loss_evidence_at"] == NOW
    assert (verdict.wait, again.wait) == (LATE_SECONDS, LATE_SECONDS - 600)


@pytest.mark.parametrize(("age", "wait"), [(60, 900), (7_200, 1_800), (MISSING_SECONDS - 100, 100)])
def test_rows_that_are_counted_are_asked_for_later_each_time(age: int, wait: int) -> None:
    copied = Copied(missing=1, sizes=SIZES, counted=3)
    assert judge(copied, ended(seconds_ago=age), now=NOW).wait == wait


EVERY = [
    (Copied(missing=missing, foreign=foreign, malformed=malformed, sizes=sizes, gone=gone, counted=counted), batch)
    for missing, foreign, malformed, sizes, gone, counted in product(
        range(REQUESTS + 1), (0, 2), (0, 1), ({}, SIZES), ({}, GONE), range(REQUESTS + 1)
    )
    for age, ended_as, adopted, seen in product(
        (0, LATE_SECONDS, MISSING_SECONDS), ("completed", "failed"), (False, True), (0, NOW - LATE_SECONDS)
    )
    for batch in [
        ended(
            seconds_ago=age,
            ended_as=ended_as,
            adopted=adopted,
            loss_evidence=f"{missing} missing of {counted or None} counted in {sum(sizes.values())} bytes",
            loss_evidence_at=seen or NOW,
        )
    ]
]


def test_rows_are_sent_again_only_where_nothing_says_that_they_may_be_paid() -> None:
    for (copied, batch), told in product(EVERY, (False, True)):
        read = msgspec.structs.replace(copied, has_stated_sizes=told)
        verdict = judge(read, batch, now=NOW)
        if verdict.then is not Then.ACCOUNT or not read.missing or verdict.is_withheld:
            continue
        proven = told and read.may_be_whole(batch)
        waited = NOW - batch.loss_evidence_at >= LATE_SECONDS and read.counted <= read.rows(batch)
        assert proven or waited, (read, batch)


def test_a_batch_is_disowned_only_where_none_of_its_rows_came_and_it_was_adopted() -> None:
    for copied, batch in EVERY:
        if judge(copied, batch, now=NOW).then is Then.DISOWN:
            assert batch.adopted
            assert copied.missing == REQUESTS
            assert copied.foreign


def test_nothing_waits_for_ever() -> None:
    for copied, batch in EVERY:
        verdict = judge(copied, batch, now=NOW)
        assert (verdict.wait > 0) == (verdict.then is Then.WAIT)
        assert verdict.wait <= MISSING_SECONDS
        late = judge(copied, batch.with_(ended_at=NOW - MISSING_SECONDS, loss_evidence_at=NOW - LATE_SECONDS), now=NOW)
        assert late.then is not Then.WAIT


@pytest.mark.parametrize("missing", [0, 1])
def test_an_error_of_the_account_pauses_its_provider_whether_rows_are_missing_or_not(missing: int) -> None:
    copied = Copied(missing=missing, sizes=SIZES)
    with_error = msgspec.structs.replace(copied, has_account_errors=True)
    assert judge(with_error, ended(), now=NOW).is_account_refused
    assert not judge(copied, ended(), now=NOW).is_account_refused
