"""Of several commands that drop the same, one does: it holds a claim in the table until a job has come of it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from batchdrop.aws.leases import DropClaim
from batchdrop.states import TERMINAL_JOBS
from botocore.exceptions import ClientError

from batchdrop_cli.claim_notes import kept_mark
from batchdrop_cli.cloud import Cloud
from batchdrop_cli.fingerprints import PART_BYTES
from batchdrop_cli.user_errors import UserError

_SLOWEST_UPLOAD = 500_000  # bytes a second: a command that died holds its claim no longer than that would take
INTAKE_SECONDS = 900  # a drop that has not become a job by then has lost its event


@dataclass
class Dropping:
    """A drop under a claim: `ending` is called before S3 is asked for the object, and then `job` is set."""

    ending: Callable[[], None] = lambda: None
    job: str | None = None


@contextmanager
def only_command(  # noqa: PLR0913 - what a claim is
    cloud: Cloud, digest: str, *, place: str, size: int, what: str, running: Callable[[str], UserError]
) -> Iterator[Dropping]:
    """Hold the claim on what a digest names; the caller says which job came of it.

    A command that was killed while it sent the parts of a large file left its claim: repeated, it takes it back.

    Args:
        cloud: Whose table has the claims.
        digest: Names what is dropped.
        place: Where to: a claim is taken back for the same place alone, which was looked at.
        size: How many bytes are uploaded.
        what: It is in words, for a message.
        running: What to say where a job that is not over has come of it.

    Raises:
        UserError: Another command holds the claim, or its job runs.
    """
    seconds = INTAKE_SECONDS + size // _SLOWEST_UPLOAD
    with kept_mark(cloud.bucket, cloud.table, digest, place, is_kept=size >= PART_BYTES) as kept:
        take = partial(cloud.store.leases.claim_drop, digest, seconds, holder=kept.mark)
        claim, dropping = _claim(cloud, take, what, running), Dropping(ending=kept.forget)
        try:
            yield dropping
        finally:
            if claim is not None:
                cloud.store.leases.end_drop(claim, dropping.job, INTAKE_SECONDS)
            kept.forget()


def _claim(
    cloud: Cloud, take: Callable[..., DropClaim], what: str, running: Callable[[str], UserError]
) -> DropClaim | None:
    """The claim; None for who may not write to the table, and has to do with the look."""
    try:
        claim = take()
        if claim.job is not None and _is_over(cloud, claim.job):
            claim = take(after=claim.job)
    except ClientError as error:
        if error.response["Error"]["Code"] != "AccessDeniedException":
            raise
        return None
    if claim.is_held:
        return claim
    if claim.job is not None:
        raise running(claim.job)
    raise UserError(f"Another command is dropping {what} right now. To drop and pay for them anyway: --again")


def _is_over(cloud: Cloud, job_id: str) -> bool:
    job = cloud.store.job(job_id)
    return job is not None and job.state in TERMINAL_JOBS
