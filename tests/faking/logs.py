"""What the functions log, as CloudWatch would show it."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager

from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter

_OURS = {os.environ["POWERTOOLS_SERVICE_NAME"], "aws_lambda_powertools"}  # and those of what calls our steps


class Log(logging.Handler):
    """What CloudWatch would show, at any level."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.setFormatter(LambdaPowertoolsFormatter())

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))

    def holds(self, *words: str) -> bool:
        return any(all(word in line for word in words) for line in self.lines)


@contextmanager
def all_logged() -> Iterator[Log]:
    """Every line of ours, debugging ones too, and what other packages warn of."""
    names = [name for name in logging.Logger.manager.loggerDict if name.partition(".")[0] in _OURS]
    loggers = [logging.getLogger(name) for name in names]
    levels = [each.level for each in loggers]
    log, root = Log(), logging.getLogger()
    for each in loggers:
        each.setLevel(logging.DEBUG)
    root.addHandler(log)
    yield log
    root.removeHandler(log)
    for each, level in zip(loggers, levels, strict=True):
        each.setLevel(level)
