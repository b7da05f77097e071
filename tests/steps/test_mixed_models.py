"""Many models of both providers in one file: few batches, and every answer in its place."""

import json
from typing import Any

from batchdrop.batches.packing import MAX_ROUTES
from faking.cloud import Cloud, jsonl
from faking.lines import chat, claude, got, wanted

MODELS = ["gpt-4o-mini", "claude-haiku-4-5", "gpt-4o", "claude-sonnet-4-5", "gpt-4.1-mini"]


def line(number: int) -> dict[str, Any]:
    model = MODELS[number % len(MODELS)]
    if not model.startswith("claude"):
        return chat(f"chat {number}", number, model)
    made = claude(f"claude {number}", number)
    return {**made, "params": {**made["params"], "model": model}}


def test_five_models_that_alternate_fill_four_batches_and_come_back_in_order(cloud: Cloud) -> None:
    lines = [line(number) for number in range(50)]
    out = cloud.run("input/mix.jsonl", lines)
    assert [got(result) for result in out.results] == [wanted(line) for line in lines]
    assert [(result["line"], result["custom_id"]) for result in out.results] == [(n + 1, n) for n in range(50)]
    # OpenAI's batches hold one model, Anthropic's mix them.
    assert {name: each["batches"] for name, each in cloud.simulator.charges().items()} == {"openai": 3, "anthropic": 1}
    assert sorted((each.model, each.requests) for each in out.manifest.models) == sorted((m, 10) for m in MODELS)


def test_models_beyond_the_bound_are_errors_of_their_lines_with_either_provider(cloud: Cloud) -> None:
    lines = [claude(f"{number}") for number in range(MAX_ROUTES + 2)]
    for number, each in enumerate(lines):
        each["params"]["model"] = f"claude-{number}"
    out = cloud.run("input/many.jsonl", jsonl([*lines, lines[0]]))
    codes = [result["error"] and result["error"]["code"] for result in out.results]
    assert codes[MAX_ROUTES:] == ["too_many_groups", "too_many_groups", codes[0]]
    assert out.failed[-2:] == [json.dumps(each).encode() for each in lines[-2:]]
    said = "over 100 models and endpoints are mixed in this part of the file"
    assert said in out.errors[-1]["error"]["message"]
