"""Jobs with a deadline, whole: batches run until the last safe moment, and what they left is called in time."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from batchdrop.batches.failed_units import fail_running_job
from batchdrop.dollars import micros_of
from batchdrop.jobs import approve_job
from batchdrop.records import Job
from batchdrop.states import BatchState, JobState
from batchdrop.steps.deadline import check_deadlines
from batchdrop.steps.finish import finish_batch
from batchdrop.worker import Minute
from faking.cloud import Cloud, Outcome, jsonl
from faking.cloud import cloud as new_cloud
from faking.deadlines import (
    DEADLINE,
    HANGS,
    TWO_HOURS,
    batches_of,
    charged,
    drop,
    job_of,
    lines,
    most_charged,
    one_at_a_time,
    pass_until_finishing,
)
from faking.failing import Failing
from faking.lines import got, mixed, wanted

LINES = lines(12)


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with one_at_a_time() as made:
        yield made


def events(cloud: Cloud) -> list[tuple[str, str | None]]:
    return [(each["detail-type"], each["detail"]["reason"]) for each in cloud.events()]


def is_answered(outcome: Outcome, dropped: list[Any] = LINES) -> bool:
    return [got(each) for each in outcome.results] == [wanted(line) for line in dropped]


def is_in_time(job: Job) -> bool:
    return (job.published_at or 0) <= (job.deadline_at or 0)


def look(cloud: Cloud, job: Job) -> None:
    check_deadlines(job, cloud.services, minute=Minute(cloud.services))


def test_batches_that_hang_are_cancelled_and_all_is_called_in_time(cloud: Cloud) -> None:
    cloud.simulator.shape(**HANGS)
    job = drop(cloud, LINES)
    cloud.settle()
    outcome = cloud.outcome(job)
    assert is_answered(outcome)
    assert is_in_time(job_of(cloud, job))
    assert charged(cloud) == {"openai": (0, 6), "anthropic": (0, 6)}
    assert most_charged(cloud) == 1
    assert {(each["via"], each["attempts"]) for each in outcome.results} == {("realtime", 1)}
    assert events(cloud) == [("Job Completed", None)]


def test_calls_that_run_at_once_answer_each_line_once() -> None:
    with new_cloud() as cloud:
        cloud.simulator.shape(**HANGS)
        job = drop(cloud, mixed(40))
        cloud.settle()
        assert is_answered(cloud.outcome(job), mixed(40))
        assert is_in_time(job_of(cloud, job))
        assert charged(cloud) == {"openai": (0, 30), "anthropic": (0, 10)}
        assert most_charged(cloud) == 1


def test_a_deadline_that_batches_meet_costs_no_call(cloud: Cloud) -> None:
    cloud.simulator.shape(seconds_to_complete=600)
    job = drop(cloud, LINES)
    cloud.settle()
    outcome = cloud.outcome(job)
    assert is_answered(outcome)
    assert charged(cloud) == {"openai": (6, 0), "anthropic": (6, 0)}
    assert {each["via"] for each in outcome.results} == {"batch"}
    deadline = outcome.manifest.deadline
    assert deadline is not None
    assert (deadline.met, deadline.finished_realtime, deadline.extra_usd, deadline.doubts) == (True, 0, "0", 0)
    assert job_of(cloud, job).finishing_at is None
    assert job_of(cloud, job).version == 1


def test_nothing_is_called_before_the_last_safe_moment(cloud: Cloud) -> None:
    cloud.simulator.shape(**HANGS)
    job = drop(cloud, LINES)
    dropped = job_of(cloud, job).dropped_at
    while job_of(cloud, job).finishing_at is None:
        assert cloud.clock.now < dropped + TWO_HOURS
        assert {each.cancel_asked_at for each in batches_of(cloud, job)} == {None}
        cloud.tick()
    # Two batches side by side, of six calls each, which take ten seconds one after the other, and a quarter more.
    assert job_of(cloud, job).finishing_at == pytest.approx(dropped + TWO_HOURS - 1_200 - 75, abs=60)


def test_answers_of_a_cancelled_batch_are_kept_and_only_the_rest_is_called(cloud: Cloud) -> None:
    cloud.simulator.shape(seconds_to_complete=3 * 3_600)
    job = drop(cloud, LINES)
    cloud.settle()
    outcome = cloud.outcome(job)
    assert is_answered(outcome)
    assert most_charged(cloud) == 1
    in_batches, called = charged(cloud)["openai"]
    assert in_batches + called == 6
    assert 0 < in_batches < 6
    ways = {each["via"]: each["attempts"] for each in outcome.results}
    assert ways == {"batch": 1, "realtime": 1}


def test_a_worker_that_dies_in_between_changes_nothing_but_a_doubt(cloud: Cloud) -> None:
    cloud.simulator.shape(**HANGS)
    job = drop(cloud, LINES)
    pass_until_finishing(cloud, job)
    cloud.tick()
    while not (called := [each for each in batches_of(cloud, job) if each.is_realtime]):
        cloud.deliver("collect")
        cloud.tick()

    class Dies(BaseException):
        pass

    class Deadly:
        def __init__(self, real: Any) -> None:
            self._real, self._calls = real, 0

        def call(self, *args: Any, **kwargs: Any) -> Any:
            self._calls += 1
            if self._calls == 3:
                raise Dies
            return self._real.call(*args, **kwargs)

    provider = called[0].provider
    apis = {provider: Deadly(cloud.services.apis[provider])}
    with pytest.raises(Dies):
        finish_batch(job, called[0].id, replace(cloud.services, apis=apis))  # type: ignore[arg-type]
    cloud.settle()
    outcome = cloud.outcome(job)
    assert is_answered(outcome)
    assert is_in_time(job_of(cloud, job))
    assert most_charged(cloud) == 1
    assert outcome.manifest.deadline is not None
    assert outcome.manifest.deadline.doubts == 1


def test_two_looks_at_the_clock_begin_once(cloud: Cloud) -> None:
    cloud.simulator.shape(**HANGS)
    job = drop(cloud, LINES)
    before = job_of(cloud, job)
    cloud.clock.now += TWO_HOURS - 1_000
    look(cloud, before)
    begun, sent = job_of(cloud, job), batches_of(cloud, job)
    assert begun.finishing_at is not None
    assert begun.version == 3
    look(cloud, begun)
    assert batches_of(cloud, job) == sent
    assert None not in {each.cancel_asked_at for each in sent}
    cloud.settle()
    assert is_answered(cloud.outcome(job))
    assert most_charged(cloud) == 1


def give_up_a_unit(cloud: Cloud, job: str) -> None:
    fail_running_job(job, "A unit was given up.", cloud.services, is_paid=True)


def test_a_job_of_which_a_unit_was_given_up_keeps_its_batches(cloud: Cloud) -> None:
    """No further round would call what a cancel leaves."""
    cloud.simulator.shape(**HANGS)
    job = drop(cloud, LINES)
    give_up_a_unit(cloud, job)
    cloud.clock.now += TWO_HOURS - 1_000
    look(cloud, job_of(cloud, job))
    left = job_of(cloud, job)
    assert (left.finishing_at, left.due_at) == (None, left.deadline_at)
    assert {each.cancel_asked_at for each in batches_of(cloud, job)} == {None}


def test_a_finishing_job_of_which_a_unit_was_given_up_cancels_nothing_more(cloud: Cloud) -> None:
    cloud.simulator.shape(**HANGS)
    job = drop(cloud, LINES)
    cloud.simulator.fault("status", operation="cancel", code=503, times=None)
    pass_until_finishing(cloud, job)
    cloud.simulator.clear_faults()
    give_up_a_unit(cloud, job)
    look(cloud, job_of(cloud, job))
    assert {each.cancel_asked_at for each in batches_of(cloud, job)} == {None}


class Died(BaseException):
    """The worker is gone."""


LATE = {"batchdrop-expected_by": "1h"}


@pytest.mark.parametrize("error", [RuntimeError("EventBridge refuses"), Died()])
def test_an_event_that_is_not_sent_costs_no_deadline(cloud: Cloud, error: BaseException) -> None:
    cloud.simulator.shape(**HANGS)
    job = drop(cloud, LINES, **LATE)
    cloud.clock.now += TWO_HOURS - 1_000
    events = Failing(cloud.services.events, lambda name, _: name == "job_late", error)
    services = replace(cloud.services, events=events)  # type: ignore[arg-type]
    with suppress(Died):
        check_deadlines(job_of(cloud, job), services, minute=Minute(services))
    left = job_of(cloud, job)
    assert (left.finishing_at, left.is_late, left.failures) == (cloud.clock.seconds(), False, 0)
    cloud.settle()
    assert is_in_time(job_of(cloud, job))
    assert is_answered(cloud.outcome(job))


def test_a_worker_that_dies_after_it_told_leaves_the_deadline_to_the_next_minute(cloud: Cloud) -> None:
    cloud.simulator.shape(**HANGS)
    job = drop(cloud, LINES, **LATE)
    cloud.clock.now += 3_700
    look(cloud, job_of(cloud, job))
    left = job_of(cloud, job)
    assert (left.is_late, left.due_at) == (True, cloud.clock.seconds() + 60)
    cloud.settle()
    assert is_in_time(job_of(cloud, job))


@pytest.mark.parametrize("only", ["openai", "anthropic"])
def test_a_cancel_that_was_asked_and_not_noted_is_no_attempt(cloud: Cloud, only: str) -> None:
    cloud.simulator.shape(**HANGS)
    job = drop(cloud, lines(4, only=only), **{"batchdrop-max_attempts": "1"})
    cloud.clock.now += TWO_HOURS - 1_000
    real = cloud.services.store

    class Dies:
        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

        def move(self, *args: Any, **changes: Any) -> Any:
            if "cancel_asked_at" in changes:
                raise Died
            return real.move(*args, **changes)

    services = replace(cloud.services, store=Dies())  # type: ignore[arg-type]
    with pytest.raises(Died):
        check_deadlines(job_of(cloud, job), services, minute=Minute(services))
    (batch,) = batches_of(cloud, job)
    assert batch.cancel_asked_at is None
    cloud.services.store.release(job_of(cloud, job), cloud.clock.seconds() + 1_200)  # no look tells before it has ended
    cloud.settle()
    assert [each["error"] for each in cloud.outcome(job).results] == [None] * 4


def test_realtime_off_is_late_and_says_so(cloud: Cloud) -> None:
    cloud.simulator.shape(seconds_to_complete=3 * 3_600)
    job = drop(cloud, LINES, **{"batchdrop-realtime": "off"})
    cloud.settle()
    outcome = cloud.outcome(job)
    assert is_answered(outcome)
    assert charged(cloud) == {"openai": (6, 0), "anthropic": (6, 0)}
    assert outcome.manifest.deadline is not None
    assert outcome.manifest.deadline.met is False
    assert outcome.manifest.deadline.reason == 'Nothing was called at real time (realtime = "off").'
    late, _ = events(cloud)
    assert late[0] == "Job Late"
    assert late[1] is not None
    assert late[1].endswith("(deadline = '2h'). Nothing was called at real time (realtime = \"off\").")


def test_a_job_that_is_approved_after_its_deadline_says_that_nothing_was_called(cloud: Cloud) -> None:
    job = drop(cloud, LINES, **{"batchdrop-budget_usd": "0.000001"})
    cloud.clock.now += TWO_HOURS + 60
    approve_job(job, cloud.services.store, now=cloud.services.now())
    cloud.settle()
    manifest = cloud.outcome(job).manifest
    assert manifest.deadline is not None
    assert (manifest.deadline.met, manifest.deadline.finished_realtime, manifest.deadline.reason) == (
        False,
        0,
        "Nothing was called at real time: the job was not under way when its last safe moment came.",
    )


def budget_for_share(cloud: Cloud, *, share: str) -> str:
    """So much of what the lines may cost at most in batches, in US dollars."""
    job = cloud.drop("input/y.jsonl", jsonl(LINES), **{"batchdrop-budget_usd": "9"})
    assert job is not None
    cloud.settle()
    quote = cloud.outcome(job).manifest.quote
    assert quote is not None
    assert quote.high_usd is not None
    return f"{Decimal(quote.high_usd) * Decimal(share):.6f}"


def test_a_budget_that_calls_would_break_is_kept_and_the_job_is_late(cloud: Cloud) -> None:
    budget = budget_for_share(cloud, share="1.5")
    cloud.events()
    cloud.simulator.shape(seconds_to_complete=3 * 3_600)
    job = drop(cloud, LINES, **{"batchdrop-budget_usd": budget})
    cloud.settle()
    outcome = cloud.outcome(job)
    assert is_answered(outcome)
    assert {each["via"] for each in outcome.results} == {"batch"}
    deadline = outcome.manifest.deadline
    assert deadline is not None
    assert deadline.met is False
    assert deadline.reason is not None
    assert deadline.reason.startswith(
        "Nothing was called at real time: with its rest at real-time prices, it may cost $"
    )
    assert deadline.reason.endswith("(budget_usd).")
    (kind, reason), _ = events(cloud)
    assert kind == "Job Late"
    assert reason is not None
    assert reason.endswith(deadline.reason)


def test_a_budget_with_room_for_calls_allows_them(cloud: Cloud) -> None:
    budget = budget_for_share(cloud, share="2.1")
    cloud.simulator.shape(**HANGS)
    job = drop(cloud, LINES, **{"batchdrop-budget_usd": budget})
    cloud.settle()
    outcome = cloud.outcome(job)
    assert is_in_time(job_of(cloud, job))
    assert {each["via"] for each in outcome.results} == {"realtime"}
    assert outcome.manifest.money is not None
    assert Decimal(outcome.manifest.money.cost_usd or "NaN") <= Decimal(budget)


@pytest.mark.parametrize("setting", ["budget_usd", "monthly_budget_usd"])
@pytest.mark.parametrize("after", ["is raised", "is removed"])
def test_the_budgets_of_now_hold_for_calls(cloud: Cloud, setting: str, after: str) -> None:
    """The job was held; what is set now has opened it."""
    most, key = budget_for_share(cloud, share="2.1"), "input/team/batchdrop.toml"
    cloud.services.files.put(key, f"{setting} = 0.000001".encode())
    cloud.simulator.shape(**HANGS)
    job = cloud.drop("input/team/x.jsonl", jsonl(LINES), **{DEADLINE: "2h"})
    assert job is not None
    cloud.deliver_all()
    assert job_of(cloud, job).state is JobState.HELD
    cloud.services.files.put(key, f"{setting} = {most}".encode())
    while job_of(cloud, job).state is JobState.HELD:
        cloud.tick()
    if after == "is removed":
        cloud.services.files.put(key, b"")
    cloud.settle()
    assert {each["via"] for each in cloud.outcome(job).results} == {"realtime"}
    assert (job_of(cloud, job).reserved_micros > 0) is (setting == "monthly_budget_usd")


@pytest.mark.parametrize(("share", "way"), [("1.5", "batch"), ("2.1", "realtime")])
def test_a_folders_month_holds_for_calls_too(cloud: Cloud, share: str, way: str) -> None:
    """What the job reserves is raised in the transaction that begins the calls, and settled at its end."""
    month = Decimal(budget_for_share(cloud, share=share))
    cloud.services.files.put("input/team/batchdrop.toml", f"monthly_budget_usd = {month}".encode())
    cloud.simulator.shape(seconds_to_complete=3 * 3_600)
    job = cloud.drop("input/team/x.jsonl", jsonl(LINES), **{DEADLINE: "2h"})
    assert job is not None
    cloud.settle()
    outcome = cloud.outcome(job)
    assert (way == "realtime") is ("realtime" in {each["via"] for each in outcome.results})
    ledger = job_of(cloud, job).budget_ledger
    assert ledger is not None
    assert outcome.manifest.money is not None
    spent = micros_of(Decimal(outcome.manifest.money.cost_usd or "NaN"))
    assert cloud.services.store.budgets.ledger(ledger).committed == spent
    assert cloud.services.store.budgets.sum_of_jobs(ledger) == spent
    assert job_of(cloud, job).reserved_micros <= micros_of(month)


def test_jobs_race_for_the_last_of_a_month_and_one_gets_it(cloud: Cloud) -> None:
    month = Decimal(budget_for_share(cloud, share="3.1"))
    cloud.services.files.put("input/team/batchdrop.toml", f"monthly_budget_usd = {month}".encode())
    cloud.simulator.shape(seconds_to_complete=3 * 3_600)
    jobs = [cloud.drop(f"input/team/{n}.jsonl", jsonl(LINES), **{DEADLINE: "2h"}) for n in range(2)]
    cloud.settle()
    ways = [{each["via"] for each in cloud.outcome(job or "").results} for job in jobs]
    assert sum("realtime" in each for each in ways) == 1


def test_an_approved_job_is_called_whatever_it_costs(cloud: Cloud) -> None:
    cloud.simulator.shape(**HANGS)
    job = drop(cloud, LINES, **{"batchdrop-budget_usd": "0.000001"})
    assert job_of(cloud, job).state is JobState.HELD
    approve_job(job, cloud.services.store, now=cloud.services.now())
    cloud.settle()
    assert {each["via"] for each in cloud.outcome(job).results} == {"realtime"}


def test_what_came_of_calls_is_paid_at_real_time_prices(cloud: Cloud) -> None:
    cloud.simulator.shape(**HANGS)
    job = drop(cloud, LINES)
    cloud.settle()
    manifest = cloud.outcome(job).manifest
    assert manifest.money is not None
    assert manifest.deadline is not None
    assert manifest.money.cost_usd == manifest.money.realtime_usd
    assert manifest.money.saved_usd == "0"
    half = Decimal(manifest.money.cost_usd or "NaN") / 2
    assert Decimal(manifest.deadline.extra_usd or "NaN") == half
    assert [each.realtime.answered for each in manifest.models] == [6, 6]
    assert [each.realtime.usage for each in manifest.models] == [each.usage for each in manifest.models]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({DEADLINE: "10m"}, "10 minutes are left, and a job takes 30 minutes at least"),
        ({DEADLINE: "soon"}, "deadline = 'soon': a duration after the drop"),
        ({DEADLINE: "0h"}, "deadline = '0h': a duration after the drop"),
        ({DEADLINE: "-2h"}, "deadline = '-2h': a duration after the drop"),
        ({DEADLINE: "25:00Z"}, "deadline = '25:00Z': a duration after the drop"),
        ({DEADLINE: "61d"}, "deadline = '61d': a duration after the drop"),
        ({DEADLINE: "6h", "batchdrop-max_age": "5h"}, "that is after the job ends, done or not (max_age = '5h')."),
        ({DEADLINE: ""}, "deadline = '': a duration after the drop"),
        ({"batchdrop-realtime": "always"}, 'realtime = \'always\': either "deadline" or "off"'),
    ],
)
def test_a_deadline_without_sense_fails_the_job_before_anything_is_paid(
    cloud: Cloud, settings: dict[str, str], reason: str
) -> None:
    job = cloud.drop("input/x.jsonl", jsonl(LINES), **settings)
    assert job is not None
    cloud.settle()
    manifest = cloud.outcome(job).manifest
    assert manifest.status == "FAILED"
    assert manifest.reason is not None
    assert reason in manifest.reason
    assert charged(cloud) == {"openai": (0, 0), "anthropic": (0, 0)}


def test_a_deadline_that_was_over_before_the_file_was_taken_is_refused(cloud: Cloud) -> None:
    from batchdrop.steps.intake import take_object  # noqa: PLC0415 - one test's

    body = jsonl(LINES)
    answer = cloud.s3.put_object(Bucket="bucket", Key="input/x.jsonl", Body=body, Metadata={DEADLINE: "2h"})
    cloud.clock.now += 2 * TWO_HOURS
    job = take_object(cloud.dropped("input/x.jsonl", body, answer["VersionId"]), cloud.services)
    assert job is not None
    assert job.reason == "deadline = '2h': that time was over before the file was taken."


def test_a_late_message_creates_no_batch_of_what_is_called(cloud: Cloud) -> None:
    """It was admitted, and its message has not come when the last safe moment does."""
    cloud.clock.now += 1
    job = cloud.drop("input/x.jsonl", jsonl(lines(4, only="openai")), **{DEADLINE: "2h"})
    assert job is not None
    cloud.deliver("plan")
    assert [each.state for each in batches_of(cloud, job)] == [BatchState.ADMITTED]
    cloud.clock.now += TWO_HOURS - 1_000
    look(cloud, job_of(cloud, job))
    (batch,) = batches_of(cloud, job)
    assert (batch.state, batch.is_realtime) == (BatchState.ADMITTED, True)
    assert cloud.services.store.providers.ledger(batch.ledger).reserved == 0
    cloud.deliver("submit")
    cloud.settle()
    assert charged(cloud)["openai"] == (0, 4)
    assert cloud.simulator.charges()["openai"]["batches"] == 0


def test_what_no_call_answers_stays_in_its_batch(cloud: Cloud) -> None:
    """The others are called; the job is late for its sake alone."""
    video = {"custom_id": "v", "method": "POST", "url": "/v1/videos", "body": {"model": "sora-2", "prompt": "a cat"}}
    cloud.simulator.shape(seconds_to_complete=3 * 3_600)
    job = drop(cloud, [*LINES[:2], video])
    cloud.settle()
    assert [each["via"] for each in cloud.outcome(job).results] == ["realtime", "realtime", "batch"]


@pytest.mark.parametrize(
    ("settings", "refused"),
    [({DEADLINE: "2h"}, True), ({DEADLINE: "2h", "batchdrop-realtime": "off"}, False), ({}, False)],
)
def test_a_response_in_the_background_is_refused_where_it_may_be_called(
    cloud: Cloud, settings: dict[str, str], *, refused: bool
) -> None:
    """A call for it would be answered at once, with a response that is queued."""
    asked = [{"background": value, "model": "gpt-5-mini", "input": f"say {value}"} for value in (True, False, None)]
    results = cloud.run("input/x.jsonl", asked, **settings).results
    assert [each["error"] is not None for each in results] == [refused, False, False]
    if refused:
        error = results[0]["error"]
        assert (error["code"], error["source"]) == ("unsupported_parameter", "input")
        assert '"background" cannot be true in a job with a deadline' in error["message"]


def test_a_job_that_was_sent_nothing_yet_is_called_in_place(cloud: Cloud) -> None:
    """Its provider was paused: the waiting batch itself becomes one of calls, and its share of no limit is taken."""
    cloud.services.store.providers.set_pause("openai", "paused", 2**40, code="")  # type: ignore[arg-type]
    job = drop(cloud, lines(4, only="openai"))
    pass_until_finishing(cloud, job)
    (batch,) = batches_of(cloud, job)
    assert (batch.state, batch.is_realtime, batch.cost) == (BatchState.ADMITTED, True, 0)
    cloud.services.store.providers.end_pause("openai")
    cloud.settle()
    assert len(batches_of(cloud, job)) == 0
    assert charged(cloud)["openai"] == (0, 4)
