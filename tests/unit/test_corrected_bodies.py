"""What a request says when its answer did not fit: two turns more, whichever endpoint it is for."""

from typing import Any

import msgspec
import pytest
from batchdrop.protocols.answer_checks import Misfit
from batchdrop.protocols.corrected_bodies import correct

ASKED = {"role": "user", "content": "Hello"}
MISFIT = Misfit("[1]", ['"/type"'], ['"/": [1] is not of type "object"'])
WORDS = (
    'Your answer does not fit the JSON Schema that was asked for:\n- "/": [1] is not of type "object"\n'
    "Answer once more, with JSON that fits it and nothing else."
)
MORE = [{"role": "assistant", "content": "[1]"}, {"role": "user", "content": WORDS}]


def corrected(body: dict[str, Any], endpoint: str, misfit: Misfit = MISFIT) -> Any:
    return msgspec.json.decode(correct(msgspec.json.encode(body), endpoint, misfit))


@pytest.mark.parametrize("endpoint", ["/v1/chat/completions", "/v1/messages"])
def test_messages_get_the_answer_and_what_is_wrong(endpoint: str) -> None:
    body = {"model": "m", "messages": [ASKED], "max_tokens": 5}
    assert corrected(body, endpoint) == body | {"messages": [ASKED, *MORE]}


@pytest.mark.parametrize("asked", ["Hello", [ASKED]])
def test_a_responses_input_becomes_turns(asked: object) -> None:
    assert corrected({"input": asked}, "/v1/responses") == {"input": [ASKED, *MORE]}


def test_an_empty_answer_is_no_turn() -> None:
    assert corrected({"messages": [ASKED]}, "/v1/messages", MISFIT._replace(text=" \n")) == {
        "messages": [ASKED, MORE[1]]
    }


def test_a_request_without_turns_goes_as_it_was() -> None:
    assert corrected({"prompt": {"id": "p"}}, "/v1/responses") == {"prompt": {"id": "p"}}
