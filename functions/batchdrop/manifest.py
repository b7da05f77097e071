"""The manifest and the events: what a consumer reads when a job is over."""

from datetime import UTC, datetime

import msgspec

from batchdrop.money import Money, Quote
from batchdrop.states import JobState

SCHEMA = "batchdrop.manifest/1"
EVENT_SCHEMA = "batchdrop.event/1"
OTHERS = "(others)"


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens as the provider counted them. `input_tokens` includes those read from and written to its cache.

    `cache_write_1h_tokens` are those of `cache_write_tokens` that it keeps for an hour.
    """

    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            cached_input_tokens=self.cached_input_tokens + other.cached_input_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
            cache_write_1h_tokens=self.cache_write_1h_tokens + other.cache_write_1h_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
        )

    def __sub__(self, other: "Usage") -> "Usage":
        return Usage(
            input_tokens=self.input_tokens - other.input_tokens,
            cached_input_tokens=self.cached_input_tokens - other.cached_input_tokens,
            cache_write_tokens=self.cache_write_tokens - other.cache_write_tokens,
            cache_write_1h_tokens=self.cache_write_1h_tokens - other.cache_write_1h_tokens,
            output_tokens=self.output_tokens - other.output_tokens,
            reasoning_tokens=self.reasoning_tokens - other.reasoning_tokens,
        )


class Realtime(msgspec.Struct, frozen=True, kw_only=True):
    """The share of a model's numbers that came of calls at real time, for a deadline, at real-time prices."""

    answered: int = 0
    usage: Usage = Usage()
    retries: Usage = Usage()
    duplicates: Usage = Usage()

    def __add__(self, other: "Realtime") -> "Realtime":
        return Realtime(
            answered=self.answered + other.answered,
            usage=self.usage + other.usage,
            retries=self.retries + other.retries,
            duplicates=self.duplicates + other.duplicates,
        )


class Shared(msgspec.Struct, frozen=True, kw_only=True):
    """The share of a model's lines that has another line's answer, and was not sent.

    Attributes:
        requests: How many lines.
        answered: How many of these have an answer.
        usage: What these answers would have used beside `ModelCounts.usage`.
        realtime: What of it would have come of calls at real time.
    """

    requests: int = 0
    answered: int = 0
    usage: Usage = Usage()
    realtime: Usage = Usage()

    def __add__(self, other: "Shared") -> "Shared":
        return Shared(
            requests=self.requests + other.requests,
            answered=self.answered + other.answered,
            usage=self.usage + other.usage,
            realtime=self.realtime + other.realtime,
        )


class Input(msgspec.Struct, frozen=True, kw_only=True):
    bucket: str
    key: str
    version_id: str | None
    etag: str | None
    bytes: int
    lines: int | None
    blank_lines: int | None


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """`total` = `answered` + `failed` = the input's lines that are not blank.

    `errors` and `finish_reasons` name a hundred each; what has another name is counted as `OTHERS`.
    """

    total: int
    answered: int
    failed: int
    errors: dict[str, int]
    finish_reasons: dict[str, int]


class TopError(msgspec.Struct, frozen=True, kw_only=True):
    """The code that most lines of a job failed with, and how many did."""

    code: str
    lines: int


class ModelCounts(msgspec.Struct, frozen=True, kw_only=True):
    """The requests to a model at an endpoint, with the usage and the cost of their answers.

    Attributes:
        requests: The lines that ask it; `answered` and `failed` add up to it.
        usage: Of the answers in the results, each that lines share counted once, and of those that did not fit the
            job's output schema.
        retries: What of it was for requests that had been sent before.
        duplicates: What was used beside it, for second answers of lines that had one.
        realtime: What of these three came of calls at real time.
        shared: What was not sent, since the request of another line is equal.
        cost_usd: Of `usage`, each part as it was asked for; exact decimals as text, null where the price is not known.
        realtime_usd: The same by calls of their own.
        saved_usd: The difference.
    """

    provider: str
    model: str
    endpoint: str
    requests: int
    answered: int
    failed: int
    batches: int
    usage: Usage
    retries: Usage = Usage()
    duplicates: Usage = Usage()
    realtime: Realtime = Realtime()
    shared: Shared = Shared()
    cost_usd: str | None = None
    realtime_usd: str | None = None
    saved_usd: str | None = None


class Times(msgspec.Struct, frozen=True, kw_only=True):
    dropped_at: str
    first_submitted_at: str | None
    last_ended_at: str | None
    published_at: str


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """A published file as a whole."""

    key: str
    version_id: str | None
    etag: str | None
    bytes: int


class File(Document, frozen=True, kw_only=True):
    """A published file of lines."""

    lines: int


class ResultsFile(File, frozen=True, kw_only=True):
    """A part of the results: the input's lines from `first_line` to `last_line`; null when it has none."""

    first_line: int | None
    last_line: int | None


class Files(msgspec.Struct, frozen=True, kw_only=True):
    """`answers` are those of the files `answers.*` that the settings asked for, `report` the page for people.

    `report` is null where the settings do not ask for it.
    """

    results: list[ResultsFile]
    errors: File | None
    failed: File | None
    answers: list[File] = []
    report: Document | None = None


class Deadline(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a job's deadline, and the cost of keeping it.

    Attributes:
        at: When the job was to be done.
        met: Whether its results were complete by then.
        finished_realtime: How many lines were answered by calls at real time.
        extra_usd: What these answers cost more than in a batch; null where that is not known.
        doubts: Calls whose reply was lost: the provider may have charged for them, and their lines were sent again.
        reason: Why nothing was called although the deadline came near; null where something was, or need not be.
    """

    at: str
    met: bool
    finished_realtime: int
    extra_usd: str | None
    doubts: int
    reason: str | None


class Dedupe(msgspec.Struct, frozen=True, kw_only=True):
    """The saving of a job by sending equal requests once.

    Attributes:
        requests_saved: Lines whose request was not sent, since another line's is equal.
        input_tokens: What their answers would have used.
        output_tokens: The same.
        saved_usd: What these tokens would have cost; exact decimals as text, null where a price is not known.
    """

    requests_saved: int
    input_tokens: int
    output_tokens: int
    saved_usd: str | None


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """Written last: when it is there, every file it names is whole.

    `quote` is what the job was quoted at before it was paid, null where it was not; `money` what it cost, null where it
    has no results; `deadline` what became of its deadline, null where it has none; `dedupe` what sending equal requests
    once saved, null where its settings do not ask for it; `top_error` why most of its failed lines failed, null where
    none did.
    """

    schema: str = SCHEMA
    job: str
    status: JobState
    reason: str | None
    retry_of: str | None
    input: Input
    counts: Counts | None
    models: list[ModelCounts]
    times: Times
    files: Files
    versions: dict[str, str]
    quote: Quote | None = None
    money: Money | None = None
    deadline: Deadline | None = None
    dedupe: Dedupe | None = None
    top_error: TopError | None = None


class ManifestAt(msgspec.Struct, frozen=True, kw_only=True):
    bucket: str
    key: str
    version_id: str | None


class JobEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The detail of `Job Completed`, `Job Failed`, `Job Cancelled` and `Job Late`."""

    schema: str = EVENT_SCHEMA
    job: str
    status: JobState
    reason: str | None
    retry_of: str | None
    input: Input
    counts: Counts | None
    manifest: ManifestAt | None
    money: Money | None = None
    top_error: TopError | None = None


class BudgetState(msgspec.Struct, frozen=True, kw_only=True):
    """A job's budgets in US dollars, decimals as text; null where there is none.

    `folder` is whose monthly budget it is, and `committed_usd` what jobs have spent or reserved of it in `month`.
    """

    budget_usd: str | None
    monthly_budget_usd: str | None
    folder: str | None
    month: str | None
    committed_usd: str | None


class HeldEvent(JobEvent, frozen=True, kw_only=True):
    """The detail of `Job Held` and `Job Approved`."""

    quote: Quote | None
    budget: BudgetState


class ProviderEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The detail of `Provider Paused` and `Provider Resumed`."""

    schema: str = EVENT_SCHEMA
    provider: str
    reason: str


class ActionEvent(msgspec.Struct, frozen=True, kw_only=True):
    """The detail of `Console Action`: what somebody did to a job in the console.

    Attributes:
        job: The job; of a drop and a retry, the one that came of it; null where none did.
        action: `drop`, `cancel`, `approve`, `reject` or `retry`.
        by: Who did it: an ARN on AWS, the name of the account on a local cloud; null where that is unknown.
        result: What came of it: `done`, or why nothing was changed.
    """

    schema: str = EVENT_SCHEMA
    job: str | None
    action: str
    by: str | None
    result: str


class DuplicateBatch(msgspec.Struct, frozen=True, kw_only=True):
    """The detail of `Duplicate Batch`: a create that arrived after it had been given up. What it answered is paid.

    `usage` is null when its results could not be read any more.
    """

    schema: str = EVENT_SCHEMA
    job: str
    provider: str
    batch_id: str
    requests: int
    usage: Usage | None


def top_error_of(counts: Counts | None) -> TopError | None:
    """The commonest code of those that are named, the first by its name where several are; None where none is."""
    named = [] if counts is None else [each for each in counts.errors.items() if each[0] != OTHERS]
    code, lines = min(named, key=lambda each: (-each[1], each[0]), default=("", 0))
    return TopError(code=code, lines=lines) if lines else None


def timestamp(seconds: int) -> str:
    """Seconds since 1970 as `2026-11-05T09:14:12Z`."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
