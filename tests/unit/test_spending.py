"""What counts as spent when a job is over: never less than it may have been charged."""

from decimal import Decimal
from typing import Any

import pytest
from batchdrop.limits.spending import spent_by
from batchdrop.manifest import Counts, Files, Input, Manifest, ModelCounts, Times, Usage
from batchdrop.rates import ModelPrices, Rates
from batchdrop.states import JobState


def rates(usd: int) -> Rates:
    """A dollar a token, so many times."""
    million = Decimal(usd) * 1_000_000
    return Rates(
        input=million,
        cached_input=million / 10,
        cache_write=million * 2,
        cache_write_1h=million * 3,
        output=million * 4,
    )


PRICES = {
    "usual": ModelPrices(batch=rates(1), realtime=rates(2)),
    "long": ModelPrices(batch=rates(1), realtime=rates(2), long_batch=rates(5)),
    "ceiling": ModelPrices(batch=None, realtime=rates(2)),
}
NOWHERE = Input(bucket="b", key="k", version_id=None, etag=None, bytes=1, lines=1, blank_lines=0)


def model(name: str, *, answered: int = 1, duplicates: int = 0, **tokens: int) -> ModelCounts:
    return ModelCounts(
        provider="openai",
        model=name,
        endpoint="/v1/chat/completions",
        requests=1,
        answered=answered,
        failed=0,
        batches=1,
        usage=Usage(**tokens),
        duplicates=Usage(input_tokens=duplicates),
    )


def spent(*models: ModelCounts, reserved: int = 0, errors: dict[str, int] | None = None, **changes: Any) -> int | None:
    counts = Counts(total=1, answered=1, failed=0, errors=errors or {}, finish_reasons={})
    manifest = Manifest(
        job="j",
        status=JobState.COMPLETED,
        reason=None,
        retry_of=None,
        input=NOWHERE,
        counts=changes.get("counts", counts),
        models=list(models),
        times=Times(dropped_at="", first_submitted_at=None, last_ended_at=None, published_at=""),
        files=Files(results=[], errors=None, failed=None),
        versions={},
    )
    found = spent_by(manifest, reserved, lambda _, name: PRICES.get(name))
    return None if found is None else found // 1_000_000


USED = {"input_tokens": 10, "cached_input_tokens": 5, "cache_write_tokens": 3, "output_tokens": 2}


@pytest.mark.parametrize(
    ("models", "reserved", "dollars"),
    [
        ([], 10**9, 0),
        ([model("usual", input_tokens=10, output_tokens=2)], 10**9, 18),
        ([model("ceiling", input_tokens=10, output_tokens=2)], 10**9, 36),
        ([model("usual", input_tokens=1), model("usual", input_tokens=2)], 0, 3),
        # Tokens may have been those of long requests: the most that they may have cost, up to what was reserved.
        ([model("long", input_tokens=10)], 10**9, 50),
        ([model("long", input_tokens=10)], 30_000_000, 30),
        ([model("long", input_tokens=10)], 5_000_000, 10),
        # 2 new, 5 cached, 3 written (for an hour, perhaps), 2 of output
        ([model("usual", **USED)], 0, 16),
        ([model("usual", **USED)], 10**9, 19),
        # 1 new, and 20 cached that the server does not count among its input: no cost is negative
        ([model("usual", input_tokens=1, cached_input_tokens=20)], 0, 3),
    ],
)
def test_counted_tokens_have_their_price(models: list[ModelCounts], reserved: int, dollars: int) -> None:
    assert spent(*models, reserved=reserved) == dollars


def test_second_answers_are_paid_too() -> None:
    assert spent(model("usual", input_tokens=3, duplicates=4)) == 7


def test_what_is_not_known_is_not_guessed() -> None:
    assert spent(model("unheard-of", input_tokens=1)) is None
    assert spent(model("usual"), counts=None) is None
    assert spent(model("usual"), errors={"provider_stuck": 1}) is None
    assert spent(model("usual"), errors={"collect_failed": 1}) is None


def test_a_model_that_answered_nothing_costs_nothing() -> None:
    assert spent(model("unheard-of", answered=0), errors={"batch_expired": 1}) == 0
