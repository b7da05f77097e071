"""Within limits: a batch that is larger than its provider takes becomes smaller ones, and no line fails for it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from batchdrop.aws.bucket import Files
from batchdrop.aws.optimistic import ConcurrentChange
from batchdrop.batches.resizing import PieceExists, replace_oversized
from batchdrop.errors import ClaimLost, LimitReached, Transient
from batchdrop.jobs import ask_to_cancel
from batchdrop.limits.admission import admit_batches
from batchdrop.protocols.token_estimates import tokens_of
from batchdrop.providers.interface import BatchApi, ProviderBatch
from batchdrop.records import Batch
from batchdrop.states import BatchState
from batchdrop.steps.collect import collect_batch
from batchdrop.steps.submit import submit_batch
from faking.cloud import TOML, Cloud, jsonl
from faking.cloud import cloud as new_cloud
from faking.failing import Failing, Fails
from faking.lines import chat, claude, got, wanted

from provider_simulator import lifecycle

LEDGER = "openai/gpt-4o-mini"
LIMIT = 200_000  # a tenth of the vendor's


def created(cloud: Cloud) -> list[Any]:
    """The simulator's batches, the oldest first."""
    return sorted(cloud.simulator.engine.store.batches(), key=lambda each: each.created_at)


def most_enqueued(cloud: Cloud) -> int:
    """The most tokens that were ever in unfinished batches together, as the provider counts them."""
    found = [each for each in created(cloud) if each.scan is not None]
    return max(
        sum(each.scan.input_tokens for each in found if lifecycle.is_live(each, begun.created_at)) for begun in found
    )


def waiting(cloud: Cloud, lines: list[Any]) -> Batch:
    """The one batch of a file's lines, planned and too large to be admitted."""
    cloud.services.store.providers.learn_limit(LEDGER, 100, cloud.clock.seconds() + 86_400)
    job = cloud.drop("input/x.jsonl", jsonl(lines))
    assert job is not None
    cloud.deliver("plan")
    (batch,) = cloud.services.store.batches(job)
    return batch


def states(cloud: Cloud, job: str) -> list[tuple[str, str, int]]:
    return [(each.id, each.state, each.requests) for each in cloud.services.store.batches(job)]


def test_ten_times_the_limit_passes_within_it_and_no_line_fails() -> None:
    configured = TOML.read_text(encoding="utf-8").replace("enqueued_tokens = 2_000_000", f"enqueued_tokens = {LIMIT}")
    lines = [chat(f"{number} " + "word " * 8_000, number) for number in range(200)]
    assert sum(tokens_of(len(line["body"]["messages"][0]["content"])) for line in lines) > 10 * LIMIT
    with new_cloud(configured, split_bytes=100_000) as cloud:
        cloud.simulator.enqueued_limit("gpt-*", LIMIT)
        cloud.simulator.shape(provider="openai", seconds_to_complete=100)
        out = cloud.run("input/x.jsonl", lines)
        assert [result["error"] for result in out.results] == [None] * 200
        assert {result["attempts"] for result in out.results} == {1}
        assert LIMIT // 2 < most_enqueued(cloud) <= LIMIT
        assert not [each.id for each in created(cloud) if lifecycle.failed(each)]
        assert cloud.services.store.providers.ledger(LEDGER).reserved == 0


def test_pictures_are_planned_by_their_own_tokens_not_by_those_of_so_much_text(cloud: Cloud) -> None:
    url = "data:image/png;base64,iVBORw0KGgo" + "A" * 100_000
    lines = [chat("What is it?", number) for number in range(5)]
    for line in lines:
        line["body"]["messages"][0]["content"] = [{"type": "image_url", "image_url": {"url": url, "detail": "low"}}]
    batch = waiting(cloud, lines)
    assert (batch.requests, batch.tokens) == (5, 5 * (2833 + 80))  # and the text around it


def test_a_limit_that_a_refusal_tells_makes_smaller_batches(cloud: Cloud) -> None:
    cloud.simulator.enqueued_limit("gpt-*", 500)
    lines = [chat("x" * 300 + str(number), number) for number in range(20)]
    out = cloud.run("input/x.jsonl", lines)
    assert [got(result) for result in out.results] == [wanted(line) for line in lines]
    assert {result["attempts"] for result in out.results} == {1}
    assert [lifecycle.failed(each) for each in created(cloud)] == [True] + [False] * (len(created(cloud)) - 1)
    assert most_enqueued(cloud) <= 500
    ledger = cloud.services.store.providers.ledger(LEDGER)
    assert (ledger.reserved, ledger.learned, ledger.learned_until > cloud.clock.now) == (0, 500, True)


def test_what_is_too_large_is_cut_until_it_is_taken(cloud: Cloud) -> None:
    cloud.simulator.limits(openai_upload_bytes=900, anthropic_bytes=900)
    lines = [(chat if number % 2 else claude)(f"line {number} " + "x" * 100, number) for number in range(20)]
    out = cloud.run("input/x.jsonl", lines)
    assert [got(result) for result in out.results] == [wanted(line) for line in lines]
    assert {result["attempts"] for result in out.results} == {1}
    assert [cloud.services.store.providers.ledger(name).reserved for name in (LEDGER, "anthropic")] == [0, 0]
    assert all(charges["bodies_charged_more_than_once"] == 0 for charges in cloud.simulator.charges().values())


def test_a_line_that_is_too_large_alone_is_an_error_and_stops_no_other(cloud: Cloud) -> None:
    cloud.simulator.limits(openai_upload_bytes=900, anthropic_bytes=900)
    lines = [chat("one"), chat("x" * 1_000), chat("three"), claude("x" * 1_000), claude("five")]
    out = cloud.run("input/x.jsonl", lines)
    assert [result["error"] and result["error"]["code"] for result in out.results] == [
        None,
        "request_too_large",
        None,
        "request_too_large",
        None,
    ]
    message = "The provider refuses this line for its size, even in a batch of its own."
    assert {(each["error"]["message"], each["attempts"]) for each in out.errors} == {(message, 0)}


def test_a_line_larger_than_the_limit_is_tried_alone_and_ends_with_the_providers_reason(cloud: Cloud) -> None:
    cloud.simulator.enqueued_limit("gpt-*", 100)
    job = cloud.drop("input/x.jsonl", jsonl([chat("x" * 1_000), chat("two")]))
    assert job is not None
    cloud.settle(tick=600)
    out = cloud.outcome(job)
    assert [result["error"] and result["error"]["code"] for result in out.results] == ["token_limit_exceeded", None]
    assert out.results[0]["error"]["message"].startswith("Enqueued token limit reached")


def test_a_batch_that_never_fits_is_sent_to_be_replaced_and_a_repeated_message_changes_nothing(cloud: Cloud) -> None:
    lines = [chat("x" * 100 + str(number), number) for number in range(6)]
    batch = waiting(cloud, lines)
    assert admit_batches("openai", cloud.services) == 0  # its message is under way
    for _ in range(2):
        submit_batch(batch.job, batch.id, cloud.services)
    found = states(cloud, batch.job)
    assert found[0] == ("00000-0-0000", "REPLACED", 6)
    assert [each[0] for each in found[1:]] == [f"00000-0-0000-{number:04}" for number in range(len(found) - 1)]
    assert sum(requests for *_, requests in found[1:]) == 6
    split = cloud.services.store.split(batch.job, 0)
    assert split is not None
    assert split.open == len(found) - 1
    cloud.settle()
    out = cloud.outcome(batch.job)
    assert [got(result) for result in out.results] == [wanted(line) for line in lines]
    assert out.manifest.models is not None
    assert out.manifest.models[0].batches == len(found) - 1


def test_a_batch_that_fits_by_now_is_not_replaced(cloud: Cloud) -> None:
    batch = waiting(cloud, [chat("x" * 100 + str(number), number) for number in range(6)])
    cloud.clock.now += 86_400  # what was learned is forgotten
    submit_batch(batch.job, batch.id, cloud.services)
    assert states(cloud, batch.job) == [("00000-0-0000", "WAITING", 6)]
    assert admit_batches("openai", cloud.services) == 1


def test_two_workers_replace_a_batch_once(cloud: Cloud) -> None:
    batch = waiting(cloud, [chat("x" * 100 + str(number), number) for number in range(6)])
    late = cloud.services.store.batch(batch.job, batch.id)
    assert late is not None
    submit_batch(batch.job, batch.id, cloud.services)
    before = states(cloud, batch.job)
    with pytest.raises(ClaimLost):
        replace_oversized(late, cloud.services)
    assert states(cloud, batch.job) == before


def moves_to(state: BatchState) -> Fails:
    return lambda name, args: name == "move" and args[1] is state


def test_a_piece_that_exists_already_is_a_failure_that_is_counted_and_not_a_deferral(cloud: Cloud) -> None:
    batch = waiting(cloud, [chat(f"{number}", number) for number in range(9)])
    there = ConcurrentChange(frozenset({1}))  # the first piece's row; the split's count is at 0
    store: Any = Failing(cloud.services.store, moves_to(BatchState.REPLACED), there)
    with pytest.raises(PieceExists):
        replace_oversized(batch, replace(cloud.services, store=store))
    assert not issubclass(PieceExists, Transient)


def test_a_collector_that_cannot_close_its_batch_now_gives_it_back_and_has_not_failed(cloud: Cloud) -> None:
    job = str(cloud.drop("input/x.jsonl", jsonl([chat("one", 1)])))
    cloud.deliver("plan")
    cloud.deliver("submit")
    cloud.tick()
    store: Any = Failing(cloud.services.store, moves_to(BatchState.COLLECTED), Transient("others write"))
    with pytest.raises(Transient):
        collect_batch(job, "00000-0-0000", replace(cloud.services, store=store))
    (batch,) = cloud.services.store.batches(job)
    assert (batch.state, batch.claimed_until, batch.failures) == (BatchState.ENDED, 0, 0)
    cloud.settle()
    assert cloud.outcome(job).manifest.counts is not None
    assert cloud.simulator.charges()["openai"]["requests"] == 1


def test_a_cancel_stops_what_replaced_a_batch(cloud: Cloud) -> None:
    batch = waiting(cloud, [chat("x" * 100 + str(number), number) for number in range(6)])
    submit_batch(batch.job, batch.id, cloud.services)
    ask_to_cancel(batch.job, cloud.services.store, now=cloud.clock.seconds())
    cloud.settle()
    out = cloud.outcome(batch.job)
    assert out.manifest.status == "CANCELLED"
    assert {result["error"] and result["error"]["code"] for result in out.results} <= {"cancelled", None}
    assert len(out.results) == 6
    assert cloud.services.store.providers.ledger(LEDGER).reserved == 0


def test_a_stopped_jobs_batch_is_not_replaced(cloud: Cloud) -> None:
    batch = waiting(cloud, [chat("x" * 100 + str(number), number) for number in range(6)])
    ask_to_cancel(batch.job, cloud.services.store, now=cloud.clock.seconds())
    submit_batch(batch.job, batch.id, cloud.services)
    assert [each.state for each in cloud.services.store.batches(batch.job)] == [BatchState.WAITING]


class Meanwhile:
    """A provider's client; something happens while it sends a batch's requests."""

    def __init__(self, api: BatchApi, happens: Callable[[], object]) -> None:
        self._api, self._happens = api, happens

    def __getattr__(self, name: str) -> Any:
        if name == ("upload" if self._api.needs_upload else "create"):
            self._happens()
        return getattr(self._api, name)


@pytest.mark.parametrize("line", [chat, claude])
def test_a_batch_that_is_too_large_in_a_job_that_is_stopped_meanwhile_is_not_in_doubt(line: Any) -> None:
    def stop() -> None:
        for job in cloud.jobs():
            ask_to_cancel(job.id, cloud.services.store, now=cloud.clock.seconds())

    with new_cloud(wrap=lambda api: Meanwhile(api, stop)) as cloud:  # type: ignore[arg-type,return-value]  # it stands in by its methods
        cloud.simulator.limits(openai_upload_bytes=100, anthropic_bytes=100)
        job = cloud.drop("input/x.jsonl", jsonl([line("one", 1), line("two", 2)]))
        assert job is not None
        cloud.deliver("plan")
        cloud.deliver("submit")
        assert [each.state for each in cloud.services.store.batches(job)] == [BatchState.WAITING]
        cloud.settle()
        codes = [result["error"]["code"] for result in cloud.outcome(job).results]
        assert (cloud.outcome(job).manifest.status, codes) == ("CANCELLED", ["cancelled"] * 2)


class Untold:
    """A provider's client whose refusals name a limit that is eight times what it takes."""

    def __init__(self, api: BatchApi) -> None:
        self._api = api

    def __getattr__(self, name: str) -> Any:
        return getattr(self._api, name)

    def retrieve(self, batch_id: str) -> ProviderBatch:
        found = self._api.retrieve(batch_id)
        failures = tuple(
            msgspec.structs.replace(each, message=each.message.replace("Limit: 500", "Limit: 4,000"))
            for each in found.failures
        )
        return msgspec.structs.replace(found, failures=failures)


def test_where_tokens_are_far_more_than_estimated_batches_become_smaller_until_they_are_taken() -> None:
    lines = [chat("x" * 300 + str(number), number) for number in range(20)]
    with new_cloud(wrap=Untold) as cloud:  # type: ignore[arg-type]  # it stands in by its methods
        cloud.simulator.enqueued_limit("gpt-*", 500)
        job = cloud.drop("input/x.jsonl", jsonl(lines))
        assert job is not None
        cloud.settle(tick=600)
        out = cloud.outcome(job)
        assert [got(result) for result in out.results] == [wanted(line) for line in lines]
        assert {result["attempts"] for result in out.results} == {1}
        ledger = cloud.services.store.providers.ledger(LEDGER)
        assert (ledger.learned, ledger.reserved) == (4_000, 0)


class FullFor:
    """A provider's client that has no room for batches of more requests than these, and tells no limit."""

    most = 1

    def __init__(self, api: BatchApi) -> None:
        self._api = api

    def __getattr__(self, name: str) -> Any:
        return getattr(self._api, name)

    def create(self, batch: Batch, *arguments: Any, **named: Any) -> str:
        if batch.requests > FullFor.most:
            raise LimitReached("400 token_limit_exceeded", limit=None)
        return self._api.create(batch, *arguments, **named)


SMALL = TOML.read_text(encoding="utf-8").replace("enqueued_tokens = 2_000_000", "enqueued_tokens = 2_000")


@pytest.mark.parametrize(("most", "codes"), [(1, [None] * 4), (0, ["token_limit_exceeded"] * 4)])
def test_a_refusal_that_names_no_limit_makes_smaller_batches_and_single_lines_end(
    most: int, codes: list[str | None]
) -> None:
    lines = [chat("x" * 300 + str(number), number) for number in range(4)]
    with new_cloud(SMALL, wrap=FullFor) as cloud:  # type: ignore[arg-type]  # it stands in by its methods
        FullFor.most = most
        job = cloud.drop("input/x.jsonl", jsonl(lines))
        assert job is not None
        cloud.settle(tick=900, rounds=150)
        out = cloud.outcome(job)
        assert [result["error"] and result["error"]["code"] for result in out.results] == codes
        assert {result["attempts"] for result in out.results} == {most}
        assert cloud.services.store.providers.ledger(LEDGER).reserved == 0


class Died(BaseException):
    """The worker is gone, whatever it would have caught."""


class Dying:
    """The bucket of a worker that dies when it writes."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def __getattr__(self, name: str) -> Any:
        return getattr(self._files, name)

    def put(self, *_: object, **__: object) -> None:
        raise Died


def test_a_worker_that_dies_while_it_cuts_leaves_nothing_in_doubt(cloud: Cloud) -> None:
    cloud.simulator.limits(anthropic_bytes=300)
    lines = [claude("one", 1), claude("two", 2)]
    job = cloud.drop("input/x.jsonl", jsonl(lines))
    assert job is not None
    cloud.deliver("plan")
    (batch,) = cloud.services.store.batches(job)
    with pytest.raises(Died):
        submit_batch(job, batch.id, replace(cloud.services, files=Dying(cloud.services.files)))  # type: ignore[arg-type]  # by its methods
    (batch,) = cloud.services.store.batches(job)
    assert (batch.state, cloud.services.store.providers.slot_is_taken(batch)) == (BatchState.WAITING, False)
    assert cloud.services.store.providers.ledger("anthropic").reserved == 0
    cloud.settle()
    assert [got(result) for result in cloud.outcome(job).results] == [wanted(line) for line in lines]
