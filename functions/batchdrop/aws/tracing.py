"""X-Ray tracing: each unit of work is a subsegment with its job's id. Off unless the deployment turns it on.

Nothing that a unit reads, answers or raises is sent: the SDK would send an exception's words, which may quote a prompt,
and those of each call to AWS that fails, so that no client is patched. Lambda's own segments, and the trace's id in
what boto3 sends (its recursion detection), link one step to the next.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager

from aws_lambda_powertools import Tracer

from batchdrop.correlation import current_job

_OFF = "POWERTOOLS_TRACE_DISABLED"


@contextmanager
def traced(work: str) -> Iterator[None]:
    """Do one unit of work in a subsegment of that name, with the job that it was of, and whether it failed."""
    tracer = _tracer()
    if tracer is None:
        yield
        return
    raised: BaseException | None = None
    with tracer.provider.in_subsegment(name=work) as segment:
        try:
            yield
        except BaseException as error:  # noqa: BLE001 - it is raised below, where the SDK does not see it
            raised = error
        job = current_job()
        if job is not None:
            segment.put_annotation("job", job)
        segment.put_annotation("failed", raised is not None)
    if raised is not None:
        raise raised


def _tracer() -> Tracer | None:
    """None where tracing is off: then the SDK, which takes a start a moment longer, is not loaded."""
    return Tracer(auto_patch=False) if os.environ.get(_OFF, "true").lower() == "false" else None
