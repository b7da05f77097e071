"""Words for states and reasons, for users. Splits are not among them: users never meet one."""

from collections import Counter
from collections.abc import Iterable

from batchdrop.manifest import Counts, Manifest
from batchdrop.records import Batch, Job
from batchdrop.states import BATCH_WORDS, BatchState, JobState
from batchdrop.texts import count

from batchdrop_cli.exit_codes import FAILED, LINES_FAILED, OK

JOB_WORDS = {
    JobState.PLANNING: "the file is being read; nothing is paid yet",
    JobState.HELD: "approved; its batches are sent within a minute",
    JobState.RUNNING: "its batches are being processed",
    JobState.CANCELLING: "being cancelled: results received so far are collected",
    JobState.PUBLISHING: "the results are being written",
    JobState.COMPLETED: "every line has an answer or an error",
    JobState.CANCELLED: "as asked",
    JobState.FAILED: "it could not be processed",
}

ROW_ONE = "Rows are counted without the header: row 1 is the first row of data."

OVER = frozenset({BatchState.ENDED, BatchState.COLLECTED, BatchState.CANCELLED, BatchState.FAILED})


def batch_counts(batches: Iterable[Batch]) -> str:
    """`2 waiting, 1 at the provider`, in the order of a batch's life."""
    found = Counter(batch.state for batch in batches)
    return ", ".join(f"{found[state]} {word}" for state, word in BATCH_WORDS.items() if found[state])


def noun_of(job: Job) -> str:
    """Return the noun of a job's lines: rows, where a template makes a request of each."""
    return "line" if job.template_key is None else "row"


def describe_counts(counts: Counts, noun: str) -> str:
    """Return how many lines of a job are answered, as the end of a sentence."""
    if not counts.total:
        return f"it had no {noun}s"
    if not counts.answered:
        return f"no {noun} was answered"
    return f"{counts.answered:,} of {count(counts.total, noun)} answered"


def exit_code_of(manifest: Manifest) -> int:
    """The exit code of a job that is over."""
    if manifest.status is not JobState.COMPLETED:
        return FAILED
    return LINES_FAILED if manifest.counts is not None and manifest.counts.failed else OK
