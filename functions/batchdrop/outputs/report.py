"""A job's report: one page for people that needs nothing else, made from its manifest and its rows. Pure.

It holds no prompt and no answer, and its size is bounded whatever the job's is. All that others named is text.
"""

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import islice
from pathlib import PurePosixPath

from batchdrop.batches.job_quote import JobQuote
from batchdrop.dollars import in_words, micros_of
from batchdrop.manifest import Counts, File, Manifest, ModelCounts
from batchdrop.outputs.html_text import facts, table, text
from batchdrop.outputs.report_picture import first_batches, picture_of
from batchdrop.outputs.report_style import POLICY, STYLE
from batchdrop.outputs.timeline import timeline
from batchdrop.records import Batch, Job
from batchdrop.texts import count

MOST_ROWS = 100  # of a table: a job may ask many models, and be published in many parts
_MODEL_HEADINGS = ("Model", "Provider", "Requests", "Answered", "Failed", "Quoted at most", "Cost", "Saved")


def render_report(manifest: Manifest, job: Job, batches: Iterable[Batch], quote: JobQuote | None) -> bytes:
    """The page, in UTF-8.

    Args:
        manifest: The job's.
        job: Its row.
        batches: Those of its batches whose rows are left, in their order; they are read once, and few are held.
        quote: What it was quoted at by model, where that is still there.
    """
    name = PurePosixPath(manifest.input.key).name
    sections = [
        ("State", _state(manifest)),
        ("Lines", _lines(manifest)),
        ("Quote and cost", _money(manifest, quote)),
        ("Timeline", _timeline(manifest, job, batches)),
        ("Why lines failed", _errors(manifest.counts)),
        ("Files", _files(manifest)),
    ]
    summary = f'<p class="small">{text(job.settings.summary)}</p>' if job.settings.summary else ""
    body = "".join(f"<section><h2>{heading}</h2>{content}</section>" for heading, content in sections if content)
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{text(POLICY)}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text(name)}: report of job {text(manifest.job)}</title><style>{STYLE}</style></head>"
        f"<body><main><h1>{text(name)}</h1>{summary}{body}</main></body></html>\n"
    )
    return page.encode()


def _state(manifest: Manifest) -> str:
    times, deadline = manifest.times, manifest.deadline
    is_met = deadline and f"{deadline.at}, {'met' if deadline.met else 'missed'}"
    return facts(
        (
            ("State", manifest.status.capitalize()),
            ("Reason", manifest.reason),
            ("Job", manifest.job),
            ("Retry of", manifest.retry_of),
            ("File", f"s3://{manifest.input.bucket}/{manifest.input.key}"),
            ("Dropped", times.dropped_at),
            ("First batch sent", times.first_submitted_at),
            ("Last batch ended", times.last_ended_at),
            ("Published", times.published_at),
            ("Deadline", is_met),
            ("At real time", count(deadline.finished_realtime, "line") if deadline else None),
            ("batchdrop", manifest.versions.get("batchdrop")),
        )
    )


def _lines(manifest: Manifest) -> str:
    counts = manifest.counts
    if counts is None:
        return "<p>The job has no results.</p>"
    rows = [("Answered", counts.answered), ("Failed", counts.failed), ("All", counts.total)]
    return table("Lines by state", ("State", "Lines"), rows)


def _usd(dollars: str | Decimal | None) -> str | None:
    return None if dollars is None else in_words(micros_of(Decimal(dollars)))


def _money(manifest: Manifest, quote: JobQuote | None) -> str:
    quoted, paid, shared = manifest.quote, manifest.money, manifest.dedupe
    found = facts(
        (
            ("Quoted at least", quoted and _usd(quoted.low_usd)),
            ("Expected", quoted and _usd(quoted.expected_usd)),
            ("Quoted at most", quoted and (_usd(quoted.high_usd) or "unknown")),
            ("Cost", paid and (_usd(paid.cost_usd) or "unknown")),
            ("At real time", paid and _usd(paid.realtime_usd)),
            ("Saved", paid and _usd(paid.saved_usd)),
            ("Of the cost, retries", paid and _usd(paid.retries_usd)),
            ("Beside it, second answers", paid and _usd(paid.duplicates_usd)),
            ("Saved by equal requests", shared and _usd(shared.saved_usd)),
            ("Models without a price", len(paid.unpriced_models) or None if paid else None),
        )
    )
    if not manifest.models:
        return found
    high = {(each.provider, each.model, each.endpoint): each.high for each in quote.routes} if quote else {}
    missing = "no longer kept" if quoted and quote is None else "unknown"
    models = manifest.models[:MOST_ROWS]
    quotes = [_usd(high.get((each.provider, each.model, each.endpoint))) or missing for each in models]
    rows = list(map(_model, models, quotes))
    return found + table("Quote beside cost, by model", _MODEL_HEADINGS, rows) + _rest(len(manifest.models), "model")


def _model(model: ModelCounts, quoted: str) -> Sequence[object]:
    numbers = (model.requests, model.answered, model.failed)
    money = (quoted, _usd(model.cost_usd) or "unknown", _usd(model.saved_usd) or "unknown")
    return (model.model, f"{model.provider} {model.endpoint}", *numbers, *money)


def _timeline(manifest: Manifest, job: Job, batches: Iterable[Batch]) -> str:
    over = job.with_(state=manifest.status)
    drawn = first_batches(batches)
    found = timeline(over, drawn.batches, manifest, now=job.published_at or job.dropped_at)
    return picture_of(found, drawn) if found.lanes else ""


def _errors(counts: Counts | None) -> str:
    if counts is None or not counts.errors:
        return ""
    rows = sorted(counts.errors.items(), key=lambda each: (-each[1], each[0]))
    return table("Failed lines by code", ("Code", "Lines"), rows)


def _files(manifest: Manifest) -> str:
    files = list(_published(manifest))
    rows = [_file(each) for each in islice(files, MOST_ROWS)]
    return table("Files beside this one", ("File", "Lines", "Bytes"), rows) + _rest(len(files), "file") if files else ""


def _published(manifest: Manifest) -> Iterator[File]:
    files = manifest.files
    others = (files.errors, files.failed, *files.answers)
    yield from (*files.results, *(each for each in others if each is not None))


def _file(file: File) -> Sequence[object]:
    return (PurePosixPath(file.key).name, file.lines, file.bytes)


def _rest(number: int, noun: str) -> str:
    return f'<p class="small">{count(number - MOST_ROWS, f"more {noun}")} left out.</p>' if number > MOST_ROWS else ""
