"""What is counted of a job: sums over lines, parts and routes."""

import msgspec
from batchdrop.manifest import Counts, ModelCounts, Usage, timestamp
from batchdrop.outputs.sealed_parts import RouteTally, Tally, add_counts, add_models


def model(name: str, number: int, *, provider: str = "openai", endpoint: str = "/v1/responses") -> ModelCounts:
    return ModelCounts(
        provider=provider,
        model=name,
        endpoint=endpoint,
        requests=3 * number,
        answered=2 * number,
        failed=number,
        batches=1,
        usage=Usage(
            input_tokens=10 * number,
            cached_input_tokens=number,
            cache_write_tokens=2 * number,
            output_tokens=5 * number,
            reasoning_tokens=3 * number,
        ),
    )


def test_counts_add_up_key_by_key_in_the_order_of_their_names() -> None:
    parts = [
        Counts(total=3, answered=1, failed=2, errors={"invalid_json": 1, "cancelled": 1}, finish_reasons={"stop": 1}),
        Counts(total=0, answered=0, failed=0, errors={}, finish_reasons={}),
        Counts(total=3, answered=2, failed=1, errors={"cancelled": 1}, finish_reasons={"length": 1, "stop": 1}),
    ]
    added = add_counts(parts)
    assert added == Counts(
        total=6,
        answered=3,
        failed=3,
        errors={"cancelled": 2, "invalid_json": 1},
        finish_reasons={"length": 1, "stop": 2},
    )
    assert list(added.errors) == ["cancelled", "invalid_json"]


def test_models_add_up_by_provider_model_and_endpoint() -> None:
    parts = [
        [model("b", 1), model("a", 2)],
        [model("a", 3), model("a", 1, endpoint="/v1/embeddings"), model("a", 1, provider="groq")],
        [],
    ]
    usage = Usage(input_tokens=50, cached_input_tokens=5, cache_write_tokens=10, output_tokens=25, reasoning_tokens=15)
    both = ModelCounts(
        provider="openai",
        model="a",
        endpoint="/v1/responses",
        requests=15,
        answered=10,
        failed=5,
        batches=2,
        usage=usage,
    )
    assert add_models(parts) == [
        model("a", 1, provider="groq"),
        model("a", 1, endpoint="/v1/embeddings"),
        both,
        model("b", 1),
    ]


def test_no_parts_are_nothing() -> None:
    assert (add_counts([]), add_models([])) == (
        Counts(total=0, answered=0, failed=0, errors={}, finish_reasons={}),
        [],
    )


def test_a_splits_total_is_what_was_answered_and_what_failed() -> None:
    tally = Tally()
    for code in ("cancelled", "batch_expired", "cancelled", "cancelled"):
        tally.fail(code)
    tally.answers(["stop", None, None], 2)
    assert tally.counts() == Counts(
        total=6,
        answered=2,
        failed=4,
        errors={"batch_expired": 1, "cancelled": 3},
        finish_reasons={"stop": 1},
    )


def test_a_sentence_is_no_name_that_is_counted() -> None:
    tally = Tally()
    tally.fail("The prompt was odd")
    tally.answers(["because of \u202e"], 1)
    assert (tally.counts().errors, tally.counts().finish_reasons) == ({"(others)": 1}, {"(others)": 1})


def test_a_hundred_codes_are_counted_by_name_and_all_others_together() -> None:
    tally = Tally()
    for number in range(20_000):
        tally.fail(f"code_{number % 10_000}")
        tally.answers([f"reason_{number % 10_000}"], 1)
    counts = tally.counts()
    assert counts.errors == {f"code_{number}": 2 for number in range(100)} | {"(others)": 19_800}
    assert counts.finish_reasons == {f"reason_{number}": 2 for number in range(100)} | {"(others)": 19_800}
    other = Tally()
    for number in range(10_000, 10_200):
        other.fail(f"code_{number}")
    added = add_counts([counts, other.counts()])
    assert added.errors == counts.errors | {"(others)": 20_000}
    assert (added.total, added.failed) == (40_200, 20_200)


def test_an_event_is_small_whatever_the_providers_call_their_errors() -> None:
    tally = Tally()
    for number in range(1_000):
        tally.fail(f"{number:04}" + "\1" * 10_000)  # six bytes each in JSON
        tally.answers([f"{number:04}" + "\1" * 10_000], 1)
    assert len(msgspec.json.encode(add_counts([tally.counts()]))) < 128 * 1024  # EventBridge takes 256 KB


def test_a_route_adds_up_the_usage_of_its_answers() -> None:
    route, usage = RouteTally(), model("a", 2).usage
    route.add(usage)
    route.add(usage)
    assert (route.answered, route.usage()) == (2, usage + usage)


def test_times_are_written_in_utc_to_the_second() -> None:
    assert timestamp(1793870052) == "2026-11-05T09:14:12Z"
