"""Every error as one sentence for a person: what happened, and what to do. Nobody sees a stack trace.

A message never holds a key or a prompt: of errors that are not known here only the type is shown.
"""

import traceback
from pathlib import Path

from batchdrop.aws.row_versions import NewerRow
from batchdrop.errors import BatchdropError
from boto3.exceptions import S3UploadFailedError
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)
from cyclopts import CycloptsError

from batchdrop_cli.exit_codes import FAILED, WRONG_USE
from batchdrop_cli.say import describe_newer
from batchdrop_cli.usage import describe_wrong_use

_CREDENTIALS = (
    "There are no usable AWS credentials. Log in to AWS (aws configure, aws sso login) and set AWS_PROFILE - "
    "or work on this machine: batchdrop local up, without --aws, --stack and --region."
)
_NO_REGION = (
    "No AWS region is set. Name the region of your stack with --region or AWS_REGION - "
    "or work on this machine: batchdrop local up, without --aws, --stack and --region."
)
_EXPIRED = "The AWS credentials have expired. Log in again (aws sso login), then repeat the command."

_SILENT = "AWS (or the local cloud) does not answer. Check the network, or start it with: batchdrop local up"

_BY_TYPE: tuple[tuple[tuple[type[Exception], ...], str], ...] = (
    ((NoCredentialsError, PartialCredentialsError), _CREDENTIALS),
    ((TokenRetrievalError, UnauthorizedSSOTokenError), _EXPIRED),
    ((NoRegionError,), _NO_REGION),
    ((EndpointConnectionError, HTTPClientError), _SILENT),
)
_BY_CODE = {
    "AccessDenied": "AWS refused access. The credentials need more permissions",
    "AccessDeniedException": "AWS refused access. The credentials need more permissions",
    "ExpiredToken": _EXPIRED,
    "ExpiredTokenException": _EXPIRED,
    "RequestExpired": _EXPIRED,
    "InvalidAccessKeyId": "AWS does not know these credentials. Check AWS_PROFILE, or log in again.",
    "InvalidClientTokenId": "AWS does not know these credentials. Check AWS_PROFILE, or log in again.",
    "UnrecognizedClientException": "AWS does not know these credentials. Check AWS_PROFILE, or log in again.",
    "SignatureDoesNotMatch": "AWS did not accept the credentials' signature. Check the secret key and this clock.",
    "NoSuchBucket": "The bucket is gone. Deploy again (make deploy, or batchdrop local up), then repeat the command.",
    "ResourceNotFoundException": "The table or the secret is gone. Deploy again, then repeat the command.",
}


class UserError(BatchdropError):
    """One sentence for the user, and the exit code: 1 when something failed, 2 when the command was used wrongly."""

    def __init__(self, message: str, *, code: int = FAILED) -> None:
        super().__init__(message)
        self.code = code


class AlreadyRunning(UserError):  # noqa: N818 - a fact about a job
    """A job that is not over has the same bytes, or retries the same lines: `job_id`."""

    def __init__(self, message: str, *, job_id: str) -> None:
        super().__init__(message)
        self.job_id = job_id


class NoSuchJob(UserError):  # noqa: N818 - a fact about an id
    """There is no job of this id, or not yet."""


class NotOver(UserError):  # noqa: N818 - a fact about a job
    """The job is not over: it has no results yet."""


class NotReadable(UserError):  # noqa: N818 - a fact about a file
    """The file is another kind than its key says: nothing was dropped."""


class NoTemplate(UserError):  # noqa: N818 - a fact about a file
    """The file holds data, as `problem` says, and nobody said what is asked of its rows: nothing was sent."""

    def __init__(self, file: Path, problem: str, column: str) -> None:
        super().__init__(
            f"{file} {problem}: name --model and --prompt (or --embed), or put a batchdrop.toml with [template] into "
            f'its folder. For example: --model gpt-4o-mini --prompt "Sentiment of: {{{{ {column} }}}}"',
            code=WRONG_USE,
        )
        self.problem, self.column = problem, column


class TooExpensive(UserError):  # noqa: N818 - a fact about a file
    """The file may cost more than its limit, or nobody knows how much: nothing was sent."""


EXPECTED = (BatchdropError, BotoCoreError, ClientError, S3UploadFailedError, OSError)
"""What `sentence` has words for, when a command runs: everything else is a fault of the command itself."""


def sentence(error: BaseException) -> tuple[str, int]:
    """Return the sentence for the user about an error, and the exit code."""
    match error:
        case UserError():
            return str(error), error.code
        case CycloptsError():
            return describe_wrong_use(error), WRONG_USE
        case BatchdropError():
            return _of_batchdrop(error), FAILED
        case BotoCoreError() | ClientError() | S3UploadFailedError():
            return _of_aws(error), FAILED
        case OSError():
            return _of_files(error)
        case _:
            return _of_ours(error), FAILED


def _of_batchdrop(error: BatchdropError) -> str:
    return describe_newer(error.job) if isinstance(error, NewerRow) and error.job is not None else str(error)


def _of_aws(error: BaseException) -> str:
    if isinstance(error, S3UploadFailedError):
        error = error.__cause__ or error.__context__ or error
    if isinstance(error, ClientError):
        return _of_answer(error)
    for types, text in _BY_TYPE:
        if isinstance(error, types):
            return text
    return f"AWS could not be used: {_one_line(error)}"


def _of_answer(error: ClientError) -> str:
    code = error.response.get("Error", {}).get("Code", "")
    known = _BY_CODE.get(code)
    if known is None:
        return f"AWS answered {code or 'with an error'} to {error.operation_name}. Repeat the command in a moment."
    return known if known.endswith(".") else f"{known} ({error.operation_name})."


def _of_files(error: OSError) -> tuple[str, int]:
    name = error.filename if isinstance(error.filename, str | Path) else "The file"
    match error:
        case FileNotFoundError():
            return f"{name} does not exist.", WRONG_USE
        case IsADirectoryError():
            return f"{name} is a folder; name a file.", WRONG_USE
        case PermissionError():
            return f"{name} cannot be read or written: you have no permission.", FAILED
        case _:
            return f"{name}: {error.strerror or type(error).__name__}", FAILED


def _of_ours(error: BaseException) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1:]
    where = f" ({Path(frame[0].filename).name}, line {frame[0].lineno})" if frame else ""
    return f"The command itself failed: {type(error).__name__}{where}. Please report it with this line."


def _one_line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if text.endswith((".", "?", "!")) else text + "."
