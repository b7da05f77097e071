"""Logs an exception by its type and the place where it was raised, never by its words, which may quote a prompt."""

import errno
import traceback
from collections.abc import Iterator
from itertools import islice

from aws_lambda_powertools import Logger
from botocore.exceptions import ClientError

from batchdrop.texts import cut

_FRAMES = 20  # the innermost: a recursion has a thousand
_CAUSES = 3
_CODE_BYTES = 100  # of an error of AWS


def log_exception(logger: Logger, message: str, error: BaseException, **names: object) -> None:
    """Log an error that nobody expected; `names` says which unit it struck."""
    said: dict[str, object] = {"error": _kind(error), "raised_at": _frames(error)[-_FRAMES:]}
    causes = [f"{_kind(each)} at {''.join(_frames(each)[-1:])}" for each in islice(_causes(error), _CAUSES)]
    if causes:
        said["caused_by"] = causes
    logger.error(message, stacklevel=3, extra=said | names)


def _kind(error: BaseException) -> str:
    """The type, with the code that AWS or the system gave: those are words of a fixed list."""
    name = type(error).__name__
    match error:
        case ClientError():
            code = cut(str(error.response.get("Error", {}).get("Code")), _CODE_BYTES)
            return f"{name} ({code}, {error.operation_name})"
        case OSError() if error.errno is not None and error.errno in errno.errorcode:
            return f"{name} ({errno.errorcode[error.errno]})"
    return name


def _frames(error: BaseException) -> list[str]:
    """From the outermost to where it was raised: `steps/plan.py:58 in plan_split`."""
    return [
        f"{'/'.join(frame.f_code.co_filename.rsplit('/', 2)[-2:])}:{line} in {frame.f_code.co_qualname}"
        for frame, line in traceback.walk_tb(error.__traceback__)
    ]


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield the errors that it was raised from, or while handling, as a trace would show them."""
    seen = {id(error)}
    while True:
        cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if cause is None or id(cause) in seen:
            return
        seen.add(id(cause))
        yield cause
        error = cause
