"""Errors, named by what the caller does next."""

from batchdrop.protocols.refusals import Kind
from batchdrop.texts import cut

_LONGEST_REASON = 2_000  # bytes: it stands in a row and an event, and may hold a key of 1,024


class BatchdropError(Exception):
    """The root of ours. Its message never holds a prompt or a key."""


class ConfigError(BatchdropError):
    """The deployment's or the folder's settings are wrong: say so and stop; the message names the key."""


class NotMyTurn(BatchdropError):  # noqa: N818 - it is an outcome, not a fault
    """Another worker moved the row first, or holds it: there is nothing to do, and the message is done."""


class Transient(BatchdropError):  # noqa: N818 - named by what the caller does next
    """Nothing is lost: leave the state as it is and try again later."""


class Unreachable(Transient):
    """The provider did not answer, or with a 5xx: several in a row are an outage."""


class Unreadable(Transient):
    """The provider answered with what is none of its answers, an HTML page perhaps: its address may be wrong."""


class LimitReached(Transient):
    """The provider's queue is full, which is nobody's fault: wait.

    Args:
        summary: What happened, in short.
        limit: How much the queue holds, if the provider said so.
    """

    def __init__(self, summary: str, *, limit: int | None) -> None:
        super().__init__(summary)
        self.limit = limit


class OutOfTime(BatchdropError):  # noqa: N818 - named by what the caller does next
    """This run must end: what is done stays; let go, and sweep has the next run go on."""


class AccountRefused(BatchdropError):  # noqa: N818 - named by what the caller does next
    """The provider refuses the account (no key, a bad key, no credit): pause the provider; no line is at fault."""


class Refused(BatchdropError):  # noqa: N818 - named by what the caller does next
    """The provider definitely refused this call (a 4xx): nothing was created, and repeating it will not help.

    What the provider said may quote a prompt: it is in `words`, and never in the error's own text.

    Args:
        status: Its HTTP status.
        code: Its error code, or None.
        kind: What it means.
        words: Its message, for the results alone.
    """

    def __init__(self, *, status: int | None, code: str | None, kind: Kind = Kind.LINES, words: str = "") -> None:
        super().__init__(f"{status} {code}" if code else str(status))
        self.status = status
        self.code = code
        self.kind = kind
        self.words = words


class RefusedForNow(Refused, Transient):
    """The provider refused this call (a 4xx) for what passes: nothing was created, and the same again may be taken."""


class NoSuchCall(Refused):
    """The provider has no such call (405): nothing was done, and the address may be wrong."""


class OutcomeUnknown(BatchdropError):  # noqa: N818 - named by what the caller does next
    """A create may or may not have happened: leave the batch SUBMITTING; only the provider's listing can tell."""


class Unprocessable(BatchdropError):  # noqa: N818 - named by what the caller does next
    """The job cannot be processed at all: it ends FAILED with this message as its reason; nothing was paid."""

    def __init__(self, message: str) -> None:
        super().__init__(cut(message, _LONGEST_REASON))
