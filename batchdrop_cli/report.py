"""Prints jobs for the commands."""

from collections.abc import Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from pathlib import Path

from batchdrop.aws.keys import INPUT
from batchdrop.manifest import Dedupe, Manifest, Usage
from batchdrop.money import Quote
from batchdrop.rates import PriceList
from batchdrop.records import Job
from batchdrop.states import BATCH_WORDS, BatchState, JobState

from batchdrop_cli.check import SHOWN_ERRORS, Found
from batchdrop_cli.jobs import Group, Listed, Shown
from batchdrop_cli.prices import cost_of_job, dollars, prices_of, shown
from batchdrop_cli.say import count, say, say_table
from batchdrop_cli.totals import Totals, totals_of
from batchdrop_cli.words import JOB_WORDS, ROW_ONE, describe_counts, noun_of


def say_jobs(jobs: Sequence[Listed]) -> None:
    rows = [
        [job.job, job.state, job.dropped_at, f"{job.bytes:,}", *_totals(job.totals), job.key.removeprefix(INPUT)]
        for job in jobs
    ]
    headings = ("job", "state", "dropped", "bytes", "answered", "failed", "tokens", "cost", "file")
    say_table(headings, rows, numbers=headings[3:8])


def _totals(totals: Totals | None) -> tuple[str, str, str, str]:
    if totals is None:
        return "", "", "", ""
    tokens = totals.input_tokens + totals.output_tokens
    cost = "unknown" if totals.cost_usd is None else shown(Decimal(totals.cost_usd))
    return f"{totals.answered:,}", f"{totals.failed:,}", f"{tokens:,}", cost


def say_shown(shown: Shown, prices: PriceList, noun: str) -> None:
    """A job in full; `noun` is what its lines are called."""
    say(f"job      {shown.job}")
    say(f"file     s3://{shown.bucket}/{shown.key} ({count(shown.bytes, 'byte')})")
    say(f"state    {shown.state}: {shown.reason or _state_words(shown, noun)}")
    say(f"dropped  {shown.dropped_at}")
    if shown.retry_of:
        say(f"retries  job {shown.retry_of}")
    for retry in shown.retries:
        say(f"retried  as job {retry.job}: {retry.state}")
    if shown.published_at:
        say(f"over     {shown.published_at}")
    _say_quote(shown.quote)
    if shown.manifest is not None:
        say_counts(shown.manifest, noun)
        _say_cost(shown.manifest, prices)
        _say_deadline(shown.manifest, noun)
        if shown.manifest.dedupe is not None:
            say(f"shared   {_saved(shown.manifest.dedupe)}")
    _say_batches(shown)
    for reason in shown.waits_for:
        say(f"waits    {reason}")
    if shown.expected_end is not None:
        say(f"expected {shown.expected_end}")
    if shown.deadline is not None:
        say(f"deadline {shown.deadline}")
    say(f"output   s3://{shown.bucket}/{shown.output}{'' if shown.manifest else ' (when it is over)'}")


def _state_words(shown: Shown, noun: str) -> str:
    counts = None if shown.manifest is None else shown.manifest.counts
    is_completed = shown.state is JobState.COMPLETED
    return describe_counts(counts, noun) if is_completed and counts else JOB_WORDS[shown.state]


def _say_batches(shown: Shown) -> None:
    if not shown.batches:
        return
    say()
    headings = ("provider", "model", "endpoint", "batches", "requests", "state")
    rows = [
        [
            each.provider,
            each.model or "any",
            each.endpoint,
            f"{each.batches:,}",
            f"{each.requests - each.moved:,}",
            _state(each),
        ]
        for each in shown.batches
    ]
    say_table(headings, rows, numbers=("batches", "requests"))
    say()


def _state(group: Group) -> str:
    """Return the state of a group's batches, with the requests that are not counted as theirs."""
    words = BATCH_WORDS[group.state]
    if not group.moved:
        return words
    moved = count(group.moved, "request")
    return f"{words}: {moved}" if group.state is BatchState.REPLACED else f"{words}; {moved} sent again"


def say_counts(manifest: Manifest, noun: str) -> None:
    counts = manifest.counts
    if counts is None:
        return
    say(f"answers  {counts.answered:,} of {count(counts.total, noun)}, {counts.failed:,} failed")
    for code, number in sorted(counts.errors.items()):
        say(f"           {number:,} {code}")


def _say_cost(manifest: Manifest, prices: PriceList) -> None:
    totals = totals_of(manifest, prices)
    if totals is not None:
        say(f"tokens   {totals.input_tokens:,} in{_cached(manifest)}, {totals.output_tokens:,} out")
        say(f"cost     {cost_of_job(manifest, prices)}, estimated")


def _cached(manifest: Manifest) -> str:
    """Return the share of the input that was read from prompt caches, and written to them."""
    used = sum((each.usage for each in manifest.models), Usage())
    if not used.input_tokens or not (used.cached_input_tokens or used.cache_write_tokens):
        return ""
    read, written = (100 * each // used.input_tokens for each in (used.cached_input_tokens, used.cache_write_tokens))
    return f" ({read} % read from prompt caches, {written} % written to them)"


def _say_deadline(manifest: Manifest, noun: str) -> None:
    deadline = manifest.deadline
    if deadline is None:
        return
    what = "met" if deadline.met else f"missed{f'. {deadline.reason}' if deadline.reason else ''}"
    say(f"deadline {deadline.at}: {what}")
    if deadline.finished_realtime:
        extra = "" if deadline.extra_usd is None else f", for {_up(deadline.extra_usd)} more than in batches"
        say(f"called   {count(deadline.finished_realtime, noun)} at real time{extra}")
    if deadline.doubts:
        say(f"doubts   {count(deadline.doubts, 'call')} got no reply, and may be charged")


def _say_quote(quote: Quote | None) -> None:
    if quote is not None:
        say(f"quoted   {describe_quote(quote)}")


def describe_quote(quote: Quote) -> str:
    """`$0.0010 to $0.0200, $0.0100 expected`."""
    least = _down(quote.low_usd)
    most = " with no known limit" if quote.high_usd is None else f" to {_up(quote.high_usd)}"
    expected = "" if quote.expected_usd is None else f", {_up(quote.expected_usd)} expected"
    return f"{least}{'' if most == f' to {least}' else most}{expected}"


def _down(dollars: str) -> str:
    return shown(Decimal(dollars), ROUND_FLOOR)


def _up(dollars: str) -> str:
    return shown(Decimal(dollars), ROUND_CEILING)


def say_over(job: Job, manifest: Manifest, *, has_errors_file: bool = True) -> None:
    """One sentence about a job that is over; a second one where it did not complete and still has results."""
    counts, noun = manifest.counts, noun_of(job)
    where = ", see errors.jsonl" if has_errors_file else ""
    failed = f"; {count(counts.failed, noun)} failed{where}" if counts and counts.failed else ""
    answered = f"{describe_counts(counts, noun)}{failed}." if counts else ""
    if manifest.status is JobState.COMPLETED and counts:
        say(f"Job {job.id} completed: {answered}")
        return
    say(f"Job {job.id} {manifest.status.lower()}: {manifest.reason or JOB_WORDS[manifest.status]}")
    if counts:
        say(f"{answered[:1].upper()}{answered[1:]}")


def say_merged(answered: int, failed: int, noun: str) -> None:
    still = f"; {count(failed, noun)} failed, see errors.jsonl" if failed else ""
    say(f"With its retries: {answered:,} of {count(answered + failed, noun)} answered{still}.")


def say_summary(manifest: Manifest, prices: PriceList) -> None:
    """Print a job's usage and cost by model. Nothing where no model was asked."""
    if not manifest.models:
        return
    headings = ("provider", "model", "endpoint", "requests", "answered", "failed", "tokens in", "tokens out", "cost")
    rows = [
        [
            each.provider,
            each.model,
            each.endpoint,
            f"{each.requests:,}",
            f"{each.answered:,}",
            f"{each.failed:,}",
            f"{each.usage.input_tokens:,}",
            f"{each.usage.output_tokens:,}",
            dollars(price),
        ]
        for each, price in zip(manifest.models, prices_of(manifest, prices), strict=True)
    ]
    say()
    say_table(headings, rows, numbers=headings[3:])
    say()
    say(f"Estimated cost: {cost_of_job(manifest, prices)}.")
    if manifest.dedupe is not None:
        say(f"Equal to others, and not sent: {_saved(manifest.dedupe)}.")


def _saved(dedupe: Dedupe) -> str:
    tokens = f"{count(dedupe.input_tokens, 'token')} in and {dedupe.output_tokens:,} out"
    cost = "at an unknown price" if dedupe.saved_usd is None else shown(Decimal(dedupe.saved_usd))
    return f"{count(dedupe.requests_saved, 'request')}, which saved {tokens}, {cost}"


def say_files(paths: Sequence[Path]) -> None:
    for path in paths:
        say(f"  {path}")


def say_found(path: Path, found: Found) -> None:
    """Print the findings of `validate`."""
    good = sum(found.requests.values())
    parts = [f"{good:,} to be sent", f"{found.invalid:,} with errors", f"{found.blank:,} blank"]
    parts += [f"{found.shared:,} equal to others"] if found.shared else []
    say(f"{path}: {count(found.lines, found.noun)}: {', '.join(parts)}")
    if found.requests:
        say()
        rows = [[*route, f"{number:,}"] for route, number in sorted(found.requests.items())]
        say_table(("provider", "model", "endpoint", "requests"), rows, numbers=("requests",))
        say()
        say(f"{count(found.batches, 'batch', 'batches')} to be made.")
    if found.errors:
        say()
        for line, code, message in found.errors:
            say(f"{found.noun} {line}: {code}: {message}")
        if found.invalid > SHOWN_ERRORS:
            say(f"… and {count(found.invalid - SHOWN_ERRORS, f'more {found.noun}')} with errors.")
        if found.noun == "row":
            say(ROW_ONE)
