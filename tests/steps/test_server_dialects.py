"""Servers of the same two protocols that differ from the vendors: only what is used is read, and nothing is lost."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest
from batchdrop.errors import AccountRefused
from batchdrop.providers.anthropic_client import AnthropicBatches
from batchdrop.providers.config import ProviderConfig
from batchdrop.providers.interface import ProviderBatch
from batchdrop.providers.keys import Key
from batchdrop.providers.openai_client import OpenAIBatches
from batchdrop.records import Protocol
from faking.cloud import Cloud, Outcome, jsonl
from faking.lines import chat, claude, got, mixed, wanted
from faking.rows import a_batch

from provider_simulator.app import Simulator
from provider_simulator.dialects import STRANGE_TEXT
from provider_simulator.transport import SimulatorTransport

LINES = pytest.mark.parametrize(("line", "provider"), [(chat, "openai"), (claude, "anthropic")])
BATCH_CALLS = ("create", "retrieve", "list")
HOUR = 3_600

type Line = Callable[..., dict[str, Any]]


def answers(out: Outcome) -> list[Any]:
    return [result["error"] or got(result) for result in out.results]


def both(cloud: Cloud, **shape: Any) -> None:
    for provider in ("openai", "anthropic"):
        cloud.simulator.shape(provider=provider, **shape)


def always(cloud: Cloud, fault: str, operations: tuple[str, ...] = BATCH_CALLS, **settings: Any) -> None:
    for operation in operations:
        cloud.simulator.fault(fault, operation=operation, times=None, **settings)


# The batch


@pytest.mark.parametrize("word", ["scheduling", "queued", "", "COMPLETED?"])
@LINES
def test_a_status_that_no_list_knows_is_waited_through(word: str, line: Line, provider: str, cloud: Cloud) -> None:
    for operation in ("retrieve", "list"):
        cloud.simulator.fault("unknown_status", provider=provider, operation=operation, times=3, message=word)
    out = cloud.run("input/x.jsonl", [line("one")])
    assert answers(out) == [wanted(line("one"))]
    assert cloud.simulator.charges()[provider]["batches"] == 1


def test_statuses_in_capitals_are_the_same(cloud: Cloud) -> None:
    always(cloud, "rewritten", ("retrieve", "list"), provider="openai", values={"status": "COMPLETED"})
    assert answers(cloud.run("input/x.jsonl", [chat("one")])) == [wanted(chat("one"))]


def test_a_window_of_another_form_is_not_read(cloud: Cloud) -> None:
    always(cloud, "rewritten", values={"completion_window": "1d", "expires_at": None, "object": 7})
    assert answers(cloud.run("input/x.jsonl", mixed(4))) == [wanted(line) for line in mixed(4)]


@pytest.mark.parametrize(
    "prefix",
    ["org/team:", "a?b=c#d&e/", "%2F ../../", "batch_" + "x" * 300, "é😀", "."],
    ids=["slashes and colons", "questions", "percents and dots", "300 letters", "no ASCII", "a dot"],
)
@LINES
def test_ids_of_any_form_are_taken(prefix: str, line: Line, provider: str, cloud: Cloud) -> None:
    cloud.simulator.ids(provider=provider, prefix=prefix)
    cloud.simulator.shape(provider=provider, expire_fraction=0.5, times=1)
    lines = [line(str(number)) for number in range(4)]
    out = cloud.run("input/x.jsonl", lines)
    assert answers(out) == [wanted(each) for each in lines]
    assert all(result["batch_id"].startswith(prefix) for result in out.results)
    charges = cloud.simulator.charges()
    assert (charges["openai"]["files"], charges["anthropic"]["batches_stored"]) == (0, 0)


@LINES
def test_numbers_where_there_were_texts_and_nothing_where_there_was_something(
    line: Line, provider: str, cloud: Cloud
) -> None:
    values = {"created_at": None, "request_counts": None, "metadata": {"n": 1}, "errors": [], "usage": "much"}
    always(cloud, "rewritten", provider=provider, values=values)
    assert answers(cloud.run("input/x.jsonl", [line("one")])) == [wanted(line("one"))]


@LINES
def test_500_in_place_of_404_is_waited_through(line: Line, provider: str, cloud: Cloud) -> None:
    always(cloud, "not_found_as", ("*",), code=500)
    cloud.simulator.shape(provider=provider, not_found_after_create=200)
    out = cloud.run("input/x.jsonl", [line("one")])
    assert answers(out) == [wanted(line("one"))]
    assert cloud.simulator.charges()[provider]["batches"] == 1


@pytest.mark.parametrize("code", [404, 405, 500, 501])
@LINES
def test_a_server_that_deletes_nothing_is_asked_for_some_days_and_no_longer(
    code: int, line: Line, provider: str, cloud: Cloud
) -> None:
    always(cloud, "status", ("delete",), provider=provider, code=code)
    job = cloud.drop("input/x.jsonl", jsonl([line("one")]))
    assert job is not None
    cloud.settle(tick=6 * HOUR)
    assert answers(cloud.outcome(job)) == [wanted(line("one"))]
    assert cloud.keys("work/") == []


@pytest.mark.parametrize("without", [["metadata"], ["metadata", "input_file_id"]], ids=", ".join)
def test_a_list_without_metadata_finds_a_lost_create(without: list[str], cloud: Cloud) -> None:
    always(cloud, "rewritten", ("list",), provider="openai", without=without)
    cloud.simulator.fault("reply_lost", provider="openai", operation="create")
    job = cloud.drop("input/x.jsonl", jsonl([chat("one")]))
    assert job is not None
    cloud.settle(rounds=100, tick=300)
    assert answers(cloud.outcome(job)) == [wanted(chat("one"))]
    assert cloud.simulator.charges()["openai"]["batches"] == 1


@LINES
def test_a_batch_in_progress_for_ever_is_cancelled_and_what_it_answered_is_kept(
    line: Line, provider: str, cloud: Cloud
) -> None:
    cloud.simulator.shape(provider=provider, stuck=True, times=1)
    job = cloud.drop("input/x.jsonl", jsonl([line("one"), line("two")]))
    assert job is not None
    cloud.settle(tick=HOUR)
    assert answers(cloud.outcome(job)) == [wanted(line("one")), wanted(line("two"))]
    assert cloud.simulator.charges()[provider]["batches"] == 2


@pytest.mark.parametrize("takes_cancels", [True, False])
@LINES
def test_a_batch_cancelling_for_ever_is_given_up_and_is_not_paid_again(
    takes_cancels: bool,  # noqa: FBT001 - a table
    line: Line,
    provider: str,
    cloud: Cloud,
) -> None:
    cloud.simulator.shape(provider=provider, stuck="always")
    if not takes_cancels:
        always(cloud, "status", ("cancel",), provider=provider)
    job = cloud.drop("input/x.jsonl", jsonl([line("one"), line("two")]))
    assert job is not None
    cloud.settle(rounds=120, tick=HOUR)
    results = cloud.outcome(job).results
    assert [result["error"]["code"] for result in results] == ["provider_stuck"] * 2
    assert cloud.simulator.charges()[provider]["batches"] == 1


@pytest.mark.parametrize("tokens", [10**300, -1])
def test_a_count_of_tokens_that_cannot_be_stops_nothing(tokens: int, cloud: Cloud) -> None:
    always(cloud, "rewritten", ("retrieve", "list"), provider="openai", values={"usage": {"input_tokens": tokens}})
    assert answers(cloud.run("input/x.jsonl", [chat("one")])) == [wanted(chat("one"))]


# The files


@pytest.mark.parametrize(
    "shape",
    [
        pytest.param({"rows": ["answer_as_text"]}, id="a body that is a JSON string"),
        pytest.param({"rows": ["strange_keys"]}, id="keys more"),
        pytest.param({"rows": ["no_status"]}, id="no status"),
        pytest.param({"files": "both"}, id="an empty error file beside no failures"),
        pytest.param({"no_newline": True}, id="no newline at the end"),
        pytest.param({"no_newline": True, "expire_fraction": 0.5, "times": 2}, id="no newline at the end of two files"),
        pytest.param({"repeat": 2}, id="rows twice"),
        pytest.param({"foreign": 3}, id="foreign rows"),
        pytest.param({"forget": 2, "times": 2}, id="fewer rows than requests"),
    ],
)
def test_answers_are_read_as_they_were_meant(shape: dict[str, Any], cloud: Cloud) -> None:
    both(cloud, **shape)
    lines = mixed(12)
    out = cloud.run("input/x.jsonl", lines)
    assert answers(out) == [wanted(line) for line in lines]
    assert all(isinstance(result["response"]["body"], dict) for result in out.results)
    assert sum(model.usage.output_tokens for model in out.manifest.models) > 0
    assert cloud.simulator.charges()["openai"]["files"] == 0


def test_rows_without_choices_are_answers_too(cloud: Cloud) -> None:
    both(cloud, rows=["no_choices"])
    out = cloud.run("input/x.jsonl", [chat("one"), claude("two")])
    assert [result["error"] for result in out.results] == [None, None]
    assert ["choices" in result["response"]["body"] for result in out.results] == [False, False]
    assert [model.usage.output_tokens > 0 for model in out.manifest.models] == [True, True]


def test_raw_utf8_comes_back_raw(cloud: Cloud) -> None:
    both(cloud, rows=["strange_keys"])
    out = cloud.run("input/x.jsonl", [chat("one"), claude("two")])
    assert [result["response"]["body"]["x_city"] for result in out.results] == [STRANGE_TEXT, STRANGE_TEXT]
    assert cloud.read(out.manifest.files.results[0].key).count(STRANGE_TEXT.encode()) == 2


def test_a_cancelled_batch_with_counts_and_no_rows_is_not_paid_again(cloud: Cloud) -> None:
    cloud.simulator.shape(provider="openai", cancel_fraction=0.5, files="none", times=1)
    job = cloud.drop("input/x.jsonl", jsonl([chat(str(number)) for number in range(4)]))
    cloud.settle(tick=3_600)
    assert job is not None
    assert [each["error"]["code"] for each in cloud.outcome(job).results] == ["unreadable_result"] * 4
    assert cloud.simulator.charges()["openai"]["batches"] == 1


def test_a_cancelled_batch_with_no_counts_and_no_rows_is_sent_again(cloud: Cloud) -> None:
    cloud.simulator.shape(provider="openai", cancel_fraction=0.5, files="none", times=1)
    always(cloud, "rewritten", ("retrieve", "list"), provider="openai", without=["request_counts"])
    lines = [chat(str(number)) for number in range(4)]
    out = cloud.run("input/x.jsonl", lines)
    assert answers(out) == [wanted(line) for line in lines]
    assert {result["attempts"] for result in out.results} == {2}


def test_a_batch_that_failed_and_has_answers_keeps_them(cloud: Cloud) -> None:
    cloud.simulator.shape(provider="openai", expire_fraction=0.5, times=1)
    always(cloud, "rewritten", ("retrieve", "list"), provider="openai", values={"status": "failed"})
    lines = [chat(str(number)) for number in range(4)]
    out = cloud.run("input/x.jsonl", lines)
    assert answers(out) == [wanted(line) for line in lines]
    assert sorted(result["attempts"] for result in out.results) == [1, 1, 2, 2]


@pytest.mark.parametrize(
    ("rows", "codes"),
    [
        ([], ["invalid_request_error"] * 2),
        (["error_in_error"], ["invalid_request_error"] * 2),
        (["error_in_text_body"], ["invalid_request_error"] * 2),
        (["error_as_text"], ["http_400", "unknown_error"]),
        (["error_code_a_number"], ["http_400", "unknown_error"]),
        (["error_in_error", "error_in_text_body", "strange_keys"], ["invalid_request_error"] * 2),
    ],
    ids=lambda value: " and ".join(map(str, value)) or "as documented",
)
def test_errors_are_read_wherever_they_are_nested(rows: list[str], codes: list[str], cloud: Cloud) -> None:
    both(cloud, rows=rows, failing={"match": "bad", "status": 400, "message": "This is bad."})
    out = cloud.run("input/x.jsonl", [chat("bad"), claude("bad"), chat("good")])
    assert answers(out)[2] == wanted(chat("good"))
    assert out.results[:2] == out.errors
    assert [result["error"] for result in out.errors] == [
        {"code": code, "message": "This is bad.", "source": "provider", "retryable": False} for code in codes
    ]


# The key


def test_results_are_fetched_from_the_configured_address_whatever_the_batch_says() -> None:
    asked: list[str] = []
    hooks: Any = {"request": [lambda request: asked.append(request.url.host)]}
    with Simulator() as simulator, httpx2.Client(transport=SimulatorTransport(simulator), event_hooks=hooks) as http:
        elsewhere = {"results_url": "https://elsewhere.test/v1/messages/batches/x/results"}
        simulator.fault("rewritten", operation="*", times=None, values=elsewhere)
        api = AnthropicBatches(configured(Protocol.ANTHROPIC, "http://simulator/anthropic"), Key("sk-x"), http)
        created = http.post(
            "http://simulator/anthropic/v1/messages/batches",
            headers={"x-api-key": "sk-x", "anthropic-version": "2023-06-01"},
            json={"requests": [claude("hello", "r-1")]},
        ).json()
        assert created["results_url"] == elsewhere["results_url"]
        assert b'"r-1"' in b"".join(api.stream(api.results(api.retrieve(created["id"]))[0]))
    assert set(asked) == {"simulator"}


def configured(protocol: Protocol, base_url: str) -> ProviderConfig:
    return ProviderConfig(protocol=protocol, base_url=base_url, secret="s", name="p")


@pytest.fixture
def redirecting() -> Iterator[tuple[str, list[str]]]:
    """A server that sends everybody on to another port, and the paths for which that one was asked."""
    asked: list[str] = []

    class Elsewhere(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()

        do_POST = do_DELETE = do_GET  # noqa: N815 - the base class's names

        def log_message(self, *_: object) -> None:
            return

    class Redirecting(Elsewhere):
        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            while "Transfer-Encoding" in self.headers and self.rfile.readline() != b"0\r\n":
                pass
            self.send_response(307)
            self.send_header("Location", f"http://127.0.0.1:{other.server_port}{self.path}")
            self.end_headers()

        do_POST = do_DELETE = do_GET  # noqa: N815 - the same

    other, first = HTTPServer(("127.0.0.1", 0), Elsewhere), HTTPServer(("127.0.0.1", 0), Redirecting)
    threads = [threading.Thread(target=server.serve_forever, args=(0.01,)) for server in (other, first)]
    for thread in threads:
        thread.start()
    yield f"http://127.0.0.1:{first.server_port}", asked
    for server, thread in zip((other, first), threads, strict=True):
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("kind", [OpenAIBatches, AnthropicBatches])
def test_the_key_is_not_sent_where_a_server_redirects_to(
    kind: type[OpenAIBatches | AnthropicBatches], redirecting: tuple[str, list[str]], tmp_path: Path
) -> None:
    base_url, asked = redirecting
    requests = tmp_path / "requests.jsonl"
    requests.write_bytes(b'{"custom_id":"r-1"}\n')
    api = kind(configured(Protocol.OPENAI, base_url), Key("sk-x"))
    calls: list[Callable[[], object]] = [
        lambda: list(api.stream("x")),
        lambda: api.retrieve("x"),
        lambda: list(api.newest()),
        lambda: api.cancel("x"),
        lambda: api.delete(ProviderBatch(id="x", ended_as="completed", input_file_id="f")),
        lambda: api.create(a_batch(), requests, deployment="d", seconds=9),
    ]
    if api.needs_upload:
        calls += [lambda: api.upload(requests, name="r.jsonl"), lambda: api.length("x"), lambda: list(api.uploads())]
    for call in calls:
        with pytest.raises(AccountRefused, match=r"^it redirects \(307\), and the key is sent to base_url only$"):
            call()
    assert asked == []
