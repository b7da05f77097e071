"""What people are told of an event: counts, the top error, money, the manifest, and what to type next."""

from typing import Any

import msgspec
import pytest
from batchdrop.manifest import Counts, Input, JobEvent, ManifestAt, ProviderEvent, TopError
from batchdrop.money import Money, PriceSource
from batchdrop.notices import KINDS, Notice, notice_of
from batchdrop.states import JobState
from hypothesis import given
from hypothesis import strategies as st

JOB = "20261105T091412Z-7f3a9c2e51"


def an_event(**changes: Any) -> JobEvent:
    event = JobEvent(
        job=JOB,
        status=JobState.COMPLETED,
        reason=None,
        retry_of=None,
        input=Input(
            bucket="b", key="input/mine/reviews.jsonl", version_id="v", etag="e", bytes=1, lines=300, blank_lines=0
        ),
        counts=Counts(total=300, answered=298, failed=2, errors={"invalid_json": 2}, finish_reasons={}),
        manifest=ManifestAt(bucket="b", key="output/mine/reviews/j/manifest.json", version_id="m"),
        money=Money(
            cost_usd="0.00843",
            realtime_usd="0.0168",
            saved_usd="0.00838",
            retries_usd="0",
            duplicates_usd="0",
            unpriced_models=[],
            no_batch_price=[],
            prices=PriceSource(source="s", date="2026-11-05"),
        ),
        top_error=TopError(code="invalid_json", lines=2),
    )
    return msgspec.structs.replace(event, **changes)


def told(kind: str, event: msgspec.Struct) -> Notice:
    return notice_of(kind, msgspec.json.encode(event))


def test_a_job_that_is_done_is_told_with_counts_error_money_and_what_to_type() -> None:
    assert told("Job Completed", an_event()) == Notice(
        subject="batchdrop: reviews.jsonl is done: 298 of 300 lines are answered",
        text=f"""Job {JOB} is done: 298 of 300 lines are answered.
2 lines failed, 2 of them with invalid_json (see docs/error-codes.md).
It cost $0.0084, $0.0084 less than at real time.

File: s3://b/input/mine/reviews.jsonl
Manifest: s3://b/output/mine/reviews/j/manifest.json
In the console: https://console.aws.amazon.com/s3/object/b?prefix=output/mine/reviews/j/manifest.json

Next:
  batchdrop results {JOB}
  batchdrop results --errors {JOB}
  batchdrop retry {JOB}
""",
    )


def test_a_job_that_failed_says_why() -> None:
    failed = an_event(
        status=JobState.FAILED, reason="The file is empty.", counts=None, money=None, top_error=None, manifest=None
    )
    assert told("Job Failed", failed) == Notice(
        subject="batchdrop: reviews.jsonl failed: it has no results",
        text=f"""Job {JOB} failed: it has no results.
Reason: The file is empty.

File: s3://b/input/mine/reviews.jsonl

Next:
  batchdrop show {JOB}
""",
    )


@pytest.mark.parametrize(
    ("kind", "status", "subject", "commands"),
    [
        ("Job Late", JobState.RUNNING, "is late", ["show"]),
        ("Job Held", JobState.HELD, "waits for your approval", ["show", "approve", "reject"]),
    ],
)
def test_a_job_that_is_late_or_held_says_what_to_do(
    kind: str, status: JobState, subject: str, commands: list[str]
) -> None:
    event = msgspec.to_builtins(
        an_event(status=status, reason="It may cost $20.", counts=None, money=None, top_error=None, manifest=None)
    )
    nothing = dict.fromkeys(("budget_usd", "monthly_budget_usd", "folder", "month", "committed_usd"))
    notice = notice_of(kind, msgspec.json.encode(event | {"quote": None, "budget": nothing}))
    assert notice.subject == f"batchdrop: reviews.jsonl {subject}"
    assert "It may cost $20." in notice.text
    assert [line.split()[1] for line in notice.text.splitlines() if line.startswith("  batchdrop ")] == commands


def test_a_provider_that_is_paused_is_told() -> None:
    assert told("Provider Paused", ProviderEvent(provider="openai", reason="It refuses the key.")) == Notice(
        subject="batchdrop: openai takes no batches",
        text="Nothing is submitted to openai for now: It refuses the key.\n"
        "It is tried again every five minutes; no line is lost.\n\nNext:\n  batchdrop doctor\n",
    )


@given(st.text(), st.text(), st.sampled_from(sorted(set(KINDS) - {"Job Held", "Provider Paused"})))
def test_whatever_a_file_is_called_the_notice_can_be_sent_and_has_nothing_hidden(
    name: str, reason: str, kind: str
) -> None:
    source = msgspec.structs.replace(an_event().input, key=f"input/{name.replace('/', '')}.jsonl")
    notice = told(kind, an_event(input=source, reason=reason))
    assert len(notice.subject) <= 100
    assert notice.subject.isascii()
    assert all(line.isprintable() for line in (notice.subject, *notice.text.split("\n")))
