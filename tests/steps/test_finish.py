"""Finish: a batch's requests are called at real time, each at most once, whatever dies or comes twice."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from batchdrop.aws import keys
from batchdrop.batches.failed_units import has_failed_for_good
from batchdrop.errors import ClaimLost, OutcomeUnknown
from batchdrop.failures import MOST_PAID, MOST_UNPAID
from batchdrop.providers.interface import Reply
from batchdrop.records import Batch
from batchdrop.states import BatchState, JobState
from batchdrop.steps.finish import finish_batch
from faking.cloud import Cloud
from faking.deadlines import (
    HANGS,
    batches_of,
    charged,
    drop,
    job_of,
    lines,
    most_charged,
    one_at_a_time,
    pass_until_finishing,
)
from faking.failing import Failing, writes
from faking.lines import got, wanted

PROVIDERS = ["openai", "anthropic"]
COUNT = 6


class Died(BaseException):
    """The worker is gone."""


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with one_at_a_time() as made:
        yield made


def waiting(cloud: Cloud, provider: str, count: int = COUNT) -> Batch:
    """A batch whose requests are to be called, and nothing was."""
    cloud.simulator.shape(**HANGS)
    cloud.services.store.providers.set_pause(provider, "paused", 2**40, code="")  # type: ignore[arg-type]
    job = drop(cloud, lines(count, only=provider))
    pass_until_finishing(cloud, job)
    cloud.services.store.providers.end_pause(provider)
    (batch,) = batches_of(cloud, job)
    assert (batch.state, batch.is_realtime, batch.cost, batch.called) == (BatchState.ADMITTED, True, 0, 0)
    return batch


def work(cloud: Cloud, batch: Batch) -> Batch:
    """Let one worker do what it does; the batch as it is then."""
    finish_batch(batch.job, batch.id, cloud.services)
    return now(cloud, batch)


def now(cloud: Cloud, batch: Batch) -> Batch:
    found = cloud.services.store.batch(batch.job, batch.id)
    assert found is not None
    return found


def assert_done(cloud: Cloud, batch: Batch, provider: str, *, doubts: int = 0, count: int = COUNT) -> None:
    """Every line has its answer, and was charged once but for those in doubt."""
    cloud.settle()
    outcome = cloud.outcome(batch.job)
    assert [got(each) for each in outcome.results] == [wanted(line) for line in lines(count, only=provider)]
    assert outcome.manifest.deadline is not None
    assert (outcome.manifest.deadline.doubts, outcome.manifest.deadline.finished_realtime) == (doubts, count)
    assert charged(cloud)[provider][0] == 0
    assert cloud.keys("work/") == []


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_batch_is_called_and_its_results_are_those_of_a_batch(cloud: Cloud, provider: str) -> None:
    batch = work(cloud, waiting(cloud, provider))
    assert (batch.state, batch.ended_as, batch.called, batch.doubts) == (BatchState.ENDED, "realtime", COUNT, 0)
    assert batch.again == 0
    assert_done(cloud, batch, provider)
    assert most_charged(cloud) == 1
    results = cloud.outcome(batch.job).results
    assert {(each["via"], each["attempts"], each["batch_id"]) for each in results} == {("realtime", 1, None)}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_two_workers_call_nothing_twice(cloud: Cloud, provider: str) -> None:
    batch = waiting(cloud, provider)
    work(cloud, batch)
    work(cloud, batch)
    assert charged(cloud)[provider] == (0, COUNT)
    assert_done(cloud, batch, provider)
    assert most_charged(cloud) == 1


def test_one_run_at_a_time_calls_a_provider(cloud: Cloud) -> None:
    batch = waiting(cloud, "openai")
    assert cloud.services.store.leases.take("finish#openai", 900) is not None
    assert work(cloud, batch).due_at == cloud.clock.seconds() + 120
    assert charged(cloud)["openai"] == (0, 0)
    cloud.tick(900)
    assert_done(cloud, batch, "openai")


CALLS = ["before the call", "after the call", "before it is saved", "after it is saved"]


def dying(cloud: Cloud, at: str, on: int) -> Any:
    """Services whose worker dies at the nth call."""
    made = 0

    def strikes(names: tuple[str, ...], method: str, args: tuple[Any, ...]) -> bool:
        nonlocal made
        is_it = method in names and ("realtime-" in str(args[0]) or method == "call")
        made += is_it
        return is_it and made == on

    class Dies:
        def __init__(self, real: Any, method: str, *, after: bool) -> None:
            self._real, self._method, self._after = real, method, after

        def __getattr__(self, name: str) -> Any:
            found = getattr(self._real, name)
            if name != self._method:
                return found

            def call(*args: Any, **kwargs: Any) -> Any:
                is_struck = strikes((name,), name, args)
                if is_struck and not self._after:
                    raise Died
                answer = found(*args, **kwargs)
                if is_struck:
                    raise Died
                return answer

            return call

        def __getitem__(self, provider: str) -> Any:
            return Dies(self._real[provider], self._method, after=self._after)

    after = at.startswith("after")
    if at.endswith("call"):
        return replace(cloud.services, apis=Dies(cloud.services.apis, "call", after=after))
    return replace(cloud.services, files=Dies(cloud.services.files, "put", after=after))


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("at", CALLS)
@pytest.mark.parametrize("on", [1, 3, COUNT])
def test_a_worker_that_dies_leaves_only_its_wave_in_doubt(cloud: Cloud, provider: str, at: str, on: int) -> None:
    batch = waiting(cloud, provider)
    with pytest.raises(Died):
        finish_batch(batch.job, batch.id, dying(cloud, at, on))
    assert now(cloud, batch).called == on
    doubts = 0 if at == "after it is saved" else 1
    paid_twice = at in {"after the call", "before it is saved"}
    assert_done(cloud, batch, provider, doubts=doubts)
    assert charged(cloud)[provider] == (0, COUNT + paid_twice)
    attempts = [each["attempts"] for each in cloud.outcome(batch.job).results]
    assert attempts == [1 + (number == on - 1 and doubts) for number in range(COUNT)]


def test_answers_that_are_there_are_not_called_again(cloud: Cloud) -> None:
    """The row is older than the answers: its table was restored, or the write of `called` was undone by hand."""
    batch = waiting(cloud, "openai")
    cloud.simulator.fault("status", provider="openai", operation="realtime", code=429, retry_after=600, after=2)
    left = work(cloud, batch)
    cloud.services.store.release(left, cloud.clock.seconds(), called=0, uncalled=())
    assert_done(cloud, batch, "openai")
    assert charged(cloud)["openai"] == (0, COUNT)


def test_a_worker_that_wakes_up_late_writes_nothing(cloud: Cloud) -> None:
    batch = waiting(cloud, "openai")
    claimed = cloud.services.store.claim(batch, 360)
    cloud.tick(400)
    cloud.deliver_all()
    with pytest.raises(ClaimLost):
        cloud.services.store.claim(claimed.with_(claimed_until=0), 360, called=3)
    assert_done(cloud, batch, "openai")


@pytest.mark.parametrize("provider", PROVIDERS)
def test_too_many_requests_wait_as_long_as_the_provider_says(cloud: Cloud, provider: str) -> None:
    batch = waiting(cloud, provider)
    cloud.simulator.fault(
        "status", provider=provider, operation="realtime", code=429, retry_after=7, times=2, type="rate_limit_error"
    )
    began = cloud.clock.now
    work(cloud, batch)
    assert 14 <= cloud.clock.now - began < 20
    assert_done(cloud, batch, provider)
    assert charged(cloud)[provider] == (0, COUNT)
    assert {each["attempts"] for each in cloud.outcome(batch.job).results} == {1}


@pytest.mark.parametrize(("said", "waits"), [(40, 40), (600, 600), (99_999, 900)])
def test_a_long_wait_is_the_next_runs_and_nobody_else_calls_meanwhile(cloud: Cloud, said: int, waits: int) -> None:
    batch = waiting(cloud, "openai")
    cloud.simulator.fault("status", provider="openai", operation="realtime", code=429, retry_after=said, after=2)
    deferred = work(cloud, batch)
    assert (deferred.called, deferred.uncalled) == (3, (2,))
    assert deferred.due_at == cloud.clock.seconds() + waits
    cloud.clock.now += waits - 1
    assert cloud.services.store.leases.take("finish#openai", 1) is None
    assert_done(cloud, batch, "openai")
    assert charged(cloud)["openai"] == (0, COUNT)


def test_a_request_that_never_finds_room_is_no_attempt_and_holds_up_no_other(cloud: Cloud) -> None:
    batch = waiting(cloud, "openai")
    real, calls = cloud.services.apis["openai"], list[bytes]()

    class Full:
        def call(self, asked: Batch, body: bytes, *, seconds: float) -> Reply:
            calls.append(body)
            is_first = body == calls[0] and len(calls) < 20
            return Reply(status=429, body=b"{}", retry_after=0) if is_first else real.call(asked, body, seconds=seconds)

    services = replace(cloud.services, apis={"openai": Full()})  # type: ignore[arg-type]
    for _ in range(2):
        finish_batch(batch.job, batch.id, services)
        cloud.clock.now += 900
    assert (now(cloud, batch).called, now(cloud, batch).uncalled) == (COUNT, (0,))
    assert len(cloud.keys(keys.called_prefix(batch))) == COUNT - 1
    assert_done(cloud, batch, "openai")
    assert {each["attempts"] for each in cloud.outcome(batch.job).results} == {1}


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_answer_that_is_not_saved_leaves_no_other_call_of_its_wave_in_doubt(provider: str) -> None:
    limits = "realtime_concurrency = 6\nrealtime_requests_per_minute = 6000\nrealtime_tokens_per_minute = 9000000"
    with one_at_a_time(limits) as cloud:
        batch = waiting(cloud, provider)
        cloud.tick()  # the pause is cleared
        cloud.simulator.fault("status", provider=provider, operation="realtime", code=429, after=1, times=5)
        files = Failing(cloud.services.files, writes("realtime-"), OSError("not saved"))
        with pytest.raises(OSError, match="not saved"):
            finish_batch(batch.job, batch.id, replace(cloud.services, files=files))  # type: ignore[arg-type]
        left = now(cloud, batch)
        assert (left.called, len(left.uncalled)) == (COUNT, COUNT - 1)
        assert left.claimed_until > cloud.clock.seconds()
        assert_done(cloud, batch, provider, doubts=1)
        assert charged(cloud)[provider] == (0, COUNT + 1)


def test_a_wave_is_no_larger_than_the_rate_of_a_minute() -> None:
    limits = "realtime_concurrency = 6\nrealtime_requests_per_minute = 2\nrealtime_tokens_per_minute = 9000000"
    with one_at_a_time(limits) as cloud:
        batch = waiting(cloud, "openai")
        cloud.tick()  # the pause is cleared
        called = []
        while now(cloud, batch).state is BatchState.ADMITTED:
            finish_batch(batch.job, batch.id, cloud.services)
            called.append(charged(cloud)["openai"][1])
            cloud.clock.now += 60
        assert called == [2, 4, 6]


def test_a_chain_of_runs_that_is_cut_goes_on_within_two_minutes(cloud: Cloud) -> None:
    """Each run calls twice; a chain has ten messages, and what is left behind them is sweep's."""
    batch = waiting(cloud, "openai", 26)
    cloud.simulator.fault("slow", provider="openai", operation="realtime", seconds=290, times=None)
    cloud.deliver_all()
    left = now(cloud, batch)
    assert left.state is BatchState.ADMITTED
    assert left.called <= 20
    assert left.due_at is not None
    assert left.due_at - cloud.clock.seconds() <= 120
    assert_done(cloud, batch, "openai", count=26)


@pytest.mark.parametrize(("provider", "code"), [("openai", 503), ("anthropic", 529)])
def test_a_provider_that_is_overloaded_for_a_moment_is_called_again(cloud: Cloud, provider: str, code: int) -> None:
    batch = waiting(cloud, provider)
    cloud.simulator.fault("status", provider=provider, operation="realtime", code=code, times=2, after=1)
    assert work(cloud, batch).doubts == 0
    assert_done(cloud, batch, provider)
    assert charged(cloud)[provider] == (0, COUNT)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_an_outage_pauses_the_provider_and_no_line_fails(cloud: Cloud, provider: str) -> None:
    batch = waiting(cloud, provider)
    cloud.simulator.fault("status", provider=provider, operation="realtime", code=503, times=12)
    work(cloud, batch)
    assert cloud.services.store.providers.active_pause(provider) is not None
    assert_done(cloud, batch, provider)
    assert charged(cloud)[provider] == (0, COUNT)


def gateway(cloud: Cloud, reply: Reply | None, times: int) -> list[float]:
    """Stands before OpenAI: so many calls get this reply, or none; when they came."""
    real, came = cloud.services.apis["openai"], list[float]()

    class Gateway:
        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

        def call(self, *args: Any, **kwargs: Any) -> Reply:
            came.append(cloud.clock.now)
            if len(came) > times:
                return real.call(*args, **kwargs)
            if reply is None:
                raise OutcomeUnknown("reset")
            return reply

    kept = cloud.make
    cloud.make = lambda provider, key: Gateway() if provider.name == "openai" else kept(provider, key)  # type: ignore[assignment,return-value]
    cloud.configure(cloud.services.providers)
    return came


@pytest.mark.parametrize(
    "reply", [Reply(status=502, body=b"<html>Bad gateway</html>"), Reply(status=408, body=b""), None]
)
def test_an_outage_of_a_gateway_pauses_the_provider_and_takes_no_attempt_of_all_lines(
    cloud: Cloud, reply: Reply | None
) -> None:
    batch = waiting(cloud, "openai")
    came = gateway(cloud, reply, 12)
    left = work(cloud, batch)
    assert (left.state, left.called, len(came)) == (BatchState.ADMITTED, 5, 5)
    assert cloud.services.store.providers.active_pause("openai") is not None
    assert_done(cloud, batch, "openai", doubts=12)
    assert charged(cloud)["openai"] == (0, COUNT)


def test_a_request_in_doubt_waits_before_it_is_called_again(cloud: Cloud) -> None:
    batch = waiting(cloud, "openai", 1)
    came = gateway(cloud, None, 2)
    assert_done(cloud, batch, "openai", doubts=2, count=1)
    assert [later - earlier >= wait for earlier, later, wait in zip(came, came[1:], (60, 120), strict=False)] == [
        True
    ] * 2


def test_failures_that_an_answer_follows_are_not_in_a_row(cloud: Cloud) -> None:
    batch = waiting(cloud, "openai")
    cloud.simulator.fault("reply_lost", provider="openai", operation="realtime", after=1)
    work(cloud, batch)
    pause = cloud.services.store.providers.get_pause("openai")
    assert pause is None or (pause.failures, pause.until) == (0, 0)


@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("fault", ["reply_lost", "timeout", "connection_reset"])
def test_a_lost_reply_is_a_doubt_that_is_told_and_goes_again(cloud: Cloud, provider: str, fault: str) -> None:
    batch = waiting(cloud, provider)
    cloud.simulator.fault(fault, provider=provider, operation="realtime", after=2)
    left = work(cloud, batch)
    assert (left.state, left.doubts, left.again) == (BatchState.ENDED, 1, 1)
    assert_done(cloud, batch, provider, doubts=1)
    is_paid = fault != "connection_reset"
    assert charged(cloud)[provider] == (0, COUNT + is_paid)


def test_doubts_end_with_the_attempts(cloud: Cloud) -> None:
    batch = waiting(cloud, "openai", 1)
    cloud.simulator.fault("reply_lost", provider="openai", operation="realtime", times=None)
    cloud.settle()
    (result,) = cloud.outcome(batch.job).results
    assert (result["error"]["code"], result["attempts"], result["via"]) == ("request_timeout", 3, "realtime")
    assert charged(cloud)["openai"] == (0, 3)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_line_that_is_refused_ends_with_the_providers_error(cloud: Cloud, provider: str) -> None:
    batch = waiting(cloud, provider)
    kind = "invalid_request_error"
    cloud.simulator.fault(
        "status", provider=provider, operation="realtime", code=400, type=kind, error_code=kind, message="No.", after=1
    )
    cloud.settle()
    errors = [(each["line"], each["error"]["code"], each["via"]) for each in cloud.outcome(batch.job).errors]
    assert errors == [(2, kind, "realtime")]
    assert charged(cloud)[provider] == (0, COUNT - 1)


@pytest.mark.parametrize("provider", PROVIDERS)
def test_a_refused_account_pauses_the_provider_and_is_no_attempt(cloud: Cloud, provider: str) -> None:
    batch = waiting(cloud, provider)
    cloud.simulator.fault("status", provider=provider, operation="realtime", code=401, after=2)
    left = work(cloud, batch)
    assert (left.state, left.called, left.uncalled) == (BatchState.ADMITTED, 3, (2,))
    assert cloud.services.store.providers.active_pause(provider) is not None
    assert_done(cloud, batch, provider)
    assert charged(cloud)[provider] == (0, COUNT)
    assert {each["attempts"] for each in cloud.outcome(batch.job).results} == {1}


def test_a_missing_key_pauses_the_provider(cloud: Cloud) -> None:
    batch = waiting(cloud, "openai")
    kept, cloud.secrets.values = cloud.secrets.values, {}
    cloud.configure(cloud.services.providers)
    assert work(cloud, batch).called == 0
    assert cloud.services.store.providers.active_pause("openai") is not None
    cloud.secrets.values = kept
    assert_done(cloud, batch, "openai")


def test_a_provider_that_cannot_be_reached_is_not_called_in_doubt(cloud: Cloud) -> None:
    from batchdrop.errors import Unreachable  # noqa: PLC0415

    batch = waiting(cloud, "openai")
    broken = Failing(cloud.services.apis["openai"], lambda name, _: name == "call", Unreachable("no route"))
    services = replace(cloud.services, apis={"openai": broken})  # type: ignore[arg-type]
    finish_batch(batch.job, batch.id, services)
    left = now(cloud, batch)
    assert (left.called, left.uncalled) == (1, (0,))
    assert_done(cloud, batch, "openai")
    assert charged(cloud)["openai"] == (0, COUNT)


def test_a_run_ends_in_time_and_the_next_goes_on(cloud: Cloud) -> None:
    batch = waiting(cloud, "openai")
    cloud.simulator.fault("slow", provider="openai", operation="realtime", seconds=400, times=None)
    left = work(cloud, batch)
    assert (left.state, left.called) == (BatchState.ADMITTED, 2)
    assert_done(cloud, batch, "openai")
    assert charged(cloud)["openai"] == (0, COUNT)


def test_writing_the_results_of_a_batch_may_take_longer_than_a_wave(cloud: Cloud) -> None:
    batch = waiting(cloud, "openai")
    others: list[Batch] = []

    class Slow:
        def __getattr__(self, name: str) -> Any:
            return getattr(cloud.services.files, name)

        def put(self, key: str, *args: Any, **kwargs: Any) -> Any:
            if key.endswith("index"):
                cloud.clock.now += 800
                others.append(work(cloud, batch))
            return cloud.services.files.put(key, *args, **kwargs)

    finish_batch(batch.job, batch.id, replace(cloud.services, files=Slow()))  # type: ignore[arg-type]
    assert [(each.state, each.failures) for each in others] == [(BatchState.ADMITTED, 0)]
    assert now(cloud, batch).state is BatchState.ENDED
    assert_done(cloud, batch, "openai")


def test_results_that_cannot_be_written_in_time_are_the_next_runs(cloud: Cloud) -> None:
    batch = waiting(cloud, "openai", 2)
    cloud.simulator.fault("slow", provider="openai", operation="realtime", seconds=290, times=None)
    left = work(cloud, batch)
    assert (left.state, left.called, left.claimed_until) == (BatchState.ADMITTED, 2, 0)
    cloud.deliver("finish")
    assert now(cloud, batch).state is BatchState.ENDED
    assert_done(cloud, batch, "openai", count=2)


def test_a_batch_that_fails_each_time_is_given_up_late_and_its_answers_are_published(cloud: Cloud) -> None:
    """What was paid is no loss: its requests cannot be read any more, and its answers can."""
    batch = waiting(cloud, "openai")
    cloud.simulator.fault("status", provider="openai", operation="realtime", code=429, retry_after=600, after=2)
    left = work(cloud, batch)
    cloud.services.store.release(left, cloud.clock.seconds(), failures=MOST_UNPAID)
    assert not has_failed_for_good(now(cloud, batch), cloud.clock.seconds())
    cloud.services.store.release(now(cloud, batch), cloud.clock.seconds(), failures=MOST_PAID)
    while job_of(cloud, batch.job).state is not JobState.FAILED:
        cloud.deliver_all()
        cloud.tick()
    outcome = cloud.outcome(batch.job)
    assert outcome.manifest.status == "FAILED"
    assert [each["error"] is None for each in outcome.results] == [True, True, *[False] * (COUNT - 2)]
    assert charged(cloud)["openai"] == (0, 2)


def test_calls_keep_the_rates_per_minute() -> None:
    limits = "realtime_concurrency = 1\nrealtime_requests_per_minute = 4\nrealtime_tokens_per_minute = 9000000"
    with one_at_a_time(limits) as cloud:
        cloud.simulator.limits(openai_requests_per_minute=5)
        batch = waiting(cloud, "openai")
        began = cloud.clock.now
        work(cloud, batch)
        assert cloud.clock.now - began == 15 * (COUNT - 1)
        assert charged(cloud)["openai"] == (0, COUNT)


def test_a_cancelled_job_calls_nothing_more_and_publishes_what_was_answered(cloud: Cloud) -> None:
    from batchdrop.jobs import ask_to_cancel  # noqa: PLC0415

    batch = waiting(cloud, "openai")
    cloud.simulator.fault("status", provider="openai", operation="realtime", code=429, retry_after=600, after=2)
    work(cloud, batch)
    ask_to_cancel(batch.job, cloud.services.store, now=cloud.services.now())
    cloud.settle()
    codes = [each["error"] and each["error"]["code"] for each in cloud.outcome(batch.job).results]
    assert codes == [None, None, *["cancelled"] * (COUNT - 2)]
    assert charged(cloud)["openai"] == (0, 2)


def test_a_job_that_is_cancelled_during_a_run_is_called_no_more(cloud: Cloud) -> None:
    from batchdrop.jobs import ask_to_cancel  # noqa: PLC0415

    batch = waiting(cloud, "openai")
    real = cloud.services.apis["openai"]

    class Cancels:
        def call(self, *args: Any, **kwargs: Any) -> Any:
            if job_of(cloud, batch.job).state is JobState.RUNNING:
                ask_to_cancel(batch.job, cloud.services.store, now=cloud.services.now())
            return real.call(*args, **kwargs)

    finish_batch(batch.job, batch.id, replace(cloud.services, apis={"openai": Cancels()}))  # type: ignore[arg-type]
    assert charged(cloud)["openai"] == (0, 1)
    cloud.settle()
    assert [each["error"] is None for each in cloud.outcome(batch.job).results] == [True] + [False] * (COUNT - 1)


def test_an_answer_on_several_lines_is_one_row(cloud: Cloud) -> None:
    batch = waiting(cloud, "openai", 1)
    real = cloud.services.apis["openai"]

    class Pretty:
        def call(self, *args: Any, **kwargs: Any) -> Any:
            from msgspec.structs import replace as with_  # noqa: PLC0415

            reply = real.call(*args, **kwargs)
            return with_(reply, body=json.dumps(json.loads(reply.body), indent=1).encode())

    finish_batch(batch.job, batch.id, replace(cloud.services, apis={"openai": Pretty()}))  # type: ignore[arg-type]
    assert_done(cloud, batch, "openai", count=1)


def test_an_answer_that_is_no_json_is_not_paid_again(cloud: Cloud) -> None:
    batch = waiting(cloud, "openai", 2)
    cloud.simulator.fault("garbage", provider="openai", operation="realtime", after=1)
    cloud.settle()
    (error,) = cloud.outcome(batch.job).errors
    assert (error["error"]["code"], error["error"]["retryable"], error["attempts"]) == ("unreadable_result", False, 1)


def test_answers_lie_under_the_batch_until_they_are_its_results(cloud: Cloud) -> None:
    batch = waiting(cloud, "openai")
    cloud.simulator.fault("status", provider="openai", operation="realtime", code=429, retry_after=600, after=2)
    work(cloud, batch)
    assert cloud.keys(keys.called_prefix(batch)) == [keys.called_key(batch, 0), keys.called_key(batch, 1)]
