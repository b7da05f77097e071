"""`batchdrop mcp`, through the official SDK's own client: as a program over its pipes, and in memory."""

import asyncio
import json
import os
import sys
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from batchdrop.manifest import Files, ResultsFile
from batchdrop.records import Job
from batchdrop.states import JobState
from faking.outputs import a_manifest, chat, lines, result
from mcp import Client, StdioServerParameters, stdio_client

from batchdrop_cli.cloud import Target, find_cloud
from batchdrop_cli.mcp_server import MOST_TEXT, build

if TYPE_CHECKING:
    from conftest import Aws

SECRET = "a prompt that nobody logs"
ASKED = {"model": "gpt-4o-mini", "prompt": "It: {{ text }}", "max_tokens": 5, "id_column": "id"}
ERROR = {"code": "invalid_json", "message": "Line 3 is not JSON.", "source": "input", "retryable": False}
RESULTS = [
    result(1, "/v1/chat/completions", chat("x" * (MOST_TEXT + 1))),
    result(2, "/v1/embeddings", {"data": [{"embedding": [0.5]}], "usage": {"prompt_tokens": 2}}, custom_id={"n": 2}),
    result(3, None, custom_id=None, model=None, error=ERROR),
]


def told(ask: Callable[[Client], Coroutine[Any, Any, Any]], *, write: bool = False) -> Any:
    """What a client gets of a server in this process, on the stack that is found."""

    async def run() -> Any:
        async with Client(build(lambda: find_cloud(Target()), write=write)) as client:
            return await ask(client)

    return asyncio.run(run())


def call(name: str, *, write: bool = False, **arguments: Any) -> tuple[bool, str]:
    """Whether a tool failed, and its words."""
    found = told(lambda client: client.call_tool(name, arguments), write=write)
    return found.is_error, found.content[0].text


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "reviews.csv"
    path.write_text(f"id,text\n1,{SECRET}\n2,b\n", encoding="utf-8")
    return path


def test_it_serves_over_pipes_reads_only_and_fails_in_sentences(tmp_path: Path, table: Path) -> None:
    program = StdioServerParameters(
        command=sys.executable,
        args=["-c", "from batchdrop_cli.main import main; main()", "mcp", "--state-dir", str(tmp_path / "none")],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        cwd=tmp_path,
    )
    log = tmp_path / "log"

    async def run() -> tuple[list[str], list[Any]]:
        with log.open("w", encoding="utf-8") as errors:
            async with Client(stdio_client(program, errlog=errors)) as client:
                tools = [each.name for each in (await client.list_tools()).tools]
                quoted = await client.call_tool("quote", {"file": str(table), "rows": ASKED})
                missing = await client.call_tool("quote", {"file": "none.csv", "rows": ASKED})
                down = await client.call_tool("show", {})
                return tools, [quoted, missing, down]

    tools, (quoted, missing, down) = asyncio.run(run())
    assert tools == ["quote", "show", "results"]
    assert json.loads(quoted.content[0].text)["lines"] == 2
    assert missing.content[0].text == "Error executing tool quote: none.csv does not exist."
    assert (down.is_error, down.content[0].text.startswith("Error executing tool show: The local cloud of ")) == (
        True,
        True,
    )
    assert log.read_text(encoding="utf-8") == ""


@pytest.mark.usefixtures("aws")
def test_it_puts_only_where_it_may_write() -> None:
    def tools(*, write: bool) -> list[tuple[str, bool, bool]]:
        found = told(lambda client: client.list_tools(), write=write).tools
        hints = [(each.name, each.annotations) for each in found]
        return [(name, each.read_only_hint, each.idempotent_hint) for name, each in hints]

    assert tools(write=False) == [("quote", True, True), ("show", True, True), ("results", True, True)]
    assert tools(write=True) == [*tools(write=False), ("put", False, False)]
    assert call("put", file="x.csv", max_cost_usd="1") == (True, "Unknown tool: put")


def test_it_drops_a_table_once_and_within_its_limit(aws: "Aws", table: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def put(cost: str, **rows: Any) -> tuple[bool, str]:
        return call("put", write=True, file=str(table), max_cost_usd=cost, rows=ASKED | rows)

    failed, said = put("0.000001")
    assert (failed, "more than --max-cost 0.000001. Nothing was sent." in said, aws.keys()) == (True, True, [])
    assert put("much")[1].startswith("Error executing tool put: max_cost_usd must be ")
    assert "is unknown" in put("1", max_tokens=None)[1]
    failed, said = put("1")
    found = json.loads(said)
    assert (failed, found["key"]) == (False, "input/reviews.csv")
    head = aws.s3.head_object(Bucket="batchdrop-test", Key=found["key"])
    assert head["Metadata"]["batchdrop-budget-usd"] == "1"
    assert f"Job {found['job']} is already processing the same bytes." in put("1")[1]
    assert put("1", model="nobodys")[0]
    assert [SECRET in text for text in capfd.readouterr()] == [False, False]


def test_arguments_that_do_not_fit_are_named_and_not_quoted() -> None:
    said = call("quote", rows={"prompt": [SECRET]})
    wrong = 'These arguments do not fit its schema: "file" (missing), "rows.prompt" (string_type).'
    assert said == (True, f"Error executing tool quote: {wrong}")


@pytest.fixture
def finished(aws: "Aws", a_job: Callable[..., Job]) -> Job:
    """A job that is over, with two parts of results."""
    files = []
    for name, rows in (("1", RESULTS[:2]), ("2", RESULTS[2:])):
        key, body = f"output/r{name}.jsonl", lines(rows)
        ends = {"first_line": rows[0]["line"], "last_line": rows[-1]["line"]}
        files.append(ResultsFile(key=key, bytes=len(body), lines=len(rows), **aws.drop(key, body), **ends))
    job = a_job(state=JobState.COMPLETED, manifest_key="output/manifest.json", due_at=None)
    manifest = a_manifest(job.id, Files(results=files, errors=None, failed=None))
    aws.drop("output/manifest.json", msgspec.json.encode(manifest))
    aws.store.add(job)
    return job


def test_results_come_in_pages_of_a_bounded_size(finished: Job) -> None:
    first, last = (json.loads(call("results", first_line=line, limit=2)[1]) for line in (1, 3))
    common = {"model": "gpt-4o-mini", "error": None}
    assert first == {
        "job": finished.id,
        "results": [
            {"line": 1, "custom_id": "r-1", "text": "x" * MOST_TEXT, "is_cut": True, **common},
            {"line": 2, "custom_id": {"n": 2}, "text": None, "is_cut": False, **common},
        ],
        "next_line": 3,
    }
    error = {"code": "invalid_json", "message": "Line 3 is not JSON."}
    failed = {"line": 3, "custom_id": None, "model": None, "text": None, "is_cut": False, "error": error}
    assert last == {"job": finished.id, "results": [failed], "next_line": None}
    assert len(json.loads(call("results", limit=0)[1])["results"]) == 1


def test_a_job_is_shown(finished: Job) -> None:
    failed, said = call("show", job=finished.id)
    assert (failed, json.loads(said)["state"]) == (False, "COMPLETED")
    assert call("show", job="none")[1].startswith("Error executing tool show: There is no job none. See: ")


def test_the_extra_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mcp.types", None)
    with pytest.raises(Exception, match=r'pip install "\.\[mcp\]"$'):
        build(lambda: find_cloud(Target()), write=False)
