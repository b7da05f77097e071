"""A server of both batch APIs that nobody here wrote (llmock), its scripted faults, and the answers it gives."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
from llmock.simulation import build_mock_embedding

_PROCESS = Path(__file__).with_name("llmock_process.py")
_ECHOED = 120  # characters of a prompt that an answer repeats


class LLMock:
    def __init__(self, url: str) -> None:
        self._url = url
        self.openai = f"{url}/v1"
        self.anthropic = f"{url}/anthropic"

    def providers(self) -> str:
        """A `providers.toml` in which it is both vendors."""
        project = Path(__file__).parents[2] / "providers.toml"
        text = project.read_text(encoding="utf-8").replace("https://api.openai.com/v1", self.openai)
        return text.replace("https://api.anthropic.com", self.anthropic)

    def fail(self, path: str, status: int, times: int = 1) -> None:
        """Let the next calls of a path (a pattern), by whatever method, be refused."""
        fault = {"type": "fail", "status": status, "times": times, "match": {"path": path}}
        httpx2.post(f"{self._url}/_llmock/scenario", json={"behaviors": [fault]}).raise_for_status()

    def waiting(self) -> list[dict[str, Any]]:
        """Faults that have not struck."""
        return list(httpx2.get(f"{self._url}/_llmock/scenario").raise_for_status().json()["pending"])

    def forget(self) -> None:
        """No faults, and no calls so far; batches and files stay."""
        httpx2.post(f"{self._url}/_llmock/reset").raise_for_status()

    def statuses(self, call: str) -> list[int]:
        """What such calls were answered: `POST /v1/batches`."""
        found = httpx2.get(f"{self._url}/_llmock/requests").raise_for_status().json()["requests"]
        return [each["status"] for each in found if f"{each['method']} {each['path']}" == call]


@contextmanager
def llmock(seconds_to_complete: float = 0.0) -> Iterator[LLMock]:
    """The server, in a process of its own, on a free port of this machine."""
    process = subprocess.Popen(
        [sys.executable, str(_PROCESS), str(seconds_to_complete)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={"LLMOCK_RESPONSE_STYLE": "echo"},
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield LLMock(process.stdout.readline().strip())
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


def answer_of(line: dict[str, Any]) -> Any:
    """The text or the numbers that are this line's own answer."""
    body = line.get("params") or line.get("body") or line
    if "input" in body:
        return build_mock_embedding(body["input"])
    prompt = " ".join(message["content"] for message in body["messages"])
    return f"Hello! You said: {' '.join(prompt.split())[:_ECHOED]}"


def answer_in(result: dict[str, Any]) -> Any:
    """The same of a result."""
    body = result["response"]["body"]
    match result["endpoint"]:
        case "/v1/embeddings":
            return body["data"][0]["embedding"]
        case "/v1/messages":
            return body["content"][0]["text"]
        case _:
            return body["choices"][0]["message"]["content"]
