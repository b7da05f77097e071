"""What providers do to a batch, and what becomes of its lines."""

import pytest
from batchdrop.states import BatchState
from faking.cloud import TOML, Cloud, jsonl
from faking.cloud import cloud as new_cloud
from faking.lines import chat, claude, got, mixed, wanted

ONCE = {"batchdrop-max-attempts": "1"}


def codes(results: list[dict]) -> list[str | None]:
    return [result["error"] and result["error"]["code"] for result in results]


@pytest.mark.parametrize(("line", "provider"), [(chat, "openai"), (claude, "anthropic")])
def test_an_expired_batch_keeps_its_answers_and_names_the_rest(cloud: Cloud, line: object, provider: str) -> None:
    cloud.simulator.shape(provider=provider, expire_fraction=0.5)
    lines = [line(f"text {number}", number) for number in range(10)]  # type: ignore[operator]
    job = cloud.drop("input/x.jsonl", jsonl(lines), **ONCE)
    cloud.deliver_all()
    cloud.clock.now += 25 * 3600
    cloud.settle()
    assert job is not None
    results = cloud.outcome(job).results
    assert sorted(codes(results), key=str) == [None] * 5 + ["batch_expired"] * 5 or codes(results).count(None) == 5
    assert [got(result) for result in results if not result["error"]] == [
        wanted(lines[result["line"] - 1]) for result in results if not result["error"]
    ]
    expired = [result["error"] for result in results if result["error"]]
    assert {(error["code"], error["source"], error["retryable"]) for error in expired} == {
        ("batch_expired", "batchdrop", True)
    }


def test_refused_lines_carry_the_providers_error_and_response(cloud: Cloud) -> None:
    for provider in ("openai", "anthropic"):
        cloud.simulator.shape(provider=provider, failing={"match": "bad", "status": 400})
    out = cloud.run("input/x.jsonl", [chat("good"), chat("bad one"), claude("good"), claude("bad two")])
    assert [bool(result["error"]) for result in out.results] == [False, True, False, True]
    for result in out.errors:
        assert result["error"]["source"] == "provider"
        assert result["error"]["retryable"] is False
        assert result["response"]["status_code"] == 400
        assert "error" in result["response"]["body"]
        assert result["batch_id"] is not None
        assert result["attempts"] == 1


def test_a_batch_in_which_all_failed_has_no_output_file_and_still_gives_every_error(cloud: Cloud) -> None:
    cloud.simulator.shape(provider="openai", failing={"match": "", "fraction": 1.0, "status": 500})
    out = cloud.run("input/x.jsonl", [chat(str(number)) for number in range(5)], **ONCE)
    assert out.manifest.counts is not None
    assert (out.manifest.status, out.manifest.counts.answered, out.manifest.counts.failed) == ("COMPLETED", 0, 5)
    assert all(result["error"]["retryable"] for result in out.results)


def test_a_batch_that_failed_as_a_whole_gives_its_reason_to_each_line(cloud: Cloud) -> None:
    cloud.simulator.shape(provider="openai", fail_batch="invalid_request", fail_message="Nothing works today.")
    out = cloud.run("input/x.jsonl", [chat("one"), claude("two"), chat("three")])
    assert codes(out.results) == ["invalid_request", None, "invalid_request"]
    assert out.results[0]["error"]["message"] == "Nothing works today."


def test_lines_in_neither_file_are_lost_and_say_so(cloud: Cloud) -> None:
    cloud.simulator.shape(provider="openai", forget=2)
    job = cloud.drop("input/x.jsonl", jsonl([chat(str(number)) for number in range(6)]), **ONCE)
    cloud.settle(tick=300)
    assert job is not None
    results = cloud.outcome(job).results
    assert sorted(codes(results), key=str) == [None, None, None, None, "request_lost", "request_lost"]


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_without_a_key_batches_wait_and_nothing_fails(cloud: Cloud, provider: str) -> None:
    secret = cloud.services.providers[provider].secret
    key = cloud.secrets.values.pop(secret)
    job = cloud.drop("input/x.jsonl", jsonl(mixed(4)))
    cloud.deliver_all()
    for _ in range(5):
        cloud.tick()
        cloud.deliver_all()
    assert job is not None
    waiting = [batch for batch in cloud.services.store.batches(job) if batch.provider == provider]
    assert {batch.state for batch in waiting} == {BatchState.WAITING}
    events = cloud.events()
    assert [(event["detail-type"], event["detail"]["provider"]) for event in events] == [("Provider Paused", provider)]
    cloud.secrets.values[secret] = key
    cloud.settle()
    out = cloud.outcome(job)
    assert [got(result) for result in out.results] == [wanted(line) for line in mixed(4)]
    assert "Provider Resumed" in {event["detail-type"] for event in cloud.events()}


def test_a_refused_key_pauses_the_provider_and_no_line_is_at_fault(cloud: Cloud) -> None:
    cloud.simulator.fault("status", provider="openai", operation="upload", code=401, times=3)
    out = cloud.run("input/x.jsonl", mixed(4))
    assert codes(out.results) == [None] * 4
    paused = [event["detail"]["reason"] for event in cloud.events() if event["detail-type"] == "Provider Paused"]
    assert paused[0].startswith("the key was refused (401")


@pytest.mark.parametrize("status", [429, 500, 503])
def test_an_upload_that_is_refused_for_now_is_done_again(cloud: Cloud, status: int) -> None:
    cloud.simulator.fault("status", provider="openai", operation="upload", code=status, times=4, retry_after=0)
    out = cloud.run("input/x.jsonl", [chat("one")])
    assert codes(out.results) == [None]
    assert cloud.simulator.charges()["openai"]["requests"] == 1


def test_a_create_that_is_refused_for_good_ends_its_lines_with_the_reason(cloud: Cloud) -> None:
    cloud.simulator.fault("status", provider="anthropic", operation="create", code=400, times=10)
    out = cloud.run("input/x.jsonl", [claude("one"), chat("two")])
    assert [bool(result["error"]) for result in out.results] == [True, False]
    assert out.results[0]["error"]["source"] == "provider"
    assert cloud.services.store.providers.ledger("anthropic").reserved == 0


@pytest.mark.parametrize(("line", "provider"), [(chat, "openai"), (claude, "anthropic")])
@pytest.mark.parametrize("fault", ["reply_lost", "connection_reset"])
def test_a_create_of_unknown_outcome_is_never_repeated_blindly(
    cloud: Cloud, line: object, provider: str, fault: str
) -> None:
    cloud.simulator.fault(fault, provider=provider, operation="create")
    job = cloud.drop("input/x.jsonl", jsonl([line("one")]))  # type: ignore[operator]
    cloud.deliver_all()
    assert job is not None
    (batch,) = cloud.services.store.batches(job)
    assert batch.state is BatchState.SUBMITTING
    assert cloud.simulator.charges()[provider]["calls"]["create"] == 1


def test_a_cut_download_goes_on_where_it_stopped(cloud: Cloud) -> None:
    for provider in ("openai", "anthropic"):
        cloud.simulator.fault("cut", provider=provider, operation="results", bytes=300, times=2)
    lines = mixed(12)
    out = cloud.run("input/x.jsonl", lines)
    assert [got(result) for result in out.results] == [wanted(line) for line in lines]


def test_garbage_instead_of_a_batch_leaves_it_in_flight(cloud: Cloud) -> None:
    for provider in ("openai", "anthropic"):
        for operation in ("retrieve", "list"):
            cloud.simulator.fault("garbage", provider=provider, operation=operation, times=2)
    out = cloud.run("input/x.jsonl", mixed(4))
    assert codes(out.results) == [None] * 4


def test_a_batch_unknown_for_a_while_after_its_create_is_waited_for(cloud: Cloud) -> None:
    cloud.simulator.shape(provider="anthropic", not_found_after_create=200)
    out = cloud.run("input/x.jsonl", [claude("one")])
    assert codes(out.results) == [None]
    assert cloud.simulator.charges()["anthropic"]["batches"] == 1


def test_batches_beyond_the_enqueued_tokens_wait_their_turn() -> None:
    toml = TOML.read_text(encoding="utf-8").replace("enqueued_tokens = 2_000_000", "enqueued_tokens = 200")
    with new_cloud(toml) as cloud:
        cloud.simulator.enqueued_limit("gpt-*", 260)
        lines = [chat("x" * 300 + str(number)) for number in range(8)]
        job = cloud.drop("input/x.jsonl", jsonl(lines))
        assert job is not None
        cloud.deliver_all()
        held = [batch.cost for batch in cloud.services.store.batches(job) if batch.state is BatchState.IN_FLIGHT]
        assert 0 < sum(held) == cloud.services.store.providers.ledger("openai/gpt-4o-mini").reserved <= 200
        cloud.settle()
        assert codes(cloud.outcome(job).results) == [None] * 8
        assert cloud.simulator.charges()["openai"]["batches"] > 3
        assert cloud.services.store.providers.ledger("openai/gpt-4o-mini").reserved == 0


def test_an_hour_takes_so_many_batches_and_the_others_wait() -> None:
    toml = TOML.read_text(encoding="utf-8").replace("batches_per_hour = 2_000", "batches_per_hour = 3")
    with new_cloud(toml.replace("requests_per_batch = 50_000", "requests_per_batch = 1")) as cloud:
        job = cloud.drop("input/x.jsonl", jsonl([chat(str(number)) for number in range(7)]))
        cloud.settle(tick=300)
        created = sorted(batch["created_at"] for batch in cloud.simulator.batches())
        in_an_hour = [sum(begin <= at < begin + 3_600 for at in created) for begin in created]
        assert (len(created), created[0] == created[2], max(in_an_hour)) == (7, True, 3)
        assert job is not None
        assert codes(cloud.outcome(job).results) == [None] * 7


def test_a_create_that_finds_the_queue_full_waits_and_teaches(cloud: Cloud) -> None:
    message = "Enqueued token limit reached. Limit: 90,000 enqueued tokens."
    refused = {"code": 400, "error_code": "token_limit_exceeded", "message": message}
    cloud.simulator.fault("status", provider="openai", operation="create", times=2, **refused)
    out = cloud.run("input/x.jsonl", [chat("one"), chat("two")])
    assert codes(out.results) == [None, None]
    assert [result["attempts"] for result in out.results] == [1, 1]
    ledger = cloud.services.store.providers.ledger("openai/gpt-4o-mini")
    assert (ledger.learned, ledger.reserved) == (90_000, 0)


def test_batches_hold_no_more_than_the_provider_takes() -> None:
    toml = TOML.read_text(encoding="utf-8").replace("requests_per_batch = 50_000", "requests_per_batch = 3")
    with new_cloud(toml) as cloud:
        out = cloud.run("input/x.jsonl", [chat(str(number)) for number in range(10)])
        assert codes(out.results) == [None] * 10
        assert cloud.simulator.charges()["openai"]["batches"] == 4
        (model,) = out.manifest.models
        assert (model.batches, model.requests) == (4, 10)


def test_polling_many_batches_takes_list_pages() -> None:
    toml = TOML.read_text(encoding="utf-8").replace("requests_per_batch = 10_000", "requests_per_batch = 1")
    with new_cloud(toml) as cloud:
        out = cloud.run("input/x.jsonl", [claude(str(number)) for number in range(12)])
        assert codes(out.results) == [None] * 12
        calls = cloud.simulator.charges()["anthropic"]["calls"]
        assert calls["list"] <= 2
        assert calls.get("retrieve", 0) == 0


def test_a_pause_that_nobody_told_is_told_by_sweep_and_its_end_is_when_a_batch_was_taken(cloud: Cloud) -> None:
    cloud.services.store.providers.set_pause("openai", "no credit (429)", cloud.clock.seconds() + 300)
    for seconds in (60, 60, 600, 6_000):
        cloud.tick(seconds)
    assert [event["detail-type"] for event in cloud.events()] == ["Provider Paused"]  # nobody knows more
    cloud.run("input/x.jsonl", [chat("one")])
    assert [event["detail-type"] for event in cloud.events()] == ["Provider Resumed", "Job Completed"]
    assert cloud.services.store.providers.get_pause("openai") is None
