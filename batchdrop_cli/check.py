"""`validate`: what would become of each line of a file, offline and in constant memory, by the functions' own rules."""

from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import msgspec
from batchdrop.aws.keys import ENDINGS, SCHEMA_ENDING, is_rewritten, is_table
from batchdrop.batches.packing import MAX_ROUTES, Group, Packer, Routes, TooManyGroups
from batchdrop.errors import Unprocessable
from batchdrop.inputs.compression import BYTES_PER_SECOND
from batchdrop.inputs.equal_requests import EqualRequests
from batchdrop.inputs.fallbacks import find_fallback
from batchdrop.inputs.file_formats import reject_non_jsonl
from batchdrop.inputs.job_settings import find_template, resolve
from batchdrop.inputs.request_lines import MAX_LINE_BYTES, LineError, LineReader, Request, is_blank
from batchdrop.inputs.sources import read_source
from batchdrop.inputs.templated_lines import TemplatedReader
from batchdrop.inputs.templates import Rendering
from batchdrop.inputs.token_counts import Route, TokenCounts
from batchdrop.jsonl import Line, cut_lines
from batchdrop.protocols.output_schemas import OutputSchema
from batchdrop.protocols.token_estimates import Media, measure_media
from batchdrop.providers.config import Providers
from batchdrop.records import JobSettings, Protocol
from batchdrop.result_line import ErrorCode

from batchdrop_cli.exit_codes import FAILED, WRONG_USE
from batchdrop_cli.row_settings import (
    REQUESTS,
    RowSettings,
    read_schema,
    refuse_table_without_template,
)
from batchdrop_cli.table_files import dropped_name, holds_rows, is_converted, read_lines
from batchdrop_cli.unreadable import describe_unreadable
from batchdrop_cli.user_errors import NotReadable, UserError

SPLIT_BYTES = 64 * 1024 * 1024  # the deployment's default: batches are put together within ranges of this size
SHOWN_ERRORS = 20
FIRST_LINES = 3  # of a kind of error
_CHUNK = 1024 * 1024
_MAX_INFLATED = BYTES_PER_SECOND * 900  # the deployment's default: a function runs 15 minutes


class InvalidLines(msgspec.Struct, kw_only=True):
    """The lines that one kind of error has, and the numbers of the first ones."""

    lines: int = 0
    first_lines: list[int] = msgspec.field(default_factory=list)


class Found(msgspec.Struct, kw_only=True):
    """The content of a file.

    `errors` are the first ones, as line, code and message; `invalid` counts them all, `kinds` by their codes. `tokens`
    are counted where they are asked for. `shared` counts lines that are not sent, since another's request is equal.
    `noun` is what its lines are called: rows, where a template makes a request of each.
    """

    noun: str = "line"
    lines: int = 0
    blank: int = 0
    invalid: int = 0
    shared: int = 0
    batches: int = 0
    requests: Counter[tuple[str, str, str]] = msgspec.field(default_factory=Counter)
    errors: list[tuple[int, str, str]] = msgspec.field(default_factory=list)
    kinds: dict[ErrorCode, InvalidLines] = msgspec.field(default_factory=dict)
    tokens: dict[Route, TokenCounts] | None = None

    def refuse(self, code: ErrorCode, message: str) -> None:
        self.invalid += 1
        kind = self.kinds.setdefault(code, InvalidLines())
        kind.lines += 1
        if len(kind.first_lines) < FIRST_LINES:
            kind.first_lines.append(self.lines)
        if len(self.errors) < SHOWN_ERRORS:
            self.errors.append((self.lines, code, message))

    def take(self, request: Request, media: Media, group: Group) -> None:
        route = request.provider, request.model, request.endpoint
        self.requests[route] += 1
        if self.tokens is not None:
            counts = self.tokens.get(route)
            if counts is None:
                counts = self.tokens[route] = TokenCounts()
            counts.count(request, media, group.model)


class _Batches:
    """Counts the batches: each range of the file fills its own, and equal requests are looked for within it."""

    def __init__(self, providers: Providers, split_bytes: int, *, dedupe: bool) -> None:
        self._providers, self._split_bytes, self._dedupe = providers, split_bytes, dedupe
        self._split = self._before = 0
        self._begin()

    def _begin(self) -> None:
        self._packer, self._routes = Packer(self._providers), Routes(self._providers, JobSettings())
        self._equal = EqualRequests() if self._dedupe else None

    def place(self, request: Request, offset: int) -> tuple[Media, Group] | None:
        """Put a request into a batch; what of it is no text, and the batch's group. None where it equals another."""
        split = offset // self._split_bytes
        if split != self._split:
            self._before, self._split = self.count, split
            self._begin()
        route, group = self._routes.of(request)
        body = bytes(request.body)
        if self._equal is not None:
            seen = self._equal.look([body], [route], 0)
            if seen.shared:
                return None
            self._equal.remember(seen)
        media = measure_media(body, group.model)
        self._packer.fit(group, len(body), request.inputs, media)
        return media, group

    @property
    def count(self) -> int:
        return self._before + self._packer.count


def check_file(  # noqa: PLR0913 - how a file is read, and for what
    path: Path,
    providers: Providers,
    *,
    name: str | None = None,
    rows: RowSettings = REQUESTS,
    split_bytes: int = SPLIT_BYTES,
    count_tokens: bool = False,
) -> Found:
    """Read a file as the functions will; its own name tells how, or another, and `rows` what its lines are.

    Raises:
        UserError: It is no file that they read.
    """
    path.open("rb").close()  # a folder, and a file that is not there, are wrong use, whatever their names
    name = name or dropped_name(path)
    _check_name(path, name)
    refuse_table_without_template(path, name, rows)
    rendering = rows.rendering(providers)
    found = Found(noun="line" if rendering is None else "row", tokens={} if count_tokens else None)
    batches = _Batches(providers, split_bytes, dedupe=rows.dedupe)
    reader = reader_of(rendering, providers, rows)
    try:
        for line in cut_lines(read_chunks(path, name, rows, rendering), offset=0, max_bytes=MAX_LINE_BYTES):
            found.lines += 1
            _check_line(_without_bom(line), found, batches, reader)
    except Unprocessable as error:
        raise UserError(describe_unreadable(path, error)) from None
    if not found.lines:
        raise UserError(f"{path} is empty.")
    if found.lines == found.blank:
        raise UserError(f"{path} {_only_blank(path, name)}.")
    found.batches = batches.count
    if rows.cache_prefix and found.tokens is not None:  # as if each had a marker: what is in common nobody looks for
        found.tokens = {route: _kept(route, its, providers) for route, its in found.tokens.items()}
    return found


def _kept(route: Route, counts: TokenCounts, providers: Providers) -> TokenCounts:
    return counts.kept_for_an_hour() if providers[route[0]].protocol is Protocol.ANTHROPIC else counts


def read_one(path: Path, number: int, providers: Providers, rows: RowSettings) -> Request | LineError:
    """Return the request of a file's row, by its number from 1.

    Raises:
        UserError: There is no such row, or it is blank or too long.
    """
    path.open("rb").close()
    name = dropped_name(path)
    _check_name(path, name)
    rendering = rows.rendering(providers)
    try:
        lines = cut_lines(read_chunks(path, name, rows, rendering), offset=0, max_bytes=MAX_LINE_BYTES)
        line = next(islice(lines, number - 1, None), None)
    except Unprocessable as error:
        raise UserError(describe_unreadable(path, error)) from None
    text = None if line is None else _without_bom(line).bytes
    if text is None or is_blank(text):
        raise UserError(f"{path} has no row {number:,} that can be read: it ends before, or the row is blank.")
    return reader_of(rendering, providers, rows).read(text)


def reader_of(rendering: Rendering | None, providers: Providers, rows: RowSettings) -> LineReader | TemplatedReader:
    """Reads the lines of a file, or its rows where there is a template."""
    lines = LineReader(providers, output_formats=rows.output_formats)
    return lines if rendering is None else TemplatedReader(rendering, lines)


def check_kind(path: Path, key: str, rows: RowSettings = REQUESTS, rendering: Rendering | None = None) -> None:
    """Refuse, before it is uploaded, a file that would be refused as a whole; its lines are not looked at.

    Of a plain file no more is read than up to its first line that is not blank, of a compressed one and a table all.

    Raises:
        UserError: It is no file that the functions read under this key.
    """
    _check_name(path, key)
    size, is_blank_so_far = 0, True
    try:
        for chunk in read_chunks(path, key, rows, rendering):
            text = chunk if size else chunk.removeprefix(BOM_UTF8)
            size += len(chunk)
            is_blank_so_far = is_blank_so_far and is_blank(text)
            if not is_blank_so_far and not is_rewritten(key):
                break
    except Unprocessable as error:
        raise NotReadable(f"{describe_unreadable(path, error)} Nothing was dropped.") from None
    if not size:
        raise UserError(f"{path} is empty. Nothing was dropped.")
    if is_blank_so_far:
        raise UserError(f"{path} {_only_blank(path, key)}. Nothing was dropped.")


def _only_blank(path: Path, key: str) -> str:
    return "has a header and only blank rows" if holds_rows(path, key) else "contains only blank lines"


def check_settings(path: Path, providers: Providers | None = None) -> None:
    """Check a folder's settings, or an output schema.

    With `providers`, also that a template makes requests, and that a fallback is a model.

    Raises:
        UserError: It is not TOML, a key is unknown, or a value has no sense.
    """
    try:
        if path.name.endswith(SCHEMA_ENDING):
            OutputSchema(path.read_bytes())
            return
        files = [(str(path), path.read_text(encoding="utf-8"))]
        settings = resolve(files, {})
        if providers is not None and settings.fallback is not None:
            find_fallback(settings.fallback, providers)
        template = find_template(files)
        read_schema(files, lambda beside: Path(beside).read_bytes())
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8.") from None
    except Unprocessable as error:
        where = f"{path}: " if path.name.endswith(SCHEMA_ENDING) else ""  # of settings the message begins with it
        raise UserError(f"{where}{error}") from None
    if providers is not None:
        RowSettings(template=template).rendering(providers)


def _check_name(path: Path, key: str) -> None:
    if not key.endswith(ENDINGS):
        is_key = not key.endswith(path.name)
        code = WRONG_USE if is_key else FAILED
        if key.lower().endswith(ENDINGS):
            name = key.rpartition("/")[2]
            raise UserError(
                f"{key if is_key else path} is not processed: its ending must be in lower case, as in "
                f"{_lowered(name)}.",
                code=code,
            )
        named = f"{path} as {key} would not be" if is_key else f"{path} is not"
        raise UserError(
            f"{named} processed: a file to drop contains JSON lines (.jsonl) or a table (.csv, .tsv), and may be "
            "compressed (.jsonl.gz, .csv.zst); of .parquet, .arrow and .xlsx the rows are dropped.",
            code=code,
        )


def _lowered(name: str) -> str:
    """The name with its ending in lower case."""
    start = max(name.lower().rfind(kind) for kind in (".jsonl", ".csv", ".tsv"))
    return name[:start] + name[start:].lower()


def _without_bom(line: Line) -> Line:
    if line.offset or line.bytes is None:
        return line
    text = line.bytes.removeprefix(BOM_UTF8)
    return Line(len(line.bytes) - len(text), len(text), text)


def read_chunks(path: Path, name: str, rows: RowSettings, rendering: Rendering | None) -> Iterator[bytes]:
    """The lines of a file as its name says, in pieces; refused where they are another kind of file."""
    columns = () if rendering is None else (*rendering.columns, *rendering.template.keep)
    if is_converted(path):
        return read_lines(path, columns)
    chunks = read_source(_stored(path), name, max_bytes=_MAX_INFLATED, delimiter=rows.delimiter, columns=columns)
    return chunks if is_table(name) else reject_non_jsonl(chunks)


def _stored(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _check_line(line: Line, found: Found, batches: _Batches, reader: LineReader | TemplatedReader) -> None:
    if line.bytes is None:
        found.refuse(ErrorCode.LINE_TOO_LONG, f"{line.length:,} bytes; at most {MAX_LINE_BYTES:,} are accepted")
        return
    if is_blank(line.bytes):
        found.blank += 1
        return
    read = reader.read(line.bytes)
    if isinstance(read, LineError):
        found.refuse(read.code, read.message)
        return
    try:
        placed = batches.place(read, line.offset)
    except TooManyGroups:
        found.refuse(ErrorCode.TOO_MANY_GROUPS, f"over {MAX_ROUTES} models and endpoints are mixed in this part")
        return
    if placed is None:
        found.shared += 1
    else:
        found.take(read, *placed)
