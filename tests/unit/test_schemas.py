"""The published JSON Schemas are the code's, and what batchdrop writes and reads fits them."""

import json
import runpy
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest
from batchdrop.errors import Unprocessable
from batchdrop.inputs.job_settings import resolve
from batchdrop.result_line import ResultError
from faking.cloud import Cloud

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "schemas"
GENERATE = runpy.run_path(str(FOLDER / "generate.py"))
SCHEMAS: dict[str, Any] = GENERATE["schemas"]()

CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]}
CLAUDE = {"model": "claude-haiku-4-5", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}


def mistakes(name: str, instance: object) -> list[str]:
    validator = jsonschema_rs.validator_for(SCHEMAS[name])
    return [f"{'/'.join(map(str, error.instance_path))}: {error.message}" for error in validator.iter_errors(instance)]


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_committed_schema_is_the_generated_one(name: str) -> None:
    text: Callable[[object], str] = GENERATE["text_of"]
    assert (FOLDER / name).read_text(encoding="utf-8") == text(SCHEMAS[name]), "run python docs/schemas/generate.py"


def test_every_committed_schema_is_generated() -> None:
    assert {path.name for path in FOLDER.glob("*.json")} == set(SCHEMAS)


@pytest.mark.parametrize("name", SCHEMAS)
def test_every_schema_is_a_valid_one_with_its_version(name: str) -> None:
    jsonschema_rs.meta.validate(SCHEMAS[name])
    assert SCHEMAS[name]["$id"].startswith("urn:batchdrop:")
    assert SCHEMAS[name]["$id"].endswith(":1")


def test_the_shapes_that_carry_their_schema_carry_the_schemas_version() -> None:
    assert [SCHEMAS[name]["$id"] for name in ("manifest.json", "event.json")] == [
        "urn:batchdrop:manifest:1",
        "urn:batchdrop:event:1",
    ]


def test_all_that_a_job_writes_fits(cloud: Cloud) -> None:
    lines = [
        CHAT,
        {"custom_id": {"any": 1}, "params": CLAUDE},
        b"{",
        b"",
        {"model": "nothing"},
        CHAT | {"stream": True},
    ]
    outcome = cloud.run("input/a.jsonl", lines)
    written = json.loads(cloud.read(cloud.jobs()[0].manifest_key or ""))
    events = cloud.events()
    assert mistakes("manifest.json", written) == []
    assert [mistakes("results-line.json", line) for line in (*outcome.results, *outcome.errors)] == [[]] * 8
    assert [mistakes("event.json", event["detail"]) for event in events] == [[]] * len(events)
    assert [event["detail"]["schema"] for event in events] == ["batchdrop.event/1"]


def test_all_that_a_failed_job_writes_fits(cloud: Cloud) -> None:
    cloud.run("input/a.csv", b"x\n")
    written = json.loads(cloud.read(cloud.jobs()[0].manifest_key or ""))
    assert (written["status"], mistakes("manifest.json", written)) == ("FAILED", [])
    assert [mistakes("event.json", event["detail"]) for event in cloud.events()] == [[]]


def test_a_failed_manifest_with_counts_or_a_whole_one_without_does_not_fit(cloud: Cloud) -> None:
    cloud.run("input/a.jsonl", [CHAT])
    written = json.loads(cloud.read(cloud.jobs()[0].manifest_key or ""))
    changes = [
        {"status": "FAILED"},
        {"counts": None},
        {"files": written["files"] | {"errors": None}},
        {"files": written["files"] | {"results": []}},
        {"schema": "batchdrop.manifest/2"},
        {"status": "RUNNING"},
    ]
    assert [bool(mistakes("manifest.json", written | change)) for change in changes] == [True] * len(changes)
    assert [bool(mistakes("manifest.json", without(written, name))) for name in written] == [True] * len(written)


def without(found: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in found.items() if key != name}


ANSWER = {
    "id": None,
    "custom_id": ["any", 1],
    "response": {"status_code": 200, "request_id": None, "body": {}},
    "error": None,
    "line": 1,
    "provider": "openai",
    "model": "gpt-4o",
    "endpoint": "/v1/responses",
    "batch_id": "b",
    "attempts": 1,
}
ERROR = {"code": "any", "message": "m", "source": "provider", "retryable": False}


def test_a_line_has_an_error_or_an_answer() -> None:
    assert mistakes("results-line.json", ANSWER) == []
    assert mistakes("results-line.json", ANSWER | {"error": ERROR}) == []
    assert mistakes("results-line.json", ANSWER | {"error": ERROR, "response": None}) == []
    assert mistakes("results-line.json", ANSWER | {"response": None}) != []
    assert mistakes("results-line.json", ANSWER | {"line": 0}) != []
    assert mistakes("results-line.json", ANSWER | {"error": ERROR | {"source": "nobody"}}) != []


def test_the_providers_words_and_what_nobody_could_read_are_text_or_absent() -> None:
    assert mistakes("results-line.json", ANSWER | {"error": ERROR | {"provider_message": "p", "raw": "r"}}) == []
    assert mistakes("results-line.json", ANSWER | {"error": ERROR | {"provider_message": None}}) != []
    assert mistakes("results-line.json", ANSWER | {"error": ERROR | {"raw": None}}) != []
    assert msgspec.to_builtins(ResultError(**ERROR)) == ERROR


def test_an_operators_event_fits() -> None:
    event = {"schema": "batchdrop.event/1", "provider": "openai", "reason": "no key"}
    assert (mistakes("event.json", event), mistakes("event.json", without(event, "reason")) != []) == ([], True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        'max_attempts = 10\non_invalid = "reject"\npriority = -1000000\nexpected_by = "6h"\nmax_age = "36h"',
        'expected_by = "23:59Z"\npart_bytes = 5242880\nanthropic_version = "2026-10-21"\nbetas = ["a-1", "b"]',
        'drop_params = ["seed", "n"]\nbetas = []',
        "max_attempts = 0",
        "max_attempts = 11",
        'max_attempts = "three"',
        'on_invalid = "stop"',
        "priority = 1000001",
        'expected_by = "24:00Z"',
        'expected_by = "6h later"',
        'max_age = "0d"',
        "max_age = 30",
        "part_bytes = 5",
        'anthropic_version = "latest"',
        'betas = "a"',
        'betas = ["a b"]',
        f"betas = {['b'] * 51}",
        f"drop_params = ['{'p' * 101}']",
        "colour = 1",
    ],
)
def test_settings_fit_exactly_when_a_job_takes_them(text: str) -> None:
    def is_taken() -> bool:
        try:
            resolve([("input/batchdrop.toml", text)], {})
        except Unprocessable:
            return False
        return True

    assert (mistakes("batchdrop-toml.json", tomllib.loads(text)) == []) is is_taken()


def test_the_projects_own_providers_fit() -> None:
    found = tomllib.loads((ROOT / "providers.toml").read_text(encoding="utf-8"))
    assert mistakes("providers-toml.json", found) == []


@pytest.mark.parametrize(
    "change",
    [
        {"protocol": "bedrock"},
        {"modles": []},
        {"name": "x"},
        {"limits": {"enqueued_tokens": 0}},
        {"limits": {"requests_per_day": 1}},
        {"secret": 5},
    ],
    ids=str,
)
def test_a_provider_with_a_mistake_does_not_fit(change: dict[str, Any]) -> None:
    provider = {"protocol": "openai", "base_url": "https://x", "secret": "s"}
    assert mistakes("providers-toml.json", {"providers": {"mine": provider}}) == []
    assert mistakes("providers-toml.json", {"providers": {"mine": provider | change}}) != []


@pytest.mark.parametrize("found", [{}, {"providers": {}}, {"providers": {"No": {}}}], ids=str)
def test_a_file_without_providers_does_not_fit(found: dict[str, Any]) -> None:
    assert mistakes("providers-toml.json", found) != []
