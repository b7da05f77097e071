"""A page of a job's results, in the order of the input, with the input's own lines where these can be read beside them.

Only as much is read as the page shows: a place in the results names its byte.
"""

from collections.abc import Iterator, Sequence

import msgspec
from batchdrop.aws.keys import is_rewritten
from batchdrop.errors import Gone
from batchdrop.jsonl import Line, cut_lines
from batchdrop.manifest import File, Manifest
from batchdrop.records import Job

from batchdrop_cli.cloud import Cloud
from batchdrop_client.results import Result, read_results

PAGE = 20
_LONGEST_LINE = 1024 * 1024  # a longer one is named, and not shown
_LONGEST_TEXT = 20_000  # characters of an answer or a prompt on a page
_MOST_DIGITS = 15  # of a place: a petabyte
_MOST_BYTES = 8 * 1024 * 1024  # read for one page


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a page begins: a part of the results and a byte of it; the byte and the line of the input there."""

    part: int = 0
    at: int = 0
    input_at: int = 0
    line: int = 1

    def __str__(self) -> str:
        return f"{self.part}.{self.at}.{self.input_at}.{self.line}"


START = Place()


def read_place(text: str) -> Place:
    """A place as an address has it; the beginning for anything else."""
    numbers = text.split(".")
    is_place = all(each.isascii() and each.isdecimal() and len(each) <= _MOST_DIGITS for each in numbers)
    if len(numbers) != len(Place.__struct_fields__) or not is_place:
        return START
    part, at, input_at, line = map(int, numbers)
    return Place(part=part, at=at, input_at=input_at, line=max(line, 1))


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A result on a page: what is known of it, and its texts, which are None until they are asked for.

    `result` is None where the line is too long to be shown.
    """

    result: Result | None
    bytes: int
    answer: str | None = None
    prompt: str | None = None


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """Results, and where the next page begins; None at the end."""

    rows: list[Shown]
    next: Place | None


def read_page(  # noqa: PLR0913 - what a page is
    cloud: Cloud, job: Job, manifest: Manifest, place: Place, *, only_errors: bool, with_texts: bool
) -> Page:
    """A page of results.

    Args:
        cloud: Where they are.
        job: Whose.
        manifest: The job's.
        place: Where it begins.
        only_errors: Those that have an error.
        with_texts: Prompts and answers, too.
    """
    errors = manifest.files.errors
    files: Sequence[File] = ([] if errors is None else [errors]) if only_errors else manifest.files.results
    lines, after = _lines(cloud, files, place)
    found = [None if each.bytes is None else next(read_results([each.bytes])) for each in lines]
    prompts, input_at, line = dict[int, str](), place.input_at, place.line
    if with_texts and not only_errors and not is_rewritten(job.key):
        wanted = [each.line for each in found if each is not None]
        prompts, input_at, line = _prompts(cloud, job, place, wanted)
    rows = [
        Shown(
            result=result,
            bytes=each.length,
            answer=_answer(result) if with_texts and result is not None else None,
            prompt=prompts.get(result.line) if result is not None else None,
        )
        for each, result in zip(lines, found, strict=True)
    ]
    more = None if after is None else Place(part=after.part, at=after.at, input_at=input_at, line=line)
    return Page(rows=rows, next=more)


def _lines(cloud: Cloud, files: Sequence[File], place: Place) -> tuple[list[Line], Place | None]:
    """The lines of a page, and the place behind them."""
    lines = list[Line]()
    part, at = place.part, place.at
    while part < len(files) and len(lines) < PAGE:
        for line in _from(cloud, files[part], at):
            lines.append(line)
            at = line.end
            if len(lines) == PAGE:
                break
        if at < files[part].bytes:  # the page is full, or enough was read for it
            break
        part, at = part + 1, 0
    return lines, Place(part=part, at=at) if part < len(files) else None


def _from(cloud: Cloud, file: File, at: int) -> Iterator[Line]:
    """The lines of a file from a byte on, as far as a page reads: the last may be of any length."""
    chunks = cloud.files.stream(file.key, start=at, version_id=file.version_id) if at < file.bytes else ()
    for line in cut_lines(chunks, offset=at, max_bytes=_LONGEST_LINE):
        yield line
        if line.end >= at + _MOST_BYTES:
            return


def _prompts(cloud: Cloud, job: Job, place: Place, wanted: Sequence[int]) -> tuple[dict[int, str], int, int]:
    """The input's lines of these numbers, and the byte and line behind the last."""
    found, last = dict[int, str](), max(wanted, default=0)
    at, number = place.input_at, place.line
    if at >= job.bytes or number > last:
        return found, at, number
    numbers, end = {*wanted}, min(job.bytes, at + _MOST_BYTES)
    try:
        chunks = cloud.files.stream(job.key, start=at, end=end, version_id=job.version_id)
        for line in cut_lines(chunks, offset=at, max_bytes=_LONGEST_LINE):
            if line.end > end and end < job.bytes:
                break
            if number in numbers and line.bytes is not None:
                found[number] = _short(line.bytes.decode(errors="replace"))
            at, number = line.end, number + 1
            if number > last:
                break
    except Gone:  # its owner deleted the version; the results stay
        return found, at, number
    return found, at, number


def _answer(result: Result) -> str:
    if result.error is not None:
        theirs = f"\nThe provider: {result.error.provider_message}" if result.error.provider_message else ""
        return _short(f"{result.error.message}{theirs}")
    if result.text:
        return _short(result.text)
    return "" if result.response is None else _short(bytes(result.response.body).decode(errors="replace"))


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST_TEXT else f"{text[:_LONGEST_TEXT]}… ({len(text):,} characters)"
