"""What a command's exit code says. `docs/exit-codes.md` and `--help` tell the same; a test holds them together."""

OK = 0
FAILED = 1
WRONG_USE = 2
LINES_FAILED = 3
OVER_LIMIT = 4
INTERRUPTED = 130  # as shells count Ctrl-C

MEANINGS = {
    OK: "done; of a job: every line is answered",
    FAILED: "the command failed, or its job did not complete",
    WRONG_USE: "the command was used wrongly",
    LINES_FAILED: "the job completed, and some of its lines failed",
    OVER_LIMIT: "the file may cost more than --max-cost, or its job is held for its budget; nothing was sent",
    INTERRUPTED: "interrupted by Ctrl-C; the job continues",
}
