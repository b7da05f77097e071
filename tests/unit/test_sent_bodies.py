"""How a job's output schema gets into requests: the same from a line by itself and from a block."""

import json
from typing import Any

import pytest
from batchdrop.inputs.request_lines import LineReader, Request
from batchdrop.inputs.sent_bodies import OutputFormats
from batchdrop.inputs.usual_lines import UsualReader
from batchdrop.protocols.output_schemas import OutputSchema
from batchdrop.providers.config import Providers, load_providers
from faking.cloud import TOML, jsonl
from faking.lines import capped, chat, claude
from msgspec import Raw

SCHEMA = b'{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}'
FORMATS = OutputFormats(OutputSchema(SCHEMA))
CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
ASKED = {"type": "json_schema", "schema": json.loads(SCHEMA)}
NAMED = {"name": "answer", "schema": json.loads(SCHEMA), "strict": True}
RESPONSE_FORMAT = {"type": "json_schema", "json_schema": NAMED}
TEXT_FORMAT = {"type": "json_schema"} | NAMED


def providers() -> Providers:
    return load_providers(TOML)


def added(body: dict[str, Any], endpoint: str, *, is_claude: bool = False) -> dict[str, Any] | None:
    """What is sent instead of a body; None where it stays."""
    raw = Raw(json.dumps(body).encode())
    sent, has_schema = FORMATS.add(raw, endpoint, is_claude=is_claude)
    assert has_schema is (sent is not raw)
    return json.loads(bytes(sent)) if has_schema else None


@pytest.mark.parametrize(
    ("body", "endpoint", "wanted"),
    [
        ({"model": "m"}, CHAT, {"response_format": RESPONSE_FORMAT}),
        ({"model": "m", "response_format": None}, CHAT, {"response_format": RESPONSE_FORMAT}),
        ({"model": "m"}, RESPONSES, {"text": {"format": TEXT_FORMAT}}),
        ({"model": "m", "text": None}, RESPONSES, {"text": {"format": TEXT_FORMAT}}),
        (
            {"model": "m", "text": {"verbosity": "low", "format": None}},
            RESPONSES,
            {"text": {"verbosity": "low", "format": TEXT_FORMAT}},
        ),
        ({"model": "m"}, MESSAGES, {"output_config": {"format": ASKED}}),
        (
            {"model": "m", "output_config": {"effort": "low"}},
            MESSAGES,
            {"output_config": {"effort": "low", "format": ASKED}},
        ),
    ],
)
def test_a_body_asks_in_its_endpoints_way(body: dict[str, Any], endpoint: str, wanted: dict[str, Any]) -> None:
    assert added(body, endpoint) == body | wanted


@pytest.mark.parametrize(
    ("body", "endpoint"),
    [
        ({"response_format": {"type": "text"}}, CHAT),
        ({"response_format": {"type": "json_object"}}, CHAT),
        ({"text": {"format": {"type": "text"}}}, RESPONSES),
        ({"text": "low"}, RESPONSES),
        ({"output_config": {"format": ASKED}}, MESSAGES),
        ({"output_config": {"format": ASKED}}, CHAT),
        ({"output_format": ASKED}, MESSAGES),
        ({"input": "x"}, "/v1/embeddings"),
        ({"prompt": "x"}, "/v1/completions"),
    ],
)
def test_a_form_of_its_own_and_an_endpoint_without_one_stay(body: dict[str, Any], endpoint: str) -> None:
    assert added({"model": "m"} | body, endpoint) is None


def test_lines_in_blocks_ask_as_lines_one_by_one_do() -> None:
    lines = [
        chat("one", "1"),
        claude("two", "2"),
        capped("three", "3"),
        {"custom_id": "4", "url": "/v1/embeddings", "body": {"model": "text-embedding-3-small", "input": "x"}},
        {"custom_id": "5", "url": RESPONSES, "body": {"model": "gpt-5-mini", "input": "x"}},
    ]
    careful = LineReader(providers(), output_formats=FORMATS)
    usual = UsualReader(providers(), output_formats=FORMATS)
    for line in lines:
        text = jsonl([line])
        read = careful.read(text.rstrip())
        assert isinstance(read, Request)
        usual.learn(read)
        block = usual.read(text)
        assert block is not None
        assert block.bodies == [bytes(read.body)]
        assert [each.has_schema for each in block.routes] == [read.has_schema]
        assert read.has_schema is ("embeddings" not in line.get("url", ""))


def test_a_block_in_which_a_line_may_state_its_own_form_is_read_line_by_line() -> None:
    careful, usual = LineReader(providers(), output_formats=FORMATS), UsualReader(providers(), output_formats=FORMATS)
    read = careful.read(jsonl([chat("one", "1")]).rstrip())
    assert isinstance(read, Request)
    usual.learn(read)
    own = chat("two", "2")
    own["body"]["response_format"] = {"type": "text"}
    assert usual.read(jsonl([own])) is None
