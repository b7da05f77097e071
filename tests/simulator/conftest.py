import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import httpx2
import pytest
from anthropic import Anthropic
from openai import OpenAI
from openai.types import Batch

from provider_simulator.app import Simulator
from provider_simulator.transport import SimulatorTransport

START = 1_800_000_000.0


@pytest.fixture
def simulator() -> Iterator[Simulator]:
    """A simulator whose clock stops until it is advanced."""
    with Simulator(clock=lambda: START) as made:
        yield made


@pytest.fixture
def http(simulator: Simulator) -> Iterator[httpx2.Client]:
    with httpx2.Client(transport=SimulatorTransport(simulator), base_url="http://simulator") as client:
        yield client


@pytest.fixture
def openai(http: httpx2.Client) -> OpenAI:
    return OpenAI(api_key="sk-one", base_url="http://simulator/openai/v1", http_client=http, max_retries=0)


@pytest.fixture
def anthropic(http: httpx2.Client) -> Anthropic:
    return Anthropic(api_key="sk-one", base_url="http://simulator/anthropic", http_client=http, max_retries=0)


@pytest.fixture
def chat() -> Callable[..., dict[str, Any]]:
    """The nth line of an OpenAI batch, with changes to its body."""

    def line(number: int, **body: Any) -> dict[str, Any]:
        messages = [{"role": "user", "content": f"Say {number}"}]
        whole = {"model": "gpt-4o-mini", "messages": messages, **body}
        return {"custom_id": f"r-{number}", "method": "POST", "url": "/v1/chat/completions", "body": whole}

    return line


@pytest.fixture
def message() -> Callable[..., dict[str, Any]]:
    """The nth request of an Anthropic batch, with changes to its parameters."""

    def request(number: int, **params: Any) -> dict[str, Any]:
        messages = [{"role": "user", "content": f"Say {number}"}]
        whole = {"model": "claude-haiku-4-5", "max_tokens": 50, "messages": messages, **params}
        return {"custom_id": f"r-{number}", "params": whole}

    return request


@pytest.fixture
def start(openai: OpenAI) -> Callable[..., Batch]:
    """Upload lines (objects, or bytes as they are) and create a batch of them."""

    def started(lines: Sequence[Any], endpoint: str = "/v1/chat/completions", **options: Any) -> Batch:
        raw = b"\n".join(line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
        file = openai.files.create(file=("input.jsonl", raw), purpose="batch")
        return openai.batches.create(
            input_file_id=file.id,
            endpoint=endpoint,
            completion_window="24h",
            **options,
        )

    return started


@pytest.fixture
def read(openai: OpenAI) -> Callable[[str | None], list[dict[str, Any]]]:
    """The lines of a results file, sorted by `custom_id`; none for no file."""

    def results(file_id: str | None) -> list[dict[str, Any]]:
        raw = openai.files.content(file_id).content if file_id else b""
        return sorted((json.loads(line) for line in raw.splitlines()), key=lambda line: line["custom_id"])

    return results
