"""A refusal that is no line's fault ends no line; one that is, ends that line alone, with the provider's words."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest
from batchdrop.aws.store import Store
from batchdrop.batches.refused_batches import pieces_of
from batchdrop.errors import Refused
from batchdrop.protocols.outcome import Failure
from batchdrop.protocols.refusals import MOST_REFUSED, classify
from batchdrop.providers.interface import BatchApi, ProviderBatch
from batchdrop.records import Batch
from faking.cloud import TABLE, TOML, Cloud, Outcome, jsonl
from faking.cloud import cloud as new_cloud
from faking.lines import chat, claude, got, wanted

PROTOCOLS = pytest.mark.parametrize(("line", "provider"), [(chat, "openai"), (claude, "anthropic")])
INVALID = "invalid_request_error"
SAID = "Something here is odd, and nobody has heard of it."


def told(cloud: Cloud) -> list[str]:
    return [event["detail-type"] for event in cloud.events() if event["detail-type"].startswith("Provider")]


def paid_once(cloud: Cloud, provider: str, lines: int) -> bool:
    charges = cloud.simulator.charges()[provider]
    return (charges["requests"], charges["bodies_charged_more_than_once"]) == (lines, 0)


def codes(results: list[dict[str, Any]]) -> list[str | None]:
    return [result["error"] and result["error"]["code"] for result in results]


def run(cloud: Cloud, lines: list[Any], tick: float = 300) -> Outcome:
    """As `Cloud.run`, with longer ticks: a pause takes one of them."""
    job = cloud.drop("input/x.jsonl", jsonl(lines))
    assert job is not None
    cloud.settle(rounds=300, tick=tick)
    return cloud.outcome(job)


NOBODYS = [  # whether it pauses, and what the provider says
    (True, {"message": "Your credit balance is too low to go on."}),
    (True, {"message": "You have reached your specified API usage limits."}),
    (True, {"error_code": "billing_hard_limit_reached", "message": "Billing hard limit."}),
    (True, {"type": "budget_exceeded", "error_code": "400", "message": "Budget has been exceeded!"}),
    (True, {"message": "File storage is full: 100 GB. Delete files."}),
    (False, {"message": "Cannot find file file-1, or the project does not have access to it."}),
    (False, {"message": "unexpected end of JSON input"}),
    (False, {"message": "File is too large."}),
]


@PROTOCOLS
def test_refusals_that_are_nobodys_fault_end_no_line(cloud: Cloud, line: Any, provider: str) -> None:
    for _, error in NOBODYS:
        cloud.simulator.fault(
            "status", provider=provider, operation="create", times=1, code=400, **{"type": INVALID} | error
        )
    lines = [line(f"text {number}", number) for number in range(4)]
    out = run(cloud, lines)
    assert [got(result) for result in out.results] == [wanted(each) for each in lines]
    assert paid_once(cloud, provider, 4)
    assert set(told(cloud)) == {"Provider Paused", "Provider Resumed"}


@PROTOCOLS
def test_the_first_refusal_that_nobody_knows_pauses_and_is_tried_again_whole(
    cloud: Cloud, line: Any, provider: str
) -> None:
    cloud.simulator.fault("status", provider=provider, operation="create", times=1, code=400, message=SAID)
    lines = [line(f"text {number}", number) for number in range(4)]
    out = run(cloud, lines)
    assert [got(result) for result in out.results] == [wanted(each) for each in lines]
    assert cloud.simulator.charges()[provider]["batches"] == 1
    assert told(cloud) == ["Provider Paused", "Provider Resumed"]


def refused(words: str) -> Refused:
    return Refused(status=400, code=INVALID, kind=classify(400, INVALID, words), words=words)


BAD = re.compile(r'"content": ?"bad')  # and no "bad" in the hexadecimal digits of a custom_id


class Picky:
    """A provider's client that takes no batch with a request that holds "bad", nor one of too many requests."""

    most: ClassVar[int] = 1_000
    names: ClassVar[bool] = False
    sent: ClassVar[list[int]] = []

    def __init__(self, api: BatchApi) -> None:
        self._api = api

    def __getattr__(self, name: str) -> Any:
        return getattr(self._api, name)

    def upload(self, requests: Path, *, name: str) -> str:
        self._look(requests)
        return self._api.upload(requests, name=name)

    def create(self, batch: Batch, requests: Path | None, **named: Any) -> str:
        if requests is not None and not self._api.needs_upload:
            self._look(requests)
        return self._api.create(batch, requests, **named)

    @classmethod
    def _look(cls, requests: Path) -> None:
        lines = requests.read_text(encoding="utf-8").splitlines()
        cls.sent.append(len(lines))
        if len(lines) > cls.most:
            raise refused(f"A batch may hold at most {cls.most} requests.")
        bad = [number for number, line in enumerate(lines) if BAD.search(line)]
        if bad:
            raise refused(f"requests.{bad[0]}.params: {SAID}" if cls.names else f"{SAID} The key is sk-simulated.")


@contextmanager
def picky(*, most: int = 1_000, names: bool = False, toml: str | None = None) -> Iterator[Cloud]:
    Picky.most, Picky.names, Picky.sent = most, names, []
    with new_cloud(toml, wrap=Picky) as cloud:  # type: ignore[arg-type]  # it stands in by its methods
        yield cloud


@PROTOCOLS
def test_a_refused_batch_is_cut_until_the_bad_line_stands_alone_and_the_others_are_answered(
    line: Any, provider: str
) -> None:
    with picky() as cloud:
        lines = [line("bad" if number == 5 else f"text {number}", number) for number in range(8)]
        out = run(cloud, lines)
        assert codes(out.results) == [None] * 5 + [INVALID] + [None] * 2
        assert [got(out.results[at]) for at in range(8) if at != 5] == [wanted(lines[at]) for at in range(8) if at != 5]
        assert out.errors[0]["error"] == {
            "code": INVALID,
            "message": f"The provider refused this line, in a batch of its own: {INVALID}.",
            "source": "provider",
            "retryable": False,
            "provider_message": f"{SAID} The key is [key].",
        }
        assert paid_once(cloud, provider, 7)
        assert Picky.sent[:2] == [8, 8]  # first it was paused
        assert cloud.services.store.providers.ledger(provider).reserved == 0


def test_the_providers_words_stand_in_no_row_log_or_event(capsys: pytest.CaptureFixture[str]) -> None:
    with picky() as cloud:
        job = cloud.drop("input/x.jsonl", jsonl([chat("bad"), chat("one")]))
        assert job is not None
        seen = []
        for _ in range(60):
            cloud.deliver_all()
            seen.append(str(cloud.dynamodb.scan(TableName=TABLE)["Items"]))
            if cloud.is_quiet():
                break
            cloud.tick(300)
        said = [json.dumps(cloud.events()), capsys.readouterr().out, capsys.readouterr().err, *seen]
        assert not [text for text in said if "nobody has heard of it" in text]
        assert cloud.outcome(job).results[0]["error"]["provider_message"].startswith(SAID)


def test_where_every_piece_is_refused_the_rest_ends_with_the_providers_words_after_64() -> None:
    with picky() as cloud:
        out = run(cloud, [chat(f"bad {number}", number) for number in range(40)])
        assert codes(out.results) == [INVALID] * 40
        assert {each["error"]["provider_message"] for each in out.errors} == {f"{SAID} The key is [key]."}
        assert {each["error"]["retryable"] for each in out.errors} <= {True, False}
        assert MOST_REFUSED <= len(Picky.sent) <= 2 * MOST_REFUSED
        assert cloud.simulator.charges()["openai"]["batches"] == 0
        assert "Provider Paused" in told(cloud)


def test_a_refusal_costs_no_look_at_the_other_batches_of_its_split() -> None:
    toml = TOML.read_text(encoding="utf-8").replace("requests_per_batch = 50_000", "requests_per_batch = 1")
    with new_cloud(toml) as cloud:
        job = cloud.drop("input/x.jsonl", jsonl([chat(str(number), number) for number in range(40)]))
        cloud.deliver("plan")
        store, read = cloud.services.store, Counter[str]()
        batch, *_ = store.batches(str(job))
        cloud.dynamodb.meta.events.register(
            "after-call.dynamodb.*", lambda model, parsed, **_: read.update({model.name: parsed.get("Count", 0)})
        )
        services = replace(cloud.services, store=Store(cloud.dynamodb, TABLE, now=cloud.services.now))
        assert pieces_of(batch, services) == (1, False)
        assert read == {"GetItem": 0, "Query": 0}


@PROTOCOLS
def test_a_refusal_that_names_one_request_of_many_ends_only_that_one(line: Any, provider: str) -> None:
    with picky(names=True) as cloud:
        lines = [line("bad" if number == 5 else f"text {number}", number) for number in range(8)]
        out = run(cloud, lines)
        assert codes(out.results) == [None] * 5 + [INVALID] + [None] * 2
        assert sorted(Picky.sent) == [1, 7, 8, 8]
        assert paid_once(cloud, provider, 7)


@PROTOCOLS
def test_a_servers_limit_of_requests_in_a_batch_is_learned(line: Any, provider: str) -> None:
    with picky(most=3) as cloud:
        lines = [line(f"text {number}", number) for number in range(8)]
        out = run(cloud, lines)
        assert [got(result) for result in out.results] == [wanted(each) for each in lines]
        assert [each for each in Picky.sent if each > 3] == [8]
        out = run(cloud, [line(f"more {number}", number) for number in range(8)])
        assert codes(out.results) == [None] * 8
        assert [each for each in Picky.sent if each > 3] == [8]
        assert paid_once(cloud, provider, 16)


def test_what_was_learned_of_sizes_is_forgotten_after_a_day() -> None:
    with picky(most=3) as cloud:
        run(cloud, [chat(f"text {number}", number) for number in range(8)])
        Picky.most = 1_000
        cloud.clock.now += 86_400
        run(cloud, [chat(f"more {number}", number) for number in range(8)])
        assert Picky.sent.count(8) == 2


def test_a_provider_that_takes_batches_is_not_paused_for_one_that_it_refuses() -> None:
    with picky() as cloud:
        cloud.simulator.shape(provider="openai", seconds_to_complete=3_600)
        cloud.drop("input/fine.jsonl", jsonl([chat("fine")]))
        cloud.deliver_all()
        cloud.drop("input/bad.jsonl", jsonl([chat("bad")]))
        cloud.deliver_all()
        assert cloud.services.store.providers.get_pause("openai") is None


def test_rules_in_the_configuration_tell_what_a_servers_refusals_mean() -> None:
    rule = '\n[[providers.openai.refusals]]\nkind = "account"\nwords = "nobody has heard"\n'
    with new_cloud(TOML.read_text(encoding="utf-8") + rule) as cloud:
        cloud.simulator.fault("status", provider="openai", operation="create", times=3, code=400, message=SAID)
        out = run(cloud, [chat("one")])
        assert codes(out.results) == [None]
        assert told(cloud) == ["Provider Paused", "Provider Resumed"]


# Batches that failed as a whole


class Blaming:
    """The provider's client, where a batch with bad lines fails, and names as many of them as it likes."""

    names: ClassVar[int] = 1
    lines: ClassVar[dict[str, list[int]]] = {}

    def __init__(self, api: BatchApi) -> None:
        self._api = api

    def __getattr__(self, name: str) -> Any:
        return getattr(self._api, name)

    def upload(self, requests: Path, *, name: str) -> str:
        lines = requests.read_text(encoding="utf-8").splitlines()
        file_id = self._api.upload(requests, name=name)
        Blaming.lines[file_id] = [number for number, line in enumerate(lines, 1) if BAD.search(line)]
        return file_id

    def _with_blame(self, found: ProviderBatch) -> ProviderBatch:
        bad = Blaming.lines.get(found.input_file_id or "")
        if not bad or found.ended_as is None:
            return found
        named = tuple(Failure(code="never_heard_of", message=SAID, line=each) for each in bad[: Blaming.names])
        failures = named or (Failure(code="never_heard_of", message=SAID),)
        return msgspec.structs.replace(found, ended_as="failed", failures=failures, output_file_id=None)

    def retrieve(self, batch_id: str) -> ProviderBatch:
        return self._with_blame(self._api.retrieve(batch_id))

    def page(self, after: str | None) -> list[ProviderBatch]:
        return [self._with_blame(each) for each in self._api.page(after)]


@pytest.mark.parametrize("names", [1, 0])
def test_lines_that_were_never_blamed_do_not_end_with_anothers_error(names: int) -> None:
    Blaming.names, Blaming.lines = names, {}
    with new_cloud(wrap=Blaming) as cloud:  # type: ignore[arg-type]  # it stands in by its methods
        lines = [chat(f"bad {number}" if number % 2 else f"fine {number}", number) for number in range(8)]
        out = run(cloud, lines)
        assert codes(out.results) == [None, "never_heard_of"] * 4
        assert {each["error"]["provider_message"] for each in out.errors} == {SAID}
        assert [got(out.results[at]) for at in range(0, 8, 2)] == [wanted(lines[at]) for at in range(0, 8, 2)]
        assert {each["attempts"] for each in out.results} == {1}


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("invalid_request", "File storage is full: 100 GB."),
        ("billing_hard_limit_reached", "Billing hard limit has been reached."),
        ("never_heard_of", SAID),
        ("invalid_request", "A batch may hold at most 3 requests."),
    ],
)
def test_a_batch_that_fails_for_what_is_nobodys_fault_ends_no_line(cloud: Cloud, code: str, message: str) -> None:
    cloud.simulator.shape(provider="openai", fail_batch=code, fail_message=message, times=2)
    lines = [chat(f"text {number}", number) for number in range(4)]
    out = run(cloud, lines)
    assert [got(result) for result in out.results] == [wanted(each) for each in lines]
    assert {each["attempts"] for each in out.results} == {1}
    assert paid_once(cloud, "openai", 4)


def test_an_account_that_is_refused_in_a_batchs_rows_is_no_lines_fault(cloud: Cloud) -> None:
    failing = {"match": "", "fraction": 1.0, "status": 400, "message": "Billing hard limit has been reached."}
    cloud.simulator.shape(provider="openai", times=1, failing=failing | {"code": "billing_hard_limit_reached"})
    out = run(cloud, [chat("one"), chat("two")])
    assert codes(out.results) == [None, None]
    assert "Provider Paused" in told(cloud)
