# ruff: noqa: PLR0913, PLR0917 - the arguments of a test are its fixtures and cases
"""Requests that are answered at once: the same answers and refusals as in a batch, each charged by itself."""

import json
from collections.abc import Callable
from typing import Any

import anthropic as claude
import httpx2
import openai as gpt
import pytest
from anthropic import Anthropic
from openai import OpenAI
from openai.types import Batch

from provider_simulator.answers import body_key, body_name, content, expected
from provider_simulator.app import Simulator
from provider_simulator.transport import SimulatorTransport
from provider_simulator.vendor_schemas import violation_of

type Line = Callable[..., dict[str, Any]]
type Start = Callable[..., Batch]
type Read = Callable[[str | None], list[dict[str, Any]]]

CHAT, RESPONSES, EMBEDDINGS, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/embeddings", "/v1/messages"
HEADERS = {"Authorization": "Bearer sk-one", "anthropic-version": "2023-06-01"}
HI = [{"role": "user", "content": "Hi"}]
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}
FUNCTION = {"name": "look_up", "parameters": SCHEMA}
TOOL = {"name": "look_up", "input_schema": SCHEMA}
REQUESTS: list[tuple[str, dict[str, Any]]] = [
    (CHAT, {"model": "gpt-4o-mini", "messages": HI}),
    (CHAT, {"model": "gpt-4o-mini", "messages": HI, "n": 2, "max_tokens": 1}),
    (CHAT, {"model": "gpt-4o", "messages": HI, "tools": [{"type": "function", "function": FUNCTION}]}),
    (RESPONSES, {"model": "gpt-4o-mini", "input": "Hi"}),
    (RESPONSES, {"model": "gpt-5", "input": "Hi", "reasoning": {"effort": "low"}, "metadata": {"a": "b"}}),
    (
        RESPONSES,
        {
            "model": "gpt-4o",
            "input": "Hi",
            "tools": [{"type": "function", "strict": True, **FUNCTION}],
            "tool_choice": "required",
        },
    ),
    (EMBEDDINGS, {"model": "text-embedding-3-small", "input": ["Hi", "there"], "dimensions": 8}),
    (MESSAGES, {"model": "claude-haiku-4-5", "max_tokens": 50, "messages": HI}),
    (
        MESSAGES,
        {
            "model": "claude-haiku-4-5",
            "max_tokens": 50,
            "messages": HI,
            "tools": [TOOL],
            "tool_choice": {"type": "any"},
        },
    ),
]
ANSWERS = {
    CHAT: "CreateChatCompletionResponse",
    RESPONSES: "Response",
    EMBEDDINGS: "CreateEmbeddingResponse",
    MESSAGES: "Message",
}
CALLS = {CHAT: "openai", RESPONSES: "openai", EMBEDDINGS: "openai", MESSAGES: "anthropic"}


def ask(http: httpx2.Client, endpoint: str, body: object, **headers: str) -> httpx2.Response:
    return http.post(f"/{CALLS[endpoint]}{endpoint}", json=body, headers=HEADERS | headers)


def in_a_batch(http: httpx2.Client, endpoint: str, body: dict[str, Any]) -> dict[str, Any]:
    """The answer to the same body in a batch of its own."""
    if endpoint == MESSAGES:
        requests = [{"custom_id": "a", "params": body}]
        batch = http.post("/anthropic/v1/messages/batches", json={"requests": requests}, headers=HEADERS).json()["id"]
        row = http.get(f"/anthropic/v1/messages/batches/{batch}/results", headers=HEADERS).json()
        result: dict[str, Any] = row["result"]
        return result.get("message") or result["error"]
    openai = OpenAI(api_key="sk-one", base_url="http://simulator/openai/v1", http_client=http, max_retries=0)
    line = json.dumps({"custom_id": "a", "method": "POST", "url": endpoint, "body": body}).encode()
    file = openai.files.create(file=("in.jsonl", line), purpose="batch").id
    created = openai.batches.create(input_file_id=file, endpoint=endpoint, completion_window="24h")  # type: ignore[arg-type]  # any endpoint
    done = openai.batches.retrieve(created.id)
    row = json.loads(openai.files.content(done.output_file_id or done.error_file_id or "").content)
    answer: dict[str, Any] = row["response"]["body"]
    return answer


@pytest.mark.parametrize(("endpoint", "body"), REQUESTS)
def test_an_answer_is_the_one_of_a_batch(http: httpx2.Client, endpoint: str, body: dict[str, Any]) -> None:
    answer = ask(http, endpoint, body)
    assert (answer.status_code, violation_of(CALLS[endpoint], ANSWERS[endpoint], answer.json())) == (200, None)
    assert content(endpoint, answer.json()) == expected(endpoint, body)
    batched = in_a_batch(http, endpoint, body)
    if endpoint == MESSAGES:
        assert batched["usage"].pop("service_tier") == "batch"
        batched["usage"]["service_tier"] = "standard"
    assert answer.json() == batched


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        (CHAT, {"model": "gpt-4o-mini", "messages": []}),
        (CHAT, {"model": "gpt-4o-mini", "messages": HI, "extra_body": {}}),
        (CHAT, {"model": "o3", "messages": HI, "max_tokens": 5}),
        (RESPONSES, {"model": "gpt-5", "input": "x", "temperature": 0.2}),
        (EMBEDDINGS, {"model": "text-embedding-3-small", "input": []}),
        (MESSAGES, {"model": "claude-haiku-4-5", "messages": HI}),
        (MESSAGES, {"model": "claude-haiku-4-5", "max_tokens": 0, "messages": HI}),
        (MESSAGES, {"model": "claude-haiku-4-5", "max_tokens": 5, "messages": HI, "speed": "fast"}),
        (MESSAGES, {"model": "claude-opus-5", "max_tokens": 5, "messages": HI, "top_k": 5}),
        (MESSAGES, {"model": "claude-x-does-not-exist", "max_tokens": 5, "messages": HI}),
    ],
)
def test_a_refusal_is_the_one_of_a_batch_and_costs_nothing(
    http: httpx2.Client, simulator: Simulator, endpoint: str, body: dict[str, Any]
) -> None:
    refused = ask(http, endpoint, body)
    batched = in_a_batch(http, endpoint, body)
    assert refused.status_code == (404 if "does-not-exist" in body["model"] else 400)
    assert refused.json()["error"] == batched["error"]
    assert violation_of(CALLS[endpoint], "ErrorResponse", refused.json()) is None
    assert simulator.charges()[CALLS[endpoint]]["realtime"]["requests"] == 0


@pytest.mark.parametrize(("endpoint", "body"), REQUESTS)
def test_an_answer_is_not_streamed(http: httpx2.Client, endpoint: str, body: dict[str, Any]) -> None:
    refused = ask(http, endpoint, {**body, "stream": True})
    assert (refused.status_code, "stream" in refused.json()["error"]["message"]) == (400, True)
    assert ask(http, endpoint, {**body, "stream": False}).status_code == (400 if endpoint == EMBEDDINGS else 200)


@pytest.mark.parametrize("body", [{"input": "Hi"}, {"model": 5, "input": "Hi"}, {"model": None, "input": "Hi"}])
def test_a_request_without_a_model_is_refused(http: httpx2.Client, body: dict[str, Any]) -> None:
    error = ask(http, RESPONSES, body).json()["error"]
    assert (error["code"], error["param"]) == ("missing_required_parameter", "model")


@pytest.mark.parametrize("endpoint", list(CALLS))
def test_what_is_no_json_is_refused(http: httpx2.Client, endpoint: str) -> None:
    for raw in (b"", b"{", b"[1]"):
        answer = http.post(f"/{CALLS[endpoint]}{endpoint}", content=raw, headers=HEADERS)
        assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")


def test_openais_sdk_gets_its_answers_and_its_errors(openai: OpenAI) -> None:
    messages: Any = HI
    chat = openai.chat.completions.with_raw_response.create(model="gpt-4o-mini", messages=messages)
    assert chat.parse().choices[0].message.content == expected(CHAT, {"model": "gpt-4o-mini", "messages": HI})
    assert chat.headers["x-request-id"].startswith("req_")
    assert openai.responses.create(model="gpt-4o", input="Hi").output_text.startswith("Answer [")
    vectors = openai.embeddings.create(model="text-embedding-3-small", input=["a", "b"], dimensions=4).data
    assert [len(each.embedding) for each in vectors] == [4, 4]
    with pytest.raises(gpt.NotFoundError) as gone:
        openai.chat.completions.create(model="gpt-does-not-exist", messages=messages)
    assert (gone.value.code, gone.value.type) == ("model_not_found", "invalid_request_error")
    with pytest.raises(gpt.BadRequestError, match="stream"):
        openai.chat.completions.create(model="gpt-4o", messages=messages, stream=True)
    with pytest.raises(gpt.AuthenticationError):
        openai.with_options(api_key="wrong").responses.create(model="gpt-4o", input="Hi")


def test_anthropics_sdk_gets_its_answers_and_its_errors(anthropic: Anthropic, message: Line) -> None:
    params = message(1)["params"]
    made = anthropic.messages.with_raw_response.create(**params)
    (block,) = made.parse().content
    assert isinstance(block, claude.types.TextBlock)
    assert (block.text, made.parse().usage.service_tier) == (expected("anthropic", params), "standard")
    assert made.headers["request-id"].startswith("req_")
    beta = anthropic.beta.messages.create(betas=["context-management-2025-06-27"], **params)
    assert beta.stop_reason == "end_turn"
    with pytest.raises(claude.NotFoundError, match="not_found_error"):
        anthropic.messages.create(**{**params, "model": "claude-does-not-exist"})
    with pytest.raises(claude.BadRequestError, match="stream"):
        anthropic.messages.create(**params, stream=True)
    with pytest.raises(claude.AuthenticationError):
        anthropic.with_options(api_key="wrong").messages.create(**params)


@pytest.mark.parametrize(("version", "status"), [("2023-06-01", 200), ("2026-10-21", 400)])
def test_sampling_goes_by_the_version_of_the_api(http: httpx2.Client, message: Line, version: str, status: int) -> None:
    params = message(1, temperature=0.5)["params"]
    assert ask(http, MESSAGES, params, **{"anthropic-version": version}).status_code == status


def test_a_message_over_the_limit_is_refused(http: httpx2.Client, simulator: Simulator, message: Line) -> None:
    simulator.limits(anthropic_message_bytes=100)
    refused = ask(http, MESSAGES, message(1, system="x" * 100)["params"])
    assert (refused.status_code, refused.json()["error"]["type"]) == (413, "request_too_large")


# --- charges ---


def test_batches_and_real_time_are_charged_apart(
    openai: OpenAI, simulator: Simulator, start: Start, chat: Line
) -> None:
    start([chat(1), chat(2)])
    answer = openai.chat.completions.create(**chat(3)["body"])
    charges = simulator.charges()["openai"]
    assert (charges["requests"], charges["calls"]["realtime"]) == (2, 1)
    assert answer.usage is not None
    assert charges["realtime"] == {
        "requests": 1,
        "input_tokens": answer.usage.prompt_tokens,
        "output_tokens": answer.usage.completion_tokens,
    }
    assert (charges["max_charged_per_body"], charges["bodies_charged_more_than_once"]) == (1, 0)
    assert simulator.charges()["anthropic"]["realtime"]["requests"] == 0


def test_a_request_charged_in_a_batch_and_at_real_time_is_found(
    openai: OpenAI, simulator: Simulator, start: Start, chat: Line
) -> None:
    start([chat(1), chat(2)])
    openai.chat.completions.create(**chat(2)["body"])
    openai.chat.completions.create(**chat(3)["body"])
    charges = simulator.charges()["openai"]
    assert (charges["max_charged_per_body"], charges["bodies_charged_more_than_once"]) == (2, 1)
    assert (charges["max_charged_per_request"], charges["requests_charged_more_than_once"]) == (1, 0)
    names = [body_name(body_key(chat(number)["body"])) for number in (1, 2, 3)]
    assert simulator.charges_by_body() == {
        "openai": {
            names[0]: {"batch": 1, "realtime": 0},
            names[1]: {"batch": 1, "realtime": 1},
            names[2]: {"batch": 0, "realtime": 1},
        },
        "anthropic": {},
    }


def test_lines_that_a_batch_left_over_are_charged_once(
    anthropic: Anthropic, simulator: Simulator, message: Line
) -> None:
    simulator.shape(expire_fraction=0.5)
    requests: Any = [message(number) for number in range(10)]
    batch = anthropic.messages.batches.create(requests=requests).id
    results = {each.custom_id: each.result.type for each in anthropic.messages.batches.results(batch)}
    for request in requests:
        if results[request["custom_id"]] == "expired":
            anthropic.messages.create(**request["params"])
    charges = simulator.charges()["anthropic"]
    assert (charges["requests"], charges["realtime"]["requests"], charges["max_charged_per_body"]) == (5, 5, 1)
    assert all(sum(each.values()) == 1 for each in simulator.charges_by_body()["anthropic"].values())


def test_charges_are_kept_in_the_folder_and_go_with_a_reset(tmp_path: Any, message: Line) -> None:
    for _ in range(2):
        with Simulator(data=tmp_path) as simulator, client(simulator) as http:
            assert ask(http, MESSAGES, message(1)["params"]).status_code == 200
    with Simulator(data=tmp_path) as simulator:
        charges = simulator.charges()["anthropic"]
        assert (charges["realtime"]["requests"], charges["max_charged_per_body"]) == (2, 2)
        simulator.reset()
        assert simulator.charges()["anthropic"]["realtime"]["requests"] == 0


def client(simulator: Simulator) -> httpx2.Client:
    return httpx2.Client(transport=SimulatorTransport(simulator), base_url="http://simulator")


# --- faults ---


@pytest.mark.parametrize(("fault", "charged"), [("reply_lost", 1), ("timeout", 1), ("connection_reset", 0)])
def test_a_call_without_a_reply_is_charged_if_it_was_answered(
    openai: OpenAI, anthropic: Anthropic, simulator: Simulator, chat: Line, message: Line, fault: str, charged: int
) -> None:
    simulator.fault(fault, operation="realtime", times=2)
    with pytest.raises(gpt.APIConnectionError):
        openai.chat.completions.create(**chat(1)["body"])
    with pytest.raises(claude.APIConnectionError):
        anthropic.messages.create(**message(1)["params"])
    counts = [simulator.charges()[name]["realtime"]["requests"] for name in ("openai", "anthropic")]
    assert counts == [charged, charged]
    openai.chat.completions.create(**chat(1)["body"])
    assert simulator.charges()["openai"]["max_charged_per_body"] == 1 + charged


@pytest.mark.parametrize(
    ("code", "openai_type", "anthropic_type"),
    [
        (401, "authentication_error", "authentication_error"),
        (403, "permission_error", "permission_error"),
        (429, "rate_limit_error", "rate_limit_error"),
        (500, "server_error", "api_error"),
        (503, "server_error", "api_error"),
        (529, "server_error", "overloaded_error"),
    ],
)
def test_a_status_is_in_the_vendors_shape_and_costs_nothing(
    http: httpx2.Client, simulator: Simulator, code: int, openai_type: str, anthropic_type: str
) -> None:
    simulator.fault("status", operation="realtime", code=code, retry_after=7, times=2)
    for endpoint, kind in ((CHAT, openai_type), (MESSAGES, anthropic_type)):
        refused = ask(http, endpoint, {})
        assert (refused.status_code, refused.headers["retry-after"]) == (code, "7")
        assert refused.json()["error"]["type"] == kind
        assert violation_of(CALLS[endpoint], "ErrorResponse", refused.json()) is None
    assert [each["realtime"]["requests"] for each in simulator.charges().values()] == [0, 0]


def test_a_fault_hits_the_request_that_it_matches(openai: OpenAI, simulator: Simulator, chat: Line) -> None:
    simulator.fault("status", operation="realtime", code=503, match='"content":"Say 2"', times=2)
    openai.chat.completions.create(**chat(1)["body"])
    for _ in range(2):
        with pytest.raises(gpt.InternalServerError):
            openai.chat.completions.create(**chat(2)["body"])
    openai.chat.completions.create(**chat(2)["body"])
    assert simulator.state()["faults"] == []


def test_a_fault_with_a_match_hits_real_time_calls_only(
    openai: OpenAI, simulator: Simulator, start: Start, read: Read, chat: Line
) -> None:
    simulator.fault("status", match="")
    done = openai.batches.retrieve(start([chat(1)]).id)
    assert len(read(done.output_file_id)) == 1
    with pytest.raises(gpt.InternalServerError):
        openai.chat.completions.create(**chat(1)["body"])


@pytest.mark.parametrize("size", [0, 10, 10**9])
def test_an_answer_is_cut_within_its_body_and_was_charged(
    openai: OpenAI, simulator: Simulator, chat: Line, size: int
) -> None:
    simulator.fault("cut", operation="realtime", bytes=size)
    with pytest.raises((gpt.APIConnectionError, httpx2.RemoteProtocolError)):
        openai.chat.completions.create(**chat(1)["body"])
    assert simulator.charges()["openai"]["realtime"]["requests"] == 1


def test_an_answer_stops_where_it_is_told_to(openai: OpenAI, anthropic: Anthropic, simulator: Simulator) -> None:
    messages: Any = HI

    def reasons() -> list[Any]:
        response = openai.responses.create(model="gpt-4o", input="Hi")
        return [
            openai.chat.completions.create(model="gpt-4o", messages=messages).choices[0].finish_reason,
            response.incomplete_details.reason if response.incomplete_details else response.status,
            anthropic.messages.create(model="claude-haiku-4-5", max_tokens=50, messages=messages).stop_reason,
        ]

    simulator.fault("stopped", times=3)
    assert reasons() == ["length", "max_output_tokens", "max_tokens"]
    assert reasons() == ["stop", "completed", "end_turn"]
    simulator.fault("stopped", provider="anthropic", stop="refusal")
    assert reasons() == ["stop", "completed", "refusal"]


def test_a_slow_answer_moves_the_clock(openai: OpenAI, simulator: Simulator, chat: Line) -> None:
    simulator.fault("slow", operation="realtime", seconds=90)
    before = simulator.engine.now()
    created = [openai.chat.completions.create(**chat(1)["body"]).created for _ in range(2)]
    assert created == [int(before) + 90] * 2
    assert simulator.engine.now() == before + 90


def test_a_slow_answer_can_move_another_clock(message: Line) -> None:
    waited: list[float] = []
    with Simulator(clock=lambda: 1e9, wait=waited.append) as simulator, client(simulator) as http:
        simulator.fault("slow", seconds=90)
        assert ask(http, MESSAGES, message(1)["params"]).status_code == 200
        assert (waited, simulator.engine.now()) == ([90], 1e9)
