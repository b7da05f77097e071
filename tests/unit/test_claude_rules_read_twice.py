"""batchdrop's rules of Claude's models and the simulator's were written apart: on each request they say the same."""

import json
from itertools import combinations, product
from typing import Any

import pytest
from batchdrop.protocols.claude_models import RULES, rules_of
from batchdrop.protocols.claude_rules import check_model_rules
from batchdrop.protocols.request_checks import LineProblem, read_body

from provider_simulator import anthropic_rules

TOOL = {"name": "f", "input_schema": {"type": "object"}}
HI = {"role": "user", "content": "Hi"}
CALL = {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "f", "input": {}}]}
RESULT = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "1"}]}
HTTP = {"role": "user", "content": [{"type": "image", "source": {"type": "url", "url": "http://example.org/a.png"}}]}
OPEN: dict[str, Any] = {"type": ["object", "null"], "properties": {}}
BOUND = {"type": "object", "properties": {"a": {"type": "integer", "minimum": 1}}, "additionalProperties": False}
PARTS: tuple[list[dict[str, Any]], ...] = (
    [
        {},
        *({"thinking": {"type": kind}} for kind in ("disabled", "adaptive")),
        *({"thinking": {"type": "enabled", "budget_tokens": budget}} for budget in (5, 1024, 2000)),
    ],
    [
        {},
        *({"output_config": {"effort": effort}} for effort in ("low", "medium", "high", "xhigh", "max")),
        *({"output_config": {"format": {"type": "json_schema", "schema": each}}} for each in (OPEN, BOUND)),
    ],
    [
        {},
        {"temperature": 0.2},
        {"temperature": 1},
        {"top_p": 0.5},
        {"top_p": 0.97},
        {"top_p": 0.99},
        {"top_k": 5},
        {"temperature": 0.3, "top_p": 0.5},
    ],
    [
        {},
        {"tools": [{**TOOL, "strict": True}]},
        *({"tools": [TOOL], "tool_choice": {"type": each}} for each in ("any", "auto", "none")),
        {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "f"}},
    ],
    [
        {},
        {"messages": [HI, {"role": "assistant", "content": "So"}]},
        {"messages": [HI, CALL, RESULT], "tools": [TOOL]},
        {"messages": [HTTP]},
    ],
)
MODELS = [
    *(f"claude-{name}" for name in RULES if not name.endswith(("-3", "-3-5", "-3-7"))),
    *("claude-3-haiku-20240307", "claude-3-5-sonnet-20241022", "claude-3-7-sonnet-20250219"),
    *("claude-sonnet-4-5-20250929", "claude-of-tomorrow"),
]
# What one of the two knows alone: the effort that needs thinking (effort), and a preview that was open to few.
ALONE = ("cannot be beside thinking that",)


def refused_here(body: dict[str, Any]) -> str | None:
    try:
        check_model_rules(read_body(json.dumps(body).encode()), rules_of(body["model"]))
    except LineProblem as problem:
        return problem.message
    return None


@pytest.mark.parametrize("model", [each for each in MODELS if each != "claude-mythos-preview"])
def test_two_readings_of_the_vendors_pages_agree_on_each_pair_of_parameters(model: str) -> None:
    for first, second in combinations(PARTS, 2):
        for one, other in product(first, second):
            body = {"model": model, "max_tokens": 2000, "messages": [HI], **one, **other}
            here, there = refused_here(body), anthropic_rules.refusal(body)
            assert (here is None) == (there is None) or any(each in (here or "") for each in ALONE), (body, here, there)
