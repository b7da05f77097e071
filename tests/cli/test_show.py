import json
import time
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import boto3
import msgspec
import pytest
from batchdrop.aws.keys import quote_key
from batchdrop.aws.provider_items import PART_OF_HOUR, reserve
from batchdrop.aws.provider_store import Pause
from batchdrop.aws.table_items import add_retry
from batchdrop.batches.completion_times import Confidence, count_completion
from batchdrop.batches.job_quote import JobQuote
from batchdrop.manifest import Deadline, Dedupe, Files, Usage, timestamp
from batchdrop.money import PriceSource, Quote, QuotedTokens, TokenRange
from batchdrop.pause_codes import PauseCode
from batchdrop.records import Batch, Job, JobSettings
from batchdrop.refusal_kinds import Kind
from batchdrop.states import BatchState, JobState
from faking import rows
from faking.outputs import a_manifest
from faking.rows import NOW

from batchdrop_cli.cloud import Cloud
from batchdrop_cli.deadline import deadline_of
from batchdrop_cli.expected import ExpectedEnd
from batchdrop_cli.waiting import paused, waits_for

if TYPE_CHECKING:
    from conftest import Aws, Run

BUCKET = "batchdrop-test"
FAR = 4_000_000_000


def test_show_says_which_key_is_missing_and_how_to_set_it(
    aws: "Aws", run: "Run", a_job: Callable[..., Job], a_batch: Callable[..., Batch]
) -> None:
    job = a_job().id
    aws.store.add(a_job())
    aws.store.add(a_batch())
    aws.store.add(a_batch(id="00000-0-0001", state=BatchState.IN_FLIGHT, provider="anthropic", model=None, requests=9))
    aws.store.providers.set_pause("openai", "no key in the secret 'batchdrop/openai'", FAR, code=PauseCode.NO_KEY)
    code, out, err = run("show", job)
    assert (err, code) == ("", 0)
    assert [line.rstrip() for line in out.splitlines()] == [
        f"job      {job}",
        "file     s3://batchdrop-test/input/mine/reviews.jsonl (91,234 bytes)",
        "state    RUNNING: its batches are being processed",
        "dropped  2026-11-05T09:14:12Z",
        "",
        "provider   model        endpoint              batches  requests  state",
        "anthropic  any          /v1/chat/completions        1         9  at the provider",
        "openai     gpt-4o-mini  /v1/chat/completions        1       200  waiting",
        "",
        "waits    openai: no key. Set it with: batchdrop keys set openai",
        f"output   s3://batchdrop-test/output/mine/reviews/{job}/ (when it is over)",
    ]


def test_a_pause_is_told_while_its_end_is_being_tried(
    aws: "Aws", run: "Run", a_job: Callable[..., Job], a_batch: Callable[..., Batch]
) -> None:
    aws.store.add(a_job())
    aws.store.add(a_batch(state=BatchState.SUBMITTING))
    aws.store.providers.set_pause("openai", "no credit (429)", int(time.time()) - 5)
    assert json.loads(run("show", "--json").out)["waits_for"] == ["openai: no credit (429). Retried automatically."]
    aws.store.providers.set_pause("openai", "no credit (429)", int(time.time()) - 3_600)
    assert json.loads(run("show", "--json").out)["waits_for"] == []


@pytest.mark.parametrize(
    ("code", "reason", "said"),
    [
        (
            PauseCode.NO_KEY,
            "no key in the secret 'batchdrop/openai'",
            "openai: no key. Set it with: batchdrop keys set openai",
        ),
        (
            PauseCode.NO_KEY,
            "the secret 'batchdrop/openai' is empty",
            "openai: no key. Set it with: batchdrop keys set openai",
        ),
        (
            PauseCode.KEY_REFUSED,
            "the key was refused (401 invalid_api_key)",
            "openai: the key was refused (401 invalid_api_key). Set another with: batchdrop keys set openai",
        ),
        (
            PauseCode.ACCOUNT_REFUSED,
            "no credit (429 insufficient_quota)",
            "openai: no credit (429 insufficient_quota). Retried automatically.",
        ),
        ("", "no key: an older version wrote it", "openai: no key: an older version wrote it. Retried automatically."),
    ],
)
def test_a_pause_is_told_with_what_ends_it(code: str, reason: str, said: str) -> None:
    assert paused("openai", Pause(reason=reason, reason_code=code)) == said


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (JobState.PLANNING, "state    PLANNING: the file is being read; nothing is paid yet"),
        (JobState.RUNNING, "state    RUNNING: its batches are being processed"),
        (JobState.CANCELLING, "state    CANCELLING: being cancelled: results received so far are collected"),
        (JobState.PUBLISHING, "state    PUBLISHING: the results are being written"),
    ],
)
def test_every_unfinished_state_has_its_words(
    aws: "Aws", run: "Run", a_job: Callable[..., Job], state: JobState, said: str
) -> None:
    aws.store.add(a_job(state=state))
    assert run("show").out.splitlines()[2] == said


def test_a_create_in_doubt_is_told_with_how_long_it_is_looked_for(
    aws: "Aws", run: "Run", a_job: Callable[..., Job], a_batch: Callable[..., Batch]
) -> None:
    aws.store.add(a_job())
    aws.store.add(a_batch(state=BatchState.SUBMITTING, create_by=2**33))
    assert json.loads(run("show", "--json").out)["waits_for"] == []  # it is under way
    aws.store.add(a_batch(id="00000-0-0001", state=BatchState.SUBMITTING, create_by=1_700_000_000))
    said = "openai: no answer said whether 1 of its batches began; looked for in its lists until 2023-11-14T22:43:20Z"
    assert json.loads(run("show", "--json").out)["waits_for"] == [f"{said} or a little later, and only then sent again"]


def test_a_create_in_doubt_of_a_job_that_is_cancelled_is_not_said_to_be_sent_again(
    aws: "Aws", run: "Run", a_job: Callable[..., Job], a_batch: Callable[..., Batch]
) -> None:
    aws.store.add(a_job(state=JobState.CANCELLING))
    aws.store.add(a_batch(state=BatchState.SUBMITTING, create_by=1_700_000_000))
    aws.store.add(a_batch(id="00000-0-0001"))  # it waits, and is cancelled in a moment
    said = "openai: no answer said whether 1 of its batches began; looked for in its lists until 2023-11-14T22:43:20Z"
    assert json.loads(run("show", "--json").out)["waits_for"] == [
        f"{said} or a little later, and not sent again: the job is being cancelled"
    ]


def test_limits_with_no_room_are_said(
    aws: "Aws", run: "Run", a_job: Callable[..., Job], a_batch: Callable[..., Batch]
) -> None:
    aws.store.add(a_job())
    sent = a_batch(id="00000-0-0001")
    aws.store.add(a_batch(cost=120_000))
    aws.store.add(sent)
    aws.store.move(sent, BatchState.ADMITTED, also=[reserve(sent.ledger, 1_900_000, limit=2_000_000)])
    said = "position 1 of 1 in queue openai/gpt-4o-mini; needs 120,000 tokens, 1,900,000"
    assert json.loads(run("show", "--json").out)["waits_for"] == [f"{said} of 2,000,000 in use"]
    aws.store.providers.learn_limit(sent.ledger, 1_950_000, FAR)
    assert json.loads(run("show", "--json").out)["waits_for"] == [f"{said} of 1,950,000 in use"]


def test_an_hour_with_no_room_is_said(
    aws: "Aws", run: "Run", a_job: Callable[..., Job], a_batch: Callable[..., Batch]
) -> None:
    aws.store.add(a_job())
    aws.store.add(a_batch())
    part = int(time.time()) // PART_OF_HOUR * PART_OF_HOUR - PART_OF_HOUR
    boto3.client("dynamodb").put_item(
        TableName="batchdrop-jobs",
        Item={"pk": {"S": "PROVIDER#openai"}, "sk": {"S": f"HOUR#{part}"}, "batches": {"N": "2000"}},
    )
    assert json.loads(run("show", "--json").out)["waits_for"] == [
        "openai: 2,000 of 2,000 batches of an hour are sent (batches_per_hour); the next one waits",
        "position 1 of 1 in queue openai/gpt-4o-mini; needs 300 tokens, 0 of 2,000,000 in use",
    ]


def test_a_queue_of_anthropic_counts_requests(
    aws: "Aws", run: "Run", a_job: Callable[..., Job], a_batch: Callable[..., Batch]
) -> None:
    aws.store.add(a_job())
    aws.store.add(a_batch(provider="anthropic", ledger="anthropic", endpoint="/v1/messages", model=None, cost=1))
    assert json.loads(run("show", "--json").out)["waits_for"] == [
        "position 1 of 1 in queue anthropic; needs 1 request, 0 of 200,000 in use"
    ]


def test_the_queue_of_a_provider_that_is_not_configured_here_has_no_limit(
    aws: "Aws", run: "Run", a_job: Callable[..., Job], a_batch: Callable[..., Batch]
) -> None:
    aws.store.add(a_job())
    aws.store.add(a_batch(provider="mine", ledger="mine/m"))
    assert json.loads(run("show", "--json").out)["waits_for"] == [
        "position 1 of 1 in queue mine/m; needs 300 tokens, 0 in use"
    ]


def test_a_batch_that_has_just_left_the_queue_has_no_place_in_it(
    aws: "Aws", a_job: Callable[..., Job], a_batch: Callable[..., Batch]
) -> None:
    left = a_batch()
    aws.store.add(left)
    aws.store.move(left, BatchState.ADMITTED)
    cloud = Cloud(title="", is_local=False, bucket="batchdrop-test", table="batchdrop-jobs", session=boto3.Session())
    assert waits_for(cloud, a_job(), [left]) == []


def test_batches_that_were_refused_are_told_with_the_kind(
    aws: "Aws", run: "Run", a_job: Callable[..., Job], a_batch: Callable[..., Batch]
) -> None:
    aws.store.add(a_job())
    for number, kind in enumerate((Kind.PASSING, Kind.PASSING, Kind.LINES)):
        aws.store.add(a_batch(id=f"00000-0-000{number}", refused_as=kind))
    aws.store.add(a_batch(id="00000-0-0003", state=BatchState.IN_FLIGHT, refused_as=Kind.PASSING))
    assert json.loads(run("show", "--json").out)["waits_for"][:2] == [
        "openai refused 1 batch (kind: lines). Retried automatically.",
        "openai refused 2 batches (kind: passing). Retried automatically.",
    ]


def test_results_that_cannot_be_collected_are_told_with_the_reason(
    aws: "Aws", run: "Run", a_job: Callable[..., Job], a_batch: Callable[..., Batch]
) -> None:
    aws.store.add(a_job())
    aws.store.add(a_batch(state=BatchState.ENDED))  # it was not tried yet
    for number, reason in enumerate(("the provider does not have them", "refused", "refused"), start=1):
        aws.store.add(a_batch(id=f"00000-0-000{number}", state=BatchState.ENDED, defer_reason=reason))
    aws.store.add(a_batch(id="00000-0-0004", state=BatchState.COLLECTED, defer_reason="refused"))
    assert json.loads(run("show", "--json").out)["waits_for"] == [
        "openai: no results yet of 2 batches that ended: refused. Retried automatically.",
        "openai: no results yet of 1 batch that ended: the provider does not have them. Retried automatically.",
    ]


def test_requests_that_are_sent_again_or_in_smaller_batches_are_counted_once(
    aws: "Aws", run: "Run", a_job: Callable[..., Job], a_batch: Callable[..., Batch]
) -> None:
    aws.store.add(a_job())
    aws.store.add(a_batch(state=BatchState.COLLECTED, requests=150, again=150, is_uncharged_attempt=True))
    aws.store.add(a_batch(id="00000-1-0000", round=1, state=BatchState.REPLACED, requests=150))
    aws.store.add(
        a_batch(id="00000-1-0001", round=1, state=BatchState.COLLECTED, requests=90, again=1)
    )  # not yet sent again
    aws.store.add(a_batch(id="00000-1-0002", round=1, requests=60))
    lines = [line.rstrip() for line in run("show").out.splitlines()]
    assert [line.split(maxsplit=5)[3:] for line in lines[6:9]] == [
        ["1", "60", "waiting"],
        ["2", "90", "collected; 150 requests sent again"],
        ["1", "0", "replaced by smaller ones: 150 requests"],
    ]
    groups = json.loads(run("show", "--json").out)["batches"]
    assert [(group["state"], group["requests"], group["moved"]) for group in groups] == [
        ("WAITING", 60, 0),
        ("COLLECTED", 240, 150),
        ("REPLACED", 150, 150),
    ]


def test_a_job_that_is_not_over_shows_its_quote_and_its_budget(
    aws: "Aws", run: "Run", a_job: Callable[..., Job]
) -> None:
    quote = Quote(
        low_usd="0.00119",
        expected_usd="0.0021",
        high_usd="0.24001",
        tokens=QuotedTokens(input=TokenRange(low=1, high=4), output=TokenRange(low=0, high=9)),
        unpriced_models=[],
        no_batch_price=[],
        made_at="2026-11-27T10:00:00Z",
        prices=PriceSource(source="a list 1.0", date="2026-11-27"),
    )
    key = quote_key(a_job().id)
    aws.s3.put_object(Bucket=BUCKET, Key=key, Body=msgspec.json.encode(JobQuote(quote=quote, routes=[])))
    aws.store.add(a_job(quote_key=key, settings=JobSettings(budget_usd=Decimal("12.50"))))
    assert "quoted   $0.0011 to $0.2401, $0.0021 expected" in run("show").out.splitlines()
    shown = json.loads(run("show", "--json").out)
    assert shown["quote"] == msgspec.to_builtins(quote)
    assert shown["budget_usd"] == "12.5"


def test_show_as_json_is_one_object(
    aws: "Aws", run: "Run", a_job: Callable[..., Job], a_batch: Callable[..., Batch]
) -> None:
    aws.store.add(a_job())
    aws.store.add(a_batch(state=BatchState.IN_FLIGHT, submitted_at=1_793_870_070))
    aws.store.add(a_batch(id="00000-0-0001", state=BatchState.IN_FLIGHT, requests=1, submitted_at=1_793_870_060))
    code, out, _ = run("show", "latest", "--json")
    assert code == 0
    assert json.loads(out) == {
        "job": a_job().id,
        "state": "RUNNING",
        "reason": None,
        "retry_of": None,
        "retries": [],
        "bucket": "batchdrop-test",
        "key": "input/mine/reviews.jsonl",
        "version_id": "v1",
        "bytes": 91_234,
        "dropped_at": "2026-11-05T09:14:12Z",
        "first_submitted_at": "2026-11-05T09:14:20Z",
        "last_ended_at": None,
        "published_at": None,
        "batches": [
            {
                "provider": "openai",
                "model": "gpt-4o-mini",
                "endpoint": "/v1/chat/completions",
                "state": "IN_FLIGHT",
                "batches": 2,
                "requests": 201,
                "moved": 0,
            }
        ],
        "waits_for": [],
        "expected_end": None,
        "deadline": None,
        "output": f"output/mine/reviews/{a_job().id}/",
        "quote": None,
        "budget_usd": None,
        "totals": None,
        "manifest": None,
    }


def test_show_names_the_job_that_is_retried_and_the_retries(aws: "Aws", run: "Run", a_job: Callable[..., Job]) -> None:
    first, second = a_job().id, "20991105T091412Z-0000000002"
    aws.store.add(a_job())
    lines = f"output/mine/reviews/{first}/retry-lines/1.jsonl"
    retry = a_job(job=second, retry_of=first, retry_lines=lines, state=JobState.PUBLISHING)
    aws.store.add(retry, also=[add_retry(retry, first, FAR)])
    assert f"retried  as job {second}: PUBLISHING\n" in run("show", first).out
    assert f"retries  job {first}\n" in run("show", second).out
    assert [each["job"] for each in json.loads(run("show", first, "--json").out)["retries"]] == [second]


@pytest.mark.usefixtures("aws")
def test_an_unknown_job_is_wrong_use(run: "Run") -> None:
    assert run("show", "nope") == (2, "", "There is no job nope. See: batchdrop jobs\n")


@pytest.mark.usefixtures("aws")
def test_with_no_job_at_all_latest_says_what_to_do(run: "Run") -> None:
    said = "No file was dropped in the last 35 days. Drop one with: batchdrop put FILE\n"
    assert run("show", "latest") == (1, "", said)


def test_show_says_when_the_batches_will_have_ended_by_how_long_others_took(
    aws: "Aws", run: "Run", a_job: Callable[..., Job], a_batch: Callable[..., Batch]
) -> None:
    now = int(time.time())
    aws.store.add(a_job())
    aws.store.add(a_batch(state=BatchState.IN_FLIGHT, submitted_at=now))
    assert json.loads(run("show", "--json").out)["expected_end"] is None
    took = a_batch(state=BatchState.ENDED, submitted_at=now - 3_600, ended_at=now, ended_as="completed")
    for _ in range(3):
        count_completion(took, aws.store.providers)
    told = json.loads(run("show", "--json").out)["expected_end"]
    low, high = (datetime.fromisoformat(told[each]).timestamp() - now for each in ("low", "high"))
    assert low <= 3_600 <= high < 4_500
    assert told["confidence"] == "medium"
    [line] = [each for each in run("show").out.splitlines() if each.startswith("expected")]
    assert line.endswith(" UTC, medium confidence")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "2027-01-15 10:00 UTC"),
        ({"last_safe_at": NOW + 5_000}, "2027-01-15 10:00 UTC; calls at real time from 2027-01-15 09:23 UTC on"),
        (
            {"last_safe_at": NOW, "finishing_at": NOW + 60},
            "2027-01-15 10:00 UTC; its remaining requests are called at real time since 2027-01-15 08:01 UTC",
        ),
        ({"last_safe_at": NOW, "late_reason": "No money."}, "2027-01-15 10:00 UTC. No money."),
        (
            {"settings": JobSettings(deadline="2h", realtime="off")},
            '2027-01-15 10:00 UTC. Nothing is called at real time (realtime = "off").',
        ),
    ],
)
def test_show_says_what_is_done_for_a_deadline(
    aws: "Aws", run: "Run", a_job: Callable[..., Job], changes: dict[str, Any], said: str
) -> None:
    aws.store.add(a_job(**({"deadline_at": NOW + 7_200, "settings": JobSettings(deadline="2h")} | changes)))
    [line] = [each for each in run("show").out.splitlines() if each.startswith("deadline")]
    assert line == f"deadline {said}"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, ["deadline 2026-11-27T07:00:00Z: met"]),
        ({"met": False}, ["deadline 2026-11-27T07:00:00Z: missed"]),
        ({"met": False, "reason": "No money."}, ["deadline 2026-11-27T07:00:00Z: missed. No money."]),
        (
            {"finished_realtime": 412, "extra_usd": "0.03911", "doubts": 1},
            [
                "deadline 2026-11-27T07:00:00Z: met",
                "called   412 lines at real time, for $0.0392 more than in batches",
                "doubts   1 call got no reply, and may be charged",
            ],
        ),
    ],
)
def test_show_says_what_became_of_a_deadline_and_what_it_cost(
    aws: "Aws", run: "Run", a_job: Callable[..., Job], changes: dict[str, Any], said: list[str]
) -> None:
    usual = {"at": "2026-11-27T07:00:00Z", "met": True, "finished_realtime": 0, "extra_usd": "0", "doubts": 0}
    deadline = Deadline(**({"reason": None} | usual | changes))
    nothing = Files(results=[], errors=None, failed=None)
    aws.drop("output/m.json", msgspec.json.encode(a_manifest(a_job().id, nothing, deadline=deadline)))
    aws.store.add(a_job(state=JobState.COMPLETED, manifest_key="output/m.json", due_at=None))
    shown = run("show").out.splitlines()
    assert [each for each in shown if each.startswith(("deadline", "called", "doubts"))] == said


def test_show_says_what_prompt_caches_gave_and_took(aws: "Aws", run: "Run", a_job: Callable[..., Job]) -> None:
    nothing = Files(results=[], errors=None, failed=None)
    manifest = a_manifest(a_job().id, nothing)
    usage = Usage(input_tokens=1_000, cached_input_tokens=840, cache_write_tokens=20, output_tokens=7)
    models = [msgspec.structs.replace(manifest.models[0], usage=usage)]
    aws.drop("output/m.json", msgspec.json.encode(msgspec.structs.replace(manifest, models=models)))
    aws.store.add(a_job(state=JobState.COMPLETED, manifest_key="output/m.json", due_at=None))
    said = "tokens   1,000 in (84 % read from prompt caches, 2 % written to them), 7 out\n"
    assert said in run("show").out


@pytest.mark.parametrize(("saved", "said"), [("0.01", "$0.0100"), (None, "at an unknown price")])
def test_show_says_what_sending_equal_requests_once_saved(
    aws: "Aws", run: "Run", a_job: Callable[..., Job], saved: str | None, said: str
) -> None:
    dedupe = Dedupe(requests_saved=3, input_tokens=1_200, output_tokens=60, saved_usd=saved)
    nothing = Files(results=[], errors=None, failed=None)
    aws.drop("output/m.json", msgspec.json.encode(a_manifest(a_job().id, nothing, dedupe=dedupe)))
    aws.store.add(a_job(state=JobState.COMPLETED, manifest_key="output/m.json", due_at=None))
    assert f"shared   3 requests, which saved 1,200 tokens in and 60 out, {said}\n" in run("show").out


@pytest.mark.parametrize(
    ("high", "words"), [(NOW + 4_000, "on, probably not needed"), (NOW + 6_000, "on, probably needed")]
)
def test_the_forecast_says_whether_batches_will_probably_meet_it(high: int, words: str) -> None:
    job = rows.a_job(deadline_at=NOW + 7_200, last_safe_at=NOW + 5_000)
    expected = ExpectedEnd(low=timestamp(NOW), high=timestamp(high), confidence=Confidence.LOW)
    assert str(deadline_of(job, expected)).endswith(f"2027-01-15 09:23 UTC {words}")


@pytest.mark.parametrize(
    ("high", "words"),
    [
        ("2026-11-27T23:50:59Z", "2026-11-27 22:40 to 23:50 UTC, low confidence"),
        ("2026-11-28T00:10:00Z", "2026-11-27 22:40 to 2026-11-28 00:10 UTC, low confidence"),
    ],
)
def test_an_end_on_the_same_day_is_a_time_only(high: str, words: str) -> None:
    assert str(ExpectedEnd(low="2026-11-27T22:40:01Z", high=high, confidence=Confidence.LOW)) == words
