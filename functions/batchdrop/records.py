"""The rows of the table as values: frozen, whole seconds since 1970 for times, bytes for sizes."""

from decimal import Decimal
from enum import StrEnum
from typing import Self

import msgspec

from batchdrop.refusal_kinds import Kind
from batchdrop.states import BatchState, JobState, SplitState

MESSAGES_ENDPOINT = "/v1/messages"  # of Anthropic's requests, and of no other


class Protocol(StrEnum):
    OPENAI = "openai"
    ANTHROPIC = "anthropic"


class JobSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of `batchdrop.toml` and of the object's metadata; resolved at intake and frozen in the job's row.

    A row may hold settings of a newer version, which are read past; intake refuses unknown ones by name.
    """

    max_attempts: int = 3
    on_invalid: str = "skip"
    priority: int = 0
    summary: str | None = None
    expected_by: str | None = None
    max_age: str = "30d"
    part_bytes: int | None = None
    anthropic_version: str | None = None
    betas: tuple[str, ...] = ()
    drop_params: tuple[str, ...] = ()
    budget_usd: Decimal | None = None
    monthly_budget_usd: Decimal | None = None
    delimiter: str | None = None
    answers: tuple[str, ...] = ()
    csv_bom: bool = False
    csv_formulas: bool = False
    deadline: str | None = None
    fallback: str | None = None
    realtime: str = "deadline"
    dedupe: bool = False
    cache_prefix: bool = False
    schema_retry: str = "same"
    report: bool = False


class Row(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The fields of every row with a state.

    A field that was renamed keeps its first name in the table (`msgspec.field(name=...)`): rows that an older version
    wrote stay readable, and so do ours for it.

    Attributes:
        version: Code of an older version of rows leaves it alone (see `row_versions`).
        epoch: Raised by every move and claim; a worker that lost its claim holds an old one and cannot write.
        claimed_until: A worker holds the row until then (seconds); 0 when nobody does.
        due_at: When sweep looks at the row if nothing else does; None when it need not.
        sends: Messages sent for it in this state.
        resends: Messages that sweep sent for it and that no worker claimed yet, in a row.
        failures: Failures in a row (see `failures`), the claim that is held now aside.
        failed_at: When the last one was counted.
        expires_at: When DynamoDB may delete the row; only rows of what is over have it.
    """

    job: str
    version: int = 1
    epoch: int = 1
    claimed_until: int = 0
    due_at: int | None = None
    sends: int = 0
    resends: int = 0
    failures: int = 0
    failed_at: int = 0
    expires_at: int | None = None

    def with_(self, **changes: object) -> Self:
        return msgspec.structs.replace(self, **changes)


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """The object that a job's lines are read from."""

    key: str
    version_id: str | None
    bytes: int


class Job(Row, frozen=True, kw_only=True, omit_defaults=True):
    """One dropped version of a file. `job` is its id: the drop's time and a hash of bucket, key and version.

    A retry names the job that it retries, and the key of the list of its lines' numbers there.
    `source_key`, `source_version` and `source_bytes` say what a compressed file was inflated to, or a table rewritten.
    `template_key` names its template, as it was at the drop; None where its lines are requests. `schema_key` names its
    output schema, as it was then; None without one.
    `quote_key` names what it was quoted at; None where it is not known, or was not asked for yet.
    `kept_until` is set when something of it was given up: what it paid for stays in `work/` until then. `outcome` is
    FAILED before its end when a part of it was; `is_given_up`, when none of its results can be published.

    Money is in millionths of a US dollar. `most_micros` is what a job with a budget may cost at most, as quoted; None
    where that is unknown. `budget_folder` is the folder whose settings set its monthly budget. While it is held,
    `is_announced` says that its event was sent; `is_approved`, what somebody decided. Once it runs, `reserved_micros`
    is what it holds of the folder's month that `budget_ledger` names.

    `deadline_at` is when it must be done, by calls at real time if need be; `last_safe_at`, until when its batches run,
    as last computed. `finishing_at` says since when what is left of it is called, `late_reason` why nothing of it is,
    `is_past_deadline` that its event was sent.
    """

    state: JobState
    bucket: str
    key: str
    version_id: str | None = None
    etag: str | None = None
    bytes: int
    dropped_at: int
    settings: JobSettings
    retry_of: str | None = None
    retry_lines: str | None = None
    template_key: str | None = None
    schema_key: str | None = None
    source_key: str | None = None
    source_version: str | None = None
    source_bytes: int = 0
    splits: int = 0
    split_bytes: int = 0
    unplanned: int = 0
    unassembled: int = 0
    line_numbering_key: str | None = msgspec.field(default=None, name="opened_key")
    quote_key: str | None = None
    outcome: JobState | None = None
    reason: str | None = None
    is_late: bool = False
    first_submitted_at: int | None = None
    last_ended_at: int | None = None
    published_at: int | None = None
    manifest_key: str | None = None
    kept_until: int | None = None
    is_given_up: bool = False
    budget_folder: str | None = None
    most_micros: int | None = None
    is_announced: bool = False
    is_approved: bool | None = None
    budget_ledger: str | None = None
    reserved_micros: int = 0
    deadline_at: int | None = None
    last_safe_at: int | None = None
    finishing_at: int | None = None
    late_reason: str | None = None
    is_past_deadline: bool = False

    @property
    def has_results(self) -> bool:
        """Whether there is something to publish beside the reason: its whole file was read, and put together."""
        return self.line_numbering_key is not None and not self.unassembled and not self.is_given_up

    @property
    def id(self) -> str:
        return self.job

    @property
    def source(self) -> Source:
        """The object that is read: the dropped one, or the one that was made of it."""
        if self.source_key is None:
            return Source(key=self.key, version_id=self.version_id, bytes=self.bytes)
        return Source(key=self.source_key, version_id=self.source_version, bytes=self.source_bytes)


class Split(Row, frozen=True, kw_only=True, omit_defaults=True):
    """A byte range of the file, from the first line that begins in it to the end of the last line that does.

    `start` and `end` are offsets in the object, `end` exclusive. After plan: its counts of lines, and `plan_key`.
    `part_keys` are what runs of assemble sealed, `assembled` counts the lines (blank ones aside) that they hold.
    `refused_at` says since when S3 does not let the source be read; 0 while it does.
    """

    state: SplitState
    index: int
    start: int
    end: int
    round: int = 0
    open: int = 0
    lines: int = 0
    blank_lines: int = 0
    invalid: int = 0
    plan_key: str | None = None
    part_keys: tuple[str, ...] = ()
    assembled: int = 0
    refused_at: int = 0
    reason: str | None = None


class Batch(Row, frozen=True, kw_only=True, omit_defaults=True):
    """Requests that are sent together. `id` is `<split>-<round>-<n>`; `token` begins each of its custom_ids.

    `requests_key` holds the request lines, `members_key` the split's line index of each (uint32, little-endian).
    `batch_id` is the provider's; `input_file_id` its upload, where the provider wants one. `attempt` says how often its
    requests are sent with it, `waits` how often they were sent uncharged before, through no fault of theirs;
    `endpoint_misses`, how often the address had no such call for its upload or its create.

    While its create is in doubt, `misses` counts the complete listings without it, `excluded` holds ids that were
    proven to be others', and `newest_at` is the time after which others' alone were created. `adopted` says that its id
    was taken from a listing by its number of requests alone: the token in the results is the proof. `account_id` tells
    which account the create was sent to.

    `refused_as` is the kind of the provider's last refusal of it as a whole, `refused_key` the object in `work/` that
    holds what the provider said; `refusals` says how often it was refused for what passes. `blamed` counts the requests
    that the provider named when it failed the batch.

    `cost` is what it holds of its ledger; while it waits, what it will need, as estimated from its bytes.

    Once it is collected, `again` counts its requests to be sent again, `uncharged` those of them whose errors
    were the account's: this time was no attempt of theirs; `is_uncharged_attempt` says that it was none of all.
    `counted` is how many results the provider last said to have; 0 where it never did. `loss_evidence` notes a download
    with missing lines, and `loss_evidence_at` since when, until it is believed; `defer_reason`, why its results could
    not be collected the last time, in words for people and none of the provider's. `misfits` counts those of `again`
    whose answers do not fit the job's output schema, which `has_schema` says that they ask for. `is_duplicate` says
    that its create came after it had been given up, and its requests were sent with another: only its answers count.

    `is_realtime` says that its requests are called one by one: from ADMITTED it goes to ENDED, with no share of the
    limits. Those below `called` may have been called, `uncalled` aside; `doubts` counts the calls with no reply.

    `is_fallback` says that it goes to the job's fallback, `stays` that the fallback cannot take its requests. `fallen`
    counts those of `again` that go there, which are those of which one of `fallen_kinds` was found (`Found`).
    """

    state: BatchState
    id: str
    split: int
    round: int
    token: str
    provider: str
    endpoint: str
    model: str | None = None
    requests: int
    bytes: int
    tokens: int
    cost: int
    ledger: str
    attempt: int = 1
    waits: int = 0
    endpoint_misses: int = msgspec.field(default=0, name="astray")
    refusals: int = 0
    refused_as: Kind | None = None
    refused_key: str | None = None
    blamed: int = 0
    requests_key: str
    members_key: str
    priority: int = 0
    api_version: str | None = None
    betas: tuple[str, ...] = ()
    account_id: str | None = None
    input_file_id: str | None = None
    intended_at: int | None = None
    create_by: int | None = None
    misses: int = 0
    excluded: tuple[str, ...] = ()
    newest_at: int | None = None
    adopted: bool = False
    batch_id: str | None = None
    cancel_asked_at: int | None = None
    submitted_at: int | None = None
    ended_at: int | None = None
    ended_as: str | None = None
    failure_code: str | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    collected_key: str | None = None
    again: int = 0
    uncharged: int = 0
    is_uncharged_attempt: bool = msgspec.field(default=False, name="in_vain")
    counted: int = 0
    loss_evidence: str | None = msgspec.field(default=None, name="seen")
    loss_evidence_at: int = msgspec.field(default=0, name="seen_at")
    defer_reason: str | None = msgspec.field(default=None, name="put_off")
    misfits: int = 0
    has_schema: bool = False
    is_duplicate: bool = False
    is_realtime: bool = False
    called: int = 0
    uncalled: tuple[int, ...] = ()
    doubts: int = 0
    is_fallback: bool = False
    stays: bool = False
    fallen: int = 0
    fallen_kinds: tuple[int, ...] = ()

    def as_planned(self, **changes: object) -> Self:
        """A batch of the same requests, with changes; nothing of what happened to this one is in it."""
        fields: dict[str, object] = {name: getattr(self, name) for name in _PLANNED}
        return type(self)(**{**fields, **changes})  # type: ignore[arg-type]

    @property
    def protocol(self) -> Protocol:
        """How it was sent, whatever the configuration says by now: only Anthropic's batches hold Messages requests."""
        return Protocol.ANTHROPIC if self.endpoint == MESSAGES_ENDPOINT else Protocol.OPENAI


_PLANNED = (
    *("job", "id", "split", "round", "token", "provider", "endpoint", "model", "requests", "bytes", "tokens", "cost"),
    *("ledger", "attempt", "requests_key", "members_key", "api_version", "betas", "is_fallback", "stays", "has_schema"),
)


class Ledger(msgspec.Struct, frozen=True, kw_only=True):
    """The sum that the unfinished batches of a provider, or of one of its models, hold.

    `moves` is raised by every reservation and release. `learned` is a limit that a refusal stated, believed until
    `learned_until`. `most_requests` and `most_bytes` are the sizes of one batch that refusals stated, believed until
    `sizes_until`. `refused_at_endpoint` is where its model is not taken in batches, as the object in `work/` named by
    `refused_key` tells, believed until `refused_until`. `estimated` and `used` sum the tokens of batches that were
    answered whole: as their bytes said, and as the provider counted them. `suspected` is `moves` as it was when the sum
    was last seen to be off. `turns` says when each of the waiting jobs had its last turn, if it had one.
    """

    name: str
    reserved: int = 0
    moves: int = 0
    learned: int | None = None
    learned_until: int = 0
    most_requests: int | None = None
    most_bytes: int | None = None
    sizes_until: int = 0
    refused_at_endpoint: str | None = None
    refused_key: str | None = None
    refused_until: int = 0
    estimated: int = 0
    used: int = 0
    suspected: int | None = None
    turns: dict[str, int] = {}

    @property
    def provider(self) -> str:
        return self.name.partition("/")[0]


class Intent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Written before a create: what, how many, since when, and the last moment at which it may still arrive."""

    job: str
    batch: str
    token: str
    provider: str
    requests: int
    started_at: int
    create_by: int
    account_id: str | None = None
    input_file_id: str | None = None
    expires_at: int
