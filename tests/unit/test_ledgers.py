"""What a batch takes of a limit, and what the limit is believed to be."""

import msgspec
import pytest
from batchdrop.limits.ledgers import batch_allowance, cost_of, is_too_large, limit_of
from batchdrop.protocols.openai_failures import Judgement, judge_failures, never_fits
from batchdrop.protocols.outcome import Failure, parse_token_limit
from batchdrop.providers.config import ProviderConfig
from batchdrop.providers.http_errors import refusal
from batchdrop.providers.limits import Limits
from batchdrop.records import Ledger, Protocol
from batchdrop.refusal_kinds import Kind
from faking.rows import a_batch

NOW = 1_800_000_000
FULL = (
    "Enqueued token limit reached for gpt-4o in organization org-1. Limit: 90,000 enqueued tokens. "
    "Please try again once some in_progress batches have been completed."
)
LEDGER = Ledger(name="openai/gpt-4o")


def provider(protocol: Protocol = Protocol.OPENAI) -> ProviderConfig:
    limits = Limits(enqueued_tokens=2_000_000, queued_requests=300)
    return ProviderConfig(protocol=protocol, base_url="http://x", secret="s", limits=limits)


@pytest.mark.parametrize(
    ("learned", "until", "limit"),
    [
        (None, 0, 2_000_000),
        (90_000, NOW + 1, 90_000),
        (90_000, NOW, 2_000_000),  # a day is over
        (9_000_000, NOW + 1, 2_000_000),  # the configured one is not passed
    ],
)
def test_a_limit_that_was_told_is_believed_for_its_time(learned: int | None, until: int, limit: int) -> None:
    ledger = msgspec.structs.replace(LEDGER, learned=learned, learned_until=until)
    assert limit_of(provider(), ledger, NOW) == limit


def test_anthropics_limit_is_of_requests() -> None:
    assert limit_of(provider(Protocol.ANTHROPIC), Ledger(name="anthropic"), NOW) == 300


@pytest.mark.parametrize(
    ("estimated", "used", "cost"),
    [
        (0, 0, 1_000),
        (1_000, 100, 1_000),  # small batches prove little: an envelope weighs more than its prompt there
        (99_000_000, 49_000_000, 500),
        (99_000_000, 199_000_000, 2_000),
        (99_000_000, 1_000, 250),  # at most four times, either way
        (1_000_000, 999_000_000, 4_000),
    ],
)
def test_what_came_back_corrects_the_estimate(estimated: int, used: int, cost: int) -> None:
    assert cost_of(1_000, msgspec.structs.replace(LEDGER, estimated=estimated, used=used)) == cost


def test_whatever_was_learned_a_batch_costs_something() -> None:
    assert cost_of(1, msgspec.structs.replace(LEDGER, estimated=10**9, used=1)) == 1


@pytest.mark.parametrize(
    ("message", "limit"),
    [
        (FULL, 90_000),
        ("limit: 2000000 enqueued tokens", 2_000_000),
        ("Limit: 0 enqueued tokens.", None),
        ("The queue is full.", None),
        ("", None),
    ],
)
def test_a_refusal_tells_the_limit(message: str, limit: int | None) -> None:
    assert parse_token_limit(message) == limit


def test_a_full_queue_waits_and_tells_its_limit() -> None:
    failures = (Failure(code="token_limit_exceeded", message=FULL),)
    assert judge_failures(failures, requests=2) == Judgement(kind=Kind.QUEUE, words=FULL, limit=90_000)
    assert not any(never_fits(90_000, requests=2, tokens=100_000, waits=waits) for waits in (0, 999))


@pytest.mark.parametrize(
    ("message", "tokens", "tries"),
    [
        (FULL, 90_001, 6),  # it is larger than the limit, as estimated
        (FULL, 90_000, 25),  # the estimate may be far too low, or others fill the queue
        ("The queue is full.", 90_001, 25),
    ],
)
def test_one_line_that_always_finds_the_queue_full_is_tried_and_then_ends(
    message: str, tokens: int, tries: int
) -> None:
    limit = parse_token_limit(message)
    found = [never_fits(limit, requests=1, tokens=tokens, waits=waits) for waits in range(30)]
    assert (found.index(True) + 1, found[tries:]) == (tries, [True] * (30 - tries))


@pytest.mark.parametrize(("waits", "most"), [(0, 2_000_000), (1, 1_000_000), (5, 62_500), (99, 62_500)])
def test_requests_sent_without_success_may_take_ever_less_of_the_limit(waits: int, most: int) -> None:
    batch = a_batch(waits=waits, cost=most, requests=2)
    found = [is_too_large(batch.with_(cost=cost), provider(), LEDGER, NOW) for cost in (most, most + 1)]
    assert (batch_allowance(batch, provider(), LEDGER, NOW), found) == (most, [False, True])
    alone = batch.with_(requests=1, cost=9_000_000)
    assert not is_too_large(alone, provider(), LEDGER, NOW)


def test_requests_are_counted_as_they_are_and_so_nothing_is_made_smaller_for_them() -> None:
    assert batch_allowance(a_batch(waits=9), provider(Protocol.ANTHROPIC), LEDGER, NOW) == 300


@pytest.mark.parametrize("status", [400, 429])
def test_a_create_may_be_refused_for_the_same_reason(status: int) -> None:
    body = msgspec.json.encode({"error": {"code": "token_limit_exceeded", "message": FULL}})
    found = refusal(status, body)
    assert (type(found).__name__, str(found), getattr(found, "limit", None)) == (
        "LimitReached",
        f"{status} token_limit_exceeded",
        90_000,
    )
