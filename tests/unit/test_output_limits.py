"""How many tokens a request may be answered with."""

from typing import Any

import msgspec
import pytest
from batchdrop.protocols.output_limits import output_limit
from msgspec import Raw

CHAT, RESPONSES, MESSAGES, COMPLETIONS = "/v1/chat/completions", "/v1/responses", "/v1/messages", "/v1/completions"


def limit(endpoint: str, **body: Any) -> int | None:
    return output_limit(Raw(msgspec.json.encode({"model": "m", **body})), endpoint)


@pytest.mark.parametrize(
    ("endpoint", "body", "tokens"),
    [
        (CHAT, {"max_completion_tokens": 7}, 7),
        (CHAT, {"max_tokens": 7}, 7),
        (CHAT, {"max_tokens": 7, "max_completion_tokens": 9}, 9),
        (CHAT, {"max_tokens": 7, "n": 3}, 21),
        (COMPLETIONS, {"max_tokens": 7, "n": 2, "best_of": 4}, 28),
        (RESPONSES, {"max_output_tokens": 7}, 7),
        (MESSAGES, {"max_tokens": 7}, 7),
        ("/v1/embeddings", {"input": "a"}, 0),
        ("/v1/moderations", {"input": "a"}, 0),
    ],
)
def test_a_request_says_how_much_may_be_answered(endpoint: str, body: dict[str, Any], tokens: int) -> None:
    assert limit(endpoint, **body) == tokens


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [
        (CHAT, {}),
        (CHAT, {"max_tokens": None}),
        (CHAT, {"max_output_tokens": 7}),  # another endpoint's
        (CHAT, {"max_tokens": 7, "max_completion_tokens": "9"}),
        (RESPONSES, {"max_tokens": 7}),
        (MESSAGES, {}),
        (CHAT, {"max_tokens": 7, "n": "many"}),
        (MESSAGES, {"max_tokens": 10**12}),
        (MESSAGES, {"max_tokens": 10**30}),
        (MESSAGES, {"max_tokens": -1}),
        (MESSAGES, {"max_tokens": 7.5}),
        ("/v1/images/generations", {"max_tokens": 7}),
    ],
)
def test_a_request_without_a_limit_that_its_endpoint_keeps_has_none(endpoint: str, body: dict[str, Any]) -> None:
    assert limit(endpoint, **body) is None
