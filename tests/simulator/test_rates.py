"""Requests and tokens a minute that an account may send at real time, on the simulator's clock."""

from collections.abc import Callable
from typing import Any

import anthropic as claude
import openai as gpt
import pytest
from anthropic import Anthropic
from openai import OpenAI

from provider_simulator.app import Simulator
from provider_simulator.vendor_schemas import violation_of

type Line = Callable[..., dict[str, Any]]

OPENAI = [f"x-ratelimit-{what}-{unit}" for unit in ("requests", "tokens") for what in ("limit", "remaining", "reset")]
ANTHROPIC = [
    f"anthropic-ratelimit-{unit}-{what}" for unit in ("requests", "tokens") for what in ("limit", "remaining", "reset")
]


def ask(openai: OpenAI, line: dict[str, Any]) -> Any:
    return openai.chat.completions.with_raw_response.create(**line["body"])


def refused(openai: OpenAI, line: dict[str, Any]) -> gpt.RateLimitError:
    with pytest.raises(gpt.RateLimitError) as found:
        ask(openai, line)
    return found.value


def tokens_of(answer: Any) -> int:
    count: int = answer.parse().usage.total_tokens
    return count


def test_there_is_no_limit_that_nobody_ordered(openai: OpenAI, simulator: Simulator, chat: Line) -> None:
    answers = [ask(openai, chat(number)) for number in range(50)]
    assert [name for name in OPENAI if name in answers[-1].headers] == []
    simulator.limits(openai_requests_per_minute=1)
    refused(openai, chat(1))
    simulator.clear_faults()
    assert ask(openai, chat(1)).parse().usage


def test_requests_beyond_the_limit_wait_for_the_oldest_to_be_a_minute_old(
    openai: OpenAI, simulator: Simulator, chat: Line
) -> None:
    simulator.limits(openai_requests_per_minute=2)
    ask(openai, chat(1))
    simulator.advance(20)
    ask(openai, chat(2))
    error = refused(openai, chat(3))
    assert (error.type, error.code, error.response.headers["retry-after"]) == ("requests", "rate_limit_exceeded", "40")
    assert "Limit 2, Used 2, Requested 1." in error.message
    assert violation_of("openai", "ErrorResponse", error.response.json()) is None
    simulator.advance(39.5)
    assert refused(openai, chat(3)).response.headers["retry-after"] == "1"
    simulator.advance(0.5)
    ask(openai, chat(3))
    assert refused(openai, chat(4)).response.headers["retry-after"] == "20"
    assert simulator.charges()["openai"]["realtime"]["requests"] == 3


def test_tokens_beyond_the_limit_wait_until_so_many_are_a_minute_old(
    openai: OpenAI, simulator: Simulator, chat: Line
) -> None:
    each = tokens_of(ask(openai, chat(1)))
    simulator.advance(60)
    simulator.limits(openai_tokens_per_minute=2 * each + 1)
    ask(openai, chat(2))
    simulator.advance(10)
    ask(openai, chat(3))
    error = refused(openai, chat(4))
    assert (error.type, error.response.headers["retry-after"]) == ("tokens", "50")
    simulator.advance(50)
    assert tokens_of(ask(openai, chat(4))) == each


def test_a_request_above_the_whole_limit_is_told_no_time(openai: OpenAI, simulator: Simulator, chat: Line) -> None:
    simulator.limits(openai_tokens_per_minute=3)
    error = refused(openai, chat(1))
    assert (error.type, "retry-after" in error.response.headers) == ("tokens", False)


def test_openais_headers_tell_what_is_left(openai: OpenAI, simulator: Simulator, chat: Line) -> None:
    simulator.limits(openai_requests_per_minute=2, openai_tokens_per_minute=1000)
    first = ask(openai, chat(1))
    left = 1000 - tokens_of(first)
    assert [first.headers[name] for name in OPENAI] == ["2", "1", "1m0s", "1000", str(left), "1m0s"]
    simulator.advance(12.5)
    left -= tokens_of(ask(openai, chat(2)))
    simulator.advance(12.25)
    headers = refused(openai, chat(3)).response.headers
    assert [headers[name] for name in OPENAI] == ["2", "0", "47.75s", "1000", str(left), "47.75s"]


def test_anthropics_headers_tell_what_is_left(anthropic: Anthropic, simulator: Simulator, message: Line) -> None:
    simulator.limits(anthropic_requests_per_minute=1, anthropic_tokens_per_minute=1000)
    answer = anthropic.messages.with_raw_response.create(**message(1)["params"])
    usage = answer.parse().usage
    left, reset = str(1000 - usage.input_tokens - usage.output_tokens), "2027-01-15T08:01:00Z"
    assert [answer.headers[name] for name in ANTHROPIC] == ["1", "0", reset, "1000", left, reset]
    simulator.advance(0.5)
    with pytest.raises(claude.RateLimitError, match="rate_limit_error") as found:
        anthropic.messages.create(**message(2)["params"])
    headers = found.value.response.headers
    assert [headers[name] for name in ("retry-after", *ANTHROPIC)] == ["60", "1", "0", reset, "1000", left, reset]
    assert violation_of("anthropic", "ErrorResponse", found.value.response.json()) is None


def test_a_limit_is_an_accounts_own_and_a_protocols_own(
    openai: OpenAI, anthropic: Anthropic, simulator: Simulator, chat: Line, message: Line
) -> None:
    simulator.limits(openai_requests_per_minute=1)
    ask(openai, chat(1))
    refused(openai, chat(2))
    ask(openai.with_options(api_key="sk-two"), chat(2))
    for number in range(3):
        anthropic.messages.create(**message(number)["params"])


def test_what_was_refused_counts_for_nothing(openai: OpenAI, simulator: Simulator, chat: Line) -> None:
    simulator.limits(openai_requests_per_minute=1)
    for _ in range(3):
        with pytest.raises(gpt.BadRequestError):
            ask(openai, chat(1, temperature=9))
    simulator.fault("connection_reset", operation="realtime")
    with pytest.raises(gpt.APIConnectionError):
        ask(openai, chat(1))
    ask(openai, chat(1))
    refused(openai, chat(2))


def test_a_lost_reply_counts(openai: OpenAI, simulator: Simulator, chat: Line) -> None:
    simulator.limits(openai_requests_per_minute=1)
    simulator.fault("reply_lost", operation="realtime")
    with pytest.raises(gpt.APIConnectionError):
        ask(openai, chat(1))
    refused(openai, chat(1))


def test_batches_have_no_part_in_it(openai: OpenAI, simulator: Simulator, start: Any, chat: Line) -> None:
    simulator.limits(openai_requests_per_minute=1)
    start([chat(number) for number in range(5)])
    ask(openai, chat(9))
    assert simulator.charges()["openai"]["requests"] == 5
