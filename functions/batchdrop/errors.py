"""Errors, named by what the caller does next."""

from batchdrop.pause_codes import PauseCode
from batchdrop.refusal_kinds import Kind
from batchdrop.texts import cut

_LONGEST_REASON = 2_000  # bytes: it stands in a row and an event, and may hold a key of 1,024
_VERSIONING_SECONDS = _RIGHT_SECONDS = 900


class BatchdropError(Exception):
    """The root of ours. Its message never holds a prompt or a key."""


class ConfigError(BatchdropError):
    """The deployment's or the folder's settings are wrong: say so and stop; the message names the key."""


class ClaimLost(BatchdropError):  # noqa: N818 - it is an outcome, not a fault
    """Another worker moved the row first, or holds it: there is nothing to do, and the message is done."""


class Transient(BatchdropError):  # noqa: N818 - named by what the caller does next
    """Nothing is lost: leave the state as it is and try again later."""


class Unreachable(Transient):
    """The provider did not answer, or with a 5xx: several in a row are an outage."""


class UnexpectedResponse(Transient):
    """The provider sent an unexpected document, an HTML page perhaps: its address may be wrong."""


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
    """The run's time is over. Finished work stays; release the claim, and sweep resumes it in another run."""


class AccountRefused(BatchdropError):  # noqa: N818 - named by what the caller does next
    """The provider refuses the account (no key, a bad key, no credit): pause the provider; no line is at fault.

    Args:
        reason: Why, in words.
        code: The same for programs.
    """

    def __init__(self, reason: str, code: PauseCode = PauseCode.ACCOUNT_REFUSED) -> None:
        super().__init__(reason)
        self.code = code


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
    """The provider refused this call (a 4xx) for a passing reason: nothing was created, and a retry may succeed."""


class EndpointNotFound(Refused):
    """The provider does not expose this endpoint (405): nothing was done, and the address may be wrong."""


class OutcomeUnknown(BatchdropError):  # noqa: N818 - named by what the caller does next
    """A create may or may not have happened: leave the batch SUBMITTING; only the provider's listing can tell."""


class Unprocessable(BatchdropError):  # noqa: N818 - named by what the caller does next
    """The job cannot be processed at all: it ends FAILED with this message as its reason; nothing was paid."""

    def __init__(self, message: str) -> None:
        super().__init__(cut(message, _LONGEST_REASON))


class Gone(Exception):  # noqa: N818 - a fact about an object
    """The object, or this version of it, is not there.

    Args:
        key: The object's.
        is_certain: S3 says that it was deleted, and not only that it is not there.
    """

    def __init__(self, key: str, *, is_certain: bool = False) -> None:
        super().__init__(key)
        self.is_certain = is_certain

    def may_pass(self, *, written_at: int, refused_at: int, now: int) -> bool:  # noqa: ARG002 - for one that is locked
        """Return whether what was written then may be there all the same.

        For 15 minutes after versioning was turned on, S3 may answer 404 for a new object
        (https://docs.aws.amazon.com/AmazonS3/latest/userguide/manage-versioning-examples.html).
        """
        return not self.is_certain and now < written_at + _VERSIONING_SECONDS


class Locked(Gone):
    """A dropped object is there, and S3 refuses to let it be read: a job that is not planned cannot go on.

    Args:
        key: The object's.
        reason: Why, and what to do.
        is_certain: It is not a right that may be on its way: a role's and a key's take minutes to be known everywhere.
    """

    def __init__(self, key: str, reason: str, *, is_certain: bool) -> None:
        super().__init__(key, is_certain=is_certain)
        self.reason = reason

    def may_pass(self, *, written_at: int, refused_at: int, now: int) -> bool:  # noqa: ARG002 - for one that is gone
        """Return whether a right may be on its way: counted from the first refusal, for the drop may be long ago."""
        return not self.is_certain and now < refused_at + _RIGHT_SECONDS


class Missing(Exception):  # noqa: N818 - a fact about the provider
    """The provider does not know this id; for a while after a create that means nothing."""


class Undecodable(Missing):
    """The provider gives a file only in an encoding that cannot be decoded here."""

    def __init__(self, encoding: str) -> None:
        super().__init__(f"it is compressed ({encoding[:40]!r}) although it was asked not to")
