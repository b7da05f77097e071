"""Exceptions with the command's sentences; all of them are `BatchdropError`.

Those that the command raises, too, are in `batchdrop_cli.user_errors`. Python's own stay what they are:
FileNotFoundError for a path, TypeError for a row that is no mapping.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from batchdrop.aws.row_versions import NewerRow
from batchdrop.errors import BatchdropError, Gone
from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import BotoCoreError, ClientError

from batchdrop_cli.user_errors import sentence

if TYPE_CHECKING:
    from batchdrop_client.results import Result


class CloudFailed(BatchdropError):  # noqa: N818 - the names of these are facts
    """AWS, or the local cloud, did not do what was asked: no credentials, no rights, no network. Jobs go on."""


class JobHeld(BatchdropError):  # noqa: N818
    """The job is over its budget: nothing of it was sent. `job_id` can be approved or rejected."""

    def __init__(self, job_id: str, reason: str | None) -> None:
        super().__init__(f"Job {job_id} is held: {reason}")
        self.job_id = job_id


class JobFailed(BatchdropError):  # noqa: N818
    """The job failed as a whole: it has no results. Lines that fail do not raise; they are results with `error`."""

    def __init__(self, job_id: str, reason: str | None) -> None:
        super().__init__(f"Job {job_id} failed: {reason}")
        self.job_id, self.reason = job_id, reason


class WaitTimeout(BatchdropError, TimeoutError):  # noqa: N818
    """The job is not over after so many seconds. It goes on: wait for it again."""


class NotJson(BatchdropError, ValueError):  # noqa: N818
    """An answer's text is not JSON; the message names its line and holds nothing of the text."""


class RequestFailed(BatchdropError):  # noqa: N818
    """The request has no answer; `result.error` says why in full."""

    def __init__(self, result: "Result") -> None:
        error = result.error
        super().__init__("No answer." if error is None else f"{error.code}: {error.message}")
        self.result = result


@contextmanager
def in_words() -> Iterator[None]:
    """Say in the command's sentences what AWS and botocore raise.

    Raises:
        CloudFailed: They raised; the cause says the rest.
    """
    try:
        yield
    except (BotoCoreError, ClientError, S3UploadFailedError, NewerRow) as error:
        raise CloudFailed(sentence(error)[0]) from error
    except Gone as error:
        raise CloudFailed(f"{error} is not in the bucket any more: it was deleted.") from error
