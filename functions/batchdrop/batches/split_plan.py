"""A split's plan: which line went into which request of which batch. Objects in `work/`, written once.

The plan names everything else: the line index, and for each batch its requests and its members.
"""

from array import array

import msgspec
from msgspec import UNSET, Raw, UnsetType

from batchdrop.aws import keys
from batchdrop.aws.bucket import Files
from batchdrop.batches.packing import Group
from batchdrop.errors import Transient
from batchdrop.inputs.token_counts import TokenCounts
from batchdrop.jsonl import Block, Line, cut_blocks
from batchdrop.protocols.request_checks import NULL
from batchdrop.records import Job, Split
from batchdrop.result_line import ErrorCode
from batchdrop.services import Services

_INDEX_BLOCK_BYTES = 256 * 1024
# An index line holds a custom_id and the kept columns, each no longer than its input line, which has 32 MiB at most.
_INDEX_LINE_BYTES = 80 * 1024 * 1024


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """Where a line goes, as its result says; `model` as written in the line."""

    provider: str
    model: str
    endpoint: str


class IndexedError(msgspec.Struct, frozen=True, array_like=True):
    code: ErrorCode
    message: str
    provider: str | None
    model: str | None
    endpoint: str | None


class IndexedLine(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One input line that is not blank: its number in the split (from 1), where it lies, and where it went.

    `route` counts the plan's routes; it is -1 for a line that is never sent, and then `error` says why. The `length` of
    a line that is too long is the first that is, however long the line. `row` holds the columns that a template keeps.
    """

    number: int
    offset: int
    length: int
    route: int
    custom_id: Raw
    error: IndexedError | None = None
    row: Raw = NULL

    @property
    def kept(self) -> Raw | UnsetType:
        """The columns that a template keeps, as a result has them: absent where there are none."""
        return UNSET if self.row == NULL else self.row


class PlannedBatch(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    token: str
    group: Group
    requests: int
    bytes: int
    tokens: int
    requests_key: str
    members_key: str


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """`lines` counts all lines of the split, blank ones too; `first_codes` are its first errors by the line's number.

    `tokens` counts those of each route's requests; None in a plan of an earlier version. `shared_key` names the object
    that says which lines share the request of another; None where none does.
    `first_errors` is of earlier versions, which want it: they wrote sentences there, which quote the lines.
    """

    lines: int
    blank_lines: int
    invalid: int
    index_key: str
    routes: list[Route]
    batches: list[PlannedBatch]
    first_errors: list[tuple[int, str]]
    first_codes: list[tuple[int, str]] = []
    tokens: list[TokenCounts] | None = None
    shared_key: str | None = None


class LineNumbering(msgspec.Struct, frozen=True, kw_only=True):
    """The line numbers of a wholly planned file: the number of the lines before each split, and the sums."""

    lines_before: list[int]
    lines: int
    blank_lines: int


_index_line = msgspec.json.Decoder(IndexedLine)


class LineIndex:
    """The lines of a plan, in input order. Only some are in memory: each may have a custom_id of many MB."""

    def __init__(self, files: Files, plan: Plan) -> None:
        found = cut_blocks(
            files.stream(plan.index_key), offset=0, max_bytes=_INDEX_LINE_BYTES, block_bytes=_INDEX_BLOCK_BYTES
        )
        self._blocks = (_read_block(each) or _read_lines(each) for each in found)
        self._lines: list[IndexedLine] = []
        self._at = 0

    def take(self, most: int) -> list[IndexedLine]:
        """The next lines, one at least.

        Raises:
            Transient: There are no more, or they cannot be read.
        """
        if self._at == len(self._lines):
            self._lines, self._at = next(self._blocks, []), 0
        taken = self._lines[self._at : self._at + most]
        self._at += len(taken)
        if not taken:
            raise Transient("the index of a split is damaged")
        return taken


def _read_block(block: Line | Block) -> list[IndexedLine]:
    """The lines of a block; none if they are to be read one by one."""
    if isinstance(block, Line):
        return []
    try:
        lines = _index_line.decode_lines(block.bytes)
    except ValueError:  # msgspec's errors are ValueErrors
        return []
    return lines if len(lines) == block.bytes.count(b"\n") else []


def _read_lines(found: Line | Block) -> list[IndexedLine]:
    lines = [found] if isinstance(found, Line) else list(found.lines(max_bytes=_INDEX_LINE_BYTES))
    texts = [line.bytes for line in lines if line.bytes is not None]
    if len(texts) < len(lines):
        raise Transient("the index of a split is damaged")
    return [_index_line.decode(text) for text in texts]


def read_members(files: Files, key: str) -> array[int]:
    """For each request of a batch, the line it came from: its place in the plan's index, from 0."""
    members = array("I")
    members.frombytes(files.get(key))
    return members


def lines_before(splits: list[Split]) -> LineNumbering:
    """Return how the lines of a wholly planned file are numbered."""
    before = [0]
    for split in splits:
        before.append(before[-1] + split.lines)
    return LineNumbering(
        lines_before=before[:-1], lines=before[-1], blank_lines=sum(split.blank_lines for split in splits)
    )


def lines_before_split(job: Job, split: Split, files: Files) -> int:
    """Return how many lines of a wholly planned file come before a split's own."""
    if not split.index:
        return 0
    numbering = msgspec.json.decode(files.get(job.line_numbering_key or ""), type=LineNumbering)
    return numbering.lines_before[split.index]


def read_plan(split: Split, services: Services) -> Plan:
    """The first plan of a planned split."""
    return msgspec.json.decode(services.files.get(keys.plan_key(split.job, split.index, 0)), type=Plan)
