"""The meanings of exit codes. `docs/exit-codes.md` and `--help` have the same; a test holds them together."""

OK = 0
FAILED = 1
WRONG_USE = 2
LINES_FAILED = 3
OVER_LIMIT = 4
INTERRUPTED = 130  # as shells count Ctrl-C

_WAITED = "0 every line was answered; 3 some lines failed; 1 the job did not complete"
_HELD = f"{_WAITED}; 4 it is held for its budget"
_READ = "0 every line would be sent; 3 some would not; 1 the whole file would be refused"
_ENDINGS = {
    "run": f"{_WAITED}; 4 it may cost too much, or is held",
    "retry": _HELD,
    "put": "0 dropped (with --wait: every line was answered; 3 some failed); 1 it failed; 4 it may cost too much, or "
    "is held",
    "wait": _HELD,
    "watch": _HELD,
    "results": f"{_WAITED} (with --with-retries: in the end)",
    "show": "0 done; 1 it failed; with --watch those of watch",
    "demo": _WAITED,
    "validate": _READ,
    "quote": _READ,
    "template": "0 the row would be sent; 3 it would not",
    "doctor": "0 nothing is wrong; 1 something is",
    "keys check": "0 every key is taken; 1 one is not",
    "local status": "0 it is up; 1 it is not",
}


def endings_of(command: str) -> str:
    """Return the meanings of a command's exit codes, for the end of its help."""
    return f"Exit codes: {_ENDINGS.get(command, '0 done; 1 it failed')}; 2 wrong use. More: docs/exit-codes.md"


MEANINGS = {
    OK: "done; of a job: every line is answered",
    FAILED: "the command failed, or its job did not complete",
    WRONG_USE: "the command was used wrongly",
    LINES_FAILED: "the job completed, and some of its lines failed",
    OVER_LIMIT: "the file may cost more than --max-cost, or its job is held for its budget; nothing was sent",
    INTERRUPTED: "interrupted by Ctrl-C; the job continues",
}
