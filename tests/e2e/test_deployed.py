"""Deployed functions, the real SDKs over real HTTP, and somebody outside who drops files with boto3 alone."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from e2e.conftest import User
from faking.cloud import jsonl
from faking.lines import chat, claude, got, wanted

if TYPE_CHECKING:
    from e2e.conftest import Behind

pytestmark = pytest.mark.e2e

SECRET_TEXT = "zwölf Boxkämpfer jagen Viktor"
REFUSED = "this one is refused"


def lines(count: int, what: str) -> list[dict[str, Any]]:
    """Both providers, three forms, a prompt of its own in each."""
    forms: list[Callable[[int, str], dict[str, Any]]] = [
        lambda number, text: chat(text, f"c-{number}"),
        lambda number, text: claude(text, {"n": number}),
        lambda _, text: {"model": "text-embedding-3-small", "input": text},
        lambda number, text: {"custom_id": number, "model": "gpt-5-mini", "input": text},
    ]
    return [forms[number % 4](number, f"{SECRET_TEXT} {what} {number}") for number in range(count)]


def read(body: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in body.splitlines()]


def test_a_file_put_from_outside_comes_back_line_by_line_each_with_its_own_answer(
    user: User, behind: "Behind", events: Callable[..., list[dict[str, Any]]]
) -> None:
    dropped = lines(40, "outside")
    body = jsonl([*dropped[:20], b"", *dropped[20:]])
    answered = user.run("outside", body)
    manifest, results = answered.manifest, read(answered.results)

    assert [got(result) for result in results] == [wanted(line) for line in dropped]
    assert [result["custom_id"] for result in results] == [line.get("custom_id") for line in dropped]
    assert [result["line"] for result in results] == [*range(1, 21), *range(22, 42)]
    assert (answered.errors, answered.failed) == (b"", b"")

    counts, models = manifest["counts"], manifest["models"]
    assert (manifest["status"], manifest["reason"]) == ("COMPLETED", None)
    assert (manifest["input"]["lines"], manifest["input"]["blank_lines"], manifest["input"]["bytes"]) == (
        *(41, 1),
        len(body),
    )
    assert (counts["total"], counts["answered"], counts["failed"], counts["errors"]) == (40, 40, 0, {})
    assert {(each["provider"], each["model"]): each["answered"] for each in models} == {
        ("anthropic", "claude-haiku-4-5"): 10,
        ("openai", "gpt-4o-mini"): 10,
        ("openai", "gpt-5-mini"): 10,
        ("openai", "text-embedding-3-small"): 10,
    }
    tokens = [result["response"]["body"]["usage"] for result in results if result["endpoint"] == "/v1/messages"]
    (claude_counts,) = [each for each in models if each["provider"] == "anthropic"]
    assert claude_counts["usage"]["output_tokens"] == sum(each["output_tokens"] for each in tokens)
    (file,) = manifest["files"]["results"]
    assert (file["lines"], file["bytes"], file["first_line"], file["last_line"]) == (40, len(answered.results), 1, 41)

    (event,) = events("outside")
    assert (event["source"], event["detail-type"]) == ("batchdrop", "Job Completed")
    detail = event["detail"]
    shared = ("job", "status", "reason", "retry_of", "input", "counts")
    assert {name: detail[name] for name in shared} == {name: manifest[name] for name in shared}
    assert detail["manifest"]["key"] == f"output/outside/{manifest['job']}/manifest.json"
    named = behind.aws("s3").get_object(
        Bucket=detail["manifest"]["bucket"], Key=detail["manifest"]["key"], VersionId=detail["manifest"]["version_id"]
    )
    assert json.loads(named["Body"].read()) == manifest


def test_ten_bad_lines_among_a_hundred_come_back_byte_for_byte(user: User) -> None:
    mark = SECRET_TEXT.encode()
    bad = [
        b'{"model": "gpt-4o-mini", "messages": [' + mark,
        b"[" + b'"' + mark + b'"]',
        b'{"custom_id": "' + mark + b'"}',
        b'{"model":"nobody-knows",   "messages": []}',
        b'{"model": "gpt-4o-mini", "stream": true, "messages": [{"role": "user", "content": "' + mark + b'"}]}',
        b'{"model": "claude-haiku-4-5", "messages": [{"role": "user", "content": "' + mark + b'"}]}',
        b"\xff\xfe not text \xf0",
        b'{"model": "claude-haiku-4-5", "input": "' + mark + b'"}',
        b"null",
        b'  {"model": ""}\t',
    ]
    dropped: list[Any] = list(lines(100, "mistakes"))
    places = range(4, 100, 10)
    for at, line in zip(places, bad, strict=True):
        dropped[at] = line
    answered = user.run("ten-mistakes", jsonl(dropped))
    results, errors = read(answered.results), read(answered.errors)

    counts = answered.manifest["counts"]
    assert (counts["total"], counts["answered"], counts["failed"]) == (100, 90, 10)
    assert sum(counts["errors"].values()) == 10
    assert [result["line"] for result in results] == list(range(1, 101))
    assert [error["line"] for error in errors] == [at + 1 for at in places]
    assert all(error["error"]["message"].startswith(f"Line {error['line']}: ") for error in errors)
    assert [result for result in results if result["error"] is not None] == errors
    assert answered.failed == b"".join(line + b"\n" for line in bad)
    good = [(result, line) for result, line in zip(results, dropped, strict=True) if isinstance(line, dict)]
    assert [got(result) for result, _ in good] == [wanted(line) for _, line in good]


def test_every_step_gets_along_with_what_its_role_allows(
    enforcing: "Behind", said: dict[str, Any], tmp_path: Path
) -> None:
    behind, user = enforcing, User(said, tmp_path)
    behind.control("POST", "shape", model="*", failing={"match": REFUSED, "status": 400, "message": SECRET_TEXT})
    dropped = [*lines(12, "guarded"), chat(f"{SECRET_TEXT} {REFUSED}"), claude(f"{SECRET_TEXT}, {REFUSED}")]
    try:
        answered = user.run("guarded", jsonl([*dropped, b"{"]))
    finally:
        behind.control("DELETE", "faults")
    results = read(answered.results)
    assert [got(result) for result in results[:12]] == [wanted(line) for line in dropped[:12]]
    assert [result["error"]["source"] for result in results[12:]] == ["provider", "provider", "input"]
    behind.wait(lambda: not left_over(behind, answered.manifest["job"]))
    logs = behind.logs().values()
    assert [line for log in logs for line in log.splitlines() if "AccessDenied" in line or "(403)" in line] == []


def left_over(behind: "Behind", job: str) -> list[str]:
    found = behind.aws("s3").list_object_versions(Bucket=behind.cloud.bucket, Prefix=f"work/{job}/")
    return [each["Key"] for each in [*found.get("Versions", []), *found.get("DeleteMarkers", [])]]


def test_no_prompt_and_no_key_is_in_a_log_or_in_the_table(enforcing: "Behind") -> None:
    """Over all that the tests above have dropped."""
    behind = enforcing
    logs = behind.logs()
    assert {"intake", "plan", "submit", "poll", "collect", "assemble", "publish"} <= logs.keys()
    everything = logs | {"the table": json.dumps(behind.rows(), ensure_ascii=False)}
    spelled = (
        SECRET_TEXT,
        json.dumps(SECRET_TEXT)[1:-1],
        "Boxk",
        behind.cloud.simulator_key,
        behind.cloud.secret_access_key,
    )
    assert [(where, text) for where, said in everything.items() for text in spelled if text in said] == []
