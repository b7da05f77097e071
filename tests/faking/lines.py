"""Input lines of every form, and what their own answers are."""

import json
from collections.abc import Callable
from typing import Any

from batchdrop.protocols.claude_models import rules_of
from batchdrop.protocols.translate.request import to_messages
from msgspec import Raw

from provider_simulator.answers import content, expected

CHAT, MESSAGES, EMBEDDINGS, RESPONSES = "/v1/chat/completions", "/v1/messages", "/v1/embeddings", "/v1/responses"
CLAUDE = "claude-haiku-4-5"


def chat(text: str, custom_id: Any = None, model: str = "gpt-4o-mini") -> dict[str, Any]:
    body = {"model": model, "messages": [{"role": "user", "content": text}]}
    return {"custom_id": custom_id, "method": "POST", "url": CHAT, "body": body}


def claude(text: str, custom_id: Any = None) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}]
    return {"custom_id": custom_id, "params": {"model": CLAUDE, "max_tokens": 20, "messages": messages}}


def capped(text: str, custom_id: Any = None) -> dict[str, Any]:
    """A chat line that names the most that its answer may have, so that it is known what it may cost."""
    line = chat(text, custom_id)
    return line | {"body": line["body"] | {"max_tokens": 20}}


def mixed(count: int) -> list[dict[str, Any]]:
    """Lines that alternate between forms and providers."""
    forms: list[Callable[[int], dict[str, Any]]] = [
        lambda number: chat(f"chat {number}", f"c{number}"),
        lambda number: claude(f"claude {number}", {"n": number}),
        lambda number: {"model": "text-embedding-3-small", "input": f"embed {number}"},
        lambda number: {"custom_id": number, "model": "gpt-5-mini", "input": f"respond {number}"},
    ]
    return [forms[number % 4](number) for number in range(count)]


def wanted(line: dict[str, Any]) -> tuple[str, Any]:
    """The endpoint of a line and the answer that is its own."""
    if "params" in line:
        return MESSAGES, expected(MESSAGES, line["params"])
    if "body" in line and line["body"]["model"] == CLAUDE:
        return line["url"], expected(MESSAGES, _translated(line["body"]))
    if "body" in line:
        return line["url"], expected(line["url"], line["body"])
    endpoint = EMBEDDINGS if "embedding" in line["model"] else RESPONSES
    return endpoint, expected(endpoint, {name: value for name, value in line.items() if name != "custom_id"})


def _translated(body: dict[str, Any]) -> Any:
    raw = Raw(json.dumps(body).encode())
    sent = to_messages(raw, model=CLAUDE, api_version="2023-06-01", rules=rules_of(CLAUDE))
    return json.loads(bytes(sent))


def got(result: dict[str, Any]) -> tuple[str, Any]:
    """The same of a result."""
    return result["endpoint"], content(result["endpoint"], result["response"]["body"])


def for_model(line: dict[str, Any], model: str) -> dict[str, Any]:
    """The same line for another model."""
    inner = "params" if "params" in line else "body"
    return line | {inner: line[inner] | {"model": model}}


def wanted_of(result: dict[str, Any], line: dict[str, Any]) -> tuple[str, Any]:
    """What the model that a result names answers to its line."""
    by = result.get("answered_by")
    return wanted(line if by is None else for_model(line, by["model"]))
