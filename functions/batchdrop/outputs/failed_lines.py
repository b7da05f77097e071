"""The dropped lines that have no answer: `failed.jsonl` holds them as they came, to be fixed and dropped again."""

from array import array
from functools import cached_property

from aws_lambda_powertools import Logger

from batchdrop.batches.split_plan import IndexedLine
from batchdrop.errors import Gone, Locked
from batchdrop.inputs.request_lines import MAX_LINE_BYTES
from batchdrop.outputs.line_spool import read_spans
from batchdrop.outputs.split_outputs import SplitOutput
from batchdrop.records import Job, Split
from batchdrop.services import Services

logger = Logger(child=True)

_INPUT_GONE = "The dropped file was deleted before its job was done: this line is empty in failed.jsonl."
_INPUT_LOCKED = "For a day, S3 did not let the dropped file be read: this line is empty in failed.jsonl."
_LOCKED_SECONDS = 86_400  # outputs are never overwritten: answers wait that long for a right that is missing


class InputUnread(Exception):  # noqa: N818 - it is an outcome: look again later
    """S3 does not let the dropped file be read, which may pass."""


class FailedLines:
    """Where the lines lie that have no answer, in the order of their errors."""

    def __init__(self, job: Job, split: Split, services: Services) -> None:
        self._job, self._split, self._services = job, split, services
        self._offsets, self._lengths = array("Q"), array("I")

    def add(self, line: IndexedLine) -> None:
        self._offsets.append(line.offset)
        self._lengths.append(line.length)

    @cached_property
    def unreadable(self) -> str | None:
        """Why the version that was dropped cannot be read any more, if so; asked for once a line has failed."""
        source, now = self._job.source, self._services.now()
        refused_at = self._split.refused_at or now
        try:  # a HEAD is allowed where a KMS key is not
            next(self._services.files.stream(source.key, end=1, version_id=source.version_id), None)
        except Locked as error:
            if now < refused_at + _LOCKED_SECONDS:
                raise InputUnread from error
            return _INPUT_LOCKED
        except Gone as error:
            if error.may_pass(written_at=self._job.dropped_at, refused_at=refused_at, now=now):
                raise InputUnread from error
            logger.warning("input deleted before its job was done", split=self._split.index)
            return _INPUT_GONE
        return None

    def copy_to(self, output: SplitOutput) -> None:
        """Write the lines byte for byte; one over the limit, or unreadable, stands as an empty one."""
        source = self._job.source
        spans = (
            (offset, offset + (length if length <= MAX_LINE_BYTES else 0))
            for offset, length in zip(self._offsets, self._lengths, strict=True)
        )
        line, written = bytearray(), 0
        read = self._services.files.reader(source.key, source.version_id)
        try:
            for chunk, is_last in () if self._offsets and self.unreadable else read_spans(read, spans):
                line += chunk
                if is_last:
                    output.write(bytes(line) + b"\n")
                    written += 1
                    line.clear()
        except Gone as error:  # deleted since it was asked for: the next run knows, and says so
            raise InputUnread from error
        for _ in range(written, len(self._offsets)):
            output.write(b"\n")
