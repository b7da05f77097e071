"""Describes a stalled job: the step whose turn it is, its queue and its log."""

from collections.abc import Sequence
from pathlib import Path

from batchdrop.records import Batch, Job
from batchdrop.states import BatchState, JobState

from batchdrop_cli.cloud import Cloud
from local_cloud.machine import full_disk

QUIET_SECONDS = 30.0  # seconds without a change; each step answers within a few

_MISSING = {
    "intake": "no job was made of the file: its event does not arrive, or intake fails",
    "plan": "no further part of the file was read (a large compressed file takes minutes)",
    "submit": "no batch was sent",
    "finish": "no request was called at real time",
    "collect": "no results were collected",
    "assemble": "the results were not put in order",
    "publish": "the results were not published",
}
_TO_BE_SENT = frozenset({BatchState.WAITING, BatchState.ADMITTED, BatchState.SUBMITTING})


def describe_stall(cloud: Cloud, job: Job | None, batches: Sequence[Batch], waits: Sequence[str]) -> str | None:
    """Return which step is missing, and where to look; None for a wait with a known reason, such as a provider."""
    step = _step_of(job, batches, waits)
    if step is None:
        return None
    full = None if cloud.logs is None else full_disk(Path(cloud.logs).parent)
    return f"For {QUIET_SECONDS:.0f} seconds {_MISSING[step]}. {full or f'Look at {where_to_look(cloud, step)}.'}"


def _step_of(job: Job | None, batches: Sequence[Batch], waits: Sequence[str]) -> str | None:
    """The step whose turn it is."""
    if job is None:
        return "intake"
    match job.state:
        case JobState.PLANNING:
            return "plan"
        case JobState.PUBLISHING:
            return "publish"
        case JobState.RUNNING if not waits:
            called = any(each.is_realtime and each.state is BatchState.ADMITTED for each in batches)
            return "finish" if called else _step_of_batches({batch.state for batch in batches})
        case _:
            return None


def _step_of_batches(states: set[BatchState]) -> str | None:
    if BatchState.ENDED in states:
        return "collect"
    if BatchState.IN_FLIGHT in states:
        return None
    return "submit" if states & _TO_BE_SENT else "assemble"


def where_to_look(cloud: Cloud, step: str) -> str:
    """The logs of a step on this machine; the rule, the queue and the log group on AWS."""
    if cloud.logs is not None:
        return f"{cloud.logs}/functions/{step}.log and {cloud.logs}/emulator.log"
    rule = "the EventBridge rule ObjectCreated, " if step == "intake" else ""
    return f"{rule}the queue of {step} with its dead letters, and the log of the function {step} ({cloud.title})"
