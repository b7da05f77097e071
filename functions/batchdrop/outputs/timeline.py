"""Builds a job's timeline: a lane for each batch, or for each model where there are many. Pure.

Times become per cents of the width, so that the picture fits any screen without being stretched.
"""

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum

import msgspec

from batchdrop.manifest import Manifest, timestamp
from batchdrop.records import Batch, Job
from batchdrop.states import BATCH_WORDS, TERMINAL_JOBS, BatchState
from batchdrop.texts import count

MOST_LANES = 24
_TICKS = 4
_SHORT_SECONDS = 600  # a shorter time is shown to the second
_WIDE, _WHOLE = 0.4, 100.0  # per cent: the least that can be seen, and all
_FAULTS = {"expired": "expired", "failed": "failed at the provider", "cancelled": "cancelled at the provider"}


class Kind(StrEnum):
    WAITING = "waiting"
    FLYING = "flying"
    COLLECTING = "collecting"


KINDS = {Kind.WAITING: "waiting", Kind.FLYING: "at the provider", Kind.COLLECTING: "being collected"}


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of a lane, in per cent, with its words."""

    kind: Kind
    left: float
    width: float
    words: str


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """A moment of a lane; `is_fault` tells a fault from an end."""

    left: float
    words: str
    is_fault: bool


class Lane(msgspec.Struct, frozen=True, kw_only=True):
    """A batch, or several that are alike: `state` in words, `batches` by their ids."""

    label: str
    state: str
    requests: int
    segments: list[Segment]
    marks: list[Mark]
    batches: list[str] = []


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """The picture: its lanes, the times on its axis, and lines across it. `left_out` counts batches without a lane."""

    lanes: list[Lane]
    ticks: list[tuple[float, str]]
    now: float | None
    deadline: float | None
    left_out: int = 0


class _Scale:
    """Seconds as per cent."""

    def __init__(self, begin: int, end: int) -> None:
        self.begin, self.end = begin, max(end, begin + 1)

    def at(self, moment: int) -> float:
        part = (moment - self.begin) / (self.end - self.begin)
        return round(min(max(part, 0.0), 1.0) * _WHOLE, 2)

    def segment(self, kind: Kind, begin: int, end: int) -> Segment | None:
        if end <= begin and kind is not Kind.COLLECTING:
            return None
        left = self.at(begin)
        words = f"{KINDS[kind]} from {timestamp(begin)} to {timestamp(end)}"
        return Segment(kind=kind, left=left, width=max(self.at(end) - left, _WIDE), words=words)


def timeline(job: Job, batches: Sequence[Batch], manifest: Manifest | None, *, now: int) -> Timeline:
    """The picture of a job; of one that is over and tidied up, by the times that its row kept."""
    end = (job.published_at or now) if job.state in TERMINAL_JOBS else now
    scale = _Scale(job.dropped_at, end)
    groups = _groups(batches)
    lanes = [_lane(job, group, batches, scale, end) for group in groups[:MOST_LANES]]
    return Timeline(
        lanes=lanes or _phases(job, manifest, scale),
        ticks=[_tick(scale, number) for number in range(_TICKS + 1)],
        now=None if job.state in TERMINAL_JOBS else scale.at(now),
        deadline=scale.at(job.deadline_at) if job.deadline_at is not None and job.deadline_at <= scale.end else None,
        left_out=sum(len(group) for group in groups[MOST_LANES:]),
    )


def _tick(scale: _Scale, number: int) -> tuple[float, str]:
    moment = scale.begin + (scale.end - scale.begin) * number // _TICKS
    with_seconds = scale.end - scale.begin < _SHORT_SECONDS
    return _WHOLE * number / _TICKS, timestamp(moment)[11 : 19 if with_seconds else 16]


def _groups(batches: Sequence[Batch]) -> list[list[Batch]]:
    """Each batch alone; where they are too many, those that go to one model in one round."""
    shown = [each for each in batches if each.state is not BatchState.REPLACED]
    if len(shown) <= MOST_LANES:
        return [[each] for each in shown]
    found: dict[tuple[object, ...], list[Batch]] = {}
    for each in shown:
        found.setdefault((each.provider, each.model or "", each.endpoint, each.round), []).append(each)
    return [found[name] for name in sorted(found, key=str)]


def _lane(job: Job, group: Sequence[Batch], batches: Sequence[Batch], scale: _Scale, end: int) -> Lane:
    begin = min(_began(job, each, batches) for each in group)
    sent = min((each.submitted_at for each in group if each.submitted_at is not None), default=None)
    is_flying = any(each.state is BatchState.IN_FLIGHT for each in group)
    ended = end if is_flying else max((each.ended_at for each in group if each.ended_at is not None), default=end)
    segments = [scale.segment(Kind.WAITING, begin, end if sent is None else sent)]
    if sent is not None:
        segments.append(scale.segment(Kind.FLYING, sent, ended))
    if any(each.state is BatchState.ENDED for each in group):
        segments.append(scale.segment(Kind.COLLECTING, ended, end))
    return Lane(
        label=_label(group),
        state=_state(group),
        requests=sum(each.requests for each in group),
        segments=[each for each in segments if each is not None],
        marks=[mark for each in group[:MOST_LANES] for mark in _marks(each, scale, end)],
        batches=[each.id for each in group],
    )


def _began(job: Job, batch: Batch, batches: Iterable[Batch]) -> int:
    """Return when a batch began to wait: a round begins with the end of the one before it."""
    before = (each.ended_at for each in batches if each.split == batch.split and each.round < batch.round)
    return max((each for each in before if each is not None), default=job.dropped_at)


def _label(group: Sequence[Batch]) -> str:
    first = group[0]
    parts = [first.model or first.provider]
    parts += [count(len(group), "batch", "batches")] if len(group) > 1 else []
    parts += [count(sum(each.requests for each in group), "request")]
    parts += [f"round {first.round + 1}"] if first.round else []
    parts += ["at real time"] if first.is_realtime else []
    return " · ".join(parts)


def _state(group: Sequence[Batch]) -> str:
    return ", ".join(dict.fromkeys(BATCH_WORDS[each.state] for each in group))


def _marks(batch: Batch, scale: _Scale, end: int) -> Iterator[Mark]:
    at = scale.at(batch.ended_at or end)
    fault = _fault(batch)
    if fault is not None:
        yield Mark(left=at, words=fault, is_fault=True)
    elif batch.state is BatchState.COLLECTED:
        yield Mark(left=at, words=f"collected {timestamp(batch.ended_at or end)}", is_fault=False)


def _fault(batch: Batch) -> str | None:
    """Return a batch's fault; None where there was none."""
    if batch.state is BatchState.FAILED:
        return "given up"
    if batch.ended_as in _FAULTS:
        return _FAULTS[batch.ended_as]
    if batch.again:
        return f"{count(batch.again, 'request')} sent again"
    if batch.refusals and batch.state is BatchState.WAITING:
        return f"refused {count(batch.refusals, 'time')}"
    return None


def _phases(job: Job, manifest: Manifest | None, scale: _Scale) -> list[Lane]:
    """A job without rows of batches: what it did until when."""
    end = job.published_at or scale.end
    sent, ended = job.first_submitted_at, job.last_ended_at
    requests = 0 if manifest is None else sum(each.requests for each in manifest.models)
    found = [
        ("read, checked and queued", Kind.WAITING, job.dropped_at, sent or end),
        ("at the providers", Kind.FLYING, sent, ended),
        ("collected and put in order", Kind.COLLECTING, ended, end),
    ]
    return [
        Lane(label=label, state="", requests=requests, segments=[segment], marks=[])
        for label, kind, begin, until in found
        if begin is not None and until is not None and (segment := scale.segment(kind, begin, until)) is not None
    ]
