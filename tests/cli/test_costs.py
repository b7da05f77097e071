"""`costs`: sums over finished jobs that are exact, by folder, model or day."""

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from batchdrop.costs import settle
from batchdrop.manifest import Files, Input, Manifest, ModelCounts, Times, Usage
from batchdrop.money import Money, PriceSource, usd
from batchdrop.providers.config import Providers
from batchdrop.providers.price_list import settled_prices
from batchdrop.records import Job
from batchdrop.states import JobState

from batchdrop_cli.costs import read_since, to_csv

if TYPE_CHECKING:
    from conftest import Aws, Run

TODAY = datetime.now(UTC)
LIST = settled_prices(Providers({}))


def used(model: str, tokens: int, provider: str = "openai", requests: int = 2) -> ModelCounts:
    usage = Usage(input_tokens=tokens, output_tokens=1)
    return ModelCounts(
        provider=provider,
        model=model,
        endpoint="e",
        requests=requests,
        answered=1,
        failed=1,
        batches=1,
        usage=usage,
    )


@pytest.fixture
def over(aws: "Aws", a_job: Callable[..., Job]) -> Callable[..., Manifest]:
    """Adds a job that is over, with its manifest; the numbers tell jobs apart."""
    number = 0

    def add(key: str, *models: ModelCounts, back: int = 0, is_old: bool = False, duplicates: str = "0") -> Manifest:
        nonlocal number
        number += 1
        dropped = TODAY - timedelta(days=back)
        job = f"{dropped:%Y%m%d}T091412Z-{number:010}"
        settled, money = settle(models, LIST, PriceSource(source="s", date="d"))
        money = msgspec.structs.replace(money, duplicates_usd=duplicates)
        manifest = manifest_of(job, key, list(models) if is_old else settled, None if is_old else money)
        where = f"output/{job}/manifest.json"
        aws.drop(where, msgspec.json.encode(manifest))
        aws.store.add(
            a_job(
                job=job,
                key=key,
                dropped_at=int(dropped.timestamp()),
                state=JobState.COMPLETED,
                outcome=JobState.COMPLETED,
                manifest_key=where,
            )
        )
        return manifest

    return add


def manifest_of(job: str, key: str, models: list[ModelCounts], money: Money | None) -> Manifest:
    return Manifest(
        job=job,
        status=JobState.COMPLETED,
        reason=None,
        retry_of=None,
        input=Input(bucket="b", key=key, version_id=None, etag=None, bytes=1, lines=1, blank_lines=0),
        counts=None,
        models=models,
        times=Times(dropped_at="", first_submitted_at=None, last_ended_at=None, published_at=""),
        files=Files(results=[], errors=None, failed=None),
        versions={},
        money=money,
    )


def costs(run: "Run", *options: str) -> Any:
    code, out, err = run("costs", "--json", *options)
    assert (code, err) == (0, "")
    return json.loads(out)


def cost_of(manifests: list[Manifest]) -> str:
    return usd(sum((Decimal(each.cost_usd or 0) for manifest in manifests for each in manifest.models), Decimal(0)))


def test_jobs_are_summed_by_folder_model_and_day_to_the_last_digit(run: "Run", over: Callable[..., Manifest]) -> None:
    first = over("input/a/x.jsonl", used("gpt-4o-mini", 1), used("claude-haiku-4-5", 3, "anthropic"))
    second = over("input/a/y.jsonl", used("openai/gpt-4o-mini", 7), back=1)
    third = over("input/b/z.jsonl", used("gpt-4o-mini", 10**12), back=2)
    found = costs(run)
    assert [(each["name"], each["jobs"], each["cost_usd"]) for each in found["rows"]] == [
        ("input/a/", 2, cost_of([first, second])),
        ("input/b/", 1, cost_of([third])),
    ]
    assert found["total"]["cost_usd"] == cost_of([first, second, third])
    assert found["total"]["saved_usd"] == found["total"]["cost_usd"]  # a batch costs half
    by_model = costs(run, "--by", "model")
    assert [(each["name"], each["jobs"], each["requests"], each["duplicates_usd"]) for each in by_model["rows"]] == [
        ("anthropic/claude-haiku-4-5", 1, 2, None),
        ("openai/gpt-4o-mini", 3, 6, None),
    ]
    assert by_model["total"] == found["total"]
    by_day = costs(run, "--by", "day")
    assert [each["cost_usd"] for each in by_day["rows"]] == [cost_of([each]) for each in (third, second, first)]
    assert [each["name"] for each in by_day["rows"]] == [
        (TODAY - timedelta(days=back)).date().isoformat() for back in (2, 1, 0)
    ]


def test_since_leaves_out_what_was_dropped_before(run: "Run", over: Callable[..., Manifest]) -> None:
    over("input/x.jsonl", used("gpt-4o-mini", 1), back=3)
    late = over("input/x.jsonl", used("gpt-4o-mini", 5), back=2)
    day = (TODAY - timedelta(days=2)).date()
    ago = (datetime.now(UTC).date() - day).days  # three, where this process has begun before midnight
    for since in (day.isoformat(), f"{ago}d"):
        assert costs(run, "--since", since)["total"]["cost_usd"] == cost_of([late])


def test_a_manifest_of_an_earlier_version_counts_at_the_prices_of_now(
    run: "Run", over: Callable[..., Manifest]
) -> None:
    over("input/x.jsonl", used("gpt-4o-mini", 10**6), is_old=True)
    assert costs(run)["total"]["cost_usd"] == "0.0750003"


def test_what_has_no_price_is_told_and_so_is_what_was_paid_twice(run: "Run", over: Callable[..., Manifest]) -> None:
    over("input/x.jsonl", used("llama-of-mine", 1, "mine", requests=4), used("gpt-4o-mini", 9), duplicates="1.25")
    code, out, err = run("costs")
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()] == ["folder", "input/", "total"]
    assert "4 requests went to models whose price is unknown" in err
    assert "$1.2500 were paid for second answers" in err


def test_a_job_whose_manifest_is_gone_is_told(run: "Run", over: Callable[..., Manifest], aws: "Aws") -> None:
    over("input/x.jsonl", used("gpt-4o-mini", 1))
    kept = over("input/y.jsonl", used("gpt-4o-mini", 2))
    (key,) = [each for each in aws.keys("output/") if "0000000001" in each]
    aws.s3.delete_object(Bucket="batchdrop-test", Key=key)
    code, out, err = run("costs", "--json")
    assert (code, json.loads(out)["total"]["cost_usd"]) == (0, cost_of([kept]))
    assert err.startswith("1 job left out")


def test_csv_is_a_table_in_which_nothing_is_a_formula(run: "Run", over: Callable[..., Manifest]) -> None:
    manifest = over("input/x.jsonl", used('=HYPERLINK("x"),1', 10**6, "openai"), used("gpt-4o-mini", 5))
    code, out, err = run("costs", "--by", "model", "--csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert (code, err) == (0, "")
    assert [each["model"] for each in rows] == ['openai/=HYPERLINK("x"),1', "openai/gpt-4o-mini", "total"]
    assert rows[-1]["cost_usd"] == cost_of([manifest])


def test_a_name_that_begins_as_a_formula_does_is_made_a_text() -> None:
    from batchdrop_cli.costs import CostRow, Costs  # noqa: PLC0415 - beside the only test that makes them

    row = CostRow(
        name="=1+1",
        jobs=1,
        requests=1,
        answered=1,
        input_tokens=1,
        output_tokens=1,
        cost_usd="0",
        saved_usd="0",
        duplicates_usd=None,
        unpriced_requests=0,
    )
    assert [line.partition(",")[0] for line in to_csv(Costs(by="folder", since="d", rows=[row], total=row))] == [
        "folder",
        "'=1+1",
        "'=1+1",
    ]


def test_without_a_finished_job_nothing_is_printed_but_a_sentence(run: "Run", aws: "Aws") -> None:
    assert aws.keys() == []
    code, out, err = run("costs")
    assert (code, out) == (0, "")
    assert "No job" in err


@pytest.mark.parametrize("options", [["--since", "soon"], ["--since", "2999-01-01"], ["--json", "--csv"]])
def test_wrong_use_is_told_before_anything_is_read(run: "Run", options: list[str]) -> None:
    code, out, err = run("costs", *options)
    assert (code, out) == (2, "")
    assert err.startswith("--")


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("2026-11-01", date(2026, 11, 1)),
        ("0d", date(2026, 11, 27)),
        ("30d", date(2026, 10, 28)),
        ("2026-11-28", None),
        ("1999-01-01", None),
        ("d", None),
        ("-1d", None),
        ("99999999999d", None),
        ("²d", None),
    ],
)
def test_a_first_day_is_a_day_or_a_number_of_days(text: str, day: date | None) -> None:
    assert read_since(text, today=date(2026, 11, 27)) == day
