"""The stored facts: a row per file, batch and real-time call. Times are seconds since the epoch.

The requests of a batch have no rows: an index beside its input holds them.
"""

from typing import Any, Literal, NamedTuple

import msgspec

DAY = 86_400.0
UNKNOWN_MODEL = "-does-not-exist"  # how the names of models end that there are not

type ProviderName = Literal["openai", "anthropic"]
type RowDialect = Literal[
    "answer_as_text",
    "no_choices",
    "strange_keys",
    "no_status",
    "error_as_text",
    "error_in_error",
    "error_code_a_number",
    "error_in_text_body",
]

type Layout = Literal[
    "pairs",
    "one_line",
    "array",
    "printed",
    "printed_array",
    "in_an_object",
    "bom",
    "nan",
    "surrogates",
    "latin_1",
]


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The vendors' limits; tests lower them to reach them cheaply."""

    openai_requests: int = 50_000
    openai_batch_bytes: int = 200 * 1024 * 1024
    openai_upload_bytes: int = 512 * 1024 * 1024
    openai_embedding_inputs: int = 50_000
    openai_windows: tuple[str, ...] = ("24h",)
    """The `completion_window`s that a create may ask for; other servers take more of them."""
    anthropic_requests: int = 100_000
    anthropic_bytes: int = 256 * 1024 * 1024
    anthropic_queue: int | None = None
    """Requests in processing per organisation; a create that would pass it gets a 429."""
    anthropic_message_bytes: int = 32 * 1024 * 1024
    openai_requests_per_minute: int | None = None
    openai_tokens_per_minute: int | None = None
    anthropic_requests_per_minute: int | None = None
    anthropic_tokens_per_minute: int | None = None
    """What an account may send at real time in any 60 seconds; tokens are those of requests and answers."""


class Failing(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The requests that fail, and their errors. `match` is looked for in the request body's bytes."""

    match: str | None = None
    fraction: float | None = None
    status: int | None = 400
    """None: no HTTP answer at all, as for `request_timeout`."""
    type: str | None = None
    code: str | None = None
    message: str | None = None


class Style(msgspec.Struct, frozen=True, kw_only=True):
    """How an answer is given, beside what it says."""

    stop: str | None = None
    """Why it ends, in the endpoint's own words; None: as the request makes it."""
    blocks: int = 1
    """How many blocks its text is in, where an endpoint has blocks."""
    calls_tools: bool = False
    """Whether it calls every tool that it is offered, also where it need not."""
    misfits: bool = False
    """Whether it does not fit the schema that it is asked for: it is cut short, or a list."""
    service_tier: Literal["batch", "standard"] = "batch"
    """What it is charged as, where an answer says so."""


PLAIN = Style()


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """How one batch will go; fixed when it is created."""

    seconds_to_complete: float = 0.0
    seconds_to_cancel: float | None = None
    expire_fraction: float | None = None
    cancel_fraction: float | None = None
    failing: tuple[Failing, ...] = ()
    fail_batch: str | None = None
    fail_message: str | None = None
    fail_line: int | None = None
    lose: int = 0
    forget: int = 0
    repeat: int = 0
    contradict: int = 0
    garble: int = 0
    foreign: int = 0
    stuck: bool | Literal["always"] = False
    not_found_after_create: float = 0.0
    rows: tuple[RowDialect, ...] = ()
    files: Literal["needed", "both", "none"] = "needed"
    """Which of its two files an ended OpenAI batch names: those with rows, both, or none."""
    no_newline: bool = False
    layout: Layout | None = None
    """How rows lie in the results, or are spelt, where it is not one line of JSON each."""
    stops: tuple[str, ...] = ()
    """Why the answers end, in turn by their requests; none: as the requests make it."""
    blocks: int = 1
    calls_tools: bool = False
    misfits: float = 0.0
    """The share of the answers that do not fit the schema that they are asked for; another one in each batch."""

    def style(self, body_key: int, request_key: int) -> Style:
        stop = self.stops[body_key % len(self.stops)] if self.stops else None
        misfits = request_key < self.misfits * 2**64
        return Style(stop=stop, blocks=self.blocks, calls_tools=self.calls_tools, misfits=misfits)


class StoredFile(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    org: str
    created_at: float
    filename: str
    purpose: str
    bytes: int
    expires_at: float | None
    deleted_at: float | None = None

    def exists(self, at: float) -> bool:
        gone = min(t for t in (self.deleted_at, self.expires_at, float("inf")) if t is not None)
        return self.created_at <= at < gone


class LineError(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of an OpenAI batch's `errors.data`."""

    code: str
    message: str
    line: int | None = None
    param: str | None = None


class Scan(msgspec.Struct, frozen=True, kw_only=True):
    """The result of reading the input once."""

    total: int
    input_tokens: int
    model: str | None
    errors: tuple[LineError, ...] = ()


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How the requests of an ended batch went."""

    succeeded: int
    errored: int
    canceled: int
    expired: int
    lost: int
    input_tokens: int
    output_tokens: int
    output_bytes: int
    error_bytes: int


class Terms(NamedTuple):
    """The terms of a request beside its body, in a batch or at real time."""

    provider: ProviderName
    endpoint: str
    api_version: str = ""
    betas: bool = False


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """Without id, time and shape it is a batch that is asked for and not created yet."""

    id: str = ""
    provider: ProviderName
    org: str
    created_at: float = 0.0
    shape: Shape = Shape()
    total: int = 0
    endpoint: str = "/v1/messages"
    input_file_id: str | None = None
    metadata: dict[str, str] | None = None
    output_seconds: float = 30 * DAY
    window: str = "24h"
    api_version: str = ""
    betas: bool = False
    cancel_at: float | None = None
    deleted_at: float | None = None
    scan: Scan | None = None
    outcome: Outcome | None = None

    @property
    def terms(self) -> Terms:
        return Terms(self.provider, self.endpoint, self.api_version, self.betas)


class RealtimeCharge(msgspec.Struct, frozen=True, kw_only=True):
    """A request that was answered at real time."""

    provider: ProviderName
    org: str
    at: float
    body_key: int
    input_tokens: int
    output_tokens: int

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens


type Json = dict[str, Any]
