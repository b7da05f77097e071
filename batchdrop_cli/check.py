"""`validate`: what would become of each line of a file, offline and in constant memory, by the functions' own rules."""

from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
from batchdrop.aws.keys import COMPRESSED, is_compressed
from batchdrop.batches.packing import MAX_ROUTES, Group, Packer, Routes, TooManyGroups
from batchdrop.errors import Unprocessable
from batchdrop.inputs.compression import BYTES_PER_SECOND, inflate
from batchdrop.inputs.file_formats import reject_non_jsonl
from batchdrop.inputs.job_settings import resolve
from batchdrop.inputs.request_lines import MAX_LINE_BYTES, LineError, LineReader, Request, is_blank
from batchdrop.inputs.token_counts import Route, TokenCounts
from batchdrop.jsonl import Line, cut_lines
from batchdrop.protocols.token_estimates import Media, measure_media
from batchdrop.providers.config import Providers
from batchdrop.records import JobSettings
from batchdrop.result_line import ErrorCode

from batchdrop_cli.exit_codes import FAILED, WRONG_USE
from batchdrop_cli.user_errors import UserError

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
    """What a file holds.

    `errors` are the first ones, as line, code and message; `invalid` counts them all, `kinds` by their codes. `tokens`
    are counted where they are asked for.
    """

    lines: int = 0
    blank: int = 0
    invalid: int = 0
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
    """Counts the batches: each range of the file fills its own."""

    def __init__(self, providers: Providers, split_bytes: int) -> None:
        self._providers, self._split_bytes = providers, split_bytes
        self._split, self._packer, self._routes = 0, Packer(providers), Routes(providers, JobSettings())
        self._before = 0

    def place(self, request: Request, offset: int) -> tuple[Media, Group]:
        """Put a request into a batch; what of it is no text, and the batch's group."""
        split = offset // self._split_bytes
        if split != self._split:
            self._before, self._split = self.count, split
            self._packer, self._routes = Packer(self._providers), Routes(self._providers, JobSettings())
        _, group = self._routes.of(request)
        body = bytes(request.body)
        media = measure_media(body, group.model)
        self._packer.fit(group, len(body), request.inputs, media)
        return media, group

    @property
    def count(self) -> int:
        return self._before + self._packer.count


def check_file(
    path: Path,
    providers: Providers,
    *,
    name: str | None = None,
    split_bytes: int = SPLIT_BYTES,
    count_tokens: bool = False,
) -> Found:
    """Read a file as the functions will; its own name tells how, or another.

    Raises:
        UserError: It is no file that they read.
    """
    path.open("rb").close()  # a folder, and a file that is not there, are wrong use, whatever their names
    name = name or path.name
    _check_name(path, name)
    found, batches, reader = (
        Found(tokens={} if count_tokens else None),
        _Batches(providers, split_bytes),
        LineReader(providers),
    )
    try:
        for line in cut_lines(_chunks(path, name), offset=0, max_bytes=MAX_LINE_BYTES):
            found.lines += 1
            _check_line(_without_bom(line), found, batches, reader)
    except Unprocessable as error:
        raise UserError(f"{path}: {error}") from None
    if not found.lines:
        raise UserError(f"{path} is empty.")
    if found.lines == found.blank:
        raise UserError(f"{path} contains only blank lines.")
    found.batches = batches.count
    return found


def check_kind(path: Path, key: str) -> None:
    """Refuse, before it is uploaded, a file that would be refused as a whole; its lines are not looked at.

    Of a plain file no more is read than up to its first line that is not blank, of a compressed one all.

    Raises:
        UserError: It is no file that the functions read under this key.
    """
    _check_name(path, key)
    size, is_blank_so_far = 0, True
    try:
        for chunk in _chunks(path, key):
            text = chunk if size else chunk.removeprefix(BOM_UTF8)
            size += len(chunk)
            is_blank_so_far = is_blank_so_far and is_blank(text)
            if not is_blank_so_far and not is_compressed(key):
                break
    except Unprocessable as error:
        raise UserError(f"{path}: {error} Nothing was dropped.") from None
    if not size:
        raise UserError(f"{path} is empty. Nothing was dropped.")
    if is_blank_so_far:
        raise UserError(f"{path} contains only blank lines. Nothing was dropped.")


def check_settings(path: Path) -> None:
    """Check a folder's settings.

    Raises:
        UserError: It is not TOML, a key is unknown, or a value has no sense.
    """
    try:
        resolve([(str(path), path.read_text(encoding="utf-8"))], {})
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8.") from None
    except Unprocessable as error:
        raise UserError(str(error)) from None


def _check_name(path: Path, key: str) -> None:
    endings = (".jsonl", *COMPRESSED)
    if not key.endswith(endings):
        is_key = not key.endswith(path.name)
        code = WRONG_USE if is_key else FAILED
        if key.lower().endswith(endings):
            name = key.rpartition("/")[2]
            raise UserError(
                f"{key if is_key else path} is not processed: its ending must be in lower case, as in "
                f"{_lowered(name)}.",
                code=code,
            )
        named = f"{path} as {key} would not be" if is_key else f"{path} is not"
        raise UserError(
            f"{named} processed: a file to drop contains JSON lines, and its name ends in .jsonl, .jsonl.gz or "
            ".jsonl.zst.",
            code=code,
        )


def _lowered(name: str) -> str:
    """The name with its ending in lower case."""
    start = name.lower().rindex(".jsonl")
    return name[:start] + name[start:].lower()


def _without_bom(line: Line) -> Line:
    if line.offset or line.bytes is None:
        return line
    text = line.bytes.removeprefix(BOM_UTF8)
    return Line(len(line.bytes) - len(text), len(text), text)


def _chunks(path: Path, name: str) -> Iterator[bytes]:
    """The bytes of a file, inflated where its name says so; refused where they are another kind of file."""
    stored = _stored(path)
    inflated = inflate(stored, name, max_bytes=_MAX_INFLATED) if is_compressed(name) else stored
    return reject_non_jsonl(inflated)


def _stored(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


def _check_line(line: Line, found: Found, batches: _Batches, reader: LineReader) -> None:
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
        media, group = batches.place(read, line.offset)
    except TooManyGroups:
        found.refuse(ErrorCode.TOO_MANY_GROUPS, f"over {MAX_ROUTES} models and endpoints are mixed in this part")
        return
    found.take(read, media, group)
