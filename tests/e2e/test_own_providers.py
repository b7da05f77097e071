"""Providers of somebody's own, behind deployed functions: the simulator under other names, and a server not ours."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from e2e.conftest import User
from faking.cloud import TOML, jsonl
from faking.lines import CHAT, CLAUDE, chat, claude, got, wanted
from faking.llmock_server import LLMock, answer_in, answer_of, llmock

if TYPE_CHECKING:
    from e2e.conftest import Answered, Behind

pytestmark = pytest.mark.e2e

OWN = """
[providers.own]
protocol = "openai"
base_url = "https://own.example/v1"
secret = "batchdrop/own"

[providers.own.headers]
X-Team = "red"
"""


def read(body: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in body.splitlines()]


def assert_counts(answered: "Answered", count: int) -> None:
    counts = answered.manifest["counts"]
    assert (answered.manifest["status"], counts["total"], counts["answered"], counts["failed"]) == (
        *("COMPLETED", count, count),
        0,
    )
    assert sum(each["answered"] for each in answered.manifest["models"]) == count
    assert (answered.errors, answered.failed) == (b"", b"")


@pytest.fixture
def with_own(behind: "Behind", said: dict[str, Any], tmp_path: Path) -> User:
    """A user of a cloud whose file has one provider more."""
    mine = tmp_path / "mine.toml"
    mine.write_text(TOML.read_text(encoding="utf-8") + OWN, encoding="utf-8")
    behind.up(providers_file=mine)
    return User(said, tmp_path)


def test_one_file_with_lines_of_every_kind_comes_back_complete_and_in_order(with_own: User) -> None:
    kinds: list[Any] = [
        lambda number: chat(f"gpt {number}", number),
        lambda number: claude(f"native {number}", f"n-{number}"),
        lambda number: chat(f"translated {number}", {"n": number}, CLAUDE),
        lambda number: {"custom_id": None, "model": "text-embedding-3-small", "input": f"embedded {number}"},
        lambda number: chat(f"own {number}", [number], "own/meta-llama/Llama-3.3-70B"),
    ]
    dropped = [kinds[number % 5](number) for number in range(50)]
    answered = with_own.run("kinds", jsonl(dropped))
    results = read(answered.results)
    assert_counts(answered, 50)
    assert [(result["line"], result["custom_id"]) for result in results] == [
        (number, line["custom_id"]) for number, line in enumerate(dropped, start=1)
    ]
    assert [result["provider"] for result in results[:5]] == ["openai", "anthropic", "anthropic", "openai", "own"]
    assert [got(result) for result in results] == [own_answer(line) for line in dropped]
    assert {
        (each["provider"], each["model"], each["endpoint"]): each["requests"] for each in answered.manifest["models"]
    } == {
        ("anthropic", CLAUDE, CHAT): 10,
        ("anthropic", CLAUDE, "/v1/messages"): 10,
        ("openai", "gpt-4o-mini", CHAT): 10,
        ("openai", "text-embedding-3-small", "/v1/embeddings"): 10,
        ("own", "own/meta-llama/Llama-3.3-70B", CHAT): 10,
    }


def own_answer(line: dict[str, Any]) -> tuple[str, Any]:
    model = line.get("body", {}).get("model", "")
    if model.startswith("own/"):
        return wanted({**line, "body": {**line["body"], "model": model.removeprefix("own/")}})
    return wanted(line)


@pytest.fixture
def elsewhere(behind: "Behind", said: dict[str, Any], tmp_path: Path) -> Iterator[tuple[User, LLMock]]:
    """A user of a cloud whose providers are llmock."""
    with llmock(seconds_to_complete=0.5) as server:
        behind.up(openai_base_url=server.openai, anthropic_base_url=server.anthropic)
        yield User(said, tmp_path), server


def test_jobs_finish_against_a_server_that_is_not_ours_and_refuses_now_and_then(
    elsewhere: tuple[User, LLMock],
) -> None:
    user, server = elsewhere
    kinds: list[Any] = [
        lambda number: chat(f"gpt {number}", number),
        lambda number: claude(f"native {number}", f"n-{number}"),
        lambda number: {"custom_id": None, "model": "text-embedding-3-small", "input": f"embedded {number}"},
        lambda number: chat(f"translated {number}", {"n": number}, CLAUDE),
    ]
    dropped = [kinds[number % 4](number) for number in range(40)]
    for path in ("/v1/batches", "/anthropic/v1/messages/batches"):
        server.fail(path, 429)
    for path in ("/v1/files/*/content", "/anthropic/v1/messages/batches/*/results"):
        server.fail(path, 500)
    answered = user.run("llmock", jsonl(dropped))
    results = read(answered.results)
    assert_counts(answered, 40)
    assert [(result["line"], result["custom_id"]) for result in results] == [
        (number, line["custom_id"]) for number, line in enumerate(dropped, start=1)
    ]
    assert [answer_in(result) for result in results] == [answer_of(line) for line in dropped]
    assert server.waiting() == []
    created = [sorted(server.statuses(f"POST {path}")) for path in ("/v1/batches", "/anthropic/v1/messages/batches")]
    assert created == [[200, 200, 429], [200, 429]]
