"""What a command's exit code says. `docs/command.md` and `--help` tell the same; a test holds them together."""

from batchdrop.manifest import Manifest
from batchdrop.states import JobState

OK = 0
FAILED = 1
WRONG_USE = 2
LINES_FAILED = 3
INTERRUPTED = 130  # as shells count Ctrl-C

MEANINGS = {
    OK: "done; of a job: every line is answered",
    FAILED: "the command failed, or its job did not complete",
    WRONG_USE: "the command was used wrongly",
    LINES_FAILED: "the job completed, and some of its lines failed",
    INTERRUPTED: "interrupted by Ctrl-C; the job goes on",
}


def of_job(manifest: Manifest) -> int:
    """The exit code of a job that is over."""
    if manifest.status is not JobState.COMPLETED:
        return FAILED
    return LINES_FAILED if manifest.counts is not None and manifest.counts.failed else OK
