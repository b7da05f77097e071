"""Result lines and a manifest, as a finished job has them."""

import json
from typing import Any

import msgspec
from batchdrop.manifest import Counts, Files, Input, Manifest, ModelCounts, Times, Usage
from batchdrop.states import JobState


def chat(text: str) -> dict[str, Any]:
    return {"choices": [{"message": {"content": text}}], "usage": {"prompt_tokens": 9, "completion_tokens": 2}}


def result(line: int, endpoint: str | None, body: object = None, **changes: object) -> dict[str, Any]:
    values = {
        "id": None,
        "custom_id": f"r-{line}",
        "response": None if body is None else {"status_code": 200, "request_id": None, "body": body},
        "error": None,
        "line": line,
        "provider": "openai",
        "model": "gpt-4o-mini",
        "endpoint": endpoint,
        "batch_id": "b",
        "attempts": 1,
        "via": "batch",
    }
    return values | changes


def lines(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)


def a_manifest(job: str, files: Files, **changes: object) -> Manifest:
    manifest = Manifest(
        job=job,
        status=JobState.COMPLETED,
        reason=None,
        retry_of=None,
        input=Input(
            bucket="b", key="input/mine/reviews.jsonl", version_id=None, etag=None, bytes=1, lines=6, blank_lines=0
        ),
        counts=Counts(
            total=6,
            answered=4,
            failed=2,
            errors={"invalid_json": 1, "context_length_exceeded": 1},
            finish_reasons={"stop": 4},
        ),
        models=[
            ModelCounts(
                provider="openai",
                model="gpt-4o-mini",
                endpoint="/v1/chat/completions",
                requests=2,
                answered=1,
                failed=1,
                batches=1,
                usage=Usage(input_tokens=1_000_000, output_tokens=1_000_000),
            )
        ],
        times=Times(dropped_at="a", first_submitted_at=None, last_ended_at=None, published_at="b"),
        files=files,
        versions={},
    )
    return msgspec.structs.replace(manifest, **changes)
