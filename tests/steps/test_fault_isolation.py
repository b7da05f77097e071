"""One bad row, one bad line, one bad answer: the others go on."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest
from batchdrop.errors import AccountRefused, Missing, Refused, Transient, Unreachable
from batchdrop.jobs import ask_to_cancel
from batchdrop.protocols.outcome import Failure
from batchdrop.providers.config import Providers
from batchdrop.providers.interface import BatchApi, ProviderBatch
from batchdrop.providers.keys import Key, account_id
from batchdrop.states import BatchState
from batchdrop.steps.collect import collect_batch
from faking.cloud import TOML, Cloud, jsonl, simulated_providers
from faking.cloud import cloud as new_cloud
from faking.lines import chat, claude, mixed

LINES = pytest.mark.parametrize(("line", "provider"), [(chat, "openai"), (claude, "anthropic")])


class ConcurrentChange:
    """A provider's client of which some methods answer otherwise."""

    def __init__(self, api: BatchApi, **methods: Callable[..., Any]) -> None:
        self._api, self._methods = api, methods

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._api, name)
        changed = self._methods.get(name)
        return found if changed is None else lambda *args, **kwargs: changed(found, *args, **kwargs)


def codes(cloud: Cloud, job: str | None) -> list[str | None]:
    assert job is not None
    return [result["error"] and result["error"]["code"] for result in cloud.outcome(job).results]


def test_a_very_long_model_is_an_error_of_its_line_only(cloud: Cloud) -> None:
    out = cloud.run("input/x.jsonl", [chat("one", model="gpt-" + "x" * 3_000), chat("two")])
    assert [bool(result["error"]) for result in out.results] == [True, False]


def test_a_row_that_cannot_be_healed_does_not_stop_the_others(cloud: Cloud) -> None:
    lines = mixed(4)
    broken = cloud.drop("input/broken.jsonl", jsonl(lines))
    assert broken is not None
    split = cloud.services.store.split(broken, 0)
    assert split is not None
    cloud.dynamodb.update_item(
        TableName="table",
        Key={"pk": {"S": f"JOB#{broken}"}, "sk": {"S": "SPLIT#00000"}},
        UpdateExpression="SET #state = :state, due_at = :zero",
        ExpressionAttributeNames={"#state": "state"},
        ExpressionAttributeValues={":state": {"S": "NO SUCH STATE"}, ":zero": {"N": "0"}},
    )
    job = cloud.drop("input/fine.jsonl", jsonl(lines))
    assert job is not None
    for _ in range(12):
        cloud.tick()
        for step in ("plan", "submit", "collect", "assemble", "publish"):
            try:
                cloud.deliver(step)
            except msgspec.ValidationError:
                continue  # the broken split's own message
    assert codes(cloud, job) == [None] * 4


def test_a_batch_the_provider_does_not_tell_of_does_not_hide_the_others() -> None:
    toml = TOML.read_text(encoding="utf-8").replace("requests_per_batch = 10_000", "requests_per_batch = 1")
    hidden: list[str] = []

    def retrieve(real: Callable[[str], ProviderBatch], batch_id: str) -> ProviderBatch:
        hidden[:] = hidden or [batch_id]
        if batch_id in hidden:
            raise Transient("503")
        return real(batch_id)

    def page(real: Callable[[str | None], list[ProviderBatch]], after: str | None) -> list[ProviderBatch]:
        del real, after
        raise Transient("503")

    with new_cloud(toml, wrap=lambda api: ConcurrentChange(api, retrieve=retrieve, page=page)) as cloud:  # type: ignore[arg-type,return-value]  # it stands in by its methods
        job = cloud.drop("input/x.jsonl", jsonl([claude(str(number)) for number in range(3)]))
        for _ in range(4):
            cloud.deliver_all()
            cloud.tick()
        assert job is not None
        states = sorted(batch.state for batch in cloud.services.store.batches(job))
        assert states == [BatchState.COLLECTED, BatchState.COLLECTED, BatchState.IN_FLIGHT]


@LINES
def test_a_result_that_cannot_be_read_is_an_error_and_is_not_paid_again(line: Any, provider: str) -> None:
    def stream(real: Callable[[str], Iterator[bytes]], name: str) -> Iterator[bytes]:
        whole = b"".join(real(name))
        yield whole.replace(b"Answer", b'An"swer', 1)  # a quote that is not escaped: no JSON reader takes it

    with new_cloud(wrap=lambda api: ConcurrentChange(api, stream=stream)) as cloud:  # type: ignore[arg-type,return-value]  # it stands in by its methods
        job = cloud.drop("input/x.jsonl", jsonl([line("one"), line("two"), line("three")]))
        cloud.settle()
        assert sorted(codes(cloud, job), key=str) == [None, None, "unreadable_result"]
        assert cloud.simulator.charges()[provider]["requests"] == 3


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Missing("404 said_by_it"), "the provider does not have them"),
        (Unreachable("503 said_by_it"), "the provider does not answer, or with an error of its own (5xx)"),
        (Transient("429 said_by_it"), "they could not be fetched now"),
        (Refused(status=400, code="said_by_it"), "the provider refused the call for them"),
        (
            AccountRefused("the key was refused (401 said_by_it)"),
            "the call for them was refused; the key, the account or base_url may be wrong",
        ),
    ],
)
def test_why_results_cannot_be_collected_is_noted_in_no_words_of_the_provider(error: Exception, said: str) -> None:
    def stream(real: Callable[[str], Iterator[bytes]], name: str) -> Iterator[bytes]:
        del real, name
        raise error

    with new_cloud(wrap=lambda api: ConcurrentChange(api, stream=stream)) as cloud:  # type: ignore[arg-type,return-value]  # it stands in by its methods
        job = cloud.drop("input/x.jsonl", jsonl([chat("one")]))
        assert job is not None
        for _ in range(4):
            cloud.deliver_all()
            cloud.tick()
        found = [(batch.state, batch.defer_reason) for batch in cloud.services.store.batches(job)]
        assert found == [(BatchState.ENDED, said)]


@LINES
@pytest.mark.parametrize("is_last", [False, True])
def test_a_result_too_long_for_memory_is_an_error_and_the_others_are_collected(
    line: Any, provider: str, *, is_last: bool
) -> None:
    def stream(real: Callable[[str], Iterator[bytes]], name: str) -> Iterator[bytes]:
        for text in b"".join(real(name)).splitlines():
            result = json.loads(text)
            if result["custom_id"].endswith("-1"):
                id_ = {"custom_id": result.pop("custom_id")}
                padding = {"padding": "x" * 200_000}
                result = padding | result | id_ if is_last else id_ | padding | result
            yield json.dumps(result).encode() + b"\n"

    with new_cloud(wrap=lambda api: ConcurrentChange(api, stream=stream)) as cloud:  # type: ignore[arg-type,return-value]  # it stands in by its methods
        job = cloud.drop("input/x.jsonl", jsonl([line("one"), line("two"), line("three")]))
        assert job is not None
        for _ in range(4):
            for step in ("plan", "submit"):
                cloud.deliver(step)
            cloud.tick(600)  # its length is not what was told: it is read twice, a while after its end
            for batch in cloud.services.store.batches(job):
                collect_batch(job, batch.id, cloud.services, max_bytes=100_000)
        assert [batch.state for batch in cloud.services.store.batches(job)] == [BatchState.COLLECTED]
        cloud.settle()
        assert codes(cloud, job) == [None, "unreadable_result", None]
        assert cloud.simulator.charges()[provider]["requests"] == 3


def test_a_code_about_the_model_speaks_of_all_lines_of_its_batch() -> None:
    blame = (Failure(code="model_not_found", message="There is no such model.", line=1),)

    def retrieve(real: Callable[[str], ProviderBatch], batch_id: str) -> ProviderBatch:
        return msgspec.structs.replace(real(batch_id), failures=blame)

    with new_cloud(wrap=lambda api: ConcurrentChange(api, retrieve=retrieve)) as cloud:  # type: ignore[arg-type,return-value]  # it stands in by its methods
        cloud.simulator.shape(provider="openai", fail_batch="model_not_found")
        out = cloud.run("input/x.jsonl", [chat(str(number)) for number in range(5)])
        assert [result["error"]["code"] for result in out.results] == ["model_not_found"] * 5
        assert {result["error"]["message"] for result in out.results} == {"There is no such model."}
        assert cloud.simulator.charges()["openai"]["batches"] == 1


def test_the_enqueued_limit_is_met_with_smaller_batches(cloud: Cloud) -> None:
    cloud.simulator.enqueued_limit("gpt-*", 60_000)
    lines = [chat("x" * 9_000 + str(number)) for number in range(40)]  # about 100,000 tokens in all
    job = cloud.drop("input/x.jsonl", jsonl(lines))
    cloud.settle(rounds=200, tick=600)
    assert codes(cloud, job) == [None] * 40


def test_a_batch_that_is_not_proven_ours_is_never_cancelled(cloud: Cloud) -> None:
    cloud.simulator.shape(provider="anthropic", seconds_to_complete=3_000)
    cloud.simulator.fault("connection_reset", provider="anthropic", operation="create")
    job = cloud.drop("input/x.jsonl", jsonl([claude("one"), claude("two")]))
    cloud.deliver_all()
    api: Any = cloud.services.apis["anthropic"]
    params = claude("somebody else's")["params"]
    requests = [{"custom_id": f"theirs-{number}", "params": params} for number in range(2)]
    api._client.messages.batches.create(requests=requests)  # noqa: SLF001 - another deployment, by its own means
    for _ in range(20):
        cloud.tick()
    assert job is not None
    (batch,) = cloud.services.store.batches(job)
    assert (batch.state, batch.adopted) == (BatchState.IN_FLIGHT, True)
    ask_to_cancel(job, cloud.services.store, now=cloud.services.now())
    cloud.settle(rounds=200, tick=300)
    assert cloud.simulator.charges()["anthropic"]["calls"].get("cancel", 0) == 0
    assert codes(cloud, job) == ["cancelled", "cancelled"]


@LINES
def test_with_another_key_a_create_in_doubt_is_not_given_up(cloud: Cloud, line: Any, provider: str) -> None:
    cloud.simulator.fault("reply_lost", provider=provider, operation="create")
    secret = cloud.services.providers[provider].secret
    job = cloud.drop("input/x.jsonl", jsonl([line("one")]))
    cloud.deliver_all()
    cloud.secrets.values[secret] = "sk-of-another-workspace"
    for _ in range(30):
        cloud.tick(300)
        cloud.deliver_all()
    assert job is not None
    assert [batch.state for batch in cloud.services.store.batches(job)] == [BatchState.SUBMITTING]
    cloud.secrets.values[secret] = "sk-simulated"
    cloud.settle(tick=300)
    assert codes(cloud, job) == [None]
    assert cloud.simulator.charges()[provider]["batches"] == 1


@LINES
@pytest.mark.parametrize("change", [{"base_url": "http://elsewhere/{}"}, {"headers": {"X-Project": "another"}}])
def test_at_another_address_or_account_a_create_in_doubt_is_not_given_up(
    change: dict[str, Any], line: Any, provider: str
) -> None:
    path = "openai/v1" if provider == "openai" else "anthropic"
    change = {name: value.format(path) if name == "base_url" else value for name, value in change.items()}
    elsewhere: list[bool] = []
    with new_cloud(
        wrap=lambda api: ConcurrentChange(api, newest=lambda real: iter(()) if elsewhere else real())  # type: ignore[arg-type,return-value]  # it stands in by its methods
    ) as cloud:
        whole = cloud.services.providers
        cloud.simulator.fault("reply_lost", provider=provider, operation="create")
        job = cloud.drop("input/x.jsonl", jsonl([line("one")]))
        assert job is not None
        cloud.deliver_all()
        cloud.configure(Providers({**whole, provider: msgspec.structs.replace(whole[provider], **change)}))
        elsewhere.append(True)
        for _ in range(30):
            cloud.tick(300)
            cloud.deliver_all()
        assert [batch.state for batch in cloud.services.store.batches(job)] == [BatchState.SUBMITTING]
        cloud.configure(whole)
        elsewhere.clear()
        cloud.settle(tick=300)
        assert codes(cloud, job) == [None]
        assert cloud.simulator.charges()[provider]["batches"] == 1


def test_a_listing_with_the_oldest_first_finds_a_lost_create_too() -> None:
    def newest(real: Callable[[], Iterator[ProviderBatch]]) -> Iterator[ProviderBatch]:
        return reversed(list(real()))

    with new_cloud(wrap=lambda api: ConcurrentChange(api, newest=newest)) as cloud:  # type: ignore[arg-type,return-value]  # it stands in by its methods
        cloud.run("input/old.jsonl", [chat("old")])
        cloud.tick(9_000)
        cloud.run("input/older.jsonl", [chat("older")])
        cloud.tick(9_000)
        cloud.simulator.fault("reply_lost", provider="openai", operation="create")
        job = cloud.drop("input/x.jsonl", jsonl([chat("one")]))
        cloud.settle(rounds=200, tick=300)
        assert codes(cloud, job) == [None]
        assert cloud.simulator.charges()["openai"]["batches"] == 3


def test_a_key_is_told_apart_and_never_told() -> None:
    provider = simulated_providers(TOML.read_text(encoding="utf-8"))["openai"]
    key = Key("sk-secret")
    told = account_id(provider, key)
    assert (repr(key), "secret" in told, told == account_id(provider, Key("sk-secret"))) == ("Key(…)", False, True)


def test_a_settings_file_of_absurd_size_fails_the_job_by_name(cloud: Cloud) -> None:
    cloud.s3.put_object(Bucket="bucket", Key="input/batchdrop.toml", Body=b"# " + b"x" * 100_000)
    out = cloud.run("input/x.jsonl", mixed(1))
    assert (out.manifest.status, out.manifest.reason) == ("FAILED", "input/batchdrop.toml is longer than 65,536 bytes.")


def test_a_model_whose_bytes_are_more_than_a_key_has_room_for_is_an_error_of_its_line_only(cloud: Cloud) -> None:
    out = cloud.run("input/x.jsonl", [chat("one", model="gpt-" + "\U0001f600" * 252), chat("two")])
    assert [result["error"] and result["error"]["code"] for result in out.results] == ["invalid_parameter", None]
