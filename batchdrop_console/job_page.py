"""The page of a job: how far it is, what it waits for, what it costs, why lines failed."""

from collections.abc import Sequence
from typing import Any

import msgspec
from batchdrop.costs import Price
from batchdrop.jobs import CANCELLABLE
from batchdrop.manifest import Manifest, ModelCounts
from batchdrop.outputs.timeline import timeline
from batchdrop.rates import PriceList
from batchdrop.records import Job
from batchdrop.states import TERMINAL_JOBS, BatchState, JobState
from starlette.requests import Request
from starlette.responses import Response

from batchdrop_cli import jobs
from batchdrop_cli.failed_lines import find_reasons
from batchdrop_cli.jobs import Shown
from batchdrop_cli.prices import prices_of
from batchdrop_cli.stalled import where_to_look
from batchdrop_cli.user_errors import NoSuchJob
from batchdrop_cli.words import noun_of
from batchdrop_console.batch_waits import batch_waits, lane_waits
from batchdrop_console.pages import console_of, page, render
from batchdrop_console.providers_page import duration
from batchdrop_console.results_page import files_of

_GROUPS = (
    ("waiting", frozenset({BatchState.WAITING, BatchState.ADMITTED, BatchState.SUBMITTING})),
    ("at the provider", frozenset({BatchState.IN_FLIGHT})),
    ("ended", frozenset({BatchState.ENDED, BatchState.COLLECTED})),
    ("not answered", frozenset({BatchState.CANCELLED, BatchState.FAILED})),
)


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """So many of a job's requests are in this state; `left` and `width` are per cent of the bar."""

    name: str
    requests: int
    left: float
    width: float


@page
def show_job(request: Request) -> Response:
    job = _find(request)
    return _coming(request, "coming.html") if job is None else render(request, "job.html", **_values(request, job))


@page
def show_live(request: Request) -> Response:
    """The part that changes while the job runs; the whole page anew once there is a job, and once it is over."""
    job = _find(request)
    if job is None:
        return _coming(request, "coming_live.html")
    values = _values(request, job)
    answer = render(request, "job_live.html", **values)
    if values["is_over"] or "coming" in request.query_params:
        answer.headers["HX-Refresh"] = "true"
    return answer


def _find(request: Request) -> Job | None:
    """The job; None where its file was dropped so lately that intake may still be at it."""
    name = request.path_params["job"]
    try:
        return jobs.find(console_of(request).cloud, name)
    except NoSuchJob:
        if jobs.is_young(name):
            return None
        raise


def _coming(request: Request, template: str) -> Response:
    name, cloud = request.path_params["job"], console_of(request).cloud
    return render(request, template, title="Dropped", name=name, look_at=where_to_look(cloud, "intake"))


def _values(request: Request, job: Job) -> dict[str, Any]:
    console = console_of(request)
    cloud = console.cloud
    batches = list(cloud.store.batches(job.id))
    shown = jobs.shown(cloud, job, batches)
    manifest = shown.manifest
    picture = timeline(job, batches, manifest, now=console.now())
    waits = {} if job.state in TERMINAL_JOBS else batch_waits(cloud, job, batches, now=console.now())
    return {
        "title": job.id,
        "job": job,
        "noun": noun_of(job),
        "shown": shown,
        "is_over": job.state in TERMINAL_JOBS,
        "parts_of": _parts(shown, manifest),
        "ended": jobs.ended_requests(batches),
        "took": duration((job.published_at or job.dropped_at) - job.dropped_at),
        "picture": picture,
        "lanes": [(lane, lane_waits(job, lane, waits)) for lane in picture.lanes],
        "reasons": [] if manifest is None else find_reasons(cloud, manifest, noun_of(job)),
        "models": _models(console.cloud.prices, manifest),
        "files": {} if manifest is None else files_of(manifest),
        "actions": actions_of(job, manifest),
        "done": request.query_params.get("done", ""),
        "is_live": "still" not in request.query_params and job.state not in TERMINAL_JOBS,
    }


def _parts(shown: Shown, manifest: Manifest | None) -> list[Part]:
    """A job's requests by what became of them so far, as parts of a bar."""
    if manifest is not None:
        counts = manifest.counts
        return [] if counts is None else _bar([("answered", counts.answered), ("failed", counts.failed)])
    found = [
        (name, sum(each.requests - each.moved for each in shown.batches if each.state in states))
        for name, states in _GROUPS
    ]
    return _bar(found)


def _bar(found: Sequence[tuple[str, int]]) -> list[Part]:
    total, left, parts = sum(number for _, number in found), 0.0, list[Part]()
    for name, number in found:
        width = number * 100 / total if total else 0.0
        parts.append(Part(name=name, requests=number, left=round(left, 2), width=round(width, 2)))
        left += width
    return [each for each in parts if each.requests]


def _models(prices: PriceList, manifest: Manifest | None) -> list[tuple[ModelCounts, Price | None]]:
    return [] if manifest is None else list(zip(manifest.models, prices_of(manifest, prices), strict=True))


def actions_of(job: Job, manifest: Manifest | None) -> list[str]:
    """Return the actions on a job in its state."""
    found = ["approve", "reject"] if job.state is JobState.HELD and job.is_approved is None else []
    found += ["cancel"] if job.state in CANCELLABLE else []
    has_failed = manifest is not None and manifest.counts is not None and manifest.counts.failed > 0
    return [*found, "retry"] if has_failed else found
