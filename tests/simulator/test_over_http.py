"""The same through real sockets: the main paths, what only a socket can show, and the command."""

import http.client
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import anthropic as claude
import httpx2
import openai as gpt
import pytest
from anthropic import Anthropic
from openai import OpenAI

from provider_simulator.answers import content, expected
from provider_simulator.app import Simulator
from provider_simulator.server import serve

type Line = Callable[..., dict[str, Any]]


class Served(NamedTuple):
    url: str
    openai: OpenAI
    anthropic: Anthropic


def clients(url: str) -> Served:
    return Served(
        url,
        OpenAI(api_key="sk-one", base_url=f"{url}/openai/v1", max_retries=0),
        Anthropic(api_key="sk-one", base_url=f"{url}/anthropic", max_retries=0),
    )


@pytest.fixture
def served(simulator: Simulator) -> Iterator[Served]:
    with serve(simulator) as url:
        yield clients(url)


def run_openai(openai: OpenAI, lines: list[dict[str, Any]]) -> str:
    raw = "\n".join(json.dumps(line) for line in lines).encode()
    file = openai.files.create(file=("in.jsonl", raw), purpose="batch")
    return openai.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h", metadata={"a": "b"}
    ).id


def test_a_batch_of_each_protocol_from_upload_to_results(served: Served, chat: Line, message: Line) -> None:
    batch = served.openai.batches.retrieve(run_openai(served.openai, [chat(number) for number in range(5)]))
    raw = served.openai.files.content(batch.output_file_id or "").content
    answers = {line["custom_id"]: line["response"]["body"] for line in map(json.loads, raw.splitlines())}
    assert {name: content("openai", body) for name, body in answers.items()} == {
        f"r-{number}": expected("openai", chat(number)["body"]) for number in range(5)
    }
    requests: Any = [message(number) for number in range(5)]
    created = served.anthropic.messages.batches.create(requests=requests)
    results: Any = {each.custom_id: each.result for each in served.anthropic.messages.batches.results(created.id)}
    assert {name: result.message.content[0].text for name, result in results.items()} == {
        f"r-{number}": expected("anthropic", message(number)["params"]) for number in range(5)
    }


@pytest.mark.parametrize(("fault", "batches"), [("reply_lost", 1), ("connection_reset", 0)])
def test_a_dropped_create_is_a_connection_error(
    served: Served, simulator: Simulator, message: Line, fault: str, batches: int
) -> None:
    simulator.fault(fault, provider="anthropic", operation="create")
    requests: Any = [message(1)]
    with pytest.raises(claude.APIConnectionError):
        served.anthropic.messages.batches.create(requests=requests)
    assert len(list(served.anthropic.messages.batches.list())) == batches


def test_a_reset_while_a_large_upload_is_sent_is_a_connection_error(served: Served, simulator: Simulator) -> None:
    simulator.fault("connection_reset", provider="openai", operation="upload")
    with pytest.raises(gpt.APIConnectionError):
        served.openai.files.create(file=("in.jsonl", bytes(20_000_000)), purpose="batch")
    assert list(served.openai.files.list()) == []


def test_a_refusal_reaches_a_client_that_is_still_sending(served: Served, simulator: Simulator) -> None:
    simulator.fault("status", provider="openai", operation="upload", code=503)
    with pytest.raises(gpt.InternalServerError) as refused:
        served.openai.files.create(file=("in.jsonl", bytes(20_000_000)), purpose="batch")
    assert refused.value.status_code == 503
    with pytest.raises(gpt.AuthenticationError):
        served.openai.with_options(api_key="no").files.create(file=("in.jsonl", bytes(20_000_000)), purpose="batch")


def test_a_download_is_cut_and_its_rest_can_be_fetched(served: Served, simulator: Simulator) -> None:
    whole = bytes(range(256)) * 4000
    file = served.openai.files.create(file=("in.jsonl", whole), purpose="batch")
    simulator.fault("cut", provider="openai", operation="results", bytes=600_000)
    got = bytearray()
    with served.openai.files.with_streaming_response.content(file.id) as answer:
        assert answer.headers["Content-Length"] == str(len(whole))
        with pytest.raises(httpx2.RemoteProtocolError):  # noqa: PT012 - what came before the error counts
            for piece in answer.iter_bytes():
                got += piece
    assert 0 < len(got) <= 600_000
    rest = served.openai.files.content(file.id, extra_headers={"Range": f"bytes={len(got)}-"})
    assert rest.response.status_code == 206
    assert bytes(got) + rest.content == whole


@pytest.mark.parametrize("path", ["/anthropic/v1/messages/batches", "/openai/v1/files", "/openai/v1/batches"])
def test_a_body_in_chunks_is_refused(served: Served, simulator: Simulator, message: Line, path: str) -> None:
    body = json.dumps({"requests": [message(1)]}).encode()
    pieces = (body[start : start + 10] for start in range(0, len(body), 10))
    headers = {"x-api-key": "sk-one", "Authorization": "Bearer sk-one", "anthropic-version": "2023-06-01"}
    answer = httpx2.post(f"{served.url}{path}", content=pieces, headers=headers)
    assert (answer.status_code, answer.json()["error"]["type"]) == (411, "invalid_request_error")
    assert simulator.batches() == []


def ask(connection: http.client.HTTPConnection, path: str = "/anthropic/v1/messages/batches", **headers: str) -> int:
    connection.request("GET", path, headers={"x-api-key": "sk-one", "anthropic-version": "2023-06-01", **headers})
    answer = connection.getresponse()
    answer.read()
    return answer.status


def test_a_connection_is_kept_for_the_calls_after_one_that_sent_a_body(served: Served, message: Line) -> None:
    connection = http.client.HTTPConnection(served.url.removeprefix("http://"))
    connection.connect()
    own = connection.sock
    body = json.dumps({"requests": [message(1)]})
    headers = {"x-api-key": "no key", "anthropic-version": "2023-06-01"}
    connection.request("POST", "/anthropic/v1/messages/batches", body, headers)
    assert connection.getresponse().read()
    assert [ask(connection), ask(connection, "/anthropic/nothing"), ask(connection)] == [200, 404, 200]
    assert connection.sock is own


def test_a_connection_on_which_nothing_comes_is_dropped_and_the_sdks_open_another(simulator: Simulator) -> None:
    with serve(simulator, idle_seconds=0.05) as url:
        connection = http.client.HTTPConnection(url.removeprefix("http://"))
        assert ask(connection) == 200
        time.sleep(0.5)
        with pytest.raises((http.client.RemoteDisconnected, ConnectionError)):
            ask(connection)
        openai = clients(url).openai
        for _ in range(3):
            assert list(openai.batches.list()) == []
            time.sleep(0.3)


def test_answers_are_compressed_where_the_client_takes_it(served: Served, chat: Line) -> None:
    batch = served.openai.batches.retrieve(run_openai(served.openai, [chat(number) for number in range(50)]))
    plain, packed = (
        served.openai.files.with_raw_response.content(
            batch.output_file_id or "", extra_headers={"Accept-Encoding": encoding}
        ).http_response
        for encoding in ("identity", "gzip")
    )
    assert [each.headers.get("Content-Encoding") for each in (plain, packed)] == [None, "gzip"]
    assert plain.content == packed.content
    assert len(plain.content.splitlines()) == 50


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "x-nobody-knows"])
def test_a_server_can_compress_what_was_asked_for_as_it_is(
    served: Served, simulator: Simulator, chat: Line, encoding: str
) -> None:
    simulator.fault("compressed", provider="openai", operation="results", encoding=encoding)
    batch = served.openai.batches.retrieve(run_openai(served.openai, [chat(1)]))
    answer = served.openai.files.with_raw_response.content(
        batch.output_file_id or "", extra_headers={"Accept-Encoding": "identity"}
    ).http_response
    assert answer.headers["Content-Encoding"] == encoding
    assert [json.loads(line)["custom_id"] for line in answer.content.splitlines()] == ["r-1"]


def test_real_time_calls_of_both_protocols(served: Served, simulator: Simulator, chat: Line, message: Line) -> None:
    body, params = chat(1)["body"], message(1)["params"]
    chosen = served.openai.chat.completions.create(**body)
    assert content("openai", chosen.model_dump()) == expected("openai", body)
    assert served.openai.responses.create(model="gpt-4o", input="Hi").status == "completed"
    assert len(served.openai.embeddings.create(model="text-embedding-3-small", input="Hi").data) == 1
    assert content("anthropic", served.anthropic.messages.create(**params).model_dump()) == expected(
        "anthropic", params
    )
    with pytest.raises(claude.BadRequestError, match="stream"):
        served.anthropic.messages.create(**params, stream=True)
    charges = httpx2.get(f"{served.url}/control/charges").json()
    assert [charges[name]["realtime"]["requests"] for name in ("openai", "anthropic")] == [3, 1]
    assert httpx2.get(f"{served.url}/control/charges_by_body").json() == simulator.charges_by_body()


@pytest.mark.parametrize(("fault", "charged"), [("reply_lost", 1), ("connection_reset", 0), ("cut", 1)])
def test_a_dropped_real_time_call_is_a_connection_error(
    served: Served, simulator: Simulator, message: Line, fault: str, charged: int
) -> None:
    simulator.fault(fault, provider="anthropic", operation="realtime", match="Say 1", bytes=20)
    served.anthropic.messages.create(**message(2)["params"])
    with pytest.raises((claude.APIConnectionError, httpx2.RemoteProtocolError)):
        served.anthropic.messages.create(**message(1)["params"])
    assert simulator.charges()["anthropic"]["realtime"]["requests"] == 1 + charged


def test_a_slow_answer_takes_its_time(served: Served, simulator: Simulator, chat: Line) -> None:
    before = simulator.engine.now()
    simulator.fault("slow", operation="realtime", seconds=0.2)
    started = time.monotonic()
    served.openai.chat.completions.create(**chat(1)["body"])
    assert (time.monotonic() - started >= 0.2, simulator.engine.now()) == (True, before)
    simulator.fault("slow", operation="realtime", seconds=0.5)
    with pytest.raises(gpt.APITimeoutError):
        served.openai.with_options(timeout=0.1).chat.completions.create(**chat(2)["body"])


def test_many_real_time_calls_at_once_keep_to_the_limit(served: Served, simulator: Simulator, chat: Line) -> None:
    assert httpx2.post(f"{served.url}/control/limits", json={"openai_requests_per_minute": 20}).status_code == 200
    seen: list[int] = []

    def work(number: int) -> None:
        for each in range(10):
            try:
                served.openai.chat.completions.create(**chat(number * 10 + each)["body"])
                seen.append(200)
            except gpt.RateLimitError as refused:
                seen.append(refused.status_code)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (seen.count(200), seen.count(429)) == (20, 30)
    assert simulator.charges()["openai"]["realtime"]["requests"] == 20


def test_every_control_is_an_address(served: Served, simulator: Simulator, chat: Line) -> None:
    control = httpx2.Client(base_url=f"{served.url}/control")
    shape = {"provider": "openai", "seconds_to_complete": 100, "failing": {"match": "x"}, "times": 1}
    assert control.post("/shape", json=shape).status_code == 200
    assert control.post("/faults", json={"operation": "list", "fault": "status", "code": 429}).status_code == 200
    assert control.post("/enqueued_limit", json={"model": "gpt-4o", "tokens": 5}).status_code == 200
    assert control.post("/limits", json={"openai_requests": 7}).status_code == 200
    state = control.get("/state").json()
    assert (state["enqueued_limits"], state["limits"]["openai_requests"]) == ({"gpt-4o": 5}, 7)
    assert [fault["code"] for fault in state["faults"]] == [429]
    batch_id = run_openai(served.openai, [chat(1)])
    assert served.openai.batches.retrieve(batch_id).status == "validating"
    before = simulator.engine.now()
    assert control.post("/advance", json={"seconds": 100}).json()["now"] == before + 100
    assert [batch["status"] for batch in control.get("/batches").json()] == ["completed"]
    assert control.get("/charges").json()["openai"]["requests"] == 1
    assert control.delete("/faults").json()["faults"] == []
    assert control.post("/reset").status_code == 200
    assert control.get("/batches").json() == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "faults", {"fault": "explode"}, 400),
        ("POST", "faults", {}, 400),
        ("POST", "shape", {"sconds": 1}, 400),
        ("POST", "advance", [1], 400),
        ("PUT", "shape", {}, 405),
        ("GET", "nothing", None, 405),
    ],
)
def test_a_wrong_control_says_so(served: Served, method: str, path: str, body: object, status: int) -> None:
    answer = httpx2.request(method, f"{served.url}/control/{path}", json=body)
    assert (answer.status_code, list(answer.json())) == (status, ["error"])


def test_many_clients_at_once_disturb_nobody(served: Served, simulator: Simulator, chat: Line, message: Line) -> None:
    def work(number: int) -> None:
        url = served.url
        own = OpenAI(api_key=f"sk-{number}", base_url=f"{url}/openai/v1", max_retries=0)
        batch = own.batches.retrieve(run_openai(own, [chat(number * 100 + each) for each in range(20)]))
        done.append(batch.request_counts.completed if batch.request_counts else 0)
        requests: Any = [message(number * 100 + each) for each in range(20)]
        served.anthropic.messages.batches.create(requests=requests)

    done: list[int] = []
    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    charges = simulator.charges()
    assert done == [20] * 8
    assert (charges["openai"]["requests"], charges["anthropic"]["requests"]) == (160, 160)
    assert charges["openai"]["max_charged_per_body"] == 1


def test_one_batch_looked_at_by_many_is_answered_once(served: Served, simulator: Simulator, chat: Line) -> None:
    batch_id = run_openai(served.openai, [chat(number) for number in range(500)])
    seen: list[str | None] = []

    def look() -> None:
        seen.append(served.openai.batches.retrieve(batch_id).output_file_id)

    threads = [threading.Thread(target=look) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(seen)) == 1
    assert len(served.openai.files.content(seen[0] or "").content.splitlines()) == 500
    assert simulator.charges()["openai"]["requests"] == 500


def test_a_second_simulator_on_the_same_folder_goes_on(tmp_path: Path, chat: Line, message: Line) -> None:
    requests: Any = [message(1)]
    with Simulator(data=tmp_path, clock=lambda: 1e9, seconds_to_complete=100) as first, serve(first) as url:
        before = clients(url)
        openai_id = run_openai(before.openai, [chat(1)])
        anthropic_id = before.anthropic.messages.batches.create(requests=requests).id
        first.fault("status", operation="list")
        first.advance(50)
    with Simulator(data=tmp_path, clock=lambda: 1e9, seconds_to_complete=100) as second, serve(second) as url:
        after = clients(url)
        assert after.openai.batches.retrieve(openai_id).status == "in_progress"
        second.advance(50)
        batch = after.openai.batches.retrieve(openai_id)
        assert (batch.status, batch.metadata) == ("completed", {"a": "b"})
        assert len(after.openai.files.content(batch.output_file_id or "").content.splitlines()) == 1
        assert len(list(after.anthropic.messages.batches.results(anthropic_id))) == 1
        with pytest.raises(gpt.InternalServerError):
            after.openai.batches.list()
        assert run_openai(after.openai, [chat(2)]) != openai_id


def test_a_shape_of_no_provider_is_refused_and_changes_nothing(simulator: Simulator) -> None:
    with serve(simulator) as url:
        refused = httpx2.post(f"{url}/control/shape", json={"provider": "nobody", "seconds_to_complete": 1})
        assert (refused.status_code, "provider" in refused.json()["error"]) == (400, True)


def test_the_command_prints_its_urls_and_stops_when_told(tmp_path: Path, chat: Line) -> None:
    command = [sys.executable, "-m", "provider_simulator", "--data", str(tmp_path), "--seconds-to-complete", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        urls = json.loads(process.stdout.readline() if process.stdout else "")
        assert list(urls) == ["url", "openai", "anthropic", "control"]
        openai = OpenAI(api_key="sk-one", base_url=urls["openai"], max_retries=0)
        assert openai.batches.retrieve(run_openai(openai, [chat(1)])).status == "completed"
        assert httpx2.get(f"{urls['control']}/charges").json()["openai"]["requests"] == 1
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=10) == 0
    assert (tmp_path / "facts.sqlite").exists()


KEY = {"Authorization": "Bearer sk-simulated-1"}


@pytest.mark.parametrize("path", ["/control/charges", "/openai/v1/batches", "/anthropic/v1/messages/batches"])
def test_a_web_page_and_another_host_are_refused(simulator: Simulator, path: str) -> None:
    with serve(simulator, key="sk-simulated-1") as url:
        for more in ({"Origin": "https://evil.example"}, {"Origin": "null"}, {"Host": "evil.example"}):
            refused = httpx2.get(f"{url}{path}", headers={**KEY, **more})
            assert (refused.status_code, "access-control-allow-origin" in refused.headers) == (403, False)


def test_a_simulator_with_a_key_answers_to_that_key_alone(simulator: Simulator) -> None:
    with serve(simulator, key="sk-simulated-1") as url:

        def status(path: str, headers: dict[str, str]) -> int:
            return httpx2.get(f"{url}{path}", headers=headers).status_code

        assert (status("/control/charges", {}), status("/control/charges", KEY)) == (401, 200)
        assert status("/control/charges", {"Authorization": "Bearer sk-simulated-12"}) == 401
        assert (
            status("/openai/v1/batches", {"Authorization": "Bearer sk-other"}),
            status("/openai/v1/batches", KEY),
        ) == (
            401,
            200,
        )
        anthropic = {"x-api-key": "sk-simulated-1", "anthropic-version": "2023-06-01"}
        assert status("/anthropic/v1/messages/batches", anthropic) == 200
        assert status("/anthropic/v1/messages/batches", anthropic | {"x-api-key": "sk-other"}) == 401
        assert httpx2.post(f"{url}/control/reset", json={}).status_code == 401


def test_without_a_key_every_vendors_key_is_taken_and_no_web_page(simulator: Simulator) -> None:
    with serve(simulator) as url:
        assert httpx2.get(f"{url}/control/charges").status_code == 200
        assert httpx2.get(f"{url}/control/charges", headers={"Origin": "https://evil.example"}).status_code == 403
