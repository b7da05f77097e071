"""The picture of a report: when a job's batches waited, were at their providers and were collected. Pure."""

from collections.abc import Iterable
from typing import NamedTuple

from batchdrop.outputs.html_text import table, text
from batchdrop.outputs.timeline import Lane, Mark, Timeline
from batchdrop.records import Batch
from batchdrop.states import BatchState
from batchdrop.texts import count

MOST_BATCHES = 200  # that are drawn, and held at once
_LANE, _BAR, _FOOT = 36, 14, 22  # pixels
_FAULT, _DONE = "M-5 2l10 10M5 2l-10 10", "M-5 7l4 5L6 2"
_LEGEND = (
    "Dashed: waiting. Filled: at the provider. Dotted: being collected. A tick: collected. A cross: something went "
    "wrong. Times are UTC."
)


class Drawn(NamedTuple):
    """The first batches of a job, and how many more it has, with how many requests."""

    batches: list[Batch]
    more: int
    more_requests: int


def first_batches(batches: Iterable[Batch]) -> Drawn:
    """Return the batches that are drawn; requests of those that were replaced are in smaller ones."""
    first, more, requests = list[Batch](), 0, 0
    for each in batches:
        if each.state is BatchState.REPLACED:
            continue
        if len(first) < MOST_BATCHES:
            first.append(each)
        else:
            more, requests = more + 1, requests + each.requests
    return Drawn(batches=first, more=more, more_requests=requests)


def picture_of(found: Timeline, drawn: Drawn) -> str:
    """The picture, what it leaves out, and a table that says the same."""
    height = len(found.lanes) * _LANE + _FOOT
    lines = "".join(_lane(lane, number * _LANE) for number, lane in enumerate(found.lanes))
    ticks = "".join(_tick(left, words, height) for left, words in found.ticks)
    rows = [(each.label, each.state, each.requests, _happened(each)) for each in found.lanes]
    return (
        f'<figure><svg width="100%" height="{height}" role="img" aria-labelledby="picture">'
        '<title id="picture">When batches waited, were at the provider and ended; the table below says the same'
        f"</title>{lines}{_deadline(found, height)}{ticks}</svg>"
        f'<figcaption class="small">{text(_LEGEND)}{text(_left_out(found, drawn))}</figcaption></figure>'
        + table("The timeline in words", ("Batches", "State", "Requests", "What happened"), rows)
    )


def _happened(lane: Lane) -> str:
    return "; ".join([*(each.words for each in lane.segments), *(each.words for each in lane.marks)])


def _left_out(found: Timeline, drawn: Drawn) -> str:
    words = f" {count(found.left_out, 'batch', 'batches')} of other models are not drawn." if found.left_out else ""
    if drawn.more:
        more = f"{count(drawn.more, 'more batch', 'more batches')} with {count(drawn.more_requests, 'request')}"
        words += f" The first {MOST_BATCHES} batches are drawn; the job has {more}."
    return words


def _lane(lane: Lane, top: int) -> str:
    bars = "".join(
        f'<rect class="{each.kind}" x="{each.left}%" y="{top + 18}" width="{each.width}%" height="{_BAR}"/>'
        for each in lane.segments
    )
    marks = "".join(_mark(each, top + 18) for each in lane.marks)
    rail = f'<rect class="rail" x="0" y="{top + 18}" width="100%" height="{_BAR}"/>'
    return f'<text x="0" y="{top + 13}">{text(lane.label)}</text>{rail}{bars}{marks}'


def _mark(mark: Mark, top: int) -> str:
    kind, path = ("mark fault", _FAULT) if mark.is_fault else ("mark", _DONE)
    return f'<svg x="{mark.left}%" y="{top}" overflow="visible"><path class="{kind}" d="{path}"/></svg>'


def _deadline(found: Timeline, height: int) -> str:
    if found.deadline is None:
        return ""
    at = f"{found.deadline}%"
    return f'<line class="deadline" x1="{at}" x2="{at}" y1="0" y2="{height - _FOOT}"/>'


def _tick(left: float, words: str, height: int) -> str:
    anchor = {0: "start", 100: "end"}.get(int(left), "middle")
    return f'<text class="tick" x="{left}%" y="{height - 4}" text-anchor="{anchor}">{text(words)}</text>'
