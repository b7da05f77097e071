"""A split's sealed part: its share of the outputs, and what is counted of it. Objects in `work/`, written once."""

from collections import Counter
from collections.abc import Sequence

import msgspec

from batchdrop.manifest import OTHERS, Counts, ModelCounts, Realtime, Shared, Usage
from batchdrop.protocols.lenient_json import as_code

_MOST_NAMES = 100  # of errors, and of finish reasons: the counts travel in an event, and EventBridge takes 256 KB


class Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of an output file. `first_line` and `last_line` are line numbers of the input; 0 when it has none."""

    key: str
    bytes: int
    lines: int
    first_line: int = 0
    last_line: int = 0


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a split that one run assembled; most splits have one part. `answers` are by the kind of file."""

    results: list[Sealed]
    errors: list[Sealed]
    failed: list[Sealed]
    counts: Counts
    models: list[ModelCounts]
    api_versions: list[str]
    answers: dict[str, list[Sealed]] = {}
    doubts: int = 0


def add_counts(parts: list[Counts]) -> Counts:
    """The sums over all parts."""
    errors: Counter[str] = Counter()
    finish_reasons: Counter[str] = Counter()
    for each in parts:
        for code, number in each.errors.items():
            _count(errors, code, number)
        for reason, number in each.finish_reasons.items():
            _count(finish_reasons, reason, number)
    return Counts(
        total=sum(each.total for each in parts),
        answered=sum(each.answered for each in parts),
        failed=sum(each.failed for each in parts),
        errors=dict(sorted(errors.items())),
        finish_reasons=dict(sorted(finish_reasons.items())),
    )


def add_models(parts: list[list[ModelCounts]]) -> list[ModelCounts]:
    """The sums over all parts, by provider, model and endpoint."""
    sums: dict[tuple[str, str, str], ModelCounts] = {}
    for each in (model for models in parts for model in models):
        key = (each.provider, each.model, each.endpoint)
        sums[key] = _added(sums[key], each) if key in sums else each
    return [sums[key] for key in sorted(sums)]


def _added(one: ModelCounts, other: ModelCounts) -> ModelCounts:
    return msgspec.structs.replace(
        one,
        requests=one.requests + other.requests,
        answered=one.answered + other.answered,
        failed=one.failed + other.failed,
        batches=one.batches + other.batches,
        usage=one.usage + other.usage,
        retries=one.retries + other.retries,
        duplicates=one.duplicates + other.duplicates,
        realtime=one.realtime + other.realtime,
        shared=one.shared + other.shared,
    )


def _count(names: Counter[str], name: str, number: int = 1) -> None:
    """Count by name; a provider may say any number of them, and sentences, too, which may quote a prompt."""
    is_kept = name in names or (as_code(name) is not None and len(names) - (OTHERS in names) < _MOST_NAMES)
    names[name if is_kept else OTHERS] += number


class Tally:
    """Counts one split's lines while they are written."""

    def __init__(self) -> None:
        self.answered = 0
        self.errors: Counter[str] = Counter()
        self.finish_reasons: Counter[str] = Counter()

    def fail(self, code: str) -> None:
        _count(self.errors, code)

    def answers(self, finish_reasons: Sequence[str | None], number: int) -> None:
        """Count so many answers; a reason is None where a line has none."""
        self.answered += number
        for reason, its in Counter(finish_reasons).items():  # in the order in which they come first
            if reason is not None:
                _count(self.finish_reasons, reason, its)

    def counts(self) -> Counts:
        failed = self.errors.total()
        return Counts(
            total=self.answered + failed,
            answered=self.answered,
            failed=failed,
            errors=dict(sorted(self.errors.items())),
            finish_reasons=dict(sorted(self.finish_reasons.items())),
        )


class RouteTally(msgspec.Struct, kw_only=True):
    """Counts one route of a split: tokens as plain numbers, since this may run for every line.

    `retries`, `duplicates`, `realtime` and `shared` are what `ModelCounts` has.
    """

    requests: int = 0
    batches: int = 0
    answered: int = 0
    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    retries: Usage = Usage()
    duplicates: Usage = Usage()
    realtime: Realtime = Realtime()
    shared: Shared = Shared()

    def add(self, usage: Usage, *, answers: int = 1, is_retry: bool = False, is_realtime: bool = False) -> None:
        """Add the sums of some answers; of requests that had been sent before, or of calls at real time, if so."""
        if is_realtime:
            self.realtime += Realtime(answered=answers, usage=usage, retries=usage if is_retry else Usage())
        if is_retry:
            self.retries += usage
        self.answered += answers
        self.input_tokens += usage.input_tokens
        self.cached_input_tokens += usage.cached_input_tokens
        self.cache_write_tokens += usage.cache_write_tokens
        self.cache_write_1h_tokens += usage.cache_write_1h_tokens
        self.output_tokens += usage.output_tokens
        self.reasoning_tokens += usage.reasoning_tokens

    def ask(self, lines: int = 1, *, are_shared: bool) -> None:
        """Count lines that ask it, all of them with the request of another line or none."""
        self.requests += lines
        if are_shared:
            self.shared += Shared(requests=lines)

    def add_shared(self, usage: Usage, *, answers: int = 1, is_realtime: bool) -> None:
        """Add the sums of answers that are those of other lines, too."""
        self.answered += answers
        self.shared += Shared(answered=answers, usage=usage, realtime=usage if is_realtime else Usage())

    def add_duplicate(self, usage: Usage, *, is_realtime: bool) -> None:
        self.duplicates += usage
        if is_realtime:
            self.realtime += Realtime(duplicates=usage)

    def usage(self) -> Usage:
        return Usage(
            input_tokens=self.input_tokens,
            cached_input_tokens=self.cached_input_tokens,
            cache_write_tokens=self.cache_write_tokens,
            cache_write_1h_tokens=self.cache_write_1h_tokens,
            output_tokens=self.output_tokens,
            reasoning_tokens=self.reasoning_tokens,
        )
