"""Writes the files of batches: their request lines, and the split line that each request came from."""

import hashlib
import re
from array import array
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from typing import BinaryIO, NamedTuple

import msgspec
from msgspec import Raw

from batchdrop.batches.packing import Bin, Group, Packer, Room, load_of
from batchdrop.batches.split_plan import PlannedBatch, read_members
from batchdrop.inputs.request_lines import MAX_LINE_BYTES
from batchdrop.jsonl import cut_lines
from batchdrop.protocols import openai
from batchdrop.protocols.json_text import reject_unportable_object
from batchdrop.protocols.prompt_caches import MOST_ADDED, CommonPrefixes, marked
from batchdrop.protocols.request_checks import LineProblem
from batchdrop.protocols.token_estimates import Media, measure_media
from batchdrop.records import Batch
from batchdrop.services import Services

_WRITE_BUFFER = 256 * 1024
# Where Python's str.splitlines ends a line, as UTF-8; what else ends one there is never raw in JSON's texts.
_LINE_SEPARATOR = re.compile(b"\xc2\x85|\xe2\x80[\xa8\xa9]")
_LINE_ENDS_TO_BLANKS = bytes.maketrans(b"\r\n", b"  ")
_LINE_BYTES = 4 * MAX_LINE_BYTES  # a request line: a body, which grows when it is translated, and our envelope


def custom_id_prefix(deployment: str, token: str) -> str:
    """Return the prefix of a batch's custom_ids; the position follows. Fits `^[a-zA-Z0-9_-]{1,64}$`."""
    return f"{deployment}{token_mark(token)}"


def token_mark(token: str) -> str:
    """Return the text that marks our custom_ids of a batch, under any name of the deployment.

    A token is a hash of the bucket's name among other things, so that no two deployments share one.
    """
    return f"-{token}-"


def wire_line(custom_id_prefix: bytes, position: int, url: str | None, body: bytes | Raw) -> bytes:
    """A request as a line of a request file: OpenAI's form with a url, Anthropic's without."""
    return _wire_form(custom_id_prefix, url) % (position, body)


def _wire_form(custom_id_prefix: bytes, url: str | None) -> bytes:
    """Return the common text of a batch's lines, with room for the position and the body."""
    middle = b'"params":' if url is None else b'"method":"POST","url":"%b","body":' % url.encode()
    return b'{"custom_id":"%b%%d",%b%%b}\n' % (custom_id_prefix, middle)


def wire_body(line: bytes) -> bytes:
    """The body of a line that `wire_line` made."""
    text = line.rstrip(b"\n")
    after_id = text.index(b'",') + 1  # our custom_id holds no quote
    mark = b',"params":' if text.startswith(b',"params":', after_id) else b',"body":'
    return text[text.index(mark, after_id) + len(mark) : -1]


def request_bodies(path: Path) -> Iterator[tuple[int, bytes]]:
    """The bodies of a request file, each with its position, as `wire_line` wrote them."""
    with path.open("rb") as file:
        for position, line in enumerate(file):
            yield position, wire_body(line)


def escape_line_separators(body: bytes | Raw) -> bytes:
    """The same JSON, with U+0085, U+2028 and U+2029 as escapes: they stand in its texts only."""
    return _LINE_SEPARATOR.sub(lambda found: b"\\u%04x" % ord(found[0].decode()), bytes(body))


def one_line(body: bytes | Raw, *, is_checked: bool = False) -> bytes | Raw:
    """A body as it may stand in a request file.

    A create joins the lines of a file to one document: a second line in a body would end the whole batch.

    Args:
        body: A JSON object. Its line ends become blanks: in JSON they mean as much, and cannot stand in texts.
        is_checked: Whether it is a piece of an input line that was checked, as it stands.

    Raises:
        LineProblem: Not every reader would take it.
    """
    text = bytes(body)
    if not is_checked:
        reject_unportable_object(text)
    return body if b"\n" not in text and b"\r" not in text else text.translate(_LINE_ENDS_TO_BLANKS)


def round_name(split: int, round_: int) -> str:
    """Return the prefix of the ids of a round's batches."""
    return f"{split:05}-{round_}"


type Edit = Callable[[bytes], bytes]
"""What becomes of a body when it is sent again."""


class Requests(NamedTuple):
    """Requests of one group, without media: their bodies as they are sent, and their lines' places in the plan's index.

    `inputs` counts the texts that each of them embeds.
    """

    bodies: list[bytes]
    places: Sequence[int]
    inputs: int


class _Spool:
    """A batch's requests and members while they are written."""

    def __init__(self, path: Path, form: bytes) -> None:
        self.path = path
        self.file: BinaryIO = path.open("wb", buffering=_WRITE_BUFFER)
        self.members = array("I")
        self._form = form

    def write(self, body: bytes | Raw, place: int) -> None:
        self.file.write(self._form % (len(self.members), body))
        self.members.append(place)

    def write_all(self, bodies: list[bytes], places: Iterable[int]) -> None:
        positions = range(len(self.members), len(self.members) + len(bodies))
        values = chain.from_iterable(zip(positions, bodies, strict=True))
        self.file.write(self._form * len(bodies) % tuple(values))
        self.members.extend(places)


def _mark_prefixes(path: Path) -> Collection[str]:
    """Mark what the requests of a file have in common, for their models' prompt caches; the models."""
    prefixes = CommonPrefixes()
    for _, body in request_bodies(path):
        prefixes.read(body)
    marks = prefixes.marks()
    if marks:
        marked_path = path.with_suffix(".marked")
        with path.open("rb") as file, marked_path.open("wb", buffering=_WRITE_BUFFER) as out:
            for line in file:
                body = wire_body(line)
                out.write(b"%b%b}\n" % (line[: -len(body) - 2], marked(body, marks)))
        marked_path.replace(path)
    return marks.keys()


class BatchWriter:
    """Packs requests into batches and writes their files; memory holds four bytes a request.

    Args:
        name: What the batches' ids begin with: split and round.
        prefix: Where the files go, in `work/`.
        folder: A folder on disk for them until they are whole.
        split: Whose lines they are.
        room: What a batch may hold, instead of the provider's limits.
        marks_prefixes: Whether Claude's prompt cache is asked to keep what the requests of a batch have in common.

    `cached` are the models, each with its provider, whose requests ask for that.
    """

    def __init__(  # noqa: PLR0913 - what they are called, where they go, what they hold
        self,
        name: str,
        prefix: str,
        folder: Path,
        services: Services,
        *,
        split: int,
        room: Room | None = None,
        marks_prefixes: bool = False,
    ) -> None:
        self._name, self._prefix, self._folder, self._services = name, prefix, folder, services
        self._packer = Packer(services.providers, split=split, room=room)
        self._spools: dict[int, _Spool] = {}
        self._batches: list[PlannedBatch] = []
        self._marks_prefixes, self.cached = marks_prefixes, set[tuple[str, str]]()

    def add(self, group: Group, body: bytes | Raw, inputs: int, place: int, *, is_checked: bool = False) -> Media:
        """Put a request into a batch; what of it is no text.

        `place` is its line's place in the plan's index; for the others see `one_line`.

        Raises:
            LineProblem: Its body cannot be sent; it is in no batch.
        """
        body = one_line(body, is_checked=is_checked)
        if self._services.providers[group.provider].escape_line_separators:
            body = escape_line_separators(body)
        media = measure_media(bytes(body), group.model)
        filled, closed = self._packer.fit(group, memoryview(body).nbytes + self._added(group), inputs, media)
        if closed is not None:
            self._close(closed)
        spool = self._spools.get(filled.number) or self._open(filled)
        spool.write(body, place)
        return media

    def add_all(self, requests: Mapping[Group, Requests]) -> bool:
        """Put requests into the open batches of their groups, if these have room for all of them.

        The files are the same as if each request had been added alone, in order. False where one of the groups has no
        such batch: then none is added.
        """
        loads = {group: load_of(self._sizes(group, each.bodies), each.inputs) for group, each in requests.items()}
        found = self._packer.fit_all(loads)
        if found is None:
            return False
        for group, filled in found.items():
            self._spools[filled.number].write_all(requests[group].bodies, requests[group].places)
        return True

    def finish(self) -> list[PlannedBatch]:
        """Write what is open; all the batches, in the order of their ids."""
        for filled in self._packer.rest():
            self._close(filled)
        return sorted(self._batches, key=lambda each: each.id)

    def _sizes(self, group: Group, bodies: list[bytes]) -> list[int]:
        added = self._added(group)
        return [len(body) + added for body in bodies] if added else list(map(len, bodies))

    def _added(self, group: Group) -> int:
        """The bytes that may be added to a request when its batch is full."""
        return MOST_ADDED if self._marks_prefixes and group.model is None else 0

    def _open(self, filled: Bin) -> _Spool:
        custom_ids = custom_id_prefix(self._services.settings.deployment, self._token(filled.number))
        url = filled.group.endpoint if filled.group.model is not None else None
        form = _wire_form(custom_ids.encode(), url)
        spool = _Spool(self._folder / f"requests-{filled.number}", form)
        self._spools[filled.number] = spool
        return spool

    def _close(self, filled: Bin) -> None:
        spool = self._spools.pop(filled.number)
        spool.file.close()
        if self._added(filled.group):
            self.cached |= {(filled.group.provider, model) for model in _mark_prefixes(spool.path)}
        requests_key = f"{self._prefix}requests-{filled.number:04}.jsonl"
        members_key = f"{self._prefix}members-{filled.number:04}"
        self._services.files.put(requests_key, spool.path)
        self._services.files.put(members_key, spool.members.tobytes(), content_type="application/octet-stream")
        size = spool.path.stat().st_size
        spool.path.unlink()
        self._batches.append(
            PlannedBatch(
                id=self._id(filled.number),
                token=self._token(filled.number),
                group=filled.group,
                requests=filled.requests,
                bytes=size,
                tokens=filled.tokens,
                requests_key=requests_key,
                members_key=members_key,
            )
        )

    def _id(self, number: int) -> str:
        return f"{self._name}-{number:04}"

    def _token(self, number: int) -> str:
        """Names a batch at the provider: of this deployment, this job, this attempt at writing it."""
        # The prefix holds the epoch of the claim, so that two attempts never share a token.
        text = f"{self._services.settings.deployment}/{self._prefix}/{self._id(number)}"
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def copy_requests(  # noqa: PLR0913 - from where to where
    batch: Batch,
    group: Group,
    positions: Iterable[int],
    writer: BatchWriter,
    services: Services,
    *,
    edits: Iterator[Edit] | None = None,
) -> None:
    """Put requests of a batch, at ascending positions, into batches of a group; `edits` has one for each."""
    for _, place, sent in requests_at(batch, positions, services):
        body = sent if edits is None else next(edits)(sent)
        inputs = openai.count_inputs(msgspec.Raw(body), batch.endpoint)
        with suppress(LineProblem):  # it is in no batch, and has its error when its split is assembled
            writer.add(group, body, inputs, place)


def requests_at(batch: Batch, positions: Iterable[int], services: Services) -> Iterator[tuple[int, int, bytes]]:
    """Requests of a batch, at ascending positions: each with its line's place in the plan's index, and its body."""
    members = read_members(services.files, batch.members_key)
    wanted = iter(positions)
    following = next(wanted, None)
    stream = services.files.stream(batch.requests_key)
    for position, line in enumerate(cut_lines(stream, offset=0, max_bytes=_LINE_BYTES)):
        if following is None:
            return
        if position == following and line.bytes is not None:
            yield position, members[position], wire_body(line.bytes)
            following = next(wanted, None)
